"""``consilium demo`` and ``consilium simulate``: many hospitals on one machine."""

from pathlib import Path
from typing import Literal

import click

from common import terminal
from common.terminal import FILE, FOLDER, Terminal


@click.command()
@click.option(
    "--out",
    type=FOLDER,
    default="consilium-demo",
    show_default=True,
    help="Where hospitals, study and report are written.",
)
@click.option(
    "--data",
    type=FOLDER,
    help="Folder of the four UCI heart disease files: run on those instead.",
)
@terminal.options
def demo(terminal: Terminal, out: Path, data: Path | None) -> None:
    """Let four hospitals learn one model together, and look at what left them."""
    from simulations import demos  # noqa: PLC0415 - Flower and pandas load here

    demos.run(terminal, out, data)


@click.group()
def simulate() -> None:
    """Run a study over hospital folders on this machine."""


@simulate.command()
@click.argument("study", metavar="STUDY.toml", type=FILE)
@click.option(
    "--data",
    type=FOLDER,
    required=True,
    help="Folder with one folder per hospital, each with its site.toml.",
)
@click.option(
    "--out",
    type=FOLDER,
    default="consilium-run",
    show_default=True,
    help="Where report.json and report.html are written.",
)
@click.option(
    "--journal",
    type=FOLDER,
    help="Folder that keeps every round; a run that was cut off goes on from it.",
)
@terminal.options
def run(
    terminal: Terminal, study: Path, data: Path, out: Path, journal: Path | None
) -> None:
    """Run STUDY.toml over every hospital in a folder, and compare with pooled."""
    from simulations import demos  # noqa: PLC0415

    demos.study(terminal, study, data, out, journal)


@simulate.command()
@click.option(
    "--data",
    type=FOLDER,
    help="Folder of the four UCI heart disease files: run on those instead.",
)
@click.option(
    "--noise",
    type=click.Choice(["shared", "site"]),
    default="shared",
    show_default=True,
    help="Who keeps the promise: the sites together, or each by itself.",
)
@click.option(
    "--repeats",
    type=click.IntRange(min=2),
    default=20,
    show_default=True,
    help="How often noise is drawn at each epsilon.",
)
@click.option(
    "--out",
    type=FOLDER,
    default="consilium-curve",
    show_default=True,
    help="Where curve.json and curve.html are written.",
)
@terminal.options
def curve(
    terminal: Terminal,
    data: Path | None,
    noise: Literal["shared", "site"],
    repeats: int,
    out: Path,
) -> None:
    """Show what differential privacy costs in accuracy, for several epsilons."""
    from simulations import demos  # noqa: PLC0415

    demos.curve(terminal, data, noise, repeats, out)


@simulate.command()
@click.argument("out", type=FOLDER)
@click.option(
    "--seed",
    type=int,
    default=1,
    show_default=True,
    help="The same seed writes the same bytes.",
)
@terminal.options
def hospitals(terminal: Terminal, out: Path, seed: int) -> None:
    """Write four hospitals with their own dialects and planted dirt into OUT."""
    from simulations import hospitals  # noqa: PLC0415

    study = hospitals.write(out, seed)
    text = (
        f"wrote four hospitals, {study.name} and truth.json to {out}\n"
        f"next:   consilium simulate run {study} --data {out}"
    )
    terminal.result({"ok": True, "study": str(study), "data": str(out)}, text)
