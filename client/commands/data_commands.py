"""``consilium client data`` and ``withdraw``: the steward's words on the records."""

import shlex
import sys
import tomllib
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click

from client.commands.steward_commands import at_site
from common import terminal
from common.errors import ConsiliumError, UsageError
from common.terminal import FILE, Terminal

STUDY = click.option(
    "--study", "study_path", metavar="STUDY.toml", type=FILE, required=True
)


@click.group()
def data() -> None:
    """Map this hospital's records, and see what a study would find in them."""


FILE_ASKED = ("file", "The file, beside SITE.toml")
PERSON_ASKED = ("person", "Who: the column of the person")
TIME_ASKED = ("event_time", "When: the column of the date, or nothing")
LISTED = (FILE_ASKED, PERSON_ASKED, TIME_ASKED)
FILES_ASKED = ("files", "The files, e.g. notes/{person}_{time}.txt")
ASKED: Mapping[str, tuple[tuple[str, str], ...]] = {
    "csv": LISTED,
    "parquet": LISTED,
    "sql": (FILE_ASKED,),
    "fhir": (
        ("folder", "The folder of NDJSON files"),
        ("person", "Who: id, or the system of an identifier"),
    ),
    "text": (FILES_ASKED,),
    "signals": (*LISTED, ("time", "The column that says when a sample was taken")),
    "wfdb": (FILES_ASKED,),
    "images": (*LISTED, ("pixels", "The NPZ file of the pictures")),
    "png": (*LISTED, ("folder", "The folder of the pictures")),
    "dicom": (("files", "The files, e.g. films/*.dcm"), ("modality", "E.g. DX,CR")),
}
"""What each kind of source has to say: keys of site.toml, and how they are asked."""
KINDS = click.Choice([*ASKED])
LISTS = ("modality", "missing", "leave_out")


@data.command()
@click.argument("name")
@at_site
@click.option("--kind", type=KINDS)
@click.option("--file", help="The file, folder or pattern of files, beside SITE.toml.")
@click.option("--person", help="The column, or identifier, that tells people apart.")
@click.option("--event-time", help="The column that says when; '' for none.")
@click.option(
    "--set", "more", multiple=True, metavar="KEY=VALUE", help="Any other setting."
)
@terminal.options
def add(
    terminal: Terminal,
    name: str,
    path: Path,
    more: tuple[str, ...],
    **given: str | None,
) -> None:
    """Add a source called NAME to SITE.toml; asks for what is not given."""
    from client.office import adding  # noqa: PLC0415

    kind = given.pop("kind") or _answer("kind", "Its kind", KINDS)
    asked = dict(ASKED[kind])
    known = {key: said for key, said in given.items() if said is not None}
    if file := known.pop("file", None):
        known[next(iter(asked))] = file
    known |= dict(map(_setting, more))
    for key, question in asked.items():
        if key not in known:
            known[key] = _answer(key, question)
    settings = {key: _written(key, said) for key, said in known.items() if said}
    adding.add(terminal, path, name, {"kind": kind, **settings})


def _answer(key: str, question: str, kinds: "click.Choice[str] | None" = None) -> str:
    """Ask, and return what is typed; without a terminal nobody would answer."""
    first = "csv" if kinds else ""
    try:
        said = click.prompt(
            question, first, type=kinds, show_default=bool(kinds), err=True
        )
    except click.Abort:
        if sys.stdin.isatty():
            raise
        fix = f"--{key} …" if key == "kind" else f"--set {key}=…"
        raise UsageError(f"nobody is here to say `{key}`", fix=fix) from None
    return str(said)


def _setting(said: str) -> tuple[str, str]:
    key, equals, value = said.partition("=")
    if not equals:
        raise UsageError(f"{said!r} is no setting", fix="--set KEY=VALUE")
    return key.strip(), value.strip()


def _written(key: str, said: str) -> object:
    """Return a setting as it is meant: as TOML writes a list, or between commas."""
    if said.startswith("["):
        try:
            return tomllib.loads(f"{key} = {said}")[key]
        except tomllib.TOMLDecodeError:
            fix = f'--set \'{key}=["…", "…"]\''
            raise UsageError(f"`{key}` is no list of TOML", fix=fix) from None
    return [each.strip() for each in said.split(",")] if key in LISTS else said


@contextmanager
def _again(command: str, study: Path) -> Generator[None]:
    """Let an error name the command that was typed as the next one, with its study."""
    typed = f"client data {command} --study {shlex.quote(str(study))} "
    try:
        yield
    except ConsiliumError as error:
        then = error.hints.get("then") or ""
        error.hints["then"] = then.replace("client check --study STUDY.toml ", typed)
        raise


@data.command()
@STUDY
@at_site
@terminal.options
def suggest(terminal: Terminal, study_path: Path, path: Path) -> None:
    """Guess where the variables of a study are, from names, codes, units and values."""
    from client import site  # noqa: PLC0415
    from client.office import suggesting  # noqa: PLC0415
    from common import study  # noqa: PLC0415

    asked = study.read(study_path)
    with _again("suggest", study_path):
        local = site.read(path)
        found = suggesting.suggest(local, asked)
    lines = {each.variable: each.text() for each in found.found}
    shut = {name: wrong.what for name, wrong in found.shut.items()}
    lacking = [*found.lacking]
    facts = {"ok": True, "found": lines, "lacking": lacking, "shut": shut}
    terminal.result(facts, suggesting.text(local, found))


@data.command()
@STUDY
@at_site
@click.option("--page", type=FILE, help="Write it as a page, too.")
@terminal.options
def check(terminal: Terminal, study_path: Path, path: Path, page: Path | None) -> None:
    """Say what is mapped, missing, converted, doubtful, and who stands alone."""
    from client import site  # noqa: PLC0415 - pandas loads here
    from client.office import examination  # noqa: PLC0415 - pandas loads here
    from common import study  # noqa: PLC0415

    today = datetime.now(UTC).date()
    asked = study.read(study_path)
    with _again("check", study_path):
        found = examination.examine(site.read(path), asked, today)
    if page:
        examination.write(found, page)
    terminal.result(found.facts(), found.text())


@click.command()
@click.argument("person", default="")
@at_site
@terminal.options
def withdraw(terminal: Terminal, person: str, path: Path) -> None:
    """Leave PERSON, a number as the records have it, out of every study from now on.

    Without PERSON the number is asked for, and stays out of the shell's history.
    """
    from client.office import withdrawing  # noqa: PLC0415

    if not person:
        person = click.prompt("The person's number", hide_input=True, err=True)
    withdrawing.withdraw(terminal, path, person)


COMMANDS = (data, withdraw)
