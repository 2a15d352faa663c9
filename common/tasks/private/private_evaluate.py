"""How good a private model is, under the same promise: a histogram with few bins.

The people who test are not those who trained, so they have a whole promise to spend.
Intervals hold three things: chance among the people, the noise, and ties in few bins.
"""

import math

import numpy as np
from scipy.special import expit

from common import promise
from common.arithmetic import intervals
from common.release import Array, Field, Release
from common.sheet import Sheet
from common.study import Study
from common.task import Findings, Noisy, Rows, State, Task, added, kept, model_of
from common.tasks.evaluation.evaluate import shows, start
from common.tasks.private import (
    noised,
    private_concordance,
    private_levels,
    private_residuals,
)

LOG_ODDS = 3.0
"""Scores beyond these log-odds (0.95 and above) share a bin."""

FEWEST = 4
BRIER = 0.5
"""Weight of a person's squared error, which is 1 at most, beside the one in a bin."""


def release(study: Study) -> Release:
    """Declare score histograms by class and the squared error, all with noise."""
    if study.outcome.kind == "number":
        return private_residuals.release(study)
    if study.outcome.kind == "category":
        return private_levels.release(study)
    if study.outcome.kind == "survival":
        return private_concordance.release(study)
    count = (bins(study),)
    return {
        "negatives": Field("test records without the outcome, by score", count, "sum"),
        "positives": Field("test records with the outcome, by score", count, "sum"),
        "brier": Field("sum of squared errors of the score, halved", (1,), "sum"),
    }


def bins(study: Study) -> int:
    """Return how many bins are worth their noise: 4 per unit of epsilon, and even."""
    wanted = max(FEWEST, 2 * round(2 * promise.of(study).epsilon))
    return min(wanted, study.evaluation.bins if study.evaluation else FEWEST)


def each(study: Study, state: State, rows: Rows) -> Array:
    """Return the bin of each record by its class, and its squared error."""
    count = bins(study)
    score = model_of(study).predict(study, state.arrays, rows)
    if study.outcome.kind == "number":
        return private_residuals.each(study, score, rows)
    if study.outcome.kind == "category":
        return private_levels.each(study, score, rows)
    if study.outcome.kind == "survival":
        return private_concordance.each(study, state, score, rows)
    inner = expit(np.linspace(-LOG_ODDS, LOG_ODDS, count - 1))
    inner[count // 2 - 1] = 0.5
    place = np.searchsorted(inner, score, side="right")[:, None] == range(count)
    having = rows.y[:, None] == 1
    error = BRIER * (score - rows.y) ** 2
    return np.column_stack([place & ~having, place & having, error.clip(0.0, BRIER)])


def read(study: Study, state: State) -> Findings:
    """Return the same as without a promise, with intervals that hold the noise too."""
    if study.outcome.kind == "number":
        return private_residuals.read(study, state)
    if study.outcome.kind == "category":
        return private_levels.read(study, state)
    if study.outcome.kind == "survival":
        return private_concordance.read(study, state)
    negatives, positives = state.arrays["negatives"], state.arrays["positives"]
    noise, brier = _deviation(study), float(state.arrays["brier"][0]) / BRIER
    without, having = float(negatives.sum()), float(positives.sum())
    records = max(without + having, 1.0)
    found: Findings = {
        "records": round(records),
        "positives": max(0, round(having)),
        "brier": min(max(brier / records, 0.0), 1.0),
        **_accuracy(negatives, positives, noise),
        "auc": None,
        "auc_error_bound": None,
        "auc_interval": None,
    }
    if min(without, having) > intervals.Z * noise * math.sqrt(len(negatives)):
        found |= _area(negatives, positives, noise)
    return found


def _clip(study: Study) -> float:
    if study.outcome.kind == "number":
        return private_residuals.CLIP
    if study.outcome.kind == "category":
        return private_levels.CLIP
    if study.outcome.kind == "survival":
        return private_concordance.CLIP
    return math.hypot(1.0, BRIER)


def _deviation(study: Study) -> float:
    return promise.of_share(study, _clip(study), noised.tested(study))


def _accuracy(negatives: Array, positives: Array, noise: float) -> Findings:
    """Return the share of records on the right side of one half."""
    half = len(negatives) // 2
    right = np.r_[negatives[:half], positives[half:]]
    wrong = np.r_[negatives[half:], positives[:half]]
    return private_levels.accuracy(right, wrong, noise)


def _area(negatives: Array, positives: Array, noise: float) -> Findings:
    """Return the area under the ROC curve, and how far noise and ties may move it.

    Cells stay as they are, also below 0: what the noise took from one it gave another,
    and the area of the total has nearly no bias.
    """
    without, having = float(negatives.sum()), float(positives.sum())
    below = np.cumsum(negatives) - negatives / 2
    above = having - np.cumsum(positives) + positives / 2
    area = float(positives @ below / (without * having))
    by_positive = (below / without - area) / having
    by_negative = (above / having - area) / without
    by_cell = np.r_[by_positive, by_negative]
    value = min(max(area, 0.0), 1.0)
    ties = float(positives.clip(0) @ negatives.clip(0) / 2 / (without * having))
    moved = math.hypot(intervals.Z * noise * float(np.linalg.norm(by_cell)), ties)
    chance = intervals.auc(value, having, without)
    return {
        "auc": value,
        "auc_error_bound": ties,
        "auc_interval": intervals.widened(value, chance, moved),
    }


def show(study: Study, state: State) -> tuple[Sheet, ...]:
    """Show each level of a category, or who has the event first."""
    if study.outcome.kind == "category":
        return private_levels.show(study, state)
    if study.outcome.kind == "survival":
        return private_concordance.show(study, state)
    return ()


PRIVATE_EVALUATE = Task(
    name="evaluate",
    rows="test",
    encoded=True,
    shows=shows,
    release=release,
    start=start,
    local=added(each, release),
    finish=kept,
    read=read,
    show=show,
    noisy=Noisy(each=each, clip=_clip, rounds=lambda _study: 1, weight=1.0),
)
