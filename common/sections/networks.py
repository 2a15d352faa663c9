"""What a study says of a network: its layers, and how it learns."""

import math
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from common.schema import Document, Factor
from common.written.slips import noted

Width = Annotated[int, Field(ge=1, le=4096)]
Dropout = Annotated[float, Field(ge=0.0, le=0.9)]
MOST = 10_000
"""More than the rounds of a run: so that the draws of two seeds are not the same."""


class Training(Document):
    """How a network learns: what leaves a site in a round, and what is made of it.

    By ``gradients`` a round is one step over all sites: each adds up the gradients of
    its people, each clipped to ``clip``, of a ``sample`` of them. By ``weights`` a site
    takes ``local_steps`` of its own, of ``batch`` records and with ``local_rate``, and
    the mean of what these changed is a step: ``plain`` at rate 1 is FedAvg, ``adam``
    FedAdam, and a ``proximal`` term FedProx. No site counts as more than ``most``.

    The sites' parts are added (``mean``), or their middle is taken: the mean of all but
    the farthest (``trimmed``), or the ``median``; or a site is left out that most find
    leads astray (``voted``, with ``votes``). With ``votes`` sites hold out some
    people, and a step that makes the predictions of these worse is taken back. With
    ``patience`` they hold out as many, are asked for the loss of these ``every`` so
    many rounds, and stop when it has not been less so many times in a row.

    Where the outcome has a declared ``prevalence``, those with it weigh as much as
    those without it in the loss; no gradient is longer than the clip all the same.

    Each site keeps its own ``personal`` layers, by ``weights``: the last one (``head``)
    or the ``normalisation``. Nobody else sees them, and they are in no sum.
    """

    exact_alone: ClassVar = ("personal", "by", "combine", "votes")

    by: Literal["gradients", "weights"] = "gradients"
    steps: int = Field(default=60, ge=1, le=1000)
    optimizer: Literal["adam", "momentum", "plain"] = "adam"
    rate: Factor = 0.01
    clip: Factor = 1.0
    sample: float = Field(default=1.0, gt=0.0, le=1.0)
    seed: int = Field(default=0, ge=0, le=2**31)
    local_steps: int = Field(default=1, ge=1, le=1000)
    local_rate: Factor = 0.1
    batch: int = Field(default=64, ge=1, le=4096)
    proximal: float = Field(default=0.0, ge=0.0, le=1e3)
    most: int = Field(default=10_000, ge=1, le=10**9)
    combine: Literal["mean", "trimmed", "median", "voted"] = "mean"
    votes: bool = False
    patience: int = Field(default=0, ge=0, le=1000)
    every: int = Field(default=5, ge=1, le=1000)
    prevalence: float | None = Field(default=None, gt=0.0, lt=1.0)
    personal: Literal["head", "normalisation"] | None = None

    @model_validator(mode="after")
    def _one_judge(self) -> Self:
        if self.patience and self.votes:
            msg = "votes and patience both judge by people held out: choose one"
            raise noted("patience", msg, "patience = 0")
        if self.patience and self.combine != "mean":
            msg = "patience adds up the losses of all sites"
            raise noted("combine", msg, 'combine = "mean", or patience = 0')
        if self.every != type(self).model_fields["every"].default and not self.patience:
            raise noted("every", "every is read only with a patience", "patience = 1")
        return self

    @model_validator(mode="after")
    def _who_votes(self) -> Self:
        if self.combine == "voted" and not self.votes:
            msg = "voted leaves out whom the sites' votes are against"
            raise noted("votes", msg, "votes = true")
        return self

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        local = ("local_steps", "local_rate", "batch", "proximal", "most", "personal")
        usual = type(self).model_fields
        said = [name for name in local if getattr(self, name) != usual[name].default]
        if self.by == "gradients" and said:
            be = "is" if len(said) == 1 and said[0] == "personal" else "are"
            msg = f'{", ".join(said)} {be} read only with by = "weights"'
            raise noted(said[0], msg, 'by = "weights"')
        if self.by == "weights" and self.sample < 1:
            msg = 'a sample is drawn only with by = "gradients"'
            raise noted("sample", msg, "sample = 1")
        return self

    @model_validator(mode="after")
    def _nobody_goes_back(self) -> Self:
        if self.personal and (self.votes or self.patience):
            back = "votes" if self.votes else "patience"
            msg = f"{back} may go back to an earlier round, and personal layers do not"
            raise noted(back, msg, "votes = false" if self.votes else "patience = 0")
        return self


class ImageNetwork(Document):
    """A convolutional network: a block for each of ``blocks``, a head, dense layers.

    A block is a 3 x 3 convolution of so many filters, normalised by ``groups`` of its
    channels (0: not at all), ReLU, and the largest of each 2 x 2 (or their ``average``;
    or the convolution goes in a ``stride`` of 2). Blocks after the first may be
    ``separable``: by channel, and then across channels. The head takes the average over
    the picture, or every number (``flatten``). While it learns, what head and dense
    layers give is silent, number by number, with a chance of ``dropout``, and pictures
    are mirrored (``flip``) and moved by up to ``shift`` pixels, by chance.
    """

    kind: Literal["image_network"]
    blocks: tuple[Width, ...] = Field(default=(16, 32, 32), min_length=1, max_length=8)
    groups: int = Field(default=4, ge=0, le=64)
    padding: Literal["same", "valid"] = "same"
    convolution: Literal["separable"] | None = None
    pool: Literal["average", "stride"] | None = None
    head: Literal["average", "flatten"] = "average"
    dense: tuple[Width, ...] = Field(default=(), max_length=4)
    dropout: Dropout = 0.0
    flip: bool = False
    shift: int = Field(default=0, ge=0, le=64)
    training: Training = Training()

    @model_validator(mode="after")
    def _whole_groups(self) -> Self:
        if self.groups and any(each % self.groups for each in self.blocks):
            msg = f"{self.groups} groups do not divide the filters of every block"
            whole = math.gcd(self.groups, *self.blocks)
            raise noted("groups", msg, f"groups = {whole}")
        if not self.groups and self.training.personal == "normalisation":
            msg = "without groups nothing is normalised that could be personal"
            raise noted("training.personal", msg, 'personal = "head"')
        return self


class TabularNetwork(Document):
    """A network of dense layers with ReLU over the encoded variables.

    With ``residual`` a layer as wide as the one before adds to it. While it learns,
    what layers give is silent, number by number, with a chance of ``dropout``.
    """

    kind: Literal["tabular_network"]
    dense: tuple[Width, ...] = Field(default=(32, 32), min_length=1, max_length=8)
    residual: bool = False
    dropout: Dropout = 0.0
    training: Training = Training()

    @model_validator(mode="after")
    def _nothing_normalised(self) -> Self:
        if self.training.personal == "normalisation":
            msg = "a tabular_network has no layers of normalisation"
            raise noted("training.personal", msg, 'personal = "head"')
        return self
