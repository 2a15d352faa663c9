"""A hospital with and without one person: the worst that we can think of, as text.

Everybody else lies in the lower half of each range and the canaries at an end of it, so
that whoever comes pulls against all who are there. A canary may have many records, more
than all others together. It comes in the export, before a site cleans anything.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from client import site
from client.office import review
from client.table import Table
from common.schema import Binary, Category, Number, Survival
from common.study import Study
from common.task import Split

OTHERS, HEAVY = 20, 60
"""How many other people there are on each side, and records of a canary with many."""
LOW, HIGH = 0.0, 1.0

TIME = "_time"
"""How the name of the column ends that says how long somebody was watched."""

Record = dict[str, str]
Declared = Number | Category | Binary
Place = Callable[[Declared], float]


@dataclass(frozen=True, slots=True)
class Canary:
    """One person to be found: where in each range, with which outcome, how often."""

    place: float
    outcome: float
    records: int


CANARIES = tuple(
    Canary(place, outcome, records)
    for records in (1, HEAVY)
    for place in (LOW, HIGH)
    for outcome in (LOW, HIGH)
)


def declared(study: Study) -> Study:
    """Return *study* with test people whom the file names, so that they can be chosen.

    What is released, clipped and charged is the same.
    """
    if study.evaluation is None:
        return study
    chosen = study.evaluation.model_copy(update={"test": "declared"})
    return study.model_copy(update={"evaluation": chosen})


def without(study: Study) -> Table:
    """Return the clean table of everybody but a canary."""
    return _opened(study, [])


def with_one(study: Study, canary: Canary, split: Split) -> Table:
    """Return the clean table of everybody and *canary*, who is on one side."""
    values = _record(study, lambda _: canary.place, canary.outcome)
    alike = [values | _key("zz", visit, split) for visit in range(canary.records)]
    return _opened(study, alike)


def _opened(study: Study, more: list[Record]) -> Table:
    """Write an export and its mapping as a hospital would, and clean it as a site."""
    with TemporaryDirectory() as name:
        place = Path(name)
        lines = pd.DataFrame([*_others(study), *more])
        lines.to_csv(place / "export.csv", index=False)
        path = place / "site.toml"
        path.write_text(_mapping(study), encoding="utf-8")
        return review.check(site.read(path), study).table


def _mapping(study: Study) -> str:
    head = f'site = "{study.study.sites[0]}"\n[data]\nfile = "export.csv"\n'
    keys = 'person = "person"\nevent_time = "visit"\nsplit = "split"\n'
    names = _record(study, lambda _: LOW, LOW)
    columns = (f'[columns."{name}"]\ncolumn = "{name}"\n' for name in names)
    return head + keys + "".join(columns)


def _others(study: Study) -> Iterator[Record]:
    draw = np.random.default_rng(0)
    for number in range(2 * OTHERS):
        split: Split = "train" if number < OTHERS else "test"
        values = _record(study, lambda _: draw.uniform(0.0, 0.5), LOW)
        yield values | _key(f"p{number}", 0, split)


def _key(person: str, visit: int, split: Split) -> Record:
    return {"person": person, "visit": str(visit), "split": split}


def _record(study: Study, place: Place, outcome: float) -> Record:
    inside = {each.name: _cell(each, place(each)) for each in study.variables}
    return inside | _fate(study, outcome)


def _fate(study: Study, place: float) -> Record:
    """Return the outcome at *place*; of an event, at LOW it is the first thing seen.

    At HIGH nothing came while somebody was watched to the end: the longest slope.
    """
    outcome = study.outcome
    if not isinstance(outcome, Survival):
        return {outcome.name: _cell(outcome, place)}
    came, time = ("no", outcome.grid[-1]) if place else ("yes", outcome.grid[0])
    return {outcome.name: came, f"{outcome.name}{TIME}": repr(float(time))}


def _cell(variable: Declared, place: float) -> str:
    """Return what stands in a cell at *place* from the first to the last."""
    if isinstance(variable, Number):
        low, high = variable.range
        return repr(min(float(low + place * (high - low)), high))  # rounding
    last = len(variable.coded) - 1
    return variable.coded[round(place * last)]
