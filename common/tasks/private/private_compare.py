"""Does a number differ between groups, when sums have noise? Tests that know of it.

A record adds to its own group alone: that it is there, its distance from about the mean
of everybody, and the square. The noise in a group's mean is known, and stands beside
chance in every interval and test: Welch's (1947) with a third variance that costs no
degrees of freedom, and F over means each weighed by both variances (Cochran 1937).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from common.release import Array, Field
from common.sheet import Sheet
from common.study import Study
from common.task import Findings, Rows, State
from common.tasks import named
from common.tasks.analyses import chi_square, compare
from common.tasks.named import Pair
from common.tasks.private import one_release, scales
from common.tasks.private.one_release import CLEAR, Block, Told

SHARES: Final = {"records": 0.2, "total": 0.5, "square": 0.3}
"""How a row's squared length is shared out: most tells of means."""
WEIGHTS: Final = one_release.weights(SHARES, dict.fromkeys(SHARES, 1.0))


Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Groups:
    """What a pair's total says of each group, in the number's unit from its ``centre``.

    Of each: records, mean, and variance, not below 0; ``moved`` is the variance of the
    mean by noise, ``clear`` whether there are more records than noise, ``spread``
    whether they vary by more than noise.
    """

    centre: float
    records: Array
    mean: Array
    variance: Array
    moved: Array
    clear: Flags
    spread: Flags


def block(study: Study, pair: Pair) -> Block:
    """Return the block of a number by a category: three sums for each group."""
    number, group = pair
    levels = len(named.declared(study, group).coded)

    def row(study: Study, state: State, rows: Rows) -> Array:
        far = scales.bounded(study, state, rows, number)
        codes = named.codes(study, rows, group)
        belongs = codes[:, None] == np.arange(levels)
        known = np.nan_to_num(far)
        parts = {"records": ~np.isnan(far), "total": known, "square": known**2}
        each = np.column_stack([parts[name] * WEIGHTS[name] for name in SHARES])
        cells = (belongs & ~np.isnan(far)[:, None])[:, :, None] * each[:, None, :]
        whole: Array = cells.reshape(len(far), levels * len(SHARES))
        return whole

    title = f"{number} by {group}"
    meaning = f"records, sums and squares of {title}, weighed"
    return Block(title, Field(meaning, (levels, len(SHARES)), "sum"), row)


def groups(
    study: Study, state: State, pair: Pair, found: tuple[Array, float]
) -> Groups:
    """Return what the total of a *pair* says; *found* is it, and its noise."""
    total, noise = found
    centre, unit = scales.reach(study, state, pair[0])
    sums = {n: total[:, at] / WEIGHTS[n] for at, n in enumerate(SHARES)}
    counted, added, squared = (noise / WEIGHTS[n] for n in SHARES)
    records, clear = sums["records"], sums["records"] > CLEAR * counted
    size = np.maximum(records, 1.0)
    mean = sums["total"] / size
    about = sums["square"] - size * mean**2
    moved = (added**2 + (mean * counted) ** 2) / size**2
    return Groups(
        centre,
        records,
        centre + unit * mean,
        unit**2 * about.clip(0.0) / size,
        unit**2 * moved,
        clear,
        about > CLEAR * np.hypot(squared, 2.0 * mean * added),
    )


def tested(
    study: Study, state: State, pair: Pair, found: tuple[Array, float]
) -> Findings:
    """Return each group that is clear of the noise, and the tests between them.

    *found* is the total of the pair's block and the deviation of its noise.
    """
    each = groups(study, state, pair, found)
    levels, told = named.declared(study, pair[1]).coded, each.clear
    return {
        "variables": list(pair),
        "records": round(max(float(each.records.sum()), 0.0)),
        "groups": [_group(level, each, at) for at, level in enumerate(levels)],
        **_variance(each),
        **(_welch(each) if len(levels) == 2 and told.all() else {}),  # noqa: PLR2004 - Welch compares two
    }


def read(study: Study, state: State) -> Findings:
    """Return the comparison of each pair, with p-values corrected for their number."""
    pairs, totals = compare.pairs(study), one_release.totals(study, _blocks, state)
    noise = one_release.noise(study, len(pairs))
    every = zip(pairs, totals.values(), strict=True)
    tests = [tested(study, state, pair, (total, noise)) for pair, total in every]
    return {
        "tests": chi_square.corrected(tests),
        "records_deviation": noise / WEIGHTS["records"],
    }


