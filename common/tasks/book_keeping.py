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

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from scipy.special import expit

from common.errors import StudyError
from common.release import Array
from common.task import Images

BLOCK = 64
"""Records in a block, unless the pictures are large."""
PIXELS = 2**19
"""Pixels in a block at most, where a picture has fewer."""
FEW = 4
"""A convolution of so few channels is built by rows of taps: the faster way."""

Keras = Any
Tensor = Any
Layer = Any

PLAIN = (
    keras.layers.Activation,
    keras.layers.AveragePooling2D,
    keras.layers.Flatten,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.InputLayer,
    keras.layers.MaxPooling2D,
    keras.layers.ReLU,
)
"""Layers without weights, which treat each record by itself."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A layer with weights, what came in, and the linear part that came out of it."""

    layer: Layer
    given: Tensor
    linear: Tensor


@dataclass(frozen=True, slots=True)
class Slopes:
    """Each record's gradient of one layer: its squared length, and weighted sums.

    ``summed(weight)`` returns the sum over records [records] of weight times gradient,
    one tensor for each of the layer's weights; a weight of 0 leaves a record out, even
    one that is not finite.
    """

    square: Tensor
    summed: Callable[[Tensor], list[Tensor]]


class Clipped:
    """Sums of clipped gradients of one *model*; its last layer gives one logit."""

    def __init__(self, model: Keras) -> None:
        """Trace nothing yet; raise StudyError for a layer without a rule, by name."""
        for layer in model.layers:
            _rule(layer)
        self.model = model
        shape = model.input_shape[1:]
        self._block = max(1, min(BLOCK, PIXELS // int(np.prod(shape[:2]))))
        floats = tf.TensorSpec([self._block], tf.float32)
        pictures = tf.TensorSpec([self._block, *shape], tf.float32)
        self._traced = tf.function(
            self._step, input_signature=[pictures, floats, floats]
        )
        self._scored = tf.function(
            lambda images: tf.reshape(model(images), [-1]), input_signature=[pictures]
        )

    def load(self, arrays: Sequence[Array]) -> None:
        """Take *arrays* as the weights."""
        for each, array in zip(self.model.weights, arrays, strict=True):
            each.assign(array)

    def score(self, images: Images) -> Array:
        """Return each record's probability."""
        parts = [self._scored(*block) for block in self._blocks(images)]
        logits = np.concatenate([np.zeros(0), *(each.numpy() for each in parts)])
        return np.asarray(expit(logits[: len(images)]), dtype=np.float64)

    def add(self, images: Images, outcome: Array, bounds: Array) -> tuple[Array, Array]:
        """Return the sum of gradients, each shortened to its bound, and of the losses.

        ``bounds`` [records]: the greatest Euclidean length of each gradient. A record
        whose gradient is not finite counts as 0. Losses are those of all others.
        """
        total = np.zeros(sum(int(np.prod(w.shape)) for w in self.model.weights))
        losses = np.zeros(1)
        for block in self._blocks(images, outcome, bounds):
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
        self, images: Tensor, outcome: Tensor, bounds: Tensor
    ) -> tuple[list[Tensor], Tensor]:
        seen, loss, slopes = _passes(self.model, images, outcome)
        rules = [
            _rule(each.layer)(each, slope)
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


def _passes(
    model: Keras, images: Tensor, outcome: Tensor
) -> tuple[list[Seen], Tensor, list[Tensor]]:
    """Go forward and back once; return what layers saw, losses, and their slopes."""
    seen: list[Seen] = []
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        flowing = images
        for layer in model.layers:
            if not layer.weights:
                flowing = layer(flowing)
                continue
            given, linear = LINEAR[type(layer)](layer, flowing)
            if not seen:
                tape.watch(linear)
            seen.append(Seen(layer, given, linear))
            flowing = _activated(layer, linear)
        logit = tf.reshape(flowing, [-1])
        loss = tf.nn.sigmoid_cross_entropy_with_logits(outcome, logit)
        whole = tf.reduce_sum(loss)
    return seen, loss, tape.gradient(whole, [each.linear for each in seen])


def _activated(layer: Layer, linear: Tensor) -> Tensor:
    activation = getattr(layer, "activation", None)
    return linear if activation is None else activation(linear)


def _dense(layer: Layer, given: Tensor) -> tuple[Tensor, Tensor]:
    linear = tf.matmul(given, layer.kernel.value)
    return given, linear + layer.bias.value if layer.use_bias else linear


def _convolved(layer: Layer, given: Tensor) -> tuple[Tensor, Tensor]:
    linear = tf.nn.conv2d(given, layer.kernel.value, 1, layer.padding.upper())
    return given, linear + layer.bias.value if layer.use_bias else linear


def _normed(layer: Layer, given: Tensor) -> tuple[Tensor, Tensor]:
    """Scale and shift each channel: by its group's mean and deviation, and weights."""
    mean, inverse = _moments(layer, given)
    scale = inverse * layer.gamma.value
    return given, given * scale + (layer.beta.value - mean * scale)


def _moments(layer: Layer, given: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and 1/deviation of the group of each channel [records, 1, 1, c]."""
    _, high, wide, channels = given.shape
    each = channels // layer.groups
    groups = tf.reshape(given, [-1, high * wide, layer.groups, each])
    mean, variance = tf.nn.moments(groups, [1, 3])
    inverse = tf.math.rsqrt(variance + layer.epsilon)
    return tuple(
        tf.repeat(part, each, axis=1)[:, None, None] for part in (mean, inverse)
    )


LINEAR = {
    keras.layers.Conv2D: _convolved,
    keras.layers.Dense: _dense,
    keras.layers.GroupNormalization: _normed,
}


def _dense_slopes(seen: Seen, slope: Tensor) -> Slopes:
    """Return what follows without building anything: |gradient|^2 = |slope|^2 |x|^2."""
    ones = 1.0 if seen.layer.use_bias else 0.0
    square = _square(slope) * (_square(seen.given) + ones)

    def summed(weight: Tensor) -> list[Tensor]:
        kept = _kept(slope, weight)
        kernel = tf.matmul(_finite(seen.given, weight), kept, transpose_a=True)
        bias = [tf.reduce_sum(kept, 0)] if seen.layer.use_bias else []
        return [kernel, *bias]

    return Slopes(square, summed)


def _conv_slopes(seen: Seen, slope: Tensor) -> Slopes:
    kernel = _taps(seen, slope)
    biased = [tf.reduce_sum(slope, [1, 2])] if seen.layer.use_bias else []
    built = [kernel, *biased]
    shape = seen.layer.kernel.shape

    def summed(weight: Tensor) -> list[Tensor]:
        first, *rest = [_weighed(each, weight) for each in built]
        return [tf.reshape(first, shape), *rest]

    return Slopes(tf.add_n([_square(each) for each in built]), summed)


def _taps(seen: Seen, slope: Tensor) -> Tensor:
    """Return each record's gradient of a kernel, flat: a product for each of its taps.

    Neighbouring taps of few channels go into one product.
    """
    high, wide, channels, filters = seen.layer.kernel.shape
    given, (rows, columns) = _padded(seen), slope.shape[1:3]
    flat = tf.reshape(slope, [-1, rows * columns, filters])
    if channels <= FEW:
        shifted = [given[:, :, each : each + columns] for each in range(wide)]
        given, wide, channels = tf.concat(shifted, -1), 1, channels * wide
    products = []
    for row in range(high):
        for column in range(wide):
            part = given[:, row : row + rows, column : column + columns]
            part = tf.reshape(part, [-1, rows * columns, channels])
            products.append(tf.matmul(part, flat, transpose_a=True))
    size = high * wide * channels * filters
    return tf.reshape(tf.stack(products, 1), [-1, size])


def _padded(seen: Seen) -> Tensor:
    if seen.layer.padding == "valid":
        return seen.given
    high, wide = seen.layer.kernel.shape[:2]
    around = [((each - 1) // 2, each - 1 - (each - 1) // 2) for each in (high, wide)]
    return tf.pad(seen.given, [(0, 0), *around, (0, 0)])


def _norm_slopes(seen: Seen, slope: Tensor) -> Slopes:
    mean, inverse = _moments(seen.layer, seen.given)
    beta = tf.reduce_sum(slope, [1, 2])
    crossed = tf.reduce_sum(seen.given * slope, [1, 2])
    gamma = (crossed - mean[:, 0, 0] * beta) * inverse[:, 0, 0]
    return Slopes(
        _square(gamma) + _square(beta),
        lambda weight: [_weighed(gamma, weight), _weighed(beta, weight)],
    )


RULES = {
    keras.layers.Conv2D: _conv_slopes,
    keras.layers.Dense: _dense_slopes,
    keras.layers.GroupNormalization: _norm_slopes,
}


def _rule(layer: Layer) -> Callable[[Seen, Tensor], Slopes]:
    kind = type(layer)
    if kind in RULES and _usual(layer):
        return RULES[kind]
    if kind in PLAIN and not layer.weights:
        return _nothing
    known = ", ".join(sorted(each.__name__ for each in (*RULES, *PLAIN)))
    raise StudyError(
        f"the layer {layer.name} ({kind.__name__}) has no rule for one record's part",
        likely="it mixes records, as batch normalisation does, or is set unusually",
        fix=f"use {known}",
    )


def _usual(layer: Layer) -> bool:
    """Tell whether a layer is set as its rule takes it to be."""
    if isinstance(layer, keras.layers.Conv2D):
        plain = layer.strides == (1, 1) and layer.dilation_rate == (1, 1)
        return plain and layer.groups == 1 and layer.data_format == "channels_last"
    if isinstance(layer, keras.layers.GroupNormalization):
        return bool(layer.center and layer.scale and layer.axis in (-1, 3))
    return True


def _nothing(seen: Seen, slope: Tensor) -> Slopes:
    raise AssertionError((seen, slope))


def _square(each: Tensor) -> Tensor:
    return tf.reduce_sum(tf.square(tf.reshape(each, [tf.shape(each)[0], -1])), 1)


def _finite(each: Tensor, weight: Tensor) -> Tensor:
    """Return *each* record's numbers, 0 where the record is left out."""
    return tf.where(weight[:, None] > 0, each, 0.0)


def _kept(each: Tensor, weight: Tensor) -> Tensor:
    return _finite(each, weight) * weight[:, None]


def _weighed(built: Tensor, weight: Tensor) -> Tensor:
    return tf.reduce_sum(_kept(built, weight), 0)
