"""One kind of network, as functions of its flat parameters: what a family shares."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from common.errors import StudyError
from common.release import Array
from common.sections.networks import Training
from common.study import Study
from common.task import Flags, Rows, State
from common.tasks.networks import class_weights
from common.tasks.networks.class_weights import Gradient
from common.written.slips import of_key

Layer = Literal["inner", "head", "normalisation"]


@dataclass(frozen=True, slots=True)
class Weight:
    """One array of weights: its shape, and the bound of its first values; 0 for none.

    ``value`` is where it begins then. A site may keep those of one ``layer`` to itself.
    """

    shape: tuple[int, ...]
    bound: float = 0.0
    value: float = 0.0
    layer: Layer = "inner"


@dataclass(frozen=True, slots=True)
class Network:
    """One kind of network as functions of its flat parameters; the last is a bias.

    ``gradient(study, parameters, rows, bounds, step)`` returns the sum of the gradients
    of the loss of *rows*, each shortened to its bound [records], and the sum of losses
    [1]; *step* is the round, for who draws. ``score(study, parameters, rows)`` returns
    probabilities [records]. ``loads()`` imports what all this runs on.
    """

    name: str
    encoded: bool
    training: Callable[[Study], Training]
    weights: Callable[[Study], tuple[Weight, ...]]
    gradient: Callable[[Study, Array, Rows, Array, int], tuple[Array, Array]]
    score: Callable[[Study, Array, Rows], Array]
    loads: Callable[[], object]


def training(study: Study, wanted: Training) -> Training:
    """Return what a study says of learning; raise StudyError for too few rounds."""
    if wanted.steps > study.rounds.maximum:
        end = StudyError(
            f"a network of {wanted.steps} steps needs as many rounds, and the study "
            f"allows {study.rounds.maximum}",
            fix=f"maximum = {wanted.steps}   in [rounds], or fewer steps",
        )
        raise of_key("model.training.steps", end)
    return wanted


def size(network: Network, study: Study) -> int:
    """Return how many parameters there are."""
    return sum(math.prod(each.shape) for each in network.weights(study))


def personal(network: Network, study: Study) -> Flags | None:
    """Return which parameters each site keeps for itself; None where all are common."""
    wanted = network.training(study).personal
    if wanted is None:
        return None
    parts = [
        np.full(math.prod(each.shape), each.layer == wanted)
        for each in network.weights(study)
    ]
    return np.concatenate(parts)


def cut(parameters: Array, weights: tuple[Weight, ...]) -> list[Array]:
    """Return the flat *parameters* as the arrays that they are."""
    ends = np.cumsum([math.prod(each.shape) for each in weights])
    parts = np.split(parameters, ends[:-1])
    return [part.reshape(w.shape) for part, w in zip(parts, weights, strict=True)]


def gradient(network: Network, study: Study, state: State) -> Gradient:
    """Return the gradient of the loss that *study* asks for, at this *state*."""
    step = int(state.arrays["step"][0])

    def plain(parameters: Array, rows: Rows, bounds: Array) -> tuple[Array, Array]:
        return network.gradient(study, parameters, rows, bounds, step)

    return class_weights.weighed(network.training(study), plain)
