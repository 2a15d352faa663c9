"""What a study may say in ``[model]``: one frozen document for each kind of model.

The kind decides which other keys there are, so a study cannot set what its model does
not read. A new model is a document here, a line in ``common.registry`` and its formula.
A key that is added later is None by default: then the digests of older studies stay.
``exact_alone`` names what is read only where nothing is promised.
"""

from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import Field, model_validator

from common.schema import Document, Finite
from common.sections.networks import ImageNetwork, TabularNetwork

Ridge = Annotated[Finite, Field(ge=0.0)]
"""Lambda in loss + lambda/2 * |w|^2 over standardised coefficients, no intercept."""


L1Share = Annotated[Finite, Field(ge=0.0, le=1.0)]
"""The share of lambda on |w| in place of w^2/2: an elastic net; 1 is the lasso."""


class Logistic(Document):
    """Logistic regression of a binary outcome; lambda = 1/C of scikit-learn.

    Under a promise ``one_shot`` fits it from one release, for few people.
    """

    exact_alone: ClassVar = ("l1_share", "site_intercepts")

    kind: Literal["logistic"]
    ridge: Ridge
    l1_share: L1Share | None = None
    site_intercepts: bool | None = None
    one_shot: bool | None = None


class Cox(Document):
    """Proportional hazards of a time until an event, stratified by hospital."""

    kind: Literal["cox"]
    ridge: Ridge


class Linear(Document):
    """Linear regression of a number: ordinary least squares, or ridge.

    Lambda is ``alpha`` of scikit-learn's Ridge over standardised columns.
    """

    exact_alone: ClassVar = ("l1_share", "site_intercepts")

    kind: Literal["linear"]
    ridge: Ridge
    l1_share: L1Share | None = None
    site_intercepts: bool | None = None


class Multinomial(Document):
    """Logistic regression of an outcome with several levels; lambda = 1/C."""

    kind: Literal["multinomial"]
    ridge: Ridge


class Poisson(Document):
    """Poisson regression of a count, with a logarithmic link."""

    kind: Literal["poisson"]
    ridge: Ridge


class Svm(Document):
    """A linear support vector machine of a binary outcome, with squared hinge."""

    kind: Literal["svm"]
    ridge: Ridge


class RbfSvm(Document):
    """The same over random Fourier features of a public seed: about an RBF kernel.

    The kernel is exp(-gamma |x - z|^2) over standardised columns; 1/columns by default.
    """

    kind: Literal["rbf_svm"]
    ridge: Ridge
    features: int = Field(default=200, ge=1, le=2000)
    gamma: Annotated[Finite, Field(gt=0.0)] | None = None
    seed: int = Field(default=0, ge=0, le=2**31)


class RandomForest(Document):
    """A forest of histogram trees; a leaf holds ``min_leaf`` people of a tree or more.

    Each tree sees a ``sample`` of the people. Of each node ``columns`` are tried, and
    each level splits ``open_nodes`` of a tree at most, on average over the trees. These
    are for trees that grow by what they see: under a promise chance draws them.
    """

    exact_alone: ClassVar = ("min_leaf", "bins", "columns", "open_nodes", "sample")

    kind: Literal["random_forest"]
    trees: int = Field(default=100, ge=1, le=1000)
    depth: int = Field(default=8, ge=1, le=12)
    min_leaf: int = Field(default=10, ge=1, le=10**6)
    bins: int = Field(default=16, ge=2, le=64)
    columns: int | None = Field(default=None, ge=1)
    open_nodes: int = Field(default=20, ge=1, le=4096)
    sample: float = Field(default=0.632, gt=0.0, le=1.0)
    seed: int = Field(default=0, ge=0, le=2**31)


ModelChoice = Annotated[
    Cox
    | Linear
    | Logistic
    | Multinomial
    | Poisson
    | RandomForest
    | ImageNetwork
    | TabularNetwork
    | RbfSvm
    | Svm,
    Field(discriminator="kind"),
]
"""Which model is fitted."""


Sizes = Annotated[
    tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=2, max_length=20)
]


class Selection(Document):
    """Which values of one setting are tried, in how many folds of the people.

    Of ``ridge``, of the ``depth`` or the ``columns`` of a forest, or of the number of
    random ``features``. The value of ``[model]`` is among them, and stays where another
    is no better; of sizes it is the largest, by which everything is laid out.
    """

    ridge: Annotated[tuple[Ridge, ...], Field(min_length=2, max_length=20)] | None = (
        None
    )
    depth: Sizes | None = None
    columns: Sizes | None = None
    features: Sizes | None = None
    folds: int = Field(default=5, ge=2, le=20)
    seed: int = Field(default=0, ge=0, le=2**31)

    @model_validator(mode="after")
    def _one_setting(self) -> Self:
        if sum(getattr(self, key) is not None for key in SETTINGS) != 1:
            msg = f"selection takes one of {', '.join(SETTINGS)}, with its candidates"
            raise ValueError(msg)
        return self

    @property
    def key(self) -> str:
        """The setting of ``[model]`` that is chosen."""
        return next(key for key in SETTINGS if getattr(self, key) is not None)

    @property
    def values(self) -> tuple[float, ...]:
        """The values that are tried."""
        return tuple(getattr(self, self.key))


SETTINGS: Final = ("ridge", "depth", "columns", "features")
"""What cross-validation may choose of a model."""