def show(study: Study, state: State) -> tuple[Sheet, ...]:
    """Return one table of all tests, then the groups of each."""
    found = read(study, state)
    tests = found["tests"] if isinstance(found["tests"], list) else []
    noise = f"{found['records_deviation']:.1f}"
    notes = (
        (
            "Sums have noise: intervals and p-values hold it beside chance. F is over "
            "means that are weighed by both, and eta² is without the noise's part."
        ),
        (
            f"A value farther from the mean than {scales.REACH:g} deviations counts as "
            "so far."
        ),
    )
    withheld = (
        f"Counts have noise of deviation {noise}. Withheld, and in no test: a group of "
        f"no more than {CLEAR:g} times that."
    )
    return compare.sheets(study, tests, notes, withheld)


def _blocks(study: Study) -> Sequence[Block]:
    return [block(study, pair) for pair in compare.pairs(study)]


def _group(level: str, each: Groups, at: int) -> Findings:
    """Return one group: its size, and mean and deviation where noise allows."""
    if not each.clear[at]:
        nothing = dict.fromkeys(("count", "mean", "std", "interval"))
        return {"level": level, **nothing}
    records, variance = float(each.records[at]), float(each.variance[at])
    free = max(records - 1.0, 1.0)
    error = math.sqrt(variance / free + float(each.moved[at]))
    half, mean = float(stats.t.ppf(compare.LEVEL, free)) * error, float(each.mean[at])
    deviation = math.sqrt(variance * records / free)
    return {
        "level": level,
        "count": round(records),
        "mean": mean,
        "std": deviation if each.spread[at] else None,
        "interval": [mean - half, mean + half],
    }


def _variance(each: Groups) -> Findings:
    """Return F over the groups that are told: means weighed by chance and noise.

    No eta² where the deviation of a group is within the noise.
    """
    n, mean, variance, moved = (
        array[each.clear]
        for array in (each.records, each.mean, each.variance, each.moved)
    )
    nothing: Findings = dict.fromkeys(compare.KEYS)
    free = float(n.sum()) - len(n)
    within = float(n @ variance)
    if len(n) < 2 or free < 1.0:  # noqa: PLR2004 - one compares nothing
        return nothing
    weight = 1.0 / (within / free / n + moved)
    centre = float(weight @ mean / weight.sum())
    ratio = float(weight @ (mean - centre) ** 2) / (len(n) - 1)
    degrees = [len(n) - 1, round(free)]
    return nothing | {
        "f": ratio,
        "degrees": degrees,
        "p": float(stats.f.sf(ratio, len(n) - 1, free)),
        "eta_squared": _eta(n, mean, moved, within)
        if each.spread[each.clear].all()
        else None,
    }


def _eta(n: Array, mean: Array, moved: Array, within: float) -> float:
    """Return the share of the variance between groups, less what noise has made."""
    everybody = float(n @ mean / n.sum())
    noise = float((n * moved) @ (1.0 - n / n.sum()))
    across = max(float(n @ (mean - everybody) ** 2) - noise, 0.0)
    return across / (across + within) if across + within > 0.0 else 0.0


def _welch(each: Groups) -> Findings:
    """Return Welch's test of two groups; the variance of the noise is known exactly."""
    free = np.maximum(each.records - 1.0, 1.0)
    chance = each.variance / free
    whole = float(chance.sum() + each.moved.sum())
    slack = float((chance**2 / free).sum())
    degrees = whole**2 / slack if slack > 0.0 else math.inf
    difference, error = float(each.mean[1] - each.mean[0]), math.sqrt(whole)
    half, t = float(stats.t.ppf(compare.LEVEL, degrees)) * error, difference / error
    return {
        "difference": difference,
        "interval": [difference - half, difference + half],
        "t": t,
        "degrees": degrees if math.isfinite(degrees) else None,
        "p": float(2.0 * stats.t.sf(abs(t), degrees)),
    }


PRIVATE_COMPARE = one_release.task(
    "compare",
    _blocks,
    lambda study: sorted({number for number, _ in compare.pairs(study)}),
    Told(read, show),
)
