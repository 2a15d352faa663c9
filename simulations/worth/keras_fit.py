"""A pooled image network by Keras' own ``fit``: no arithmetic of it is ours."""

from collections.abc import Callable

import keras
import numpy as np
from scipy.special import expit

from common.release import Array
from common.schema import Image
from common.sections.networks import ImageNetwork
from common.task import Images, Rows
from common.tasks.networks import keras_layers

EPOCHS, BATCH, RATE = 8, 64, 1e-3
PART = 256
"""Pictures that are predicted at a time."""


def fit(network: ImageNetwork, image: Image, rows: Rows) -> Callable[[Images], Array]:
    """Return what Adam makes of the pooled *rows*; it gives probabilities."""
    keras.utils.set_random_seed(network.training.seed)
    model = keras_layers.build(network, image)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(RATE), loss)
    outcome = rows.y[:, None].astype(np.float32)
    model.fit(rows.images, outcome, batch_size=BATCH, epochs=EPOCHS, verbose=0)

    def predict(images: Images) -> Array:
        # Called as it is: `predict` would trace each of many models, and warn of it.
        parts = np.split(images, range(PART, len(images), PART))
        logits = [np.asarray(model(part, training=False))[:, 0] for part in parts]
        return np.asarray(expit(np.concatenate(logits)), dtype=np.float64)

    return predict
