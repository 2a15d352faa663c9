"""Numbers as multiples of a power of two, in which sums are exact and cannot wrap.

    parts = (Part("records", 1, limit=1e6, bits=0), Part("gradient", 20, limit=1e3))
    ring = encode(parts, 10, {"records": ..., "gradient": ...})
    total = decode(parts, 10, ring_of_site_1 + ring_of_site_2 + ...)   # modulo 2^64

Each part declares how large a site's number may be. What is larger is refused, never
clipped; and that *sites* such numbers stay below 2^63 is checked before any is encoded.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from common import signed
from common.errors import IntegrityError
from common.release import Array

Ring = NDArray[np.uint64]
"""Whole numbers modulo 2^64; a negative one is its complement."""
MOST_BITS = 52
"""Fractional bits: a float64 has no more."""


@dataclass(frozen=True, slots=True)
class Part:
    """Numbers under one name: how many, how large at most, and their fractional bits.

    A rounding is off by at most ``2**-(bits + 1)`` per site and number.
    """

    name: str
    size: int
    limit: float
    bits: int = 32


Parts = tuple[Part, ...]


def length(parts: Parts) -> int:
    """Return how many numbers *parts* are in all."""
    return sum(part.size for part in parts)


def digest(parts: Parts, sites: int) -> str:
    """Return the SHA-256 of the whole agreement: names, order, sizes, limits, bits."""
    agreed = {"sites": sites, "parts": [asdict(part) for part in parts]}
    return hashlib.sha256(signed.canonical(agreed)).hexdigest()


def check(parts: Parts, sites: int) -> None:
    """Raise IntegrityError unless the sum of *sites* such numbers always fits."""
    for part in parts:
        if not (0 < part.limit < math.inf and 0 <= part.bits <= MOST_BITS):
            raise IntegrityError(f"{part.name} has no limit that can be held")
        if _top(part) * sites >= 2**63:
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
    return np.concatenate([_encoded(part, numbers[part.name]) for part in parts])


def decode(parts: Parts, sites: int, total: Ring) -> dict[str, Array]:
    """Return the sum of *sites* encoded vectors as numbers, by part.

    Raises IntegrityError when it is none: what is left of a mask is almost never small.
    """
    check(parts, sites)
    if total.shape != (length(parts),) or total.dtype != np.uint64:
        raise IntegrityError(f"a sum is not {length(parts)} numbers modulo 2^64")
    found, start = {}, 0
    for part in parts:
        whole = total[start : start + part.size].view(np.int64)
        start += part.size
        most = sites * _top(part)
        if ((whole > most) | (whole < -most)).any():
            what = f"the sum of {part.name} is larger than {sites} sites can make it"
            raise IntegrityError(what, likely="a mask did not cancel")
        found[part.name] = np.ldexp(whole.astype(np.float64), -part.bits)
    return found


def _encoded(part: Part, numbers: Array) -> Ring:
    if numbers.size != part.size or numbers.dtype != np.float64:
        what = f"{part.name} is {numbers.size} numbers of {numbers.dtype}"
        raise IntegrityError(f"{what}, declared {part.size} of float64")
    if not (np.abs(numbers) <= part.limit).all():  # NaN is not below it either
        raise IntegrityError(
            f"{part.name} is beyond its declared limit of {part.limit:g}",
            likely="a unit is mixed up here, or the study's limit is too small",
            fix="look at what would leave; the limit is the study's",
        )
    whole = np.rint(np.ldexp(numbers.ravel(), part.bits)).astype(np.int64)
    return whole.view(np.uint64)


def _top(part: Part) -> int:
    """Return the largest whole number that a number within the limit becomes."""
    return math.ceil(Fraction(part.limit) * (1 << part.bits))
