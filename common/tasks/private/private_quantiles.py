"""Quantiles of every number from one noisy histogram over its declared range.

A record is in one of 32 bins of each number, whole steps of its resolution wide: with
noise a finer bin would hold noise alone, and over so few bins a hierarchy of counts
(Hay et al. 2010) is no better than one level. The counts are made those of a spread
that can be, the nearest with none below 0; what they add up to then only rises. An
interval is that of a share, by chance and noise, read from the same curve (Woodruff
1952).
"""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from common.arithmetic.intervals import Z
from common.release import Array, Field
from common.schema import Number
from common.sheet import Cell, Sheet, estimate
from common.study import Study
from common.task import Findings, Rows, State
from common.tasks import named
from common.tasks.analyses import quantiles
from common.tasks.describe import numbers
from common.tasks.private import one_release
from common.tasks.private.nearest import nearest
from common.tasks.private.one_release import CLEAR, Block, Told

BINS: Final = 32
"""Bins over a declared range."""


def block(name: str) -> Block:
    """Return the block of a number: in which bin a record is."""

    def row(study: Study, state: State, rows: Rows) -> Array:
        del state
        variable = named.number(study, name)
        values = named.values(study, rows, [name])[:, 0]
        steps = np.rint((values - variable.range[0]) / variable.step)
        place = np.floor(steps / width(variable))
        belongs: Array = (place[:, None] == np.arange(BINS)).astype(np.float64)
        return belongs

    return Block(
        f"{name}: bins", Field(f"records per bin of {name}", (BINS,), "sum"), row
    )


def width(variable: Number) -> int:
    """Return how many steps of its resolution a bin of a number is wide."""
    return -(-quantiles.steps(variable) // BINS)


def told(
    variable: Number, total: Array, noise: float, shares: Sequence[float]
) -> list[Findings]:
    """Return the value of each share and its interval; None where noise is too much.

    ``total`` are the noisy counts of the bins, and *noise* the deviation in each.
    """
    used = -(-quantiles.steps(variable) // width(variable))
    counts, edges = total[:used], _edges(variable, used)
    records, moved = float(counts.sum()), noise * math.sqrt(used)
    nothing: Findings = {"value": None, "interval": None}
    if records <= CLEAR * moved:
        return [nothing for _ in shares]
    upto = np.r_[0.0, np.cumsum(nearest(counts, records))] / records
    found = []
    for share in shares:
        value = _at(upto, edges, share)
        before = float(np.searchsorted(edges, value)) / used
        error = _error(share, before, records, moved)
        ends = share - Z * error, share + Z * error
        inside = ends[0] > 0.0 and ends[1] < 1.0
        interval = [_at(upto, edges, end) for end in ends]
        found.append({"value": value, "interval": interval} if inside else nothing)
    return found


def read(study: Study, state: State) -> Findings:
    """Return each number's quantiles with their intervals, and how coarse they are."""
    totals = one_release.totals(study, _blocks, state)
    noise, shares = one_release.noise(study, len(totals)), quantiles.shares(study)
    lines = []
    for (_, variable), total in zip(numbers(study), totals.values(), strict=True):
        names = [f"{100 * share:g}%" for share in shares]
        found = told(variable, total, noise, shares)
        lines.append(
            {
                "name": variable.name,
                "unit": variable.unit,
                "step": width(variable) * variable.step,
                **{
                    key: {n: each[one] for n, each in zip(names, found, strict=True)}
                    for key, one in (("quantiles", "value"), ("intervals", "interval"))
                },
            }
        )
    return {"variables": lines, "deviation": noise}


def show(study: Study, state: State) -> tuple[Sheet, ...]:
    """Return one row for each number."""
    totals = one_release.totals(study, _blocks, state)
    noise, shares = one_release.noise(study, len(totals)), quantiles.shares(study)
    rows = tuple(
        (
            variable.name,
            variable.unit,
            f"{width(variable) * variable.step:g}",
            *(_cell(each) for each in told(variable, total, noise, shares)),
        )
        for (_, variable), total in zip(numbers(study), totals.values(), strict=True)
    )
    note = (
        f"Counts have noise of deviation {noise:.1f} a bin, which the 95 % intervals "
        "hold beside chance. A value is told within its bin, as wide as the step says: "
        "no finer. The least and the greatest values, and shares that are within the "
        "noise of either end, are not told."
    )
    heads = (
        "number",
        "unit",
        "step",
        *(f"{100 * share:g} % (95 %)" for share in shares),
    )
    return (Sheet("How the numbers are spread", heads, rows, (note,)),)


def _blocks(study: Study) -> Sequence[Block]:
    return [block(variable.name) for _, variable in numbers(study)]


def _edges(variable: Number, used: int) -> Array:
    """Return the edges of the bins: halfway between two steps, and within the range."""
    low, high = variable.range
    steps = np.arange(used + 1) * width(variable) - 0.5
    inside: Array = (low + steps * variable.step).clip(low, high)
    return inside


def _at(upto: Array, edges: Array, share: float) -> float:
    """Return the value below which a *share* lies, linear within its bin."""
    return float(np.interp(share, upto, edges))


def _error(share: float, before: float, records: float, moved: float) -> float:
    """Return the deviation of the share below a value, by chance and by noise.

    *before* is the share of the bins below it; *moved* is the noise in all of them.
    """
    noise = before * (1.0 - share) ** 2 + (1.0 - before) * share**2
    return math.sqrt(share * (1.0 - share) / records + noise * (moved / records) ** 2)


def _cell(found: Findings) -> Cell:
    value, interval = found["value"], found["interval"]
    if not isinstance(value, float) or not isinstance(interval, list):
        return None
    return estimate(value, (interval[0], interval[1]))


PRIVATE_QUANTILES = one_release.task(
    "quantiles", _blocks, lambda _study: (), Told(read, show)
)
