"""How far a model's chances hold, and a line that mends them: from released counts.

What a model says in log-odds is moved and stretched until it agrees with the outcomes
of the test people (Cox 1958, "Two further applications of a model for binary
regression"). The histograms that an evaluation adds up suffice: no site is asked again.
"""

from collections.abc import Mapping

import numpy as np
from scipy.special import expit, logit

from common.release import Array

FEWEST = 20
"""Test records with the outcome, and without it, that a line rests on at least."""
STEEPEST = 10.0
"""A slope beyond this, or one that is not positive, is no calibration."""
TURNS, CLOSE, TINY = 50, 1e-9, 1e-6


def fitted(
    sums: Mapping[str, Array], fewest: float = FEWEST
) -> dict[str, float] | None:
    """Return intercept and slope in log-odds, from sums over bins of the score.

    ``negatives`` and ``positives`` [bins] count test records, ``said`` [bins] is the
    sum of their scores. None where fewer than *fewest* have, or lack, the outcome, or
    where no line fits: scores that separate all records have none.
    """
    having, lacking = sums["positives"], sums["negatives"]
    if min(having.sum(), lacking.sum()) < max(fewest, FEWEST):
        return None
    some = having + lacking > 0
    records, having = (having + lacking)[some], having[some]
    score = logit(np.clip(sums["said"][some] / records, TINY, 1 - TINY))
    line = _newton(score, having, records)
    if line is None or not 0.0 < line[1] <= STEEPEST:
        return None
    return {"intercept": float(line[0]), "slope": float(line[1])}


def corrected(chance: Array, line: Mapping[str, float]) -> Array:
    """Return the chances [records] that outcomes seen with such a *chance* had."""
    score = logit(np.clip(chance, TINY, 1 - TINY))
    return np.asarray(expit(line["intercept"] + line["slope"] * score))


def _newton(score: Array, having: Array, records: Array) -> Array | None:
    """Return the line of greatest likelihood; None where there is none."""
    design = np.column_stack([np.ones_like(score), score])
    line = np.array([0.0, 1.0])
    for _ in range(TURNS):
        chance = expit(design @ line)
        curvature = design.T @ (design * (records * chance * (1 - chance))[:, None])
        if np.linalg.cond(curvature) > 1 / TINY**2:
            return None
        step = np.linalg.solve(curvature, design.T @ (having - records * chance))
        line = line + step
        if np.abs(step).max() < CLOSE:
            return line
        if np.abs(line).max() > STEEPEST**2:
            return None
    return None
