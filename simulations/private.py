"""What a promise costs in accuracy: one study at several epsilons, noise drawn again.

Hospitals are opened once and the study runs as a plain loop over their tables, so that
a hundred runs take seconds. All that a study spends is in it: describe, the model and
its test are calibrated together. Noise comes from a seeded generator: for a simulation
the same curve twice is worth more than noise that nobody can guess.
"""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, stdev
from tempfile import TemporaryDirectory
from textwrap import wrap
from typing import Literal

import numpy as np

from client import site
from client.office import review
from client.table import Table
from common import study as studies
from common.arithmetic.intervals import Interval, Z
from common.study import Study
from common.task import model_of
from common.terminal import Terminal
from server.reports import curve as curves
from server.reports import screen
from server.reports.curve import Curve, Spot
from simulations import plain
from simulations.dealt import heart, hospitals
from simulations.worth import compare, result, trials

EPSILONS = (0.5, 1.0, 2.0, 4.0, 8.0, None)
DELTA = 1e-5
TEST = 0.3
"""Share of people who test, where other people test each time."""

Kind = Literal["shared", "site"]
Measure = Literal["accuracy", "average"]
MEASURES: dict[Measure, str] = {
    "accuracy": "accuracy",
    "average": "accuracy, average of hospitals",
}
WHO: dict[Kind, str] = {
    "shared": "Noise is shared: the sum of {} sites keeps the promise if one of them "
    "colludes; a single site's sums only do behind secure aggregation.",
    "site": "Each of {} sites adds all the noise: its own sums keep the promise.",
}


PAID = (
    "For each person at each site, at delta {delta:g}: describing, fitting and testing "
    "are all paid for. {trust}"
)
CHOSEN = (
    "Steps and shares of the promise were chosen on the two data sets of this command, "
    "which no epsilon counts."
)


@dataclass(frozen=True, slots=True)
class Hospitals:
    """A study and its clean tables; whether other people test each time."""

    study: Study
    tables: tuple[Table, ...]
    resplit: bool


@dataclass(frozen=True, slots=True)
class Point:
    """What was reached at one epsilon (None: no promise) with the true test records.

    ``accuracy`` counts all test people alike, ``average`` all hospitals; the intervals
    are of the mean over repeats.
    """

    epsilon: float | None
    rounds: int
    accuracy: float
    accuracy_interval: Interval
    average: float
    average_interval: Interval

    def facts(self) -> dict[str, object]:
        """Return the point as plain data."""
        return asdict(self)


def opened(data: Path | None) -> Hospitals:
    """Return the demo's hospitals, or the four real ones from the files in *data*."""
    with TemporaryDirectory() as name:
        place = Path(name)
        path = heart.write(data, place) if data else hospitals.write(place)
        study = studies.read(path)
        tables = [
            review.check(site.read(each), study).table for each in result.folders(place)
        ]
    return Hospitals(study, tuple(tables), resplit=data is None)


def curve(
    asked: Hospitals,
    noise: Kind,
    repeats: int,
    epsilons: Iterable[float | None] = EPSILONS,
) -> list[Point]:
    """Return what *asked* reaches at each of *epsilons*, over so many *repeats*."""
    return [point(asked, promising(asked, noise, each), repeats) for each in epsilons]


def drawn(
    asked: Hospitals, points: Sequence[Point], measure: Measure, noise: Kind
) -> Curve:
    """Return *points* as a curve that can be shown."""
    spots = (
        (each, getattr(each, measure), getattr(each, f"{measure}_interval"))
        for each in points
    )
    trust = WHO[noise].format(len(asked.tables))
    again = "with other test people and other noise" if asked.resplit else "of noise"
    return Curve(
        title=f"What privacy costs: {asked.study.study.title}",
        across="epsilon",
        measure=MEASURES[measure],
        spots=tuple(
            Spot("none" if each.epsilon is None else f"{each.epsilon:g}", value, around)
            for each, value, around in spots
        ),
        notes=(
            f"Means over repeats {again}; lines are 95 % intervals of the mean.",
            PAID.format(delta=DELTA, trust=trust),
            CHOSEN,
        ),
    )


