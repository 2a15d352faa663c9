"""A consortium and a hospital in a folder, as two people type them into being."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from common import terminal
from common.cli import build

NOW = datetime.now(UTC).replace(microsecond=0)
PASSPHRASE = "five unrelated words typed twice"  # noqa: S105 - of a throw-away consortium


@dataclass(frozen=True)
class Desk:
    """Where the commands run, and what they said."""

    folder: Path
    capsys: pytest.CaptureFixture[str]

    def run(self, *arguments: str | Path) -> tuple[int, str, str]:
        """Return exit code, stdout and stderr of one command."""
        code = terminal.run(build(), [str(each) for each in arguments])
        shown = self.capsys.readouterr()
        assert "Traceback" not in shown.err
        assert PASSPHRASE not in shown.out + shown.err
        return code, shown.out, shown.err

    def facts(self, *arguments: str | Path) -> dict[str, Any]:
        """Return what a command that works prints with ``--json``."""
        code, out, err = self.run(*arguments, "--json")
        assert code == 0, err
        found: dict[str, Any] = json.loads(out)
        return found

    def operator(self, command: str, *rest: str | Path) -> tuple[int, str, str]:
        """Run a command of the operator; give the passphrase where one is needed."""
        needed = ("--passphrase-file", "pass") if command in OPENING else ()
        return self.run("server", command, *rest, "--dir", "agg", *needed)

    def found(self, name: str = "heart-net", folder: str = "agg") -> None:
        """Make a consortium."""
        hosts = ("--host", "localhost:9443", "--host", "127.0.0.1")
        secret = ("--passphrase-file", "pass")
        self.facts("server", "init", folder, "--name", name, *hosts, *secret)

    def ask(self, site: str = "north") -> str:
        """Invite *site* and let it join; return the words of its request."""
        assert self.operator("invite", site)[0] == 0
        joined = self.facts("client", "join", f"{site}.invite", "--home", site)
        return str(joined["words"])

    def admit(self, site: str = "north") -> None:
        """Invite, join, admit and keep the admission."""
        words = self.ask(site)
        code, _, err = self.operator("admit", f"{site}.request", "--words", words)
        assert code == 0, err
        self.facts("client", "admitted", f"{site}.admitted", "--home", site)

    def answer(self, site: str = "north") -> tuple[int, str, str]:
        """Let *site* look at the admission that lies here."""
        return self.run("client", "admitted", f"{site}.admitted", "--home", site)


OPENING = {"admit", "revoke", "renew"}


@pytest.fixture
def desk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Desk:
    """Found a consortium in an empty folder."""
    monkeypatch.chdir(tmp_path)
    secret = tmp_path / "pass"
    secret.touch(mode=0o600)
    secret.write_text(f"{PASSPHRASE}\n")
    made = Desk(tmp_path, capsys)
    made.found()
    return made
