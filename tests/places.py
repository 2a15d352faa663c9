"""Sources of a hospital for tests of their readers: a folder, and a site.toml of it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from client import site as sites
from client.formats.raw import Place, Raw
from client.site import Site
from client.sources import opening
from common.errors import DataError
from common.schema import Image

CANARY = "Zugvogel-77-kanarie"
"""Planted in the data, and searched for in all that is said of them."""


def site(
    folder: Path, source: Mapping[str, Any], columns: Mapping[str, Mapping[str, Any]]
) -> Site:
    """Write a site.toml of one source, and read it."""
    lines = ['site = "north"', "", "[sources.it]", *_pairs(source)]
    for name, column in columns.items():
        lines += ["", f"[columns.{name}]", *_pairs(column)]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "site.toml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return sites.read(path)


def read(local: Site, image: Image | None = None) -> list[Raw]:
    """Return every part of what the source says of all that is mapped."""
    return [*opening.read(Place(local, "it", image), local.mapping.columns)]


def refusal(call: Callable[[], object]) -> str:
    """Return what a reader says when it refuses; nothing when it reads."""
    try:
        call()
    except DataError as no:
        return str(no)
    return ""


def _pairs(table: Mapping[str, Any]) -> list[str]:
    return [f"{key} = {_toml(value)}" for key, value in table.items()]


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return "'" + value + "'" if "'" not in value else f'"{value}"'
    if isinstance(value, Mapping):
        return f"{{ {', '.join(_pairs(value))} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return repr(value)
