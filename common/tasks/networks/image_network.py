"""A convolutional network for one picture a record: which layers, and how they learn.

The layers and their first weights follow from the study and its public seed, so nothing
that could be executed travels. Only a site that trains, or predicts, loads TensorFlow.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from common.errors import MachineError, StudyError
from common.release import Array
from common.schema import Image
from common.sections.networks import ImageNetwork
from common.study import Study
from common.task import Images, Rows
from common.tasks.networks import (
    augmentation,
    dropout,
    network_kind,
    networks,
    private_networks,
)
from common.tasks.networks.network_kind import Layer, Network, Weight
from common.written.slips import of_key

if TYPE_CHECKING:
    from common.tasks.networks.book_keeping import Clipped

BACKEND = "tensorflow"
KERNEL, POOL = 3, 2
DENSE = 2
"""Dimensions of a dense layer's weights: what comes in, what goes out."""


def asked(study: Study) -> tuple[ImageNetwork, Image]:
    """Return what *study* says of its network and its pictures.

    Raises StudyError when it declares no image, or one that may be moved out of sight.
    """
    if not isinstance(study.model, ImageNetwork):
        raise StudyError(f"study {study.study.name} asks no image_network")
    if study.image is None:
        end = StudyError(
            "an image_network needs pictures, and the study declares none",
            fix='[image]\nname = "film"\nsize = [28, 28]\nchannels = 1',
        )
        raise of_key("model.kind", end)
    most = (min(study.image.size) - 1) // 2
    if study.model.shift > most:
        end = StudyError(
            f"a shift of {study.model.shift} pixels leaves little of pictures of "
            f"{study.image.size[0]} x {study.image.size[1]}",
            fix=f"shift = {most}   in [model], or less",
        )
        raise of_key("model.shift", end)
    return study.model, study.image


def weights(study: Study) -> tuple[Weight, ...]:
    """Return every array of weights, in the order of Keras."""
    model, image = asked(study)
    found: list[Weight] = []
    before: int = image.channels
    for place, filters in enumerate(model.blocks):
        found += _convolution(model, place, before)
        if model.groups:
            found += [
                Weight((filters,), value=1.0, layer="normalisation"),
                Weight((filters,), layer="normalisation"),
            ]
        before = filters
    high, wide = _left(model, image)
    before *= high * wide if model.head == "flatten" else 1
    layers: list[Layer] = ["inner"] * len(model.dense)
    layers.append("head")
    for width, layer in zip((*model.dense, 1), layers, strict=True):
        bound = math.sqrt(6 / (before + width))
        found += [
            Weight((before, width), bound, layer=layer),
            Weight((width,), layer=layer),
        ]
        before = width
    return tuple(found)


def _convolution(model: ImageNetwork, place: int, before: int) -> list[Weight]:
    """Return the weights of the convolution of a block, from so many channels.

    Between both kernels of a separable one nothing is cut off: the first is smaller.
    """
    filters, taps = model.blocks[place], KERNEL * KERNEL
    if model.convolution != "separable" or not place:
        kernel = (KERNEL, KERNEL, before, filters)
        return [Weight(kernel, math.sqrt(6 / (taps * before))), Weight((filters,))]
    return [
        Weight((KERNEL, KERNEL, before, 1), math.sqrt(3 / taps)),
        Weight((1, 1, before, filters), math.sqrt(6 / before)),
        Weight((filters,)),
    ]


def gradient(
    study: Study, parameters: Array, rows: Rows, bounds: Array, step: int
) -> tuple[Array, Array]:
    """Return the sum of the clipped gradients of *rows*, and of their losses [1]."""
    clipped = _loaded(study, parameters)
    model, _ = asked(study)
    dense = [each.shape[0] for each in weights(study) if len(each.shape) == DENSE]
    rate, seed = model.dropout, model.training.seed
    scales = dropout.scales(rows.key, seed, step, rate, sum(dense))
    images = augmentation.moved(rows.images, rows.key, model, step)
    return clipped.add(images, rows.y, bounds, scales)


def score(study: Study, parameters: Array, rows: Rows) -> Array:
    """Return each record's probability of the outcome."""
    return scored(study, parameters, rows.images)


def scored(study: Study, parameters: Array, images: Images) -> Array:
    """Return the probability of the outcome of each of *images*."""
    return _loaded(study, parameters).score(images)


def heat(study: Study, parameters: Array, images: Images) -> Array:
    """Return where each of *images* speaks for the outcome: 0 to 1 [pictures, h, w]."""
    clipped = _loaded(study, parameters)
    from common.tasks.networks import heat_maps  # noqa: PLC0415 - TensorFlow

    return heat_maps.of(clipped.model, images)


def _left(model: ImageNetwork, image: Image) -> tuple[int, int]:
    """Return height and width of what the blocks leave of a picture."""
    size = np.array(image.size)
    for _ in model.blocks:
        size -= KERNEL - 1 if model.padding == "valid" else 0
        size = -(-size // POOL) if model.pool == "stride" else size // POOL
    if (size < 1).any():
        end = StudyError(
            f"{len(model.blocks)} blocks leave nothing of pictures of "
            f"{image.size[0]} x {image.size[1]}",
            fix="fewer blocks, or larger pictures",
        )
        raise of_key("model.blocks", end)
    return int(size[0]), int(size[1])


def _loaded(study: Study, parameters: Array) -> "Clipped":
    """Return the network of *study* with these parameters."""
    model, image = asked(study)
    clipped = _built(model, image)
    clipped.set(network_kind.cut(parameters, weights(study)))
    return clipped


def loads() -> "Callable[[ImageNetwork, Image], Clipped]":
    """Load Keras on TensorFlow; raise MachineError where it is not installed."""
    try:
        from common.tasks.networks import book_keeping, keras_layers  # noqa: PLC0415 - TensorFlow
    except ImportError:
        raise MachineError(
            "an image_network runs on TensorFlow, which is not installed",
            fix="pip install 'consilium[networks]'",
        ) from None
    runs = keras_layers.backend()
    if runs != BACKEND:
        raise MachineError(
            f"an image_network runs on TensorFlow, and Keras here on {runs}",
            likely="KERAS_BACKEND, or keras.json in its folder, says so",
            fix=f"export KERAS_BACKEND={BACKEND}",
        )
    return lambda model, image: book_keeping.Clipped(keras_layers.build(model, image))


@lru_cache(maxsize=2)
def _built(model: ImageNetwork, image: Image) -> "Clipped":
    """Return the network in Keras, traced once for all rounds of a study."""
    return loads()(model, image)


IMAGE = Network(
    name="image_network",
    encoded=False,
    training=lambda study: network_kind.training(study, asked(study)[0].training),
    weights=weights,
    gradient=gradient,
    score=score,
    loads=loads,
)
IMAGE_NETWORK = networks.model(IMAGE)
PRIVATE_IMAGE_NETWORK = private_networks.private(IMAGE)
