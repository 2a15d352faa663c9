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


class RandomForest(Document):
    """A forest of histogram trees; a leaf holds ``min_leaf`` people of a tree or more.

    Each tree sees a ``sample`` of the people. Of each node ``columns`` are tried, and
    each level splits ``open_nodes`` of a tree at most, on average over the trees.
    """

    kind: Literal["random_forest"]
    trees: int = Field(default=100, ge=1, le=1000)
    depth: int = Field(default=8, ge=1, le=12)
    min_leaf: int = Field(default=10, ge=1, le=10**6)
    bins: int = Field(default=16, ge=2, le=64)
    columns: int | None = Field(default=None, ge=1)
    open_nodes: int = Field(default=20, ge=1, le=4096)
    sample: float = Field(default=0.632, gt=0.0, le=1.0)
    seed: int = Field(default=0, ge=0, le=2**31)


ModelChoice = Annotated[Logistic | Poisson | RandomForest, Field(discriminator="kind")]
"""Which model is fitted."""
