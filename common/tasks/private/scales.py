"""Where people are in a number: its mean and deviation, public or paid for.

A sum has less noise the shorter a record's row is, so numbers are measured from their
mean in deviations, not from the middle of a range that is wide on purpose. Where a
study declares ``typical`` figures these are it; else describe's noisy ones, which lean
on the range as far as the noise is large.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from common.release import Array
from common.study import Study
from common.task import Found, Rows, Shapes, State
from common.tasks import describe, named
from common.tasks.private import noised

REACH: Final = 4.0
"""Who is farther from the mean than so many deviations counts as so far."""
LEAST: Final = 0.01
"""A deviation is taken as no smaller, in half ranges: noise may make it 0."""


def shapes(names: Sequence[str]) -> Shapes:
    """Show of each number its mean, its deviation, and how far from it may count."""
    return {_of(name): (3,) for name in names}


def near(study: Study, found: Found, names: Sequence[str]) -> dict[str, Array]:
    """Return about the mean and the deviation of each number, in its unit.

    And how far from the mean a value counts: a deviation that was found too small by
    noise would cut off many.
    """
    return {_of(name): np.array(_near(study, found, name)) for name in names}


def standard(study: Study, state: State, rows: Rows, names: Sequence[str]) -> Array:
    """Return each number [records, names] in deviations from its mean, a gap as NaN."""
    about = np.array([state.arrays[_of(name)] for name in names])
    scaled: Array = (named.values(study, rows, names) - about[:, 0]) / about[:, 1]
    return scaled


def bounded(study: Study, state: State, rows: Rows, name: str) -> Array:
    """Return a number [records] from its mean in units of :func:`reach`: -1 to 1."""
    mean, farthest = reach(study, state, name)
    far = (named.values(study, rows, [name])[:, 0] - mean) / farthest
    inside: Array = far.clip(-1.0, 1.0)
    return inside


def reach(study: Study, state: State, name: str) -> tuple[float, float]:
    """Return the mean, and how far from it a value may count as: within the range."""
    mean, _, farthest = (float(each) for each in state.arrays[_of(name)])
    low, high = named.number(study, name).range
    return mean, min(farthest, max(high - mean, mean - low))


def _near(study: Study, found: Found, name: str) -> tuple[float, float, float]:
    variable = named.number(study, name)
    if variable.typical:
        mean, deviation = variable.typical
        return mean, deviation, REACH * deviation
    half, sums = describe.half(variable), found["describe"].arrays
    index = [each.name for each in study.everything].index(name)
    mean, deviation = noised.moments(study, sums, index)
    widest = max(noised.widest(study, sums, index), LEAST)
    centre = describe.middle(variable) + mean * half
    return centre, max(deviation, LEAST) * half, REACH * widest * half


def _of(name: str) -> str:
    return f"scale of {name}"
