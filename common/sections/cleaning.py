"""What a study says of cleaning: its steps in order, and how wrong records may be.

    [cleaning]
    steps = ["people", "duplicates", "lookalikes", "carry", "cohort", "gaps"]
    carry = { weight = 30 }      # a gap: the person's own value, of up to 30 days ago

    [quality]
    missing = 0.6

Every site takes the same steps in the same order, or the study would add up records
that were made in different ways.
"""

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from common.schema import Document, Factor, Name
from common.written.slips import nearest, noted

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Step = Literal["people", "duplicates", "lookalikes", "carry", "cohort", "gaps"]
ORDER: tuple[Step, ...] = (
    *("people", "duplicates", "lookalikes"),
    *("carry", "cohort", "gaps"),
)


class Cleaning(Document):
    """Which steps the records go through, and the rules that a step needs.

    ``conflicts`` says what becomes of two registrations of one person and event that
    contradict each other: the more complete one stays, or both do. ``carry`` fills the
    gaps of a variable by the same person's last value, if it is not older than so many
    days.
    """

    steps: tuple[Step, ...] = ORDER
    conflicts: Literal["complete", "both"] = "complete"
    carry: dict[Name, Factor] = Field(default={})

    @model_validator(mode="after")
    def _safe(self) -> Self:
        if len(set(self.steps)) < len(self.steps):
            raise noted("steps", "a step is taken once")
        if self.steps[:1] != ("people",) or "gaps" not in self.steps:
            raise noted("steps", "steps begin with people, and gaps is one of them")
        if self.carry and "carry" not in self.steps:
            raise noted("steps", 'values to carry, and no step "carry"')
        return self


class Quality(Document):
    """How much of a column may be wrong before the site refuses to take part.

    ``missing`` is the largest share of records without a value, of any variable that is
    measured at the site; ``missing_of`` that of single ones. ``drift`` is how many
    typical deviations a site's mean may lie from the typical mean.
    """

    out_of_range: Share = 0.05
    unreadable: Share = 0.0
    missing: Share = 1.0
    missing_of: dict[Name, Share] = Field(default={})
    drift: Factor | None = None


def require_declared(
    cleaning: Cleaning, quality: Quality, names: Sequence[str]
) -> None:
    """Raise ValueError for a rule about none of *names*; the last is the outcome."""
    rules = {"cleaning.carry": cleaning.carry, "quality.missing_of": quality.missing_of}
    for table, named in rules.items():
        if strange := [name for name in named if name not in names]:
            told = f"{strange[0]!r} is not a declared variable"
            raise noted(f"{table}.{strange[0]}", told, nearest(strange[0], names))
    if names[-1] in cleaning.carry:
        told = "an outcome is not carried on: what was is not what happened"
        raise noted(f"cleaning.carry.{names[-1]}", told)
