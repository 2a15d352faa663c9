"""What the hospital's page and its service files say is what the program does."""

import re
import shlex
from configparser import ConfigParser
from pathlib import Path

import click
import pytest

from common.cli import build

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "hospital.md").read_text(encoding="utf-8")
SERVICES = {
    "consilium-client.service": ("Service", "ExecStart"),
    "consilium-client.container": ("Container", "Exec"),
}
BETWEEN = re.compile(r'"\s*\n\s*f?"')


def said() -> str:
    """Return what the hospital's code can say, without the seams of its lines."""
    files = [
        path for each in ("client", "common") for path in (ROOT / each).rglob("*.py")
    ]
    return "\n".join(BETWEEN.sub("", path.read_text("utf-8")) for path in files)


def fragments() -> list[str]:
    table = PAGE.partition("| it says |")[2].partition("\n")[2]
    rows = [row.split(" | ")[0].strip("| ") for row in table.splitlines()[1:] if row]
    parts = [part for row in rows for part in re.split(r"…|; | N\b|\bN ", row)]
    return [part.strip(" :") for part in parts if part.strip(" :")]


def test_every_error_of_the_table_is_one_that_is_said() -> None:
    source = said()
    assert len(fragments()) > 20
    for fragment in fragments():
        assert fragment in source, fragment


def test_every_command_of_the_page_is_one() -> None:
    group = build().commands["client"]
    assert isinstance(group, click.Group)
    named = set(re.findall(r"(?:consilium )?client ([a-z]+)", PAGE))
    assert {"start", "status", "doctor", "approve"} <= named
    assert named <= set(group.commands)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_starts_the_resident_process_and_opens_nothing(name: str) -> None:
    text = (ROOT / "docs" / "service" / name).read_text(encoding="utf-8")
    unit = ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(text)
    section, key = SERVICES[name]
    words = shlex.split(unit[section][key])
    start = words.index("client")
    assert words[start - 1].endswith("consilium")
    group = build().commands["client"]
    assert isinstance(group, click.Group)
    command = group.commands[words[start + 1]]
    command.make_context("start", words[start + 2 :], resilient_parsing=False)
    assert unit["Service"]["Restart"] == "always"
    assert "PublishPort" not in unit[section]
    assert "ListenStream" not in text
    hardened = {"Service": "yes", "Container": "true"}[section]
    assert unit[section]["NoNewPrivileges"] == hardened
