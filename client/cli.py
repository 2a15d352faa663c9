"""``consilium client``: what a hospital's people run on the hospital's machine."""

from datetime import UTC, datetime
from pathlib import Path

import click

from client.commands import (
    data_commands,
    joining,
    node_commands,
    predict_command,
    steward_commands,
)
from common import terminal
from common.terminal import Terminal

FILE = click.Path(path_type=Path)


@click.group()
def client() -> None:
    """Look after one hospital's side of a study."""


@client.command()
@click.option("--study", "study_path", metavar="STUDY.toml", type=FILE, required=True)
@click.option("--site", "site_path", metavar="SITE.toml", type=FILE, required=True)
@terminal.options
def check(terminal: Terminal, study_path: Path, site_path: Path) -> None:
    """Show what the study would read, convert, drop and send here; send nothing."""
    from client import site  # noqa: PLC0415 - pandas and Flower load here
    from client.office import review  # noqa: PLC0415 - pandas and Flower load here
    from common import study  # noqa: PLC0415

    today = datetime.now(UTC).date()
    found = review.check(site.read(site_path), study.read(study_path), today)
    terminal.result(found.facts(), found.text())


JOINING = (joining.join, joining.admitted, joining.renew)
STEWARD = (*steward_commands.COMMANDS, *data_commands.COMMANDS)
CLINIC = predict_command.COMMANDS
for command in (*JOINING, *node_commands.COMMANDS, *STEWARD, *CLINIC):
    client.add_command(command)
