"""Numbers as multiples of a power of two, in which sums are exact and cannot wrap.

    parts = (Part("records", 1, limit=1e6, bits=0), Part("gradient", 20, limit=1e3))
    ring = encode(parts, 10, {"records": ..., "gradient": ...})
    total = decode(parts, 10, ring_of_site_1 + ring_of_site_2 + ...)   # modulo 2^64

Each part declares how large a site's number may be. What is larger is refused, never
clipped; and that *sites* such numbers stay below 2^63 is checked before any is encoded.

A wide part takes two words a number: multiples of 2^48 and what is left, each added up
for itself. It holds what one word cannot: large numbers with many fractional bits.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common import large_arrays
from common.errors import IntegrityError
from common.release import Array
from common.trust import signed

Ring = NDArray[np.uint64]
"""Whole numbers modulo 2^64; a negative one is its complement."""
MOST_BITS = 52
"""Fractional bits: a float64 has no more."""
LEAST_BITS = -900
"""Fewer than none where a number may be huge: then steps are larger than 1."""
LOW = 48
"""Bits of the lower word of a wide number."""
BLOCK = 1 << 14
"""Numbers encoded at a time, which stay in the processor's cache."""


@dataclass(frozen=True, slots=True)
class Part:
    """Numbers under one name: how many, how large at most, and their fractional bits.

    A rounding is off by at most ``2**-(bits + 1)`` per site and number.
    """

    name: str
    size: int
    limit: float
    bits: int = 32
    wide: bool = False

    @property
    def words(self) -> int:
        """How many words the part takes."""
        return 2 * self.size if self.wide else self.size


Parts = tuple[Part, ...]


def bits(limit: float, sites: int, *, wide: bool = False) -> int:
    """Return the most fractional bits with which *sites* such numbers fit."""
    if not 0 < limit < math.inf:
        return 0  # :func:`check` refuses the part
    room = LOW + 52 if wide else 61 - math.ceil(math.log2(sites))
    return min(MOST_BITS, room - math.frexp(limit)[1])


def length(parts: Parts) -> int:
    """Return how many words *parts* are in all."""
    return sum(part.words for part in parts)


@lru_cache(maxsize=64)
def digest(parts: Parts, sites: int) -> str:
    """Return the SHA-256 of the whole agreement: names, order, sizes, limits, bits."""
    agreed = {"sites": sites, "parts": [asdict(part) for part in parts]}
    return hashlib.sha256(signed.canonical(agreed)).hexdigest()


@lru_cache(maxsize=64)
def check(parts: Parts, sites: int) -> None:
    """Raise IntegrityError unless the sum of *sites* such numbers always fits."""
    for part in parts:
        held = LEAST_BITS <= part.bits <= MOST_BITS
        if not (0 < part.limit < math.inf and held):
            raise IntegrityError(f"{part.name} has no limit that can be held")
        if _top(part) * sites >= 2**63 or (part.wide and _top(part) > 2**53):
            raise IntegrityError(
                f"a sum of {part.name} over {sites} sites could wrap around",
                likely=f"a limit of {part.limit:g} with {part.bits} fractional bits",
                fix="declare a smaller limit, or fewer fractional bits",
            )


def encode(parts: Parts, sites: int, numbers: Mapping[str, Array]) -> Ring:
    """Return *numbers*, one array a part, as one vector that may be added up.

    Raises IntegrityError naming the part that is missing, or beyond its limit.
    """
    check(parts, sites)
    if {part.name for part in parts} != set(numbers) or len(parts) != len(numbers):
        raise IntegrityError("what would be masked is not what was declared")
    ring, start = large_arrays.empty(length(parts), np.uint64), 0
    for part in parts:
        words = ring[start : start + part.words].view(np.int64)
        _encode(part, numbers[part.name], words)
        start += part.words
    return ring


