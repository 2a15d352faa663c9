"""Which parts of a picture speak for the outcome, as a network sees it (Grad-CAM).

The channels of the last convolution, each weighed by how much the log-odds rise with
it on average over the picture (Selvaraju et al. 2017, "Grad-CAM", equations 1 and 2),
less what the middle place of the picture says. Normalised channels are active all over
a picture, and what is everywhere says nothing of where.
"""

from typing import Any

import numpy as np
import tensorflow as tf

from common.release import Array
from common.task import Images

Keras = Any
TINY = 1e-12


def of(model: Keras, images: Images) -> Array:
    """Return a map [pictures, height, width] from 0 to 1 for each of *images*.

    1 is where a picture speaks most for the outcome. All is 0 where nothing does: a map
    says where, and not how much.
    """
    places = [each for each in model.layers if len(each.output.shape) == 4]  # noqa: PLR2004 - pictures, height, width, channels
    convolutions = [each for each in places if each.weights]
    last = model.layers.index(convolutions[-1]) + 1
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        seen = _through(model.layers[: last + 1], tf.constant(images))
        tape.watch(seen)
        logit = tf.reduce_sum(_through(model.layers[last + 1 :], seen))
    weight = tf.reduce_mean(tape.gradient(logit, seen), axis=(1, 2), keepdims=True)
    says = tf.reduce_sum(weight * seen, axis=-1, keepdims=True).numpy()
    speaks = np.maximum(says - np.median(says, axis=(1, 2), keepdims=True), 0.0)
    large = tf.image.resize(speaks, images.shape[1:3])[..., 0].numpy()
    most = large.max(axis=(1, 2), keepdims=True)
    return np.asarray(large / np.maximum(most, TINY), dtype=np.float64)


def _through(layers: list[Keras], flowing: Any) -> Any:  # noqa: ANN401 - a tensor
    for layer in layers:
        flowing = layer(flowing)
    return flowing
