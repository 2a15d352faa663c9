"""Who has the event first, under a promise: one cell a person of a small table.

A c-index compares people, so that one person is in many of its pairs. From a table with
noise, by time, fate and hazard, it follows as from records (Harrell et al. 1982): of an
event in one part of the grid and whoever was watched into a later part. Its error is
that of every cell, to the first order, and of products of two noises, to the second.
"""

import math

import numpy as np
from scipy.special import ndtri

from common import promise
from common.arithmetic import follow_up
from common.arithmetic.intervals import Z
from common.errors import StudyError
from common.release import Array, Field, Release
from common.schema import Survival
from common.sheet import Sheet
from common.study import Study
from common.task import Findings, Rows, State
from common.tasks.evaluation import evaluate_survival
from common.tasks.private import noised

FEWEST, MOST = 4, 16
"""Parts of the grid and bins of the hazard, between these; 4 for each unit of epsilon:
more of them would have more cells, and noise in each."""
WIDE = 0.5
"""An interval of which the noise alone makes more than this tells nothing."""
CLIP = 1.0


def release(study: Study) -> Release:
    """Declare the table, with noise."""
    words = "test records by part of the grid, event and hazard"
    return {"told": Field(words, (_parts(study), 2, bins(study)), "sum")}


def bins(study: Study) -> int:
    """Return how many bins of the hazard are worth their noise, and parts at most."""
    return min(max(FEWEST, 2 * round(2 * promise.of(study).epsilon)), MOST)


def each(study: Study, state: State, hazard: Array, rows: Rows) -> Array:
    """Return in which cell each record is; the *hazard* [records] is a logarithm.

    Its bins are equally full where columns hang together little: the hazard is then
    about normal, with a deviation that the weights tell.
    """
    count, length = bins(study), _parts(study)
    spread = float(np.sqrt((state.arrays["weights"] ** 2).sum()))
    inner = spread * ndtri(np.arange(1, count) / count)
    place = np.searchsorted(inner, hazard, side="right")
    part = follow_up.interval(rows.y) * length // len(_grid(study))
    cell = (2 * part + follow_up.came(rows.y)) * count + place
    found: Array = (cell[:, None] == range(2 * length * count)).astype(np.float64)
    return found


def read(study: Study, state: State) -> Findings:
    """Return the c-index with an interval that holds chance, ties and noise."""
    told = state.arrays["told"]
    noise = promise.of_share(study, CLIP, noised.tested(study))
    found: Findings = {
        "records": max(0, round(float(told.sum()))),
        "positives": max(0, round(float(told[:, 1].sum()))),
        "pairs": None,
        "c_index": None,
        "c_index_interval": None,
    }
    pairs, right, ties = _pairs(told)
    if pairs <= 0.0:
        return found
    index = right / pairs
    moved = _moved(told, index, noise) / pairs
    if 2 * Z * moved > WIDE:
        return found
    chance = math.sqrt(float((told.clip(0.0) * _influence(told, index) ** 2).sum()))
    half = math.hypot(Z * moved, Z * chance / pairs, max(ties, 0.0) / 2 / pairs)
    ends = [max(0.0, index - half), min(1.0, index + half)]
    value = min(max(index, 0.0), 1.0)
    return found | {
        "pairs": round(pairs),
        "c_index": value,
        "c_index_interval": [min(ends[0], value), max(ends[1], value)],
    }


def show(study: Study, state: State) -> tuple[Sheet, ...]:
    """Show the c-index and what it rests on."""
    return evaluate_survival.sheet(
        read(study, state),
        "With noise, and of people of all hospitals: an event in one part of the grid "
        "is held against who was watched into a later one.",
    )


def _grid(study: Study) -> tuple[float, ...]:
    if not isinstance(study.outcome, Survival):
        raise StudyError(f"{study.outcome.name} is no time until an event")
    return study.outcome.grid


def _parts(study: Study) -> int:
    return min(bins(study), len(_grid(study)))


def _before(told: Array) -> tuple[Array, Array]:
    """Return events [parts, bins], and who was watched into later parts, alike."""
    seen = told.sum(axis=1)
    return told[:, 1], np.cumsum(seen[::-1], axis=0)[::-1] - seen


def _pairs(told: Array) -> tuple[float, float, float]:
    """Return how many pairs there are, how many are right, and how many tied."""
    events, later = _before(told)
    pairs = float((events.sum(axis=1) * later.sum(axis=1)).sum())
    right = float((events * _lower(later)).sum())
    return pairs, right, float((events * later).sum())


def _lower(others: Array) -> Array:
    """Return by bin how many of *others* are in lower ones, and half of its own."""
    below: Array = np.cumsum(others, axis=1) - others / 2
    return below


def _influence(told: Array, index: float) -> Array:
    """Return by how much one record more in each cell moves right less index pairs."""
    events, later = _before(told)
    first = _lower(later) - index * later.sum(axis=1, keepdims=True)
    above = events.sum(axis=1, keepdims=True) - _lower(events)
    second = above - index * events.sum(axis=1, keepdims=True)
    earlier = np.cumsum(second, axis=0) - second
    return np.stack([earlier, earlier + first], axis=1)


def _moved(told: Array, index: float, noise: float) -> float:
    """Return the deviation that *noise* gives right less index pairs."""
    parts, _, count = told.shape
    first = noise * float(np.linalg.norm(_influence(told, index)))
    score = _lower(np.eye(count)) - index
    products = 2 * sum(range(parts)) * float((score**2).sum())
    return math.hypot(first, noise**2 * math.sqrt(products))
