"""What a variable is: one declaration that bounds, checks, bins and encodes it.

The declared range does five jobs at once: plausibility rule, unit-mix-up detector, clip
bound, histogram bins and encoder width. The declared levels do the same for a category.
The server therefore never asks a site which values it has.
"""

from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator


def _one_line(text: str) -> str:
    if not text.isprintable():
        msg = "a text stands on one line, and holds no control character"
        raise ValueError(msg)
    return text


Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
Text = Annotated[str, Field(min_length=1, max_length=400)]
Line = Annotated[Text, AfterValidator(_one_line)]
"""A text that others will see on their terminal: it cannot forge a second line."""
Finite = Annotated[float, Field(allow_inf_nan=False)]
Factor = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Conversion = Factor | tuple[Factor, Finite]


WIDEST, HIGHEST = 1e6, 1e100
"""A range this narrow for its place, or this wide, leaves no digits for a sum."""
FINEST = 1e6
"""A range parted more finely than this is no declaration of how exact a value is."""


class Document(BaseModel):
    """A table of a TOML file: frozen, and a key that it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Number(Document):
    """A measured quantity in one declared unit.

    ``units`` says how other units become the declared one: a factor, or a pair
    (factor, offset) for scales with another zero: ``{degF = [0.5556, -17.778]}``.
    ``typical`` is a mean and a deviation that were published: a study that promises
    privacy standardises by them and spends nothing on learning its own. ``resolution``
    is how finely quantiles are told, and ``cuts`` part it for analyses of categories.
    """

    kind: Literal["number"]
    name: Name
    unit: Line
    range: tuple[Finite, Finite]
    units: dict[str, Conversion] = {}
    missing: Literal["median", "mean", "exclude"] = "median"
    indicator: bool = False
    typical: tuple[Finite, Factor] | None = None
    resolution: Factor | None = None
    cuts: tuple[Finite, ...] | None = Field(default=None, min_length=1, max_length=99)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        low, high = self.range
        if not low < high:
            msg = f"the range of {self.name} must go from low to high"
            raise ValueError(msg)
        if max(abs(low), abs(high)) > WIDEST * (high - low) or high - low > HIGHEST:
            msg = f"the range of {self.name} is too wide, or too narrow where it lies"
            raise ValueError(msg)
        if self.unit in self.units:
            msg = f"{self.name} is declared in {self.unit}: it needs no conversion"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _usual(self) -> Self:
        if self.typical is None:
            return self
        (low, high), (mean, deviation) = self.range, self.typical
        if not low <= mean <= high or deviation > (high - low) / 2:
            msg = f"typical of {self.name} is a mean and a deviation within its range"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _parted(self) -> Self:
        low, high = self.range
        if self.resolution and not 1 <= (high - low) / self.resolution <= FINEST:
            msg = (
                f"the resolution of {self.name} is its range, or finer, not {FINEST:g}"
            )
            raise ValueError(f"{msg} times finer")
        edges = (low, *(self.cuts or ()), high)
        if any(one >= other for one, other in pairwise(edges)):
            msg = f"the cuts of {self.name} ascend, inside of its range"
            raise ValueError(msg)
        return self

    @property
    def step(self) -> float:
        """How finely quantiles of it are told: a thousandth of its range, or so."""
        low, high = self.range
        return self.resolution or (high - low) / 1000

    @property
    def coded(self) -> tuple[str, ...]:
        """What its cuts part it into, in order; nothing without cuts."""
        cuts = self.cuts or ()
        inner = [f"{one:g} to {other:g}" for one, other in pairwise(cuts)]
        return (f"< {cuts[0]:g}", *inner, f"≥ {cuts[-1]:g}") if cuts else ()

    def conversion(self, unit: str) -> tuple[float, float]:
        """Return (factor, offset) from *unit* to the declared unit.

        Raises KeyError when the study declares no such conversion.
        """
        if unit == self.unit:
            return (1.0, 0.0)
        given = self.units[unit]
        return given if isinstance(given, tuple) else (given, 0.0)


class Category(Document):
    """One of a few declared levels; the first is the reference in a model."""

    kind: Literal["category"]
    name: Name
    levels: tuple[Line, ...] = Field(min_length=2, max_length=100)
    missing: Literal["mode", "level", "exclude"] = "mode"

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if len(set(self.levels)) < len(self.levels):
            msg = f"the levels of {self.name} must differ"
            raise ValueError(msg)
        return self

    @property
    def coded(self) -> tuple[str, ...]:
        """The levels in the order of their codes, from 0."""
        return self.levels


class Binary(Document):
    """An outcome with two levels, of which one is what the study looks for."""

    kind: Literal["binary"]
    name: Name
    levels: tuple[Line, Line]
    positive: Text

    @model_validator(mode="after")
    def _positive_is_a_level(self) -> Self:
        if self.positive not in self.levels or self.levels[0] == self.levels[1]:
            msg = f"positive must be one of the two levels of {self.name}"
            raise ValueError(msg)
        return self

    @property
    def coded(self) -> tuple[str, ...]:
        """The levels in the order of their codes: 0 the other one, 1 the positive."""
        first, second = self.levels
        return (first, second) if second == self.positive else (second, first)


Variable = Annotated[Number | Category, Field(discriminator="kind")]
Outcome = Annotated[Number | Binary | Category, Field(discriminator="kind")]
