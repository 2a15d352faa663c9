"""Each record's gradient of a Keras model, clipped: by book-keeping, in one pass.

    clipped = Clipped(model)
    clipped.add(images, outcomes, bounds)       # the sum of shortened gradients, flat

One forward and one backward pass give every layer's input and the slope of the loss at
its linear part. The length of a record's gradient follows from the two, and so does the
sum of the shortened ones: no gradient of a single record is built where its length is
known without (Bu, Wang, Zha and Zheng 2022, "Differentially private optimization on
large model at small cost", sections 3.2 and 4). A convolution's is built, tap by tap.

Records come in blocks of one size, the last one filled up with zeros that count for
nothing: any number of them is computed by one traced function.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from scipy.special import expit

from common.release import Array
from common.task import Images
from common.tasks.networks import layer_rules
from common.tasks.networks.record_slopes import Seen

BLOCK = 64
"""Records in a block, unless the pictures are large."""
PIXELS = 2**19
"""Pixels in a block at most, where a picture has fewer."""

Keras = Any
Tensor = Any


class Clipped:
    """Sums of clipped gradients of one *model*; its last layer gives one logit."""

    def __init__(self, model: Keras, block: int | None = None) -> None:
        """Trace nothing yet; raise StudyError for a layer without a rule, by name.

        A *block* is of so many records, else of as many as its pictures allow.
        """
        for layer in model.layers:
            layer_rules.rule(layer)
        self.model = model
        shape = model.input_shape[1:]
        few = max(1, min(BLOCK, PIXELS // int(np.prod(shape[:2]))))
        self._block = block or few
        floats = tf.TensorSpec([self._block], tf.float32)
        self._units = sum(_units(layer) for layer in model.layers)
        scales = tf.TensorSpec([self._block, self._units], tf.float32)
        pictures = tf.TensorSpec([self._block, *shape], tf.float32)
        self._traced = tf.function(
            self._step, input_signature=[pictures, scales, floats, floats]
        )
        self._scored = tf.function(
            lambda images: tf.reshape(model(images), [-1]), input_signature=[pictures]
        )

    def set(self, arrays: Sequence[Array]) -> None:
        """Take *arrays* as the weights."""
        for each, array in zip(self.model.weights, arrays, strict=True):
            each.assign(array)

    def score(self, images: Images) -> Array:
        """Return each record's probability."""
        parts = [self._scored(*block) for block in self._blocks(images)]
        logits = np.concatenate([np.zeros(0), *(each.numpy() for each in parts)])
        return np.asarray(expit(logits[: len(images)]), dtype=np.float64)

    def add(
        self, images: Images, outcome: Array, bounds: Array, scales: Array | None = None
    ) -> tuple[Array, Array]:
        """Return the sum of gradients, each shortened to its bound, and of the losses.

        ``bounds`` [records]: the greatest Euclidean length of each gradient; ``scales``
        [records, units]: by how much each number that comes into a layer of dropout
        counts for each record; without it, all do. A record
        whose gradient is not finite counts as 0. Losses are those of all others.
        """
        total = np.zeros(sum(int(np.prod(w.shape)) for w in self.model.weights))
        losses = np.zeros(1)
        if scales is None:
            scales = np.ones((len(images), self._units))
        for block in self._blocks(images, scales, outcome, bounds):
            parts, loss = self._traced(*block)
            total += np.concatenate([each.numpy().ravel() for each in parts])
            losses += float(loss)
        return total, losses

    def _blocks(self, *whole: NDArray[Any]) -> Iterator[Sequence[NDArray[np.float32]]]:
        for first in range(0, len(whole[0]), self._block):
            part = [each[first : first + self._block] for each in whole]
            lack = self._block - len(part[0])
            yield [_filled(each.astype(np.float32, copy=False), lack) for each in part]

    def _step(
        self, images: Tensor, scales: Tensor, outcome: Tensor, bounds: Tensor
    ) -> tuple[list[Tensor], Tensor]:
        seen, loss, slopes = _passes(self.model, images, scales, outcome)
        rules = [
            layer_rules.rule(each.layer)(each, slope)
            for each, slope in zip(seen, slopes, strict=True)
        ]
        length = tf.sqrt(tf.add_n([each.square for each in rules]))
        usable = tf.math.is_finite(length) & tf.math.is_finite(loss)
        factor = bounds / tf.maximum(length, tf.maximum(bounds, TINY))
        weight = tf.where(usable & (bounds > 0), factor, 0.0)
        gradients = [part for each in rules for part in each.summed(weight)]
        return gradients, tf.reduce_sum(tf.where(weight > 0, loss, 0.0))


TINY = 1e-30


def _filled(part: NDArray[np.float32], lack: int) -> NDArray[np.float32]:
    """Return *part* with *lack* records of zeros, whose bound is 0."""
    if not lack:
        return part
    return np.concatenate([part, np.zeros((lack, *part.shape[1:]), np.float32)])


def _units(layer: Keras) -> int:
    """Return how many numbers of a record come into *layer*, if some are silenced."""
    silent = isinstance(layer, keras.layers.Dropout)
    return math.prod(layer.input.shape[1:]) if silent else 0


def _passes(
    model: Keras, images: Tensor, scales: Tensor, outcome: Tensor
) -> tuple[list[Seen], Tensor, list[Tensor]]:
    """Go forward and back once; return what layers saw, losses, and their slopes."""
    seen: list[Seen] = []
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        flowing, start = images, 0
        for layer in model.layers:
            if units := _units(layer):
                some = scales[:, start : start + units]
                flowing *= tf.reshape(some, [-1, *layer.input.shape[1:]])
                start += units
                continue
            if not layer.weights:
                flowing = layer(flowing)
                continue
            given, linear = layer_rules.LINEAR[type(layer)](layer, flowing)
            if not seen:
                tape.watch(linear)
            seen.append(Seen(layer, given, linear))
            flowing = _activated(layer, linear)
        logit = tf.reshape(flowing, [-1])
        loss = tf.nn.sigmoid_cross_entropy_with_logits(outcome, logit)
        whole = tf.reduce_sum(loss)
    return seen, loss, tape.gradient(whole, [each.linear for each in seen])


def _activated(layer: Keras, linear: Tensor) -> Tensor:
    activation = getattr(layer, "activation", None)
    return linear if activation is None else activation(linear)
