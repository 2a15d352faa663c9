"""What only the person at the keyboard can give: a passphrase, and a comparison.

A passphrase is asked for, or read from a private file; never from the command line,
which other users of the machine can see.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from common import terminal as terminals
from common.errors import IdentityError
from common.terminal import FILE, FOLDER, Terminal

if TYPE_CHECKING:  # help answers without loading these
    from common.trust.enrolment import Request
    from server.members.authority import Authority
    from server.members.consortium import Consortium

DIR = click.option(
    "--dir",
    "folder",
    metavar="DIR",
    type=FOLDER,
    required=True,
    help="The consortium's private folder.",
)
CA_KEY = click.option(
    "--ca-key", type=FILE, help="The authority's key, if it is kept outside DIR."
)
PASSPHRASE_FILE = click.option(
    "--passphrase-file", type=FILE, help="Private file with the authority's passphrase."
)

Command = Callable[..., None]
IN_A_FILE = "--passphrase-file FILE"


@dataclass(frozen=True, slots=True)
class Opening:
    """Where the authority's key and its passphrase are, as far as a person said."""

    folder: Path
    ca_key: Path | None
    passphrase_file: Path | None

    def unlock(self, consortium: "Consortium") -> "Authority":
        """Return the authority, asking for its passphrase unless a file has it."""
        from common.trust import private_files  # noqa: PLC0415 - only now needed
        from server.members import consortium as consortia  # noqa: PLC0415

        path = self.ca_key or self.folder / "ca.key"
        private_files.read(path, then="--ca-key FILE, if the key is kept elsewhere")
        stored = self.passphrase_file
        passphrase = _stored(stored) if stored else _typed()
        return consortia.unlock(consortium, path, passphrase)


def opening(command: Command) -> Command:
    """Give a command the options that open the authority, as one ``authority``."""

    def run(
        terminal: Terminal,
        *,
        folder: Path,
        ca_key: Path | None,
        passphrase_file: Path | None,
        **rest: object,
    ) -> None:
        command(terminal, Opening(folder, ca_key, passphrase_file), **rest)

    run.__doc__ = command.__doc__
    run.__name__ = command.__name__
    if hasattr(command, "__click_params__"):
        run.__click_params__ = command.__click_params__  # type: ignore[attr-defined]
    for option in (PASSPHRASE_FILE, CA_KEY, DIR):
        option(run)
    return run


def now() -> datetime:
    """Return the time in UTC, in whole seconds as certificates have it."""
    return datetime.now(UTC).replace(microsecond=0)


def new_passphrase(path: Path | None) -> bytes:
    """Return a passphrase that the person chose: typed twice, or in a file."""
    if path is not None:
        return _stored(path)
    asked = "Passphrase for the consortium's authority"
    return terminals.typed(asked, IN_A_FILE, hidden=True, twice=True).encode()


def compare(
    terminal: Terminal, sealed: bytes, request: "Request", words: str | None
) -> None:
    """Return once the words were compared; raise when they are not confirmed.

    A renewal is signed by the key that was compared at admission: nothing to compare.
    """
    from common.trust import enrolment  # noqa: PLC0415 - only now needed
    from server.members import requests  # noqa: PLC0415

    if request.replaces:
        terminal.say(f"a renewal, signed by the {request.site} that was admitted")
        return
    if words is not None:
        requests.require_heard(sealed, words)
        return
    click.echo(
        f"{request.site} asks to join {request.consortium}. Call the hospital on a "
        "number\nthat you know, not one from the message, and let them read:\n\n"
        f"  {enrolment.spoken(sealed)}\n",
        err=True,
    )
    question = "Type yes if every word is the same"
    answer = terminals.typed(question, '--words "WORDS AS THEY ARE READ TO YOU"')
    if answer.strip().lower() != "yes":
        raise IdentityError(
            f"{request.site} was not admitted: the words were not confirmed",
            fix="call again; if the words differ, admit nobody and tell both IT",
        )


def _typed() -> bytes:
    asked = "Passphrase of the consortium's authority"
    return terminals.typed(asked, IN_A_FILE, hidden=True).encode()


def _stored(path: Path) -> bytes:
    from common.trust import private_files  # noqa: PLC0415 - only now needed

    private_files.require_own(path, "who may have read it must not have ca.key too")
    return private_files.content(path).rstrip(b"\r\n")