def cut(parts: Parts, vector: Array) -> dict[str, Array]:
    """Return the numbers of each part, which stand in *vector* one after the other.

    Raises IntegrityError when these are not as many as were declared.
    """
    size = sum(part.size for part in parts)
    if vector.shape != (size,):
        raise IntegrityError(f"an answer holds {vector.size} numbers, not {size}")
    found, start = {}, 0
    for part in parts:
        found[part.name] = vector[start : start + part.size]
        start += part.size
    return found


def decode(parts: Parts, sites: int, total: Ring) -> dict[str, Array]:
    """Return the sum of *sites* encoded vectors as numbers, by part.

    Raises IntegrityError when it is none: what is left of a mask is almost never small.
    """
    check(parts, sites)
    if total.shape != (length(parts),) or total.dtype != np.uint64:
        raise IntegrityError(f"a sum is not {length(parts)} numbers modulo 2^64")
    found, start = {}, 0
    for part in parts:
        words = total[start : start + part.words].view(np.int64)
        start += part.words
        high, low = words[: part.size], words[part.size :]
        most, rest = sites * _top(part), sites << LOW
        if _beyond(high, -most, most) or _beyond(low, 0, rest):
            what = f"the sum of {part.name} is larger than {sites} sites can make it"
            raise IntegrityError(what, likely="a mask did not cancel")
        found[part.name] = _number(part, high, low)
    return found


def _beyond(whole: NDArray[np.int64], least: int, most: int) -> bool:
    return bool(whole.size) and any(
        whole[part].max() > most or whole[part].min() < least
        for part in large_arrays.passing(whole)
    )


def _number(part: Part, high: NDArray[np.int64], low: NDArray[np.int64]) -> Array:
    """Return what the words stand for, rounded once."""
    found, words = large_arrays.empty(high.size), [high, low] if part.wide else [high]
    for some in large_arrays.passing(found, *words):
        if not part.wide:
            found[some] = high[some].astype(np.float64) * np.float64(2.0**-part.bits)
            continue
        upper = high[some].astype(np.float64) * np.float64(2.0 ** (LOW - part.bits))
        lower = low[some].astype(np.float64) * np.float64(2.0**-part.bits)
        found[some] = upper + lower
    return found


def _encode(part: Part, numbers: Array, words: NDArray[np.int64]) -> None:
    """Write *numbers* into the *words* of *part*, a block at a time."""
    if numbers.size != part.size or numbers.dtype != np.float64:
        what = f"{part.name} is {numbers.size} numbers of {numbers.dtype}"
        raise IntegrityError(f"{what}, declared {part.size} of float64")
    flat = numbers.ravel()
    halves = words[: part.size], words[part.size :]
    for passed in large_arrays.passing(flat, *halves[: 1 + part.wide]):
        found = [each[passed] for each in (flat, *halves)]
        for start in range(0, found[0].size, BLOCK):
            _scale(part, [each[start : start + BLOCK] for each in found])


def _scale(part: Part, block: Sequence[NDArray[Any]]) -> None:
    """Write the numbers of a *block* into its upper words, and its lower ones."""
    numbers, first, second = block
    _within(part, numbers)
    scaled = numbers * 2.0**part.bits  # exact, as is every power of two
    if not part.wide:
        first[:] = np.rint(scaled, out=scaled)
        return
    high = np.floor(scaled * 2.0**-LOW)
    first[:] = high
    second[:] = np.rint(scaled - high * 2.0**LOW)  # exact but for the last step


def _within(part: Part, numbers: Array) -> None:
    if not (np.abs(numbers) <= part.limit).all():  # NaN is not below it either
        raise IntegrityError(
            f"{part.name} is beyond its declared limit of {part.limit:g}",
            likely="a unit is mixed up here, or the study's limit is too small",
            fix="look at what would leave; the limit is the study's",
        )


def _top(part: Part) -> int:
    """Return the largest whole number that a number within the limit becomes.

    Of a wide part, the largest of its upper words.
    """
    shift = part.bits - LOW if part.wide else part.bits
    return math.ceil(Fraction(part.limit) * Fraction(2) ** shift) + part.wide
