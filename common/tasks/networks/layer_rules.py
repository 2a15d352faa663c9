"""What each kind of layer adds to a record's gradient: a rule for each of a few kinds.

A rule needs what came into the layer and the slope of the loss at its linear part, and
returns the length of every record's gradient and any weighted sum of them: see
``common/tasks/networks/book_keeping.py``. A layer without a rule is refused by name.
"""

from collections.abc import Callable

import keras
import tensorflow as tf

from common.errors import StudyError
from common.tasks.networks import convolutions
from common.tasks.networks.record_slopes import (
    Layer,
    Seen,
    Slopes,
    Tensor,
    finite,
    kept,
    square,
    weighed,
)

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


def _dense(layer: Layer, given: Tensor) -> tuple[Tensor, Tensor]:
    linear = tf.matmul(given, layer.kernel.value)
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


CONVOLUTIONS = (
    keras.layers.Conv2D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv2D,
)
LINEAR = {
    keras.layers.Conv2D: convolutions.convolved,
    keras.layers.Dense: _dense,
    keras.layers.DepthwiseConv2D: convolutions.depthwise,
    keras.layers.GroupNormalization: _normed,
    keras.layers.LayerNormalization: _layer_normed,
    keras.layers.SeparableConv2D: convolutions.separable,
}


def _dense_slopes(seen: Seen, slope: Tensor) -> Slopes:
    """Return what follows without building anything: |gradient|^2 = |slope|^2 |x|^2."""
    ones = 1.0 if seen.layer.use_bias else 0.0
    length = square(slope) * (square(seen.given) + ones)

    def summed(weight: Tensor) -> list[Tensor]:
        out = kept(slope, weight)
        kernel = tf.matmul(finite(seen.given, weight), out, transpose_a=True)
        bias = [tf.reduce_sum(out, 0)] if seen.layer.use_bias else []
        return [kernel, *bias]

    return Slopes(length, summed)


def _norm_slopes(seen: Seen, slope: Tensor) -> Slopes:
    mean, inverse = _moments(seen.layer, seen.given)
    beta = tf.reduce_sum(slope, [1, 2])
    crossed = tf.reduce_sum(seen.given * slope, [1, 2])
    gamma = (crossed - mean[:, 0, 0] * beta) * inverse[:, 0, 0]
    return Slopes(
        square(gamma) + square(beta),
        lambda weight: [weighed(gamma, weight), weighed(beta, weight)],
    )


def _layer_norm_slopes(seen: Seen, slope: Tensor) -> Slopes:
    """Return the slopes of scale and shift, of what was already made normal."""
    inner = list(range(1, len(slope.shape) - 1))
    gamma = tf.reduce_sum(seen.given * slope, inner)
    beta = tf.reduce_sum(slope, inner)
    return Slopes(
        square(gamma) + square(beta),
        lambda weight: [weighed(gamma, weight), weighed(beta, weight)],
    )


RULES = {
    keras.layers.Conv2D: convolutions.slopes,
    keras.layers.Dense: _dense_slopes,
    keras.layers.DepthwiseConv2D: convolutions.depthwise_slopes,
    keras.layers.GroupNormalization: _norm_slopes,
    keras.layers.LayerNormalization: _layer_norm_slopes,
    keras.layers.SeparableConv2D: convolutions.separable_slopes,
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
    if isinstance(layer, CONVOLUTIONS):
        return convolutions.usual(layer)
    if isinstance(layer, keras.layers.GroupNormalization):
        return bool(layer.center and layer.scale and layer.axis in (-1, 3))
    if isinstance(layer, keras.layers.LayerNormalization):
        last = len(layer.input.shape) - 1
        plain = layer.center and layer.scale and not getattr(layer, "rms_scaling", 0)
        return bool(plain and list(layer.axis) in ([-1], [last]))
    return True


def _nothing(seen: Seen, slope: Tensor) -> Slopes:
    raise AssertionError((seen, slope))