def promising(asked: Hospitals, noise: Kind, epsilon: float | None) -> Study:
    """Return the study with a promise; with ``shared`` noise one site may collude."""
    if epsilon is None:
        return asked.study
    train = sum(table.people["train"] for table in asked.tables)
    privacy = {
        "epsilon": epsilon,
        "delta": DELTA,
        "noise": noise,
        "colluders": 1 if noise == "shared" else 0,
        "expected_people": _about(train),
    }
    return Study.model_validate(asked.study.model_dump() | {"privacy": privacy})


def point(asked: Hospitals, study: Study, repeats: int) -> Point:
    """Return what *study* reaches over so many *repeats*."""
    exact = study.privacy == "none"
    once = exact and not asked.resplit
    found = [_run(asked, study, seed) for seed in range(1 if once else repeats)]
    hospitals, people = zip(*found, strict=True)
    noisy = model_of(study).fit.noisy
    return Point(
        epsilon=None if study.privacy == "none" else study.privacy.epsilon,
        rounds=noisy.rounds(study) if noisy else 0,
        accuracy=fmean(people),
        accuracy_interval=_around(people),
        average=fmean(hospitals),
        average_interval=_around(hospitals),
    )


def _run(asked: Hospitals, study: Study, seed: int) -> tuple[float, float]:
    """Return the accuracy of one run: the hospitals' plain average, and of everyone."""
    draw = np.random.default_rng(seed)
    tables = _dealt(asked.tables, draw) if asked.resplit else asked.tables
    noise = None if study.privacy == "none" else plain.gaussian(draw)
    model = compare.fitted(study, plain.run(study, tables, noise))
    said = [model.predict(table.rows("test")) for table in tables]
    *_, average, everyone = trials.accuracy(tables, said)
    return average, everyone


def _dealt(tables: Sequence[Table], draw: np.random.Generator) -> list[Table]:
    return [
        trials.mark(table, draw.random(len(table.train)) >= TEST) for table in tables
    ]


def _about(people: int) -> int:
    """Return *people* to one digit: what is known of a cohort before it is counted."""
    return round(people, -math.floor(math.log10(people)))


def _around(values: Sequence[float]) -> Interval:
    """Return the 95 % interval of the mean of *values*."""
    mean = fmean(values)
    half = Z * stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    return mean - half, mean + half


def show(
    terminal: Terminal, asked: Hospitals, noise: Kind, repeats: int, out: Path
) -> None:
    """Draw what a promise costs in accuracy, into *out*, and tell it."""
    measure: Measure = "accuracy" if asked.resplit else "average"
    points = curve(asked, noise, repeats)
    picture, page = drawn(asked, points, measure, noise), out / "curve.html"
    facts = {
        "ok": True,
        "study": asked.study.study.name,
        "noise": noise,
        "delta": DELTA,
        "repeats": repeats,
        "measure": measure,
        "points": [each.facts() for each in points],
        "notes": list(picture.notes),
        "page": str(page),
    }
    out.mkdir(parents=True, exist_ok=True)
    page.write_text(curves.page(picture), encoding="utf-8")
    (out / "curve.json").write_text(json.dumps(facts, indent=2), encoding="utf-8")
    terminal.result(facts, f"{_told(picture)}\n\npicture   {page}")


def _told(picture: Curve) -> str:
    rows = [
        f"  {s.setting:<9}{s.value:.3f}  [{s.interval[0]:.3f}-{s.interval[1]:.3f}]"
        for s in picture.spots
    ]
    head = f"  {picture.across:<9}{picture.measure}"
    notes = [line for note in picture.notes for line in wrap(note, screen.WIDTH)]
    return "\n".join([picture.title, "", head, *rows, "", *notes])
