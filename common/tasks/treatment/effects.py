"""Effects from sums of people's estimates: differences, errors, balance, E-values."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from common.arithmetic.intervals import Z
from common.release import Array
from common.task import Findings

POSSIBLE = (0.1, 0.9)
"""Outside of these tenths of the chance of treatment the arms hardly overlap."""


@dataclass(frozen=True, slots=True)
class Sums:
    """What a group adds up to, untreated before treated.

    ``arms`` [2] people; ``outcome`` [2, 2] sums of it and its square; ``scores`` [2]
    and ``products`` [3] sums of both estimates, their squares and their product. The
    outcome was measured from ``middle`` in units of ``half``.
    """

    arms: Array
    outcome: Array
    scores: Array
    products: Array
    middle: float
    half: float


def estimated(sums: Sums, *, binary: bool) -> Findings:
    """Return the means with and without treatment, the effect, and what could hide it.

    A standard error is that of the mean of people's estimates. ``crude`` is the
    difference of the arms as they are.
    """
    count = float(sums.arms.sum())
    found: Findings = {"records": [int(each) for each in sums.arms]}
    if (sums.arms < 2).any():  # noqa: PLR2004 - one record has no deviation
        return found | dict.fromkeys(EFFECT)
    mean, spread = _means(sums, count)
    effect = float(mean[1] - mean[0])
    error = math.sqrt(max(spread[0, 0] + spread[1, 1] - 2 * spread[0, 1], 0.0))
    found |= {
        "untreated": sums.middle + float(mean[0]),
        "treated": sums.middle + float(mean[1]),
        "effect": effect,
        "standard_error": error,
        "interval": [effect - Z * error, effect + Z * error],
        "p": float(2 * stats.norm.sf(abs(effect) / error)) if error else None,
        "crude": _crude(sums),
    }
    ratio = _ratio(mean, spread) if binary else _standardised(sums, effect, error)
    return found | {"ratio": ratio, "e_value": _e_value(ratio)}


EFFECT = (
    *("untreated", "treated", "effect", "standard_error", "interval", "p"),
    *("crude", "ratio", "e_value"),
)


def _means(sums: Sums, count: float) -> tuple[Array, Array]:
    """Return mean estimates [2] and their covariance [2, 2], in the outcome's unit."""
    mean = sums.scores / count
    first, second, both = sums.products / count
    square = np.array([[first, both], [both, second]]) - np.outer(mean, mean)
    return sums.half * mean, sums.half**2 * square / (count - 1)


def _crude(sums: Sums) -> float:
    mean = sums.half * sums.outcome[:, 0] / sums.arms
    return float(mean[1] - mean[0])


def _ratio(mean: Array, spread: Array) -> list[float] | None:
    """Return the ratio of two risks and its interval, by the delta method."""
    if (mean <= 0.0).any():
        return None
    error = math.sqrt(
        max(
            spread[0, 0] / mean[0] ** 2
            + spread[1, 1] / mean[1] ** 2
            - 2 * spread[0, 1] / mean.prod(),
            0.0,
        )
    )
    return _around(math.log(mean[1] / mean[0]), error)


def _standardised(sums: Sums, effect: float, error: float) -> list[float] | None:
    """Return about the ratio of risks that a difference in deviations stands for.

    exp(0.91 d), VanderWeele & Ding 2017, Annals of Internal Medicine 167.
    """
    count, (total, square) = sums.arms.sum(), sums.outcome.sum(axis=0)
    variance = (square - total**2 / count) / max(count - 1.0, 1.0)
    if variance <= 0.0:
        return None
    deviation = sums.half * math.sqrt(variance)
    return _around(0.91 * effect / deviation, 0.91 * error / deviation)


def _around(log: float, error: float) -> list[float]:
    return [math.exp(log), math.exp(log - Z * error), math.exp(log + Z * error)]


def _e_value(ratio: list[float] | None) -> list[float] | None:
    """Return how strong an unmeasured confounder must be, for estimate and interval.

    As a ratio of risks, with the treatment and with the outcome, it would explain the
    effect away (VanderWeele & Ding 2017); 1 where the interval holds no effect.
    """
    if ratio is None:
        return None
    value, low, high = ratio if ratio[0] >= 1.0 else [1 / each for each in ratio]
    nearer = max(min(low, high), 1.0)
    return [each + math.sqrt(each * (each - 1.0)) for each in (value, nearer)]


def apart(told: Sequence[Findings], names: Sequence[str]) -> list[Findings]:
    """Return for each variable whether effects differ between its subgroups.

    Cochran's Q (1954) over the subgroups that are told.
    """
    found = []
    for name in dict.fromkeys(names[1:]):
        pairs = [
            (effect, error)
            for each, of in zip(told, names, strict=True)
            if of == name
            and isinstance(effect := each.get("effect"), float)
            and isinstance(error := each.get("standard_error"), float)
            and error > 0.0
        ]
        found.append({"variable": name, **_cochran(pairs)})
    return found


def _cochran(pairs: Sequence[tuple[float, float]]) -> Findings:
    if len(pairs) < 2:  # noqa: PLR2004 - one effect differs from none
        return {"q": None, "degrees": None, "p": None}
    effect, error = np.array(pairs).T
    weight = error**-2.0
    middle = weight @ effect / weight.sum()
    q, degrees = float(weight @ (effect - middle) ** 2), len(pairs) - 1
    return {"q": q, "degrees": degrees, "p": float(stats.chi2.sf(q, degrees))}


def balance(names: Sequence[str], arrays: Mapping[str, Array]) -> list[Findings]:
    """Return each covariate's standardised mean difference before and after weighting.

    Both in the deviation of the unweighted arms (Austin 2011); below 0.1 is usual.
    """
    count = arrays["arms"][0][:, None]
    mean, square = arrays["plain"].transpose(1, 0, 2) / np.maximum(count, 1.0)
    deviation = np.sqrt(np.maximum(square - mean**2, 0.0).mean(axis=0))
    weighted = arrays["weighted"] / np.maximum(arrays["weight"][:, :1], 1e-300)
    return [
        {"name": name, "before": _share(before, by), "after": _share(after, by)}
        for name, before, after, by in zip(
            names, mean[1] - mean[0], weighted[1] - weighted[0], deviation, strict=True
        )
    ]


def _share(difference: float, deviation: float) -> float | None:
    return float(difference / deviation) if deviation > 0.0 else None


def overlap(arrays: Mapping[str, Array]) -> Findings:
    """Return how many have a chance of treatment near 0 or 1, and what weights cost.

    ``effective`` is of how many unweighted records each arm is worth (Kish 1965).
    """
    tenths, weight = arrays["overlap"], arrays["weight"]
    count = max(float(tenths.sum()), 1.0)
    edges = float(tenths[:, 0].sum() + tenths[:, -1].sum())
    effective = weight[:, 0] ** 2 / np.maximum(weight[:, 1], 1e-300)
    return {
        "outside": edges / count,
        "range": list(POSSIBLE),
        "effective": [float(each) for each in effective],
    }
