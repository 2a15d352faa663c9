"""``consilium client data add``: one more source in ``site.toml``, tried beforehand."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

from client import site
from client.formats.raw import Place
from client.guessing import times
from client.sources import opening
from common.errors import ConsiliumError, StudyError
from common.terminal import Terminal

Settings = Mapping[str, object]
"""The keys of a source: texts, or what TOML and JSON write alike."""


def add(terminal: Terminal, path: Path, name: str, settings: Settings) -> None:
    """Write ``[sources.NAME]`` with *settings* at the end of *path*, if it can be read.

    The file is as before when anything is wrong with the source.
    """
    before = path.read_text(encoding="utf-8") if path.exists() else _new(path)
    _require_room(path, name, before)
    table = f"\n[sources.{name}]\n" + "".join(
        f"{key} = {json.dumps(said, ensure_ascii=False)}\n"
        for key, said in settings.items()
    )
    tried = path.with_name(f".{path.name}.new")
    tried.write_text(before + table, encoding="utf-8")
    try:
        local = site.read(tried)
        found = opening.probe(local)
        told = times.otherwise(Place(local, name))
        tried.replace(path)
    except ConsiliumError as wrong:
        if fix := wrong.hints.get("fix"):
            wrong.hints["fix"] = fix.replace(tried.name, path.name)
        wrong.hints["where"] = (
            f"what was given for [sources.{name}]; {path} is as before"
        )
        wrong.hints["then"] = f"consilium client data add {name} --site {path}"
        raise
    finally:
        tried.unlink(missing_ok=True)
    lines = [f"added [sources.{name}] to {path}", *(f"  {each}" for each in found)]
    lines += [f"  in [sources.{name}]: {told}"] if told else []
    lines += [f"next:   consilium client data suggest --study STUDY.toml --site {path}"]
    facts = {"ok": True, "source": name, "sources": list(found), "told": told}
    terminal.result(facts, "\n".join(lines))


def _new(path: Path) -> str:
    """Begin a file; the site is called like its folder until somebody corrects it."""
    name = re.sub("[^a-z0-9]+", "-", path.resolve().parent.name.lower()).strip("-")
    return f'site = "{name or "site"}"\n'


def _require_room(path: Path, name: str, before: str) -> None:
    if "[data]" in before.splitlines():
        raise StudyError(
            f"{path.name} has the shorthand [data], for one source",
            where=str(path),
            fix='[sources.main] in place of [data], and below it   kind = "csv"',
        )
    if f"[sources.{name}]" in before.splitlines():
        raise StudyError(
            f"there is a [sources.{name}] already",
            where=str(path),
            fix="choose another name, or change what is there",
        )
