"""What this costs: ratios measured side by side in one run, of equal results.

Absolute seconds depend on the machine and its load; a ratio of two things measured in
turn depends much less. ``make bench`` prints the table.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

import client.app
from client import site
from client.opened import Opened, open_study
from client.table import Table
from common import study as studies
from common.errors import IntegrityError
from common.study import Study
from common.task import State
from server.rounds import Outcome
from simulations import compare, engine, hospitals, plain, processes, stock, traffic

REPEATS, FEW = 7, 3
PEOPLE, WIDTH, SITES = 1_000_000, 50, 10
HELP_SECONDS, APPS_MILLISECONDS, NEWTON_RATIO, ROUND_SECONDS = 0.3, 1.0, 1.5, 1.0
EQUAL = 1e-6
TRAIN = 0.9


@dataclass(frozen=True, slots=True)
class Line:
    """One measured thing: its figure in words, and the goal it has to meet."""

    what: str
    figure: str
    goal: str
    met: bool


def main() -> int:
    """Measure, print the table, and return 1 when a goal is missed."""
    lines = [help_time(), engine_cost(), newton(), network()]
    click.echo(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    for line in lines:
        mark = "met   " if line.met else "MISSED"
        click.echo(f"{mark}  {line.what:<62}{line.figure:<34}goal {line.goal}")
    click.echo("\na hospital sends, of 20 columns, 10 hospitals, before any masks:")
    for each in traffic.measured():
        rounds = f"{each.rounds} x {each.numbers:,} numbers"
        click.echo(f"        {each.task:<62}{rounds:<34}{each.size / 1000:,.1f} kB")
    return 0 if all(line.met for line in lines) else 1


def help_time() -> Line:
    """Measure the processor time of ``consilium --help``."""
    program = "import sys; sys.argv = ['consilium', '--help']\n"
    program += "from common.cli import main; main()"
    used = []
    for _ in range(REPEATS):
        before = _children()
        subprocess.run(  # noqa: S603 - this very interpreter
            [sys.executable, "-c", program], check=True, stdout=subprocess.DEVNULL
        )
        used.append(_children() - before)
    seconds = statistics.median(used)
    figure = f"{seconds:.2f} CPU s"
    return _line("consilium --help", figure, seconds, HELP_SECONDS)


def engine_cost() -> Line:
    """Measure the apps on the in-process Grid against the same formulas in a loop."""
    with tempfile.TemporaryDirectory() as folder:
        study, opened = _demo(Path(folder))
        tables = [each.table for each in opened]
        rounds = _equal_to_the_bit(_apps(study, opened), plain.run(study, tables))
        apps, loop = _in_turn(
            lambda: _apps(study, opened), lambda: plain.run(study, tables)
        )
    extra = 1000 * (apps - loop) / (rounds * len(tables))
    what = "apps over plain loop, per site and round"
    return _line(what, f"{extra:.2f} ms", extra, APPS_MILLISECONDS)


def newton() -> Line:
    """Measure a federated Newton fit against scikit-learn's on the pooled rows."""
    study, tables = _wide()
    states = plain.run(study, tables)
    pooled = compare.reference(study, tables)
    gap = compare.gap(compare.fitted(study, states), pooled)
    if gap is None or gap > EQUAL:
        raise IntegrityError(f"the two fits differ by {gap}: no ratio is printed")
    ours, theirs = _in_turn(
        lambda: plain.run(study, tables),
        lambda: compare.reference(study, tables),
        repeats=FEW,
    )
    ratio = ours / theirs
    what = f"Newton, {PEOPLE:,} people x {WIDTH}, {SITES} sites / scikit-learn pooled"
    figure = f"{ratio:.2f} ({ours:.2f} s / {theirs:.2f} s)"
    return _line(what, figure, ratio, NEWTON_RATIO)


