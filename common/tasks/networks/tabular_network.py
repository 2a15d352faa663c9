"""A network of dense layers over the encoded variables: which, and how it learns.

Layers and first weights follow from the study and its public seed. Only a site that
trains, or predicts, loads PyTorch.
"""

import math
from functools import lru_cache
from typing import TYPE_CHECKING

from common.encoding import columns
from common.errors import MachineError, StudyError
from common.release import Array
from common.sections.networks import TabularNetwork
from common.study import Study
from common.task import Rows
from common.tasks.networks import dropout, network_kind, networks, private_networks
from common.tasks.networks.network_kind import Layer, Network, Weight

if TYPE_CHECKING:
    from common.tasks.networks.torch_layers import Clipped


def asked(study: Study) -> TabularNetwork:
    """Return what *study* says of its network."""
    if not isinstance(study.model, TabularNetwork):
        raise StudyError(f"study {study.study.name} asks no tabular_network")
    return study.model


def weights(study: Study) -> tuple[Weight, ...]:
    """Return every array of weights, in the order of PyTorch: [out, in], then bias."""
    found: list[Weight] = []
    before = len(columns(study))
    dense = asked(study).dense
    layers: list[Layer] = ["inner"] * len(dense)
    layers.append("head")
    for width, layer in zip((*dense, 1), layers, strict=True):
        last = width if width == 1 else 0
        bound = math.sqrt(6 / (before + last))
        found += [
            Weight((width, before), bound, layer=layer),
            Weight((width,), layer=layer),
        ]
        before = width
    return tuple(found)


def gradient(
    study: Study, parameters: Array, rows: Rows, bounds: Array, step: int
) -> tuple[Array, Array]:
    """Return the sum of the clipped gradients of *rows*, and of their losses [1]."""
    model = asked(study)
    units = sum(model.dense)
    scales = dropout.scales(rows.key, model.training.seed, step, model.dropout, units)
    return _loaded(study, parameters).add(rows.x, rows.y, bounds, scales)


def score(study: Study, parameters: Array, rows: Rows) -> Array:
    """Return each record's probability of the outcome."""
    return _loaded(study, parameters).score(rows.x)


def _loaded(study: Study, parameters: Array) -> "Clipped":
    clipped = _built(asked(study), len(columns(study)))
    clipped.set(network_kind.cut(parameters, weights(study)))
    return clipped


def loads() -> "type[Clipped]":
    """Load PyTorch; raise MachineError where it is not installed."""
    try:
        from common.tasks.networks.torch_layers import Clipped  # noqa: PLC0415 - loads PyTorch
    except ImportError:
        raise MachineError(
            "a tabular_network runs on PyTorch, which is not installed",
            fix="pip install 'consilium[networks]'",
        ) from None
    return Clipped


@lru_cache(maxsize=2)
def _built(model: TabularNetwork, width: int) -> "Clipped":
    return loads()(model, width)


TABULAR = Network(
    name="tabular_network",
    encoded=True,
    training=lambda study: network_kind.training(study, asked(study).training),
    weights=weights,
    gradient=gradient,
    score=score,
    loads=loads,
)
TABULAR_NETWORK = networks.model(TABULAR)
PRIVATE_TABULAR_NETWORK = private_networks.private(TABULAR)
