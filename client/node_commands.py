"""``consilium client start``: the resident process of a hospital."""

import logging
from pathlib import Path

import click

from common import terminal
from common.terminal import FILE, Terminal


@click.command()
@click.option("--site", "path", metavar="SITE.toml", type=FILE, required=True)
@terminal.options
def start(terminal: Terminal, path: Path) -> None:
    """Answer the aggregator until stopped; nothing leaves that is not approved."""
    from client import node  # noqa: PLC0415 - pandas and Flower load here

    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("consilium").setLevel("WARNING" if terminal.quiet else "INFO")
    node.main(path)


COMMANDS = (start,)
