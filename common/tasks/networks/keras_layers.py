"""The Keras model of what a study says: its layers, and nothing else."""

from typing import Any

import keras

from common.schema import Image
from common.sections.networks import ImageNetwork

KERNEL, POOL = 3, 2
Layer = Any


def backend() -> str:
    """Return the name of what Keras computes with on this machine."""
    return str(keras.backend.backend())


def build(network: ImageNetwork, image: Image) -> Any:  # noqa: ANN401 - Keras is untyped
    """Return *network* for pictures as *image* says; its last layer gives a logit."""
    layers: list[Any] = [keras.layers.Input(image.shape)]
    for place in range(len(network.blocks)):
        layers += _block(network, place)
    if network.head == "flatten":
        layers.append(keras.layers.Flatten())
    else:
        layers.append(keras.layers.GlobalAveragePooling2D())
    silent = [keras.layers.Dropout] if network.dropout else []
    layers += [each(network.dropout) for each in silent]
    for width in network.dense:
        layers += [keras.layers.Dense(width), keras.layers.ReLU()]
        layers += [each(network.dropout) for each in silent]
    return keras.Sequential([*layers, keras.layers.Dense(1)])


def _block(network: ImageNetwork, place: int) -> list[Layer]:
    """Return the layers of the block at *place*."""
    apart = network.convolution == "separable" and place > 0
    kind = keras.layers.SeparableConv2D if apart else keras.layers.Conv2D
    stride = POOL if network.pool == "stride" else 1
    filters, padding = network.blocks[place], network.padding
    layers = [kind(filters, KERNEL, strides=stride, padding=padding)]
    if network.groups:
        layers.append(keras.layers.GroupNormalization(network.groups))
    layers.append(keras.layers.ReLU())
    if network.pool == "average":
        return [*layers, keras.layers.AveragePooling2D(POOL)]
    return layers if stride == POOL else [*layers, keras.layers.MaxPooling2D(POOL)]
