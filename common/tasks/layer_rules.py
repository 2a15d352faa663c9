"""What each kind of layer adds to a record's gradient: a rule for each of a few kinds.

A rule needs what came into the layer and the slope of the loss at its linear part, and
returns the length of every record's gradient and any weighted sum of them: see
``common/tasks/book_keeping.py``. A layer without a rule is refused by name.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from common.errors import StudyError

FEW = 4
"""A convolution of so few channels is built by rows of taps: the faster way."""

Tensor = Any
Layer = Any

PLAIN = (
    keras.layers.Activation,
    keras.layers.AveragePooling2D,
    keras.layers.Dropout,
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


def _layer_normed(layer: Layer, given: Tensor) -> tuple[Tensor, Tensor]:
    """Scale and shift each channel of what has mean 0 and deviation 1 in its place."""
    mean, variance = tf.nn.moments(given, [-1], keepdims=True)
    normal = (given - mean) * tf.math.rsqrt(variance + layer.epsilon)
    return normal, normal * layer.gamma.value + layer.beta.value


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
    keras.layers.LayerNormalization: _layer_normed,
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


def _layer_norm_slopes(seen: Seen, slope: Tensor) -> Slopes:
    """Return the slopes of scale and shift, of what was already made normal."""
    inner = list(range(1, len(slope.shape) - 1))
    gamma = tf.reduce_sum(seen.given * slope, inner)
    beta = tf.reduce_sum(slope, inner)
    return Slopes(
        _square(gamma) + _square(beta),
        lambda weight: [_weighed(gamma, weight), _weighed(beta, weight)],
    )


RULES = {
    keras.layers.Conv2D: _conv_slopes,
    keras.layers.Dense: _dense_slopes,
    keras.layers.GroupNormalization: _norm_slopes,
    keras.layers.LayerNormalization: _layer_norm_slopes,
}


def rule(layer: Layer) -> Callable[[Seen, Tensor], Slopes]:
    """Return the rule of *layer*; raise StudyError, with its name, when it has none."""
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
        last = layer.data_format == "channels_last"
        return bool(plain and layer.groups == 1 and last)
    if isinstance(layer, keras.layers.GroupNormalization):
        return bool(layer.center and layer.scale and layer.axis in (-1, 3))
    if isinstance(layer, keras.layers.LayerNormalization):
        last = len(layer.input.shape) - 1
        plain = layer.center and layer.scale and not getattr(layer, "rms_scaling", 0)
        return bool(plain and list(layer.axis) in ([-1], [last]))
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
