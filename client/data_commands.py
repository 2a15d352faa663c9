"""``consilium client data`` and ``withdraw``: the steward's words on the records."""

from datetime import UTC, datetime
from pathlib import Path

import click

from client.steward_commands import at_site
from common import terminal
from common.terminal import FILE, Terminal

STUDY = click.option(
    "--study", "study_path", metavar="STUDY.toml", type=FILE, required=True
)


@click.group()
def data() -> None:
    """Map this hospital's records, and see what a study would find in them."""


@data.command()
@click.argument("name")
@at_site
@click.option("--kind", type=click.Choice(["csv", "parquet", "sql", "fhir"]))
@click.option("--file", help="The file or folder, beside SITE.toml.")
@click.option("--person", help="The column, or identifier, that tells people apart.")
@click.option("--event-time", help="The column that says when; '' for none.")
@terminal.options
def add(terminal: Terminal, name: str, path: Path, **given: str | None) -> None:
    """Add a source called NAME to SITE.toml; asks for what is not given."""
    from client import adding  # noqa: PLC0415

    kind = given["kind"] or click.prompt("Its kind", default="csv", err=True)
    key = "folder" if kind == "fhir" else "file"
    settings = {"kind": kind, key: _asked(given["file"], "The file or folder")}
    if kind != "sql":
        settings["person"] = _asked(given["person"], "Who: the column of the person")
    if kind in ("csv", "parquet"):
        when = _asked(given["event_time"], "When: the column of the date, or nothing")
        settings |= {"event_time": when} if when else {}
    adding.add(terminal, path, name, settings)


def _asked(given: str | None, question: str) -> str:
    if given is not None:
        return given
    said: str = click.prompt(question, default="", show_default=False, err=True)
    return said


@data.command()
@STUDY
@at_site
@terminal.options
def suggest(terminal: Terminal, study_path: Path, path: Path) -> None:
    """Guess where the variables of a study are, from names, codes, units and values."""
    from client import site, suggesting  # noqa: PLC0415
    from common import study  # noqa: PLC0415

    local, asked = site.read(path), study.read(study_path)
    found = suggesting.suggest(local, asked)
    have = {*local.mapping.columns, *(each.variable for each in found)}
    lacking = {v.name: None for v in asked.everything if v.name not in have}
    lines = {each.variable: each.text() for each in found}
    facts = {"ok": True, "found": lines, "lacking": [*lacking]}
    terminal.result(facts, suggesting.text(found, lacking))


@data.command()
@STUDY
@at_site
@click.option("--page", type=FILE, help="Write it as a page, too.")
@terminal.options
def check(terminal: Terminal, study_path: Path, path: Path, page: Path | None) -> None:
    """Say what is mapped, missing, converted, doubtful, and who stands alone."""
    from client import examination, site  # noqa: PLC0415 - pandas loads here
    from common import study  # noqa: PLC0415

    today = datetime.now(UTC).date()
    asked = study.read(study_path)
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
    from client import withdrawing  # noqa: PLC0415

    if not person:
        person = click.prompt("The person's number", hide_input=True, err=True)
    withdrawing.withdraw(terminal, path, person)


COMMANDS = (data, withdraw)
