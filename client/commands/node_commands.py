"""``consilium client start``, ``status`` and ``doctor``: what a hospital's IT runs."""

from pathlib import Path

import click

from common import terminal
from common.terminal import FILE, Terminal

SITE = click.option("--site", "path", metavar="SITE.toml", type=FILE, required=True)


@click.command()
@SITE
@terminal.options
def start(terminal: Terminal, path: Path) -> None:
    """Answer the aggregator until stopped; nothing leaves that is not approved.

    The log goes to stderr; with --json it is one JSON object a line, on stdout.
    """
    from client.line import node  # noqa: PLC0415 - Flower loads here
    from common import talk  # noqa: PLC0415

    talk.begin("WARNING" if terminal.quiet else "INFO", as_json=terminal.json)
    node.main(path)


@click.command()
@SITE
@terminal.options
def status(terminal: Terminal, path: Path) -> None:
    """Say whether this site is connected, for whom it waits, and how studies stand."""
    from client.office import status  # noqa: PLC0415

    status.show(terminal, path)


@click.command()
@SITE
@terminal.options
def doctor(terminal: Terminal, path: Path) -> None:
    """Check all that this site needs, one line each, with what mends it."""
    from client.office import doctor  # noqa: PLC0415 - pandas and Flower load here

    click.get_current_context().exit(doctor.show(terminal, path))


COMMANDS = (start, status, doctor)
