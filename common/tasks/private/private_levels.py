"""How often a private model of several levels is right: two cells a level, with noise.

A table of who was said to be what has a cell for each pair of levels, and as much noise
in all of them as people in few: so a record is told by its own level, and whether that
was the likeliest.
"""

import math
from typing import Any, cast

import numpy as np

from common import promise
from common.arithmetic import intervals
from common.arithmetic.intervals import Z
from common.release import Array, Field, Release
from common.sheet import Sheet
from common.study import Study
from common.task import Findings, Rows, State
from common.tasks.evaluation.evaluate_levels import levels
from common.tasks.private import noised

BRIER = 0.25
"""Weight of a person's squared error, which is 2 at most, beside the one in a cell."""
CLIP = math.hypot(1.0, 2 * BRIER)


def release(study: Study) -> Release:
    """Declare the records by level, and the squared error, all with noise."""
    size, words = (len(levels(study)), 2), "right, and wrong"
    return {
        "told": Field(f"test records by level, said {words}", size, "sum"),
        "brier": Field("sum of squared errors of the chances, a quarter", (1,), "sum"),
    }


def each(study: Study, chance: Array, rows: Rows) -> Array:
    """Return in which cell each record is, and its squared error."""
    count = len(levels(study))
    own = rows.y.astype(np.int64)
    true = np.eye(count)[own]
    wrong = chance.argmax(axis=1) != own
    cells = (2 * own + wrong)[:, None] == range(2 * count)
    error = BRIER * ((chance - true) ** 2).sum(axis=1)
    return np.column_stack([cells, error.clip(0.0, 2 * BRIER)])


def read(study: Study, state: State) -> Findings:
    """Return how often it is right, of all and of each level; None where noise is more.

    Intervals hold chance and noise.
    """
    noise = promise.of_share(study, CLIP, noised.tested(study))
    right, wrong = state.arrays["told"].T
    records = max(float(right.sum() + wrong.sum()), 1.0)
    brier = float(state.arrays["brier"][0]) / BRIER / records
    pairs = zip(levels(study), right, wrong, strict=True)
    return {
        "records": round(records),
        "brier": min(max(brier, 0.0), 2.0),
        **accuracy(right, wrong, noise),
        "auc": None,
        "levels": [_level(name, noise, *both) for name, *both in pairs],
    }


def accuracy(right: Array, wrong: Array, noise: float) -> Findings:
    """Return the share of *right* records, from cells that each have this *noise*."""
    told, cells = float(right.sum()), len(right)
    records = told + float(wrong.sum())
    if records <= Z * noise * math.sqrt(2 * cells):
        return {"accuracy": None, "accuracy_interval": None}
    share = min(max(told / records, 0.0), 1.0)
    moved = noise * math.sqrt(cells) * math.hypot(told, records - told) / records**2
    chance = intervals.share(share * records, records)
    interval = intervals.widened(share, chance, Z * moved)
    return {"accuracy": share, "accuracy_interval": interval}


def show(study: Study, state: State) -> tuple[Sheet, ...]:
    """Show how often each level is found."""
    found = cast("dict[str, Any]", read(study, state))
    rows = tuple(
        (
            one["name"],
            one["records"],
            one["sensitivity"],
            *(one["sensitivity_interval"] or (None, None)),
        )
        for one in found["levels"]
    )
    note = "With noise; nothing stands where it would be noise alone."
    heads = ("level", "test records", "found", "from", "to")
    return (Sheet("Each level by itself", heads, rows, (note,)),)


def _level(name: str, noise: float, right: float, wrong: float) -> Findings:
    found = accuracy(np.array([right]), np.array([wrong]), noise)
    return {
        "name": name,
        "records": max(0, round(right + wrong)),
        "sensitivity": found["accuracy"],
        "sensitivity_interval": found["accuracy_interval"],
    }
