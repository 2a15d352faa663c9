"""What a study may ask in ``[analysis]`` beside its model: each key is one analysis.

A key here, a line in ``common.registry.ANALYSES`` of the same name and a formula in
``common.tasks`` are all that a new analysis needs. What is left out is not computed.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from common.schema import Document, Name

Pairs = Annotated[tuple[tuple[Name, Name], ...], Field(min_length=1)]
Names = Annotated[tuple[Name, ...], Field(min_length=2)]
Part = Annotated[float, Field(gt=0.0, lt=1.0)]
Parts = Annotated[tuple[Part, ...], Field(min_length=1, max_length=99)]


class Clusters(Document):
    """How many groups to look for, from how many starts, by which public seed.

    Under a promise there is one start: each would cost as much.
    """

    exact_alone: ClassVar = ("starts",)

    groups: int = Field(ge=2, le=100)
    starts: int = Field(default=8, ge=1, le=100)
    seed: int = Field(default=0, ge=0, le=2**31)


class TreatmentEffect(Document):
    """Which category is the treatment, what explains who got it, and for whom to tell.

    Without ``covariates`` all other variables are. ``ridge`` is that of the three
    models over standardised covariates: a little keeps them finite where a level
    separates an arm.
    """

    treatment: Name
    covariates: tuple[Name, ...] | None = Field(default=None, min_length=1)
    subgroups: tuple[Name, ...] = ()
    ridge: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 1.0


class Analysis(Document):
    """Which analyses are made of the records that train.

    ``quantiles`` are shares of the records, of every number: 0.5 is the median.
    ``chi_square`` names pairs of categories, the outcome among them if it is one, or of
    numbers that have cuts; ``compare`` pairs of a number and such a category.
    ``correlation`` names numbers, of which every pair is looked at. ``association``
    tests each variable with the outcome. ``pca`` is how many components to tell.
    ``survival`` names categories by which the time until the outcome is compared.
    """

    quantiles: Parts | None = None
    chi_square: Pairs | None = None
    correlation: Names | None = None
    compare: Pairs | None = None
    association: Literal[True] | None = None
    pca: int | None = Field(default=None, ge=1)
    clusters: Clusters | None = None
    survival: tuple[Name, ...] | None = None
    treatment_effect: TreatmentEffect | None = None

    def named(self) -> tuple[str, ...]:
        """Return the analyses that are asked for, in the order of their declaration."""
        return tuple(
            name for name in type(self).model_fields if getattr(self, name) is not None
        )
