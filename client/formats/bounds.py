"""Which samples of a signal can be: a device that lost its sensor writes numbers too.

A mean of 80 and -1 is no number outside a range, and yet it is wrong. So samples are
held against the range of their variable before anything is made of them.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from common.release import Array
from common.schema import Number


@dataclass(frozen=True, slots=True)
class Bounds:
    """The declared variable that samples are of, and the unit that they are in."""

    variable: Number
    unit: str

    def inside(self, values: Array, unit: str = "") -> NDArray[np.bool_]:
        """Return which *values* in *unit*, or in their own, lie within the range.

        Raises KeyError for a unit from which the study declares no conversion.
        """
        low, high = self.variable.range
        factor, offset = self.variable.conversion(unit or self.unit)
        converted = values * factor + offset
        return (converted >= low) & (converted <= high)

    def above(self, values: Array) -> NDArray[np.bool_]:
        """Return which *values* lie above the range."""
        factor, offset = self.variable.conversion(self.unit)
        return values * factor + offset > self.variable.range[1]


@dataclass(frozen=True, slots=True)
class Seen:
    """How many samples of a window were looked at, as counts that add up.

    ``coded`` are those that are a code for no value; of the ``known`` others some are
    ``below`` or ``above`` the range. ``fits`` counts the samples that other declared
    units would bring into it.
    """

    known: int = 0
    coded: int = 0
    below: int = 0
    above: int = 0
    fits: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: "Seen") -> "Seen":
        """Return the counts of both."""
        return Seen(
            self.known + other.known,
            self.coded + other.coded,
            self.below + other.below,
            self.above + other.above,
            Counter(self.fits) + Counter(other.fits),
        )

    @property
    def outside(self) -> int:
        """Samples outside the declared range."""
        return self.below + self.above


def judge(
    values: Array, codes: Sequence[float], bounds: Sequence[Bounds]
) -> tuple[NDArray[np.bool_], Seen]:
    """Return which of *values* [samples] are samples, and what was seen of all.

    It is enough to lie within one of *bounds*; without any every value but a code may
    be. *codes* are in the unit of the values.
    """
    coded = np.isin(values, codes)
    inside = ~coded
    if not bounds:
        return inside, Seen(int(inside.sum()), int(coded.sum()))
    first = bounds[0]
    inside &= np.any([each.inside(values) for each in bounds], axis=0)
    lost = ~inside & ~coded
    above = int((lost & first.above(values)).sum())
    units = {first.variable.unit, *first.variable.units} - {first.unit}
    fits = {unit: int((first.inside(values, unit) & ~coded).sum()) for unit in units}
    known, gone = int((~coded).sum()), int(coded.sum())
    return inside, Seen(known, gone, int(lost.sum()) - above, above, fits)


def codes(missing: Sequence[str]) -> tuple[list[float], list[str]]:
    """Return the numbers that stand for no sample, and the words that do."""
    said = [(each.strip(), _number(each)) for each in missing]
    numbers = [number for _, number in said if number is not None]
    return numbers, [word for word, number in said if number is None]


def _number(code: str) -> float | None:
    """Return the number that *code* is; -9 also means -9.0."""
    try:
        number = float(code.replace(",", "."))
    except ValueError:
        return None
    return number if math.isfinite(number) and "_" not in code else None
