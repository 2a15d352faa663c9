"""What the operator's page and the service files say is what the program does."""

import re
import shlex
import tomllib
from configparser import ConfigParser
from pathlib import Path

import click
import pytest

from common.cli import build
from tests.client.test_hospital_page import BETWEEN

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operator.md").read_text(encoding="utf-8")
SERVICE = ROOT / "docs" / "service"
DIRS = {"UserNS": "keep-id:uid=10001,gid=10001", "PublishPort": "9443:9443"}


def group(name: str) -> click.Group:
    """Return the commands of one side."""
    found = build().commands[name]
    assert isinstance(found, click.Group)
    return found


def understood(line: str) -> str:
    """Return the command that *line* gives, once the program has taken its options."""
    words = shlex.split(line, comments=True)
    start = words.index("server")
    command = group("server").commands[words[start + 1]]
    command.make_context(words[start + 1], words[start + 2 :])
    return words[start + 1]


def test_every_command_of_the_page_is_understood() -> None:
    lines = re.findall(r"^consilium (server .*)$", PAGE, re.MULTILINE)
    lines += re.findall(r"`consilium (server [^`]*--[^`]*)`", PAGE)
    given = {understood(line) for line in lines}
    assert {"init", "invite", "admit", "start", "submit", "status", "begin"} <= given
    assert {"stop", "report", "sites", "renew", "revoke"} <= given
    for side in ("server", "client"):
        named = set(re.findall(rf"`{side} ([a-z]+)", PAGE))
        assert named <= set(group(side).commands)


def test_every_error_of_the_table_is_one_that_is_said() -> None:
    files = [
        path for each in ("server", "common") for path in (ROOT / each).rglob("*.py")
    ]
    source = "\n".join(BETWEEN.sub("", path.read_text("utf-8")) for path in files)
    table = PAGE.partition("| it says |")[2].partition("\n")[2]
    rows = [row.split(" | ")[0].strip("| ") for row in table.splitlines()[1:]]
    assert len(rows) >= 18
    for part in (part.strip() for row in rows for part in row.split("…")):
        assert part in source, part


def test_the_units_start_the_aggregator_and_little_else_is_allowed() -> None:
    service = unit("consilium-aggregator.service")["Service"]
    assert understood(service["ExecStart"]) == "start"
    assert service["ReadWritePaths"] == service["ExecStart"].split()[-1]
    assert service["InaccessiblePaths"] == f"-{service['ReadWritePaths']}/ca.key"
    assert service["NoNewPrivileges"] == "yes"
    assert (service["ProtectSystem"], service["UMask"]) == ("strict", "0077")
    quadlet = unit("consilium-aggregator.container")
    container = quadlet["Container"]
    assert understood(container["Exec"]) == "start"
    assert {name: container[name] for name in DIRS} == DIRS
    assert container["ReadOnly"] == container["NoNewPrivileges"] == "true"
    for each in (service, quadlet["Service"]):
        assert each["Restart"] == "always"


def unit(name: str) -> ConfigParser:
    """Return a unit of systemd's or Podman's, as they read it."""
    read = ConfigParser(strict=False, interpolation=None)
    read.optionxform = str  # type: ignore[assignment,method-assign]
    read.read_string((SERVICE / name).read_text(encoding="utf-8"))
    return read


@pytest.mark.parametrize("side", ["server", "client"])
def test_compose_starts_what_it_names(side: str) -> None:
    text = (SERVICE / "compose.yaml").read_text(encoding="utf-8")
    (line,) = re.findall(rf"command: \[consilium, ({side}, .*)\]", text)
    words = line.split(", ")
    command = group(side).commands[words[1]]
    command.make_context(words[1], words[2:])
    assert text.count("ports:") == 1


def test_the_image_holds_every_package_and_runs_as_nobody() -> None:
    text = (SERVICE / "Containerfile").read_text(encoding="utf-8")
    copied = set(re.findall(r"^COPY (\w+) /source/\1$", text, re.MULTILINE))
    assert copied == {"client", "common", "server", "simulations"}
    assert re.search(r"^FROM \S+python:3\.11-slim$", text, re.MULTILINE)
    assert "USER 10001:10001" in text
    extras = re.findall(r"EXTRAS=\[([\w,]+)\]", text)[0].split(",")
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert set(extras) < set(pyproject["project"]["optional-dependencies"])
    installs = re.findall(r"\b(pip|apt|apt-get|uv|curl|wget)\b \w+", text)
    assert installs == ["pip"]
