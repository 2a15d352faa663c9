"""Which of many numbers occur again, by sorting: a hash table would hold far more.

Records are counted and compared by numbers of 64 bits, of which a hospital may have ten
million; what is done here holds little more than the numbers once again.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from client.numbers.columns import Flags

Numbers = NDArray[np.int64]
PART = 200_000
ODD = np.int64(-7046029254386353131)
"""2^64 over the golden ratio, as signed 64 bits: Knuth's multiplicative hashing."""


def several(numbers: Numbers) -> int:
    """Return how many different numbers there are."""
    ordered = np.sort(numbers)
    return int(np.count_nonzero(ordered[1:] != ordered[:-1])) + bool(len(ordered))


def again(numbers: Numbers) -> Flags:
    """Return which of *numbers* there are twice or more."""
    ordered = np.sort(numbers)
    twice = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    found = np.zeros(len(numbers), dtype=np.bool_)
    for part in parts(len(numbers) if len(twice) else 0):
        place = np.minimum(np.searchsorted(twice, numbers[part]), len(twice) - 1)
        found[part] = twice[place] == numbers[part]
    return found


def of_several(numbers: Numbers, people: Numbers) -> int:
    """Return how many records share their number with a record of somebody else.

    Most share it with nobody: those are let go before anything is held beside them.
    """
    shared = again(numbers)
    numbers, people = numbers[shared], people[shared]
    if not len(numbers):
        return 0
    order = np.argsort(numbers)
    ordered = numbers[order]
    fresh = np.append(True, ordered[1:] != ordered[:-1])
    del ordered
    person = people[order]
    other = np.append(False, person[1:] != person[:-1]) & ~fresh
    starts = np.flatnonzero(fresh)
    mixed = np.add.reduceat(other, starts, dtype=np.int64) > 0
    return int(np.diff(np.append(starts, len(numbers)))[mixed].sum())


def pairs(one: Numbers, other: Numbers) -> Numbers:
    """Return a number for each pair: the same for the same, hardly ever for others."""
    with np.errstate(over="ignore"):
        return one * ODD + other


def parts(count: int) -> Iterator[slice]:
    """Yield the places of *count* records, some at a time."""
    for first in range(0, count, PART):
        yield slice(first, min(first + PART, count))
