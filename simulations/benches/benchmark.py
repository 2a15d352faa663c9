"""What this costs: ratios measured side by side in one run, of equal results.

Absolute seconds depend on the machine and its load; a ratio of two things measured in
turn depends much less. ``make bench`` prints the table.
"""

import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import click
import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score

import client.app
from client import site
from client.door.opened import Opened, open_study
from client.table import Table
from common import study as studies
from common.errors import IntegrityError
from common.study import Study
from common.task import State
from server.conduct.rounds import Outcome
from simulations import plain
from simulations.benches import (
    audit_bench,
    cleaning_bench,
    mask_bench,
    mask_table,
    media_pace,
    message_bench,
    stock,
    traffic,
    wide,
)
from simulations.benches.measure import Line, at_most, in_turn
from simulations.dealt import hospitals
from simulations.engines import engine, processes
from simulations.worth import compare

REPEATS, FEW = 7, 3
PEOPLE, WIDTH, SITES = 1_000_000, 50, 10
HELP_SECONDS, APPS_MILLISECONDS, NEWTON_RATIO, ROUND_SECONDS = 0.3, 1.0, 1.5, 1.0
MASKED_RATIO = 2.5
PANDAS = 0.7
WIDE = 0.6
GROVE, BREADTH, TREES, FOREST_RATIO, ALIKE = 20_000, 20, 100, 3.0, 0.02
EQUAL = 1e-6
TRAIN = 0.9


