"""The Keras model of what a study says: its layers, and nothing else."""

from typing import Any

import keras

from common.networks import ImageNetwork
from common.schema import Image

KERNEL, POOL = 3, 2


def build(network: ImageNetwork, image: Image) -> Any:  # noqa: ANN401 - Keras is untyped
    """Return *network* for pictures as *image* says; its last layer gives a logit."""
    layers: list[Any] = [keras.layers.Input(image.shape)]
    for filters in network.blocks:
        layers.append(keras.layers.Conv2D(filters, KERNEL, padding=network.padding))
        if network.groups:
            layers.append(keras.layers.GroupNormalization(network.groups))
        layers += [keras.layers.ReLU(), keras.layers.MaxPooling2D(POOL)]
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
