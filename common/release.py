"""What may leave a hospital: each array declared beforehand, and checked at the door.

A release is the manifest that a steward reads and the door enforces: the same value is
printed by ``consilium client check`` and compared with what a formula returned.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from common import large_arrays
from common.errors import IntegrityError

Array = NDArray[np.float64]
Summands = Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Field:
    """One array that may leave: its meaning in words, its exact shape, and its kind.

    A ``count`` is a whole number of people, zero or more; a ``flag`` is 0 or 1 at each
    site; a ``sum`` is any finite number. ``each`` is how far one record moves a number
    of a sum at most. Where sums are masked it sets their limit, and a large array then
    takes half the bytes (common/masked/coding.py); a sum that does not say may be 1e18
    and has 40 fractional bits.
    """

    meaning: str
    shape: tuple[int, ...]
    kind: Literal["count", "flag", "sum"]
    each: float | None = None

    @property
    def size(self) -> int:
        """How many numbers this is."""
        return int(np.prod(self.shape))


Release = Mapping[str, Field]


def check(release: Release, summands: Summands, sites: int = 1) -> None:
    """Raise IntegrityError unless *summands* of *sites* are what *release* declares."""
    if set(release) != set(summands):
        undeclared = sorted(set(summands) ^ set(release))
        what = f"what would leave is not what was declared: {', '.join(undeclared)}"
        raise IntegrityError(what)
    for name, field in release.items():
        _check_array(name, field, summands[name])
        _check_whole(name, field, summands[name], sites)


def length(release: Release) -> int:
    """Return how many numbers leave in all."""
    return sum(field.size for field in release.values())


def flatten(release: Release, summands: Summands) -> Array:
    """Return *summands* as one vector, in the order in which they are declared."""
    check(release, summands)
    vector, start = large_arrays.empty(length(release)), 0
    for name in release:
        flat = summands[name].reshape(-1)
        words = vector[start : start + flat.size]
        for part in large_arrays.passing(words, flat):
            words[part] = flat[part]
        start += flat.size
    return vector


def unflatten(release: Release, vector: Array, sites: int = 1) -> dict[str, Array]:
    """Undo :func:`flatten`; raise IntegrityError when the vector does not fit.

    It is one site's, or the sum of those of *sites*.
    """
    size = length(release)
    if vector.shape != (size,) or vector.dtype != np.float64:
        what = f"an answer holds {vector.size} numbers of {vector.dtype}, not {size}"
        raise IntegrityError(f"{what} of float64")
    parts, start = {}, 0
    for name, field in release.items():
        parts[name] = vector[start : start + field.size].reshape(field.shape)
        start += field.size
    check(release, parts, sites)
    return parts


def _check_array(name: str, field: Field, array: Array) -> None:
    if array.shape != field.shape or array.dtype != np.float64:
        what = f"{name} is {array.dtype}{array.shape}, declared float64{field.shape}"
        raise IntegrityError(what)
    if not large_arrays.finite(array):
        raise IntegrityError(f"{name} holds numbers that are not finite")


def _check_whole(name: str, field: Field, array: Array, sites: int) -> None:
    if field.kind == "sum":
        return
    most = sites if field.kind == "flag" else np.inf
    if ((array < 0) | (array > most) | (array != np.rint(array))).any():
        held = f"between 0 and {most}" if field.kind == "flag" else "positive"
        raise IntegrityError(
            f"{name} is declared as {field.kind}s, but is not whole and {held}"
        )
