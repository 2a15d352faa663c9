"""``consilium demo`` and ``consilium simulate``: many hospitals on one machine."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from common import terminal
from common.errors import IntegrityError, UsageError
from common.terminal import FILE, FOLDER, Terminal

if TYPE_CHECKING:  # help answers without loading it
    from simulations.engines.engine import Engine


ENGINES = ("in-process", "processes", "ray")


@dataclass(frozen=True, slots=True)
class Chosen:
    """How a study is to be run, as far as a person said."""

    name: str
    kill_one: bool

    def engine(self, journal: Path | None = None) -> "Engine":
        """Return the engine; raise UsageError for what it cannot do."""
        from simulations.engines import (  # noqa: PLC0415 - Flower loads here
            actors,
            engine,
            processes,
        )

        if self.name == "ray":
            return actors.on_ray(journal, kill_one=self.kill_one)
        if self.name == "processes":
            if journal:
                raise UsageError(
                    "--journal is for an engine whose aggregator is this process",
                    likely="with --engine processes the aggregator keeps its own",
                    fix="leave one of the two out",
                )
            return processes.engine(kill_one=self.kill_one)
        if self.kill_one:
            raise UsageError(
                "in one process there is no process of a hospital to kill",
                fix="--engine processes --kill-one",
            )
        return engine.in_process(journal)


def choosing(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that choose an engine, as one ``chosen``."""

    def run(*, engine: str, kill_one: bool, **rest: object) -> None:
        command(chosen=Chosen(engine, kill_one), **rest)

    run.__doc__, run.__name__ = command.__doc__, command.__name__
    run.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]
    kill = "Kill one hospital's process in the middle, and let it come back."
    where = (
        "All in one process; an aggregator and hospitals over mutual TLS; or hospitals "
        "on Ray, on one machine or on several."
    )
    click.option("--kill-one", is_flag=True, help=kill)(run)
    return click.option(
        "--engine",
        type=click.Choice(ENGINES),
        default=ENGINES[0],
        show_default=True,
        help=where,
    )(run)


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
@click.option(
    "--richer",
    is_flag=True,
    help="With --data: ask for more than FLamby does; 40 splits, and each left out.",
)
@click.option(
    "--epsilon",
    type=click.FloatRange(0, 100, min_open=True),
    help="Promise each person so much privacy (delta 1e-5); without it, none.",
)
@click.option(
    "--noise",
    type=click.Choice(["site", "shared"]),
    default="site",
    show_default=True,
    help="With --epsilon: all of the noise at each site, or a share of it.",
)
@choosing
@terminal.options
def demo(  # noqa: PLR0913 - one for each option
    terminal: Terminal,
    *,
    chosen: Chosen,
    out: Path,
    data: Path | None,
    richer: bool,
    epsilon: float | None,
    noise: str,
) -> None:
    """Let four hospitals learn one model together, and look at what left them."""
    from simulations import demos  # noqa: PLC0415 - Flower and pandas load here

    if richer and data is None:
        raise click.UsageError("--richer is about the heart hospitals: give --data too")
    wish = demos.Wish(epsilon, noise, richer)
    demos.run(terminal, out, data, chosen.engine(), wish)


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
@choosing
@terminal.options
def run(
    terminal: Terminal,
    chosen: Chosen,
    study: Path,
    journal: Path | None,
    **where: Path,
) -> None:
    """Run STUDY.toml over every hospital in a folder, and compare with pooled."""
    from simulations import demos  # noqa: PLC0415

    engine = chosen.engine(journal)
    if journal:
        demos.resumed(terminal, study, journal)
    demos.study(terminal, study, where["data"], where["out"], engine)


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
    from simulations import private  # noqa: PLC0415

    private.show(terminal, private.opened(data), noise, repeats, out)


@simulate.command()
@click.argument("study", metavar="STUDY.toml", type=FILE)
@click.option(
    "--runs",
    type=click.IntRange(min=1000),
    default=40_000,
    show_default=True,
    help="How often each of two hospitals releases everything.",
)
@click.option(
    "--break",
    "mutant",
    metavar="NAME",
    help="Make a known mistake first, which the attacks have to find.",
)
@terminal.options
def audit(terminal: Terminal, study: Path, runs: int, mutant: str | None) -> None:
    """Attack the promise of STUDY.toml: the code that ships, and one person more."""
    from common.study import read  # noqa: PLC0415
    from simulations.attacks import audit, mutants  # noqa: PLC0415

    if mutant is not None and mutant not in mutants.ALL:
        raise UsageError(
            f"no mistake is called {mutant!r}",
            fix=f"one of {', '.join(mutants.ALL)}",
        )
    holds = audit.show(terminal, read(study), runs, mutant)
    if holds and mutant:
        raise IntegrityError(
            f"the attacks did not find {mutant}: they would not find it in our code",
            fix="more --runs, or a study in which that mistake shows",
        )
    if not holds and not mutant:
        raise IntegrityError(
            "an attack proves that more is lost than the study claims",
            fix="do not run the study; tell the maintainers what was printed",
        )


@simulate.command()
@click.argument("out", type=FOLDER)
@click.option(
    "--seed",
    type=int,
    default=1,
    show_default=True,
    help="The same seed writes the same bytes.",
)
@click.option(
    "--sources",
    type=click.Choice(["csv", "all"]),
    default="csv",
    show_default=True,
    help="Real people in four CSV exports, or invented ones in five kinds of source.",
)
@terminal.options
def hospitals(terminal: Terminal, out: Path, seed: int, sources: str) -> None:
    """Write four hospitals with their own dialects and planted dirt into OUT."""
    if sources == "all":
        from simulations.invented import linked  # noqa: PLC0415

        study = linked.write(out, seed)
    else:
        from simulations.dealt import hospitals  # noqa: PLC0415

        study = hospitals.write(out, seed)
    text = (
        f"wrote four hospitals, {study.name} and truth.json to {out}\n"
        f"next:   consilium simulate run {study} --data {out}"
    )
    terminal.result({"ok": True, "study": str(study), "data": str(out)}, text)
