"""What one person can change, bounded: the records of each added up, then clipped.

A formula gives every record's part of a sum. The parts of one person are added up and
clipped together, so that however many records somebody has, and whatever a formula or a
state makes of them, the sum moves by at most the clip when that person comes or goes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from common.errors import IntegrityError
from common.release import Array
from common.task import Rows

BLOCK = 2**20
"""So many numbers are held at a time, however many records there are."""

Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Part:
    """Every record's part of a release, as one row each, and how much is a person's.

    ``each`` returns [records, ``width``]; ``clip`` is the greatest Euclidean length.
    """

    each: Callable[[Rows], Array]
    width: int
    clip: float


@dataclass(frozen=True, slots=True)
class Clipped:
    """The sum over people, and how many records counted as 0, not being finite."""

    total: Array
    broken: int


def add(part: Part, rows: Rows, person: Codes) -> Clipped:
    """Return the sum over people of what each contributes, clipped."""
    summed, broken = np.zeros(part.width), 0
    rest, last = np.zeros((1, part.width)), -1
    for codes, block in _blocks(part, rows, person):
        values, lost = _finite(part, block)
        starts = np.flatnonzero(np.r_[True, codes[1:] != codes[:-1]])
        with np.errstate(over="ignore", invalid="ignore"):
            people = np.add.reduceat(values, starts)
            if codes[0] == last:
                people[0] += rest[0]
            else:
                summed += _clip(part, rest)
        summed += _clip(part, people[:-1])
        rest, last, broken = people[-1:], int(codes[-1]), broken + lost
    return Clipped(summed + _clip(part, rest), broken)


def _blocks(part: Part, rows: Rows, person: Codes) -> Iterator[tuple[Codes, Rows]]:
    """Yield the records, those of a person one after the other, a few at a time."""
    order = np.argsort(person, kind="stable")
    step = max(1, BLOCK // max(part.width, 1))
    for first in range(0, len(order), step):
        chosen = order[first : first + step]
        yield person[chosen], rows.take(chosen)


def _finite(part: Part, block: Rows) -> tuple[Array, int]:
    """Return each record's part, 0 where it is not finite, and how often that was."""
    with np.errstate(all="ignore"):
        values = part.each(block)
    if values.shape != (len(block.y), part.width):
        raise IntegrityError("a formula gave other numbers than its release declares")
    good = np.atleast_1d(np.isfinite(values).all(axis=1))
    return np.where(good[:, None], values, 0.0), int((~good).sum())


def _clip(part: Part, people: Array) -> Array:
    """Return the sum of *people*, each shortened to the clip; beyond numbers is 0."""
    with np.errstate(over="ignore", invalid="ignore"):
        length = np.sqrt(np.einsum("ij,ij->i", people, people))
        factor = part.clip / np.maximum(length, part.clip)
    inside = np.isfinite(length)
    total: Array = factor[inside] @ people[inside]
    return total
