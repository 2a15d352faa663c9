"""Quantiles of every number, exact to its declared step: counts in narrowing bins.

A value is told to the nearest of the study's own steps over the declared range. For
each order statistic that a quantile lies between, a round counts records in 64 bins;
the next zooms into the bin that holds it. No site can be asked for finer bins than the
study's steps, and two rounds do for a thousand. The least and the greatest value are
one person's, so the k-th of either side is told instead.
"""

import math

import numpy as np

from common.release import Field, Release, Summands
from common.schema import Number
from common.sheet import Sheet, near
from common.study import Study
from common.task import Findings, Found, Rows, Shapes, State, Task
from common.tasks.describe import numbers

BINS = 64
"""Bins of one round, for each order statistic that is looked for."""


def shows(study: Study) -> Shapes:
    """Show the sites where to look: first step, and steps per bin."""
    return {"first": _shape(study), "width": _shape(study)}


def release(study: Study) -> Release:
    """Declare one histogram per number and order statistic."""
    meaning = "records per bin, of each number and order statistic looked for"
    return {"bins": Field(meaning, (*_shape(study), BINS), "count")}


def start(study: Study, found: Found) -> State:
    """Look in the whole range for every order statistic."""
    present = found["describe"].arrays["present"]
    counts = np.array([present[index] for index, _ in numbers(study)])
    wide = [-(-steps(each) // BINS) for _, each in numbers(study)]
    width = np.repeat(np.array(wide, dtype=np.float64)[:, None], _shape(study)[1], 1)
    ranks = np.array([_ranks(study, int(count)) for count in counts])
    return State(
        {"first": np.zeros(_shape(study)), "width": width},
        kept={
            "ranks": ranks.astype(np.float64),
            "below": np.zeros(_shape(study)),
            "present": counts,
        },
    )


def local(study: Study, state: State, rows: Rows) -> Summands:
    """Count this site's records in each window."""
    values = np.column_stack([rows.x, rows.y])
    bins = np.zeros((*_shape(study), BINS))
    for place, (index, variable) in enumerate(numbers(study)):
        known = values[~np.isnan(values[:, index]), index]
        steps = np.rint((known - variable.range[0]) / variable.step)
        for each in range(bins.shape[1]):
            first, width = (state.arrays[name][place, each] for name in shows(study))
            inside = np.floor((steps - first) / width)
            inside = inside[(inside >= 0) & (inside < BINS)].astype(np.int64)
            bins[place, each] = np.bincount(inside, minlength=BINS)
    return {"bins": bins}


def finish(study: Study, state: State, total: Summands) -> State:
    """Zoom into the bin that holds each order statistic, until a bin is one step."""
    del study
    first, width = state.arrays["first"], state.arrays["width"]
    ranks, below = state.kept["ranks"], state.kept["below"]
    upto = below[:, :, None] + np.cumsum(total["bins"], axis=2)
    place = np.minimum((upto <= ranks[:, :, None]).sum(axis=2), BINS - 1)
    before = upto - total["bins"]
    below = np.take_along_axis(before, place[:, :, None], axis=2)[:, :, 0]
    narrow = {"first": first + place * width, "width": np.ceil(width / BINS)}
    if (width == 1.0).all():
        return State({**narrow, "present": state.kept["present"]}, done=True)
    # One that is found already stays where it is, while others are looked for.
    found = width == 1.0
    narrow["first"] = np.where(found, first, narrow["first"])
    below = np.where(found, state.kept["below"], below)
    return State(narrow, kept={**state.kept, "below": below})


def read(study: Study, state: State) -> Findings:
    """Return each number's quantiles, and its k-th least and greatest value.

    A quantile with fewer than k records on one side of it is None.
    """
    names = [f"{100 * share:g}%" for share in shares(study)]
    lines = []
    for place, (_, variable) in enumerate(numbers(study)):
        low, *values, high = _told(study, state, place)
        line = {"name": variable.name, "unit": variable.unit, "step": variable.step}
        quantiles = dict(zip(names, values, strict=True))
        lines.append({**line, "low": low, "quantiles": quantiles, "high": high})
    return {"k": study.disclosure.cell, "variables": lines}


def show(study: Study, state: State) -> tuple[Sheet, ...]:
    """Return one row for each number."""
    th = _th(study.disclosure.cell)
    heads = [f"{100 * share:g} %" for share in shares(study)]
    columns = ("number", "unit", "step", f"{th} least", *heads, f"{th} greatest")
    rows = tuple(
        (
            each.name,
            each.unit,
            f"{each.step:g}",
            *(near(value, each.step) for value in _told(study, state, place)),
        )
        for place, (_, each) in enumerate(numbers(study))
    )
    note = (
        "Values are told to the nearest step. The least and the greatest value are one "
        f"person's: the {th} of either side is told instead."
    )
    return (Sheet("How the numbers are spread", columns, rows, (note,)),)


def _told(study: Study, state: State, place: int) -> list[float | None]:
    """Return the k-th least value, the quantiles, and the k-th greatest value."""
    variable, least = numbers(study)[place][1], study.disclosure.cell
    count = int(state.arrays["present"][place])
    steps = state.arrays["first"][place]
    *pairs, low, high = (_value(variable, step) for step in steps)
    between = zip(pairs[::2], pairs[1::2], shares(study), strict=True)
    values = [
        _between(one, other, share * (count - 1))
        if min(share, 1 - share) * (count - 1) + 1 >= least
        else None
        for one, other, share in between
    ]
    enough = count >= 2 * least
    return [low if enough else None, *values, high if enough else None]


def _between(one: float, other: float, rank: float) -> float:
    """Return the value at *rank*, linear between its neighbours as in pandas."""
    return one + (other - one) * (rank - math.floor(rank))


def _value(variable: Number, step: float) -> float:
    """Return the value of a step, without the digits that only binary numbers have."""
    low, high = variable.range
    return min(float(f"{low + step * variable.step:.12g}"), high)


def _ranks(study: Study, count: int) -> list[int]:
    """Return the order statistics that are looked for, counted from zero."""
    last, least = max(count - 1, 0), study.disclosure.cell
    around = [share * last for share in shares(study)]
    pairs = [edge for rank in around for edge in (math.floor(rank), math.ceil(rank))]
    return [*pairs, min(least - 1, last), max(last - least + 1, 0)]


def steps(variable: Number) -> int:
    """Return how many values of its resolution a number can have."""
    low, high = variable.range
    return round((high - low) / variable.step) + 1


def shares(study: Study) -> tuple[float, ...]:
    """Return the shares that *study* asks for."""
    return study.analysis.quantiles or ()


def _shape(study: Study) -> tuple[int, int]:
    """Return how many numbers there are, and order statistics of each."""
    return len(numbers(study)), 2 * len(shares(study)) + 2


def _th(number: int) -> str:
    """Return an ordinal number."""
    teen = number % 100 in {11, 12, 13}
    return f"{number}{'th' if teen else ENDINGS.get(number % 10, 'th')}"


ENDINGS = {1: "st", 2: "nd", 3: "rd"}


QUANTILES = Task(
    name="quantiles",
    rows="train",
    encoded=False,
    shows=shows,
    release=release,
    start=start,
    local=local,
    finish=finish,
    read=read,
    show=show,
)