def network() -> Line:
    """Measure a steady round of separate processes, and one of stock Flower."""
    with tempfile.TemporaryDirectory() as folder:
        path = hospitals.write(Path(folder) / "ours")
        study, sites = studies.read(path), sorted(path.parent.glob("*/site.toml"))
        ran = processes.engine(kill_one=False)(study, sites)
        equal = engine.run(study, _approved(study, sites))
        _equal_to_the_bit(ran.outcome, equal.states)
        ours = ran.seconds_per_round or float("inf")
        theirs = stock.seconds_per_round(Path(folder) / "stock", len(sites))
    what = f"a round over {len(sites)} hospitals by mutual TLS / stock Flower without"
    figure = f"{ours:.2f} s / {theirs:.1f} s"
    return _line(what, figure, ours, ROUND_SECONDS)


def _line(what: str, figure: str, value: float, goal: float) -> Line:
    return Line(what, figure, f"{goal:g}", value <= goal)


def _children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _in_turn(
    one: Callable[[], object], other: Callable[[], object], repeats: int = REPEATS
) -> tuple[float, float]:
    """Return the median seconds of each, measured A B A B … after one warm-up."""
    one()
    other()
    pairs = [(_seconds(one), _seconds(other)) for _ in range(repeats)]
    first, second = zip(*pairs, strict=True)
    return statistics.median(first), statistics.median(second)


def _seconds(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def _demo(folder: Path) -> tuple[Study, list[Opened]]:
    """Write the demo's hospitals, and let each approve the study."""
    study = studies.read(hospitals.write(folder))
    places = _approved(study, sorted(folder.glob("*/site.toml")))
    expires = study.study.expires
    return study, [open_study(site.read(each), study, expires) for each in places]


def _approved(study: Study, places: list[Path]) -> list[Path]:
    """Let every hospital approve *study* in its settings."""
    line = f'approved = ["{study.digest()}"]\n'
    for place in places:
        place.write_text(line + place.read_text(encoding="utf-8"), encoding="utf-8")
    return places


def _apps(study: Study, opened: list[Opened]) -> Outcome:
    """Run the apps over records that are read already, as in the rounds of a run."""
    for each in opened:
        client.app.SHELF.hold(each)
    return engine.run(study, [each.site.path for each in opened])


def _equal_to_the_bit(outcome: Outcome, states: dict[str, State]) -> int:
    """Return the number of rounds; raise IntegrityError unless both ways agree."""
    for name, state in states.items():
        for key, array in state.arrays.items():
            if not np.array_equal(outcome.states[name].arrays[key], array):
                raise IntegrityError(f"{name}.{key} differs: no figure is printed")
    return sum(outcome.rounds.values())


def _wide() -> tuple[Study, list[Table]]:
    """Return a study of many people, dealt to sites of equal size."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(PEOPLE, WIDTH)).clip(-6, 6)
    y = draw.random(PEOPLE) < 1 / (1 + np.exp(-x @ draw.normal(size=WIDTH) / 3))
    train = draw.random(PEOPLE) < TRAIN
    tables = [
        Table(
            values=x[part],
            outcome=y[part].astype(float),
            train=train[part],
            person=part,
            key=part.astype(np.uint64),
            people={"train": 1, "test": 1},
            report=(),
        )
        for part in np.array_split(np.arange(PEOPLE), SITES)
    ]
    return _wide_study(), tables


def _wide_study() -> Study:
    names = [f"x{index}" for index in range(WIDTH)]
    return Study.model_validate(
        {
            "format": 1,
            "privacy": "none",
            "study": {
                "name": "bench",
                "title": "Benchmark",
                "purpose": "to measure",
                "contact": "nobody@consortium.example",
                "expires": "2030-12-31",
                "sites": [f"site-{index}" for index in range(SITES)],
            },
            "variables": [
                {"kind": "number", "name": name, "unit": "1", "range": [-6, 6]}
                for name in names
            ],
            "outcome": {
                "kind": "binary",
                "name": "ill",
                "levels": ["no", "yes"],
                "positive": "yes",
            },
            "model": {"kind": "logistic", "ridge": 1.0},
            "rounds": {"quorum": SITES},
            "evaluation": {"test": 0.1},
        }
    )


if __name__ == "__main__":
    sys.exit(main())
