"""How good a score is, from how many records with and without the outcome it gave what.

All of it is read from two histograms over the same bins of the score, the upper half of
which says yes: whatever can be counted for everybody can be counted for a group.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from common.arithmetic import intervals
from common.release import Array
from common.task import Findings

THRESHOLDS = (0.1, 0.2, 0.3, 0.5)
"""Chances of the outcome at which somebody may act: for the net benefit."""

LOG_ODDS = 8.0
"""Scores beyond these log-odds (0.9997 and above) share a bin."""


def edges(bins: int) -> Array:
    """Return the inner edges of bins of equal log-odds: there a model tells apart.

    The outermost bins are open and 0.5 opens the upper half. Equal bins of probability
    would put most records of an easy or a rare outcome into the first and the last.
    """
    inner: Array = expit(np.linspace(-LOG_ODDS, LOG_ODDS, bins - 1))
    inner[bins // 2 - 1] = 0.5
    return inner


@dataclass(frozen=True, slots=True)
class Table:
    """Records by what was so and what the model said of it at one threshold."""

    hits: float
    misses: float
    alarms: float
    rejections: float

    @property
    def records(self) -> float:
        """How many records there are."""
        return self.hits + self.misses + self.alarms + self.rejections


def table(negatives: Array, positives: Array, first: int) -> Table:
    """Return what saying yes from bin *first* on comes to."""
    return Table(
        hits=float(positives[first:].sum()),
        misses=float(positives[:first].sum()),
        alarms=float(negatives[first:].sum()),
        rejections=float(negatives[:first].sum()),
    )


def area(negatives: Array, positives: Array) -> tuple[float, float] | None:
    """Return the area under the ROC curve and how far ties in a bin may move it."""
    without, having = float(negatives.sum()), float(positives.sum())
    if not without or not having:
        return None
    below, pairs = np.cumsum(negatives) - negatives, without * having
    found = float(positives @ (below + negatives / 2) / pairs)
    return found, float(positives @ negatives / 2 / pairs)


def rates(at: Table) -> Findings:
    """Return shares of the right answers, each None where nobody is asked about.

    The names are those of a diagnostic test (Altman & Bland 1994).
    """
    return {
        "accuracy": _share(at.hits + at.rejections, at.records),
        "sensitivity": _share(at.hits, at.hits + at.misses),
        "specificity": _share(at.rejections, at.rejections + at.alarms),
        "ppv": _share(at.hits, at.hits + at.alarms),
        "npv": _share(at.rejections, at.rejections + at.misses),
        "f1": _share(2 * at.hits, 2 * at.hits + at.alarms + at.misses),
    }


def net_benefit(at: Table, chance: float) -> float | None:
    """Return hits less what alarms cost, per record (Vickers & Elkin 2006)."""
    if not at.records:
        return None
    return float((at.hits - at.alarms * chance / (1 - chance)) / at.records)


def group(negatives: Array, positives: Array, said: float) -> Findings:
    """Return what a group gets from the model; *said* is the sum of its scores."""
    at = table(negatives, positives, len(negatives) // 2)
    found = area(negatives, positives)
    having, records = at.hits + at.misses, at.records
    return {
        "records": int(records),
        "positives": int(having),
        "auc": found[0] if found else None,
        "auc_interval": _interval(found, having, records - having),
        "said_yes": _share(at.hits + at.alarms, records),
        "expected": _share(said, having),
        **rates(at),
    }


def gap(groups: list[Findings], name: str) -> float | None:
    """Return how far the groups are apart in one measure; None with fewer than two."""
    known = [each[name] for each in groups]
    told = [float(each) for each in known if isinstance(each, float)]
    return max(told) - min(told) if len(told) > 1 else None


def expected_error(said: Array, having: Array, records: Array) -> float | None:
    """Return by how much the chances are off on average (Naeini et al. 2015).

    *said* is the sum of the scores, *having* the records with the outcome, per bin.
    """
    if not records.sum():
        return None
    return float(np.abs(said - having).sum() / records.sum())


def _interval(
    found: tuple[float, float] | None, having: float, without: float
) -> list[float] | None:
    if found is None:
        return None
    known = intervals.auc(found[0], having, without)
    return None if known is None else [*known]


def _share(part: float, whole: float) -> float | None:
    return float(part / whole) if whole and math.isfinite(part) else None
