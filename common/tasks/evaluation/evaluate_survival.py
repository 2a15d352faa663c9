"""Who has the event first? The c-index, from pairs of people of the same hospital.

Two people are compared where one had the event while the other was still watched; the
pair is right where the first was said to have the higher hazard (Harrell et al. 1982).
Every hospital adds up its own pairs. The error is that of leaving out each person once,
from sums of squares over people.
"""

import math
from typing import cast

import numpy as np

from common.arithmetic import follow_up
from common.arithmetic.intervals import Z
from common.release import Array, Field, Release, Summands
from common.sheet import Cell, Sheet
from common.study import Study
from common.task import Findings, Rows, State
from common.tasks.evaluation import cells


def release(study: Study) -> Release:
    """Declare how many people, events, pairs and right pairs, and three squares."""
    del study
    return {
        "records": Field("test records", (1,), "count"),
        "events": Field("test records with the event", (1,), "count"),
        "pairs": Field("pairs that can be compared", (1,), "count"),
        "right": Field("pairs in the right order, ties half", (1,), "sum"),
        "squares": Field(
            "sums over people of squared pairs, pairs x right, squared right",
            (3,),
            "sum",
        ),
    }


def counted(hazard: Array, rows: Rows) -> Summands:
    """Return what leaves of the test records *rows* with this log *hazard*."""
    outcome = rows.y
    pairs, right = np.zeros(len(outcome)), np.zeros(len(outcome))
    for site in np.unique(rows.site):
        here = rows.site == site
        pairs[here], right[here] = compared(hazard[here], outcome[here])
    squares = [pairs @ pairs, pairs @ right, right @ right]
    return {
        "records": np.array([float(len(outcome))]),
        "events": np.array([float(follow_up.came(outcome).sum())]),
        "pairs": np.array([pairs.sum() / 2]),
        "right": np.array([right.sum() / 2]),
        "squares": np.array(squares, dtype=np.float64),
    }


def compared(hazard: Array, outcome: Array) -> tuple[Array, Array]:
    """Return each person's pairs, and how many of them are right, a tie being half.

    In an interval events come before those who were last seen in it.
    """
    place, came = follow_up.interval(outcome), follow_up.came(outcome)
    when = 2 * place + ~came
    pairs, right = np.zeros(len(outcome)), np.zeros(len(outcome))
    for moment in np.unique(when[came]):
        first, later = when == moment, when > moment
        pairs[first] += later.sum()
        pairs[later] += first.sum()
        right[first] += _below(hazard[later], hazard[first])
        right[later] += first.sum() - _below(hazard[first], hazard[later])
    return pairs, right


def _below(others: Array, own: Array) -> Array:
    """Return for each of *own* how many of *others* are lower, an equal one half."""
    ordered = np.sort(others)
    sides = [np.searchsorted(ordered, own, side=side) for side in ("left", "right")]
    middle: Array = (sides[0] + sides[1]) / 2.0
    return middle


def read(study: Study, state: State) -> Findings:
    """Return the c-index with a 95 % interval.

    Where too few had the event, or too few had it not, only how many were tested; it is
    rounded so that it tells of no fewer pairs than a cell has records at least.
    """
    arrays, fewest = state.arrays, cells.least(study)
    pairs, right = float(arrays["pairs"][0]), float(arrays["right"][0])
    records, events = float(arrays["records"][0]), float(arrays["events"][0])
    found: Findings = {
        "records": int(records),
        "positives": None,
        "pairs": None,
        "c_index": None,
        "c_index_interval": None,
    }
    if cells.small(events, fewest) or cells.small(records - events, fewest):
        return found
    told = int(pairs) if fewest <= 1 else int(float(f"{pairs:.2g}"))
    found |= {"positives": int(events), "pairs": told}
    if pairs:
        exact = right / pairs
        grain = fewest / pairs if fewest > 1 else 0.0
        index = min(cells.rounded(exact, grain) or 0.0, 1.0)
        both, mixed, hits = (float(each) for each in arrays["squares"])
        moved = hits - 2 * exact * mixed + exact * exact * both
        half = Z * math.sqrt(max(moved, 0.0)) / pairs
        found["c_index"] = index
        found["c_index_interval"] = [max(0.0, index - half), min(1.0, index + half)]
    return found


def show(study: Study, state: State) -> tuple[Sheet, ...]:
    """Show the c-index and what it rests on."""
    note = "Pairs are of people of one hospital; 0.5 is chance, 1 is every pair right."
    return sheet(read(study, state), note)


def sheet(found: Findings, note: str) -> tuple[Sheet, ...]:
    """Show what was *found*, with a *note* on whose pairs these are."""
    keys = ("records", "positives", "pairs", "c_index")
    words = ("test records", "with the event", "pairs compared", "c-index")
    pairs = zip(words, keys, strict=True)
    rows = tuple((word, found[key]) for word, key in pairs)
    interval = found["c_index_interval"]
    low, high = interval if isinstance(interval, list) else (None, None)
    ends = (("its 95 % interval, from", low), ("to", high))
    lines = cast("tuple[tuple[Cell, ...], ...]", (*rows, *ends))
    return (Sheet("Who has the event first", ("measure", "value"), lines, (note,)),)
