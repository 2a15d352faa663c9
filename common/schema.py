"""What a variable is: one declaration that bounds, checks, bins and encodes it.

The declared range does five jobs at once: plausibility rule, unit-mix-up detector, clip
bound, histogram bins and encoder width. The declared levels do the same for a category.
The server therefore never asks a site which values it has.
"""

import math
from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from common.written.slips import noted


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

    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True)


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
            turned = f"range = [{high:g}, {low:g}]" if high < low else ""
            raise noted("range", msg, turned)
        if max(abs(low), abs(high)) > WIDEST * (high - low) or high - low > HIGHEST:
            msg = f"the range of {self.name} is too wide, or too narrow where it lies"
            raise noted("range", msg)
        if self.unit in self.units:
            msg = f"{self.name} is declared in {self.unit}: it needs no conversion"
            raise noted("units", msg)
        return self

    @model_validator(mode="after")
    def _usual(self) -> Self:
        if self.typical is None:
            return self
        (low, high), (mean, deviation) = self.range, self.typical
        if not low <= mean <= high or deviation > (high - low) / 2:
            msg = f"typical of {self.name} is a mean and a deviation within its range"
            raise noted("typical", msg)
        return self

    @model_validator(mode="after")
    def _parted(self) -> Self:
        low, high = self.range
        if self.resolution and not 1 <= (high - low) / self.resolution <= FINEST:
            msg = f"the resolution of {self.name} is its range, or finer"
            raise noted("resolution", f"{msg}, not {FINEST:g} times finer")
        edges = (low, *(self.cuts or ()), high)
        if any(one >= other for one, other in pairwise(edges)):
            msg = f"the cuts of {self.name} ascend, inside of its range"
            raise noted("cuts", msg)
        return self

    @property
    def step(self) -> float:
        """How finely quantiles of it are told: 1, 2 or 5 of some decimal place.

        It is the largest that parts the range into a thousand steps or more.
        """
        low, high = self.range
        most = (high - low) / 1000
        power = 10.0 ** math.floor(math.log10(most))
        round_ = max(n * power for n in (1, 2, 5) if n * power <= most * (1 + 1e-9))
        return self.resolution or round_

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
            raise noted("levels", f"the levels of {self.name} must differ")
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
            raise noted("positive", msg, f'positive = "{self.levels[1]}"')
        return self

    @property
    def coded(self) -> tuple[str, ...]:
        """The levels in the order of their codes: 0 the other one, 1 the positive."""
        first, second = self.levels
        return (first, second) if second == self.positive else (second, first)


Pixels = Annotated[int, Field(ge=4, le=1024)]


class Image(Document):
    """One picture of each record: its height and width in pixels, and its channels.

    A model sees every pixel as a number from 0 (black) to 1.
    """

    name: Name
    size: tuple[Pixels, Pixels]
    channels: Literal[1, 3] = 1

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""
        return (*self.size, self.channels)


class Prose(Document):
    """A free text. A model sees how often its words fall into each of a few buckets.

    A hospital takes identifiers out of the text, and hashes what is left: up to
    ``together`` words in a row count as one. Each bucket is a number from 0 to 1, the
    squares of a text's buckets add up to 1. Nobody learns a vocabulary, so none
    travels.
    """

    kind: Literal["text"]
    name: Name
    buckets: int = Field(ge=2, le=1024)
    together: int = Field(default=1, ge=1, le=3)
    missing: Literal["mean", "exclude"] = "mean"

    def numbers(self) -> tuple[Number, ...]:
        """Return the buckets as numbers, in their order."""
        return _buckets(self)


@lru_cache(maxsize=64)
def _buckets(prose: Prose) -> tuple[Number, ...]:
    return tuple(
        Number(
            kind="number",
            name=f"{prose.name}_{place}",
            unit="1",
            range=(0.0, 1.0),
            missing=prose.missing,
        )
        for place in range(prose.buckets)
    )


def texts(declared: Iterable[Number | Category | Prose]) -> tuple[Prose, ...]:
    """Return the texts among what a study declares."""
    return tuple(each for each in declared if isinstance(each, Prose))


def values(
    declared: Iterable[Number | Category | Prose],
) -> tuple[Number | Category, ...]:
    """Return what is one value of a record each: of a text, each of its buckets."""
    found: list[Number | Category] = []
    for each in declared:
        found.extend(each.numbers() if isinstance(each, Prose) else (each,))
    return tuple(found)


class Survival(Document):
    """An outcome that comes with time, or not as long as somebody was watched.

    ``grid`` holds the ends of intervals of time: a person had the event in one of them,
    or was last seen in one. Whoever was watched beyond the last end counts as last seen
    there. A site maps two things: the time under the outcome's name and ``_time``, and
    under its name whether the event came.
    """

    kind: Literal["survival"]
    name: Annotated[Name, Field(max_length=59)]
    unit: Line
    range: tuple[Finite, Finite]
    grid: tuple[Finite, ...] = Field(min_length=2, max_length=1000)
    units: dict[str, Conversion] = {}

    @model_validator(mode="after")
    def _forward(self) -> Self:
        ends = (self.range[0], *self.grid)
        if self.range[0] < 0.0 or any(b <= a for a, b in pairwise(ends)):
            msg = f"the times of {self.name} start at 0 or later, and its grid goes up"
            raise noted("grid", msg)
        if self.grid[-1] > self.range[1]:
            msg = f"the grid of {self.name} ends within its range"
            raise noted("grid", msg, f"range = [{self.range[0]:g}, {self.grid[-1]:g}]")
        _ = self.parts  # a range must hold as one of a number
        return self

    @property
    def parts(self) -> tuple[Number, Binary]:
        """What a site maps: how long somebody was watched, and if the event came."""
        time = Number(
            kind="number",
            name=f"{self.name}_time",
            unit=self.unit,
            range=self.range,
            units=self.units,
        )
        event = Binary(
            kind="binary", name=self.name, levels=("no", "yes"), positive="yes"
        )
        return time, event

    @property
    def coded(self) -> tuple[str, ...]:
        """Code 2i is last seen in interval i, and 2i + 1 is the event in it."""
        ends = [f"by {end:g} {self.unit}" for end in self.grid]
        return tuple(f"{what} {end}" for end in ends for what in ("last seen", "event"))


Declared = Number | Category | Binary
"""What a site maps, and cleans column by column."""

Variable = Annotated[Number | Category | Prose, Field(discriminator="kind")]
Outcome = Annotated[Number | Binary | Category | Survival, Field(discriminator="kind")]
