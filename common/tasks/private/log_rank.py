"""Do groups differ over time, when counts have noise? A log-rank test by Monte Carlo.

The excess of events in each group over what one curve for all would have (Mantel 1966)
is measured by how it varies over tables that chance and noise make of groups with one
curve, each with its own people lost to follow-up.
"""

from typing import Final

import numpy as np

from common.release import Array
from common.task import Findings
from common.tasks.analyses import survival
from common.tasks.private.nearest import nearest
from common.tasks.private.one_release import CLEAR

TABLES: Final = 1999
"""Tables that are drawn where groups have one curve, by a public seed."""


def tested(counts: Array, noise: float) -> Findings:
    """Return statistic and p-value of groups [groups, 2, intervals] with *noise*.

    None of fewer than two groups, or where nothing can tell them apart.
    """
    degrees = len(counts) - 1
    if degrees < 1:
        return dict.fromkeys(survival.TEST)
    made = _excess(_drawn(counts, noise), noise)
    spread = np.atleast_2d(np.cov(made.T))
    if np.linalg.matrix_rank(spread) < degrees:
        return dict.fromkeys(survival.TEST)
    (found,) = _measured(_excess(counts[None], noise), spread)
    beyond = np.count_nonzero(_measured(made, spread) >= found)
    p = (1 + beyond) / (TABLES + 1)
    return {"statistic": float(found), "degrees": degrees, "p": p}


def _measured(excess: Array, spread: Array) -> Array:
    """Return of each *excess* [tables, groups - 1] its squared length by *spread*."""
    length: Array = (excess * np.linalg.solve(spread, excess.T).T).sum(axis=1)
    return length


def _excess(tables: Array, noise: float) -> Array:
    """Return the excess of events [tables, groups - 1] of all groups but the last.

    Over the intervals that begin with more people than the noise may be.
    """
    risk, events = survival.risk_of(tables), tables[:, :, 1]
    everyone, died = risk.sum(axis=1), events.sum(axis=1)
    groups, count = tables.shape[1], tables.shape[3]
    after = np.arange(count, 0, -1)
    use = everyone > np.maximum(CLEAR * noise * np.sqrt(2.0 * after * groups), 1.0)
    share = np.where(use[:, None], risk / np.where(use, everyone, 1.0)[:, None], 0.0)
    above = np.where(use[:, None], events, 0.0) - share * died[:, None]
    excess: Array = above.sum(axis=2)[:, :-1]
    return excess


def _drawn(counts: Array, noise: float) -> Array:
    """Return tables [tables, groups, 2, intervals] of groups with the pooled curve."""
    draw = np.random.default_rng(0)
    held = np.array([_possible(group) for group in counts])
    hazard = _rates(held.sum(axis=0))[0]
    lost = np.array([_rates(group)[1] for group in held])
    left = np.repeat(np.rint(held.sum(axis=(1, 2)))[None], TABLES, axis=0).astype(int)
    made = np.zeros((TABLES, *counts.shape))
    for at, chance in enumerate(hazard):
        made[:, :, 1, at] = died = draw.binomial(left, chance)
        made[:, :, 0, at] = gone = draw.binomial(left - died, lost[:, at])
        left = left - died - gone
    noised: Array = made + draw.normal(0.0, noise, made.shape)
    return noised


def _possible(counts: Array) -> Array:
    """Return the nearest counts that people can make."""
    total = max(float(counts.sum()), 1.0)
    return nearest(counts.ravel(), total).reshape(counts.shape)


def _rates(counts: Array) -> tuple[Array, Array]:
    """Return the chance of the event, and of who is left to be lost, by interval."""
    risk, events, lost = survival.risk_of(counts), counts[1], counts[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        hazard = np.where(risk > 0.0, events / risk, 0.0)
        gone = np.where(risk > events, lost / (risk - events), 1.0)
    return hazard.clip(0.0, 1.0), gone.clip(0.0, 1.0)