def main() -> int:
    """Measure, print the table, and return 1 when a goal is missed."""
    lines = [help_time(), engine_cost(), newton(), forest(), *network()]
    lines += [*mask_bench.lines(), *cleaning(), *media(), *audits()]
    lines += message_bench.lines()
    click.echo(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    for line in lines:
        mark = "met   " if line.met else "MISSED"
        click.echo(f"{mark}  {line.what:<62}{line.figure:<34}goal {line.goal}")
    click.echo("\na hospital sends, of 20 columns, 10 hospitals, before any masks:")
    for each in traffic.measured():
        rounds = f"{each.rounds} x {each.numbers:,} numbers"
        click.echo(f"        {each.task:<62}{rounds:<34}{each.size / 1000:,.1f} kB")
    click.echo(f"\n{mask_table.TITLE}")
    for text in mask_table.lines():
        click.echo(f"        {text}")
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
    return at_most("consilium --help", figure, seconds, HELP_SECONDS)


def engine_cost() -> Line:
    """Measure the apps on the in-process Grid against the same formulas in a loop."""
    with tempfile.TemporaryDirectory() as folder:
        study, opened = _demo(Path(folder))
        tables = [each.table for each in opened]
        rounds = _equal_to_the_bit(_apps(study, opened), plain.run(study, tables))
        apps, loop = in_turn(
            lambda: _apps(study, opened), lambda: plain.run(study, tables), REPEATS
        )
    extra = 1000 * (apps - loop) / (rounds * len(tables))
    what = "apps over plain loop, per site and round"
    return at_most(what, f"{extra:.2f} ms", extra, APPS_MILLISECONDS)


def newton() -> Line:
    """Measure a federated Newton fit against scikit-learn's on the pooled rows."""
    study, tables = _people()
    states = plain.run(study, tables)
    pooled = compare.reference(study, tables)
    gap = compare.gap(compare.fitted(study, states), pooled)
    if gap is None or gap > EQUAL:
        raise IntegrityError(f"the two fits differ by {gap}: no ratio is printed")
    ours, theirs = in_turn(
        lambda: plain.run(study, tables),
        lambda: compare.reference(study, tables),
        repeats=FEW,
    )
    ratio = ours / theirs
    what = f"Newton, {PEOPLE:,} people x {WIDTH}, {SITES} sites / scikit-learn pooled"
    figure = f"{ratio:.2f} ({ours:.2f} s / {theirs:.2f} s)"
    return at_most(what, figure, ratio, NEWTON_RATIO)


def forest() -> Line:
    """Measure a forest of all sites against scikit-learn's, as good on new people."""
    learner = {"kind": "random_forest", "trees": TREES}
    study, tables = _people(GROVE, BREADTH, learner)
    train, test = (plain.pooled(tables).rows(each) for each in ("train", "test"))
    pooled = RandomForestClassifier(
        TREES, min_samples_leaf=10, random_state=0, n_jobs=1
    )
    ours = compare.fitted(study, plain.run(study, tables)).predict(test)
    theirs = pooled.fit(train.x, train.y).predict_proba(test.x)[:, 1]
    areas = [float(roc_auc_score(test.y, each)) for each in (ours, theirs)]
    if areas[0] < areas[1] - ALIKE:
        raise IntegrityError(f"the forests differ, AUC {areas}: no ratio is printed")
    took, took_theirs = in_turn(
        lambda: plain.run(study, tables),
        lambda: pooled.fit(train.x, train.y),
        repeats=FEW,
    )
    what = f"forest, {TREES} trees, {GROVE:,} people / scikit-learn, one core"
    figure = f"{took / took_theirs:.2f} (AUC {areas[0]:.3f} / {areas[1]:.3f})"
    return at_most(what, figure, took / took_theirs, FOREST_RATIO)


def network() -> list[Line]:
    """Measure a steady round of separate processes: masked, in clear, and Flower's."""
    with tempfile.TemporaryDirectory() as folder:
        path = hospitals.write(Path(folder) / "ours")
        study, sites = studies.read(path), sorted(path.parent.glob("*/site.toml"))
        both, ran = (study, _in_clear(study)), processes.engine(kill_one=False)
        ours, clear = (ran(each, sites) for each in both)
        _approved(sites, *both)
        for found, each in zip((ours, clear), both, strict=True):
            _equal_to_the_bit(found.outcome, engine.run(each, sites).states)
        theirs = stock.seconds_per_round(Path(folder) / "stock", len(sites))
    took, bare = (each.seconds_per_round or math.inf for each in (ours, clear))
    what = f"a round over {len(sites)} hospitals by mutual TLS"
    figure = f"{took:.2f} s / {theirs:.1f} s"
    ratio = f"{took / bare:.2f} ({took:.2f} s / {bare:.2f} s)"
    return [
        at_most(f"{what} / stock Flower without", figure, took, ROUND_SECONDS),
        at_most(f"{what}, masked / in clear", ratio, took / bare, MASKED_RATIO),
    ]


def media() -> list[Line]:
    """Measure the readers of signals, texts and films against the library alone."""
    measured = (
        ("a million samples of a monitor / pandas", media_pace.signals(), 8.0),
        ("a thousand notes, redacted and hashed / hashed", media_pace.texts(), 8.0),
        ("a thousand small films / pydicom's pixels", media_pace.films(), 2.0),
    )
    lines = []
    for what, (ours, theirs), goal in measured:
        figure = f"{ours / theirs:.1f} ({ours:.1f} s / {theirs:.2f} s)"
        lines.append(at_most(what, figure, ours / theirs, goal))
    return lines


def cleaning() -> list[Line]:
    """Measure cleaning against plain pandas, in processes of their own, by size."""
    lines = []
    for size, ours, plain_ in cleaning_bench.measure():
        ratio = plain_["seconds"] / ours["seconds"]
        rate = f"{size / ours['seconds']:,.0f} rows a second"
        figure = f"{ratio:.2f} ({rate}, {ours['gigabytes']:.1f} GB)"
        what = f"cleaning {size:,} rows: plain pandas / ours"
        lines.append(Line(what, figure, f">= {PANDAS:g}", ratio >= PANDAS))
    file, ours = cleaning_bench.wide()
    held = ours["gigabytes"]
    figure = f"{held:.2f} GB ({ours['seconds']:.0f} s)"
    what = f"cleaning a file of {file:.2f} GB, 83 columns, 7 used: memory"
    lines.append(Line(what, figure, f"<= {WIDE:g} GB", held <= WIDE))
    return lines


def audits() -> list[Line]:
    """Attack private studies as they are, and with each known mistake in them."""
    return [Line(*each) for each in audit_bench.measure()]


def _children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _demo(folder: Path) -> tuple[Study, list[Opened]]:
    """Write the demo's hospitals, and let each approve the study, without masks."""
    study = studies.read(hospitals.write(folder))
    study = _in_clear(study)
    places = _approved(sorted(folder.glob("*/site.toml")), study)
    expires = study.study.expires
    return study, [open_study(site.read(each), study, expires) for each in places]


def _in_clear(study: Study) -> Study:
    clear = study.rounds.model_copy(update={"secure_aggregation": False})
    return study.model_copy(update={"rounds": clear})


def _approved(places: list[Path], *approved: Study) -> list[Path]:
    """Let every hospital approve these studies in its settings."""
    line = f"approved = {[each.digest() for each in approved]}\n"
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


LOGISTIC: Mapping[str, object] = {"kind": "logistic", "ridge": 1.0}


def _people(
    people: int = PEOPLE, width: int = WIDTH, model: Mapping[str, object] = LOGISTIC
) -> tuple[Study, list[Table]]:
    """Return a study of many people, dealt to sites of equal size."""
    draw = np.random.default_rng(0)
    x = wide.values(people, width, draw)
    y = draw.random(people) < 1 / (1 + np.exp(-x @ draw.normal(size=width) / 3))
    train = draw.random(people) < TRAIN
    tables = wide.dealt(x, y.astype(np.float64), train, SITES)
    return _study(width, model), tables


def _study(width: int = WIDTH, model: Mapping[str, object] = LOGISTIC) -> Study:
    outcome = {"kind": "binary", "levels": ["no", "yes"], "positive": "yes"}
    return wide.study(width, SITES, outcome, model)


if __name__ == "__main__":
    sys.exit(main())
