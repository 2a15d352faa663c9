"""What a study may ask in ``[analysis]`` beside its model: each key is one analysis.

A key here, a line in ``common.registry.ANALYSES`` of the same name and a formula in
``common.tasks`` are all that a new analysis needs. What is left out is not computed.
"""

from typing import Annotated

from pydantic import Field

from common.schema import Document, Name

Pairs = Annotated[tuple[tuple[Name, Name], ...], Field(min_length=1)]


class Analysis(Document):
    """Which analyses are made of the records that train.

    ``chi_square`` names pairs of categories, the outcome among them if it is one.
    """

    chi_square: Pairs | None = None

    def named(self) -> tuple[str, ...]:
        """Return the analyses that are asked for, in the order of their declaration."""
        return tuple(
            name for name in type(self).model_fields if getattr(self, name) is not None
        )
