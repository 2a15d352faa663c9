"""What a study may say in ``[model]``: one frozen document for each kind of model.

The kind decides which other keys there are, so a study cannot set what its model does
not read. A new model is a document here, a line in ``common.registry`` and its formula.
"""

from typing import Annotated, Literal

from pydantic import Field

from common.schema import Document, Finite

Ridge = Annotated[Finite, Field(ge=0.0)]
"""Lambda in loss + lambda/2 * |w|^2 over standardised coefficients, no intercept."""


class Logistic(Document):
    """Logistic regression of a binary outcome; lambda = 1/C of scikit-learn."""

    kind: Literal["logistic"]
    ridge: Ridge


class Poisson(Document):
    """Poisson regression of a count, with a logarithmic link."""

    kind: Literal["poisson"]
    ridge: Ridge


ModelChoice = Annotated[Logistic | Poisson, Field(discriminator="kind")]
"""Which model is fitted."""
