"""Each record's gradient of convolutions: whole, channel by channel, or one of each.

A kernel's gradient is built tap by tap: at each tap, what came in moved by it, times
the slope of what came out, added up over the picture.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from common.tasks.networks import record_slopes
from common.tasks.networks.record_slopes import Layer, Seen, Slopes, Tensor

FEW = 4
"""A convolution of so few channels is built by rows of taps: the faster way."""

Pair = Sequence[int]


def convolved(layer: Layer, given: Tensor) -> tuple[Tensor, Tensor]:
    """Return what comes into a convolution, and what it makes of it."""
    padding = layer.padding.upper()
    linear = tf.nn.conv2d(given, layer.kernel.value, layer.strides, padding)
    return given, _biased(layer, linear)


def depthwise(layer: Layer, given: Tensor) -> tuple[Tensor, Tensor]:
    """Return the same of one that goes through every channel by itself."""
    return given, _biased(layer, _channels(layer, layer.kernel.value, given))


def separable(layer: Layer, given: Tensor) -> tuple[Tensor, Tensor]:
    """Return the same of one by channel, and then one across channels."""
    by_channel = _channels(layer, layer.depthwise_kernel.value, given)
    across = layer.pointwise_kernel.value
    return given, _biased(layer, tf.nn.conv2d(by_channel, across, 1, "VALID"))


def slopes(seen: Seen, slope: Tensor) -> Slopes:
    """Return what a convolution adds to each record's gradient."""
    layer = seen.layer
    kernel = _taps(layer, layer.kernel.shape, seen.given, slope)
    return _summed(layer, [kernel], [layer.kernel.shape], slope)


def depthwise_slopes(seen: Seen, slope: Tensor) -> Slopes:
    """Return the same of one that goes through every channel by itself."""
    layer = seen.layer
    kernel = _own_taps(layer, layer.kernel.shape, seen.given, slope)
    return _summed(layer, [kernel], [layer.kernel.shape], slope)


def separable_slopes(seen: Seen, slope: Tensor) -> Slopes:
    """Return the same of both kernels: the slope goes back through the second."""
    layer = seen.layer
    first, second = layer.depthwise_kernel, layer.pointwise_kernel
    by_channel = _channels(layer, first.value, seen.given)
    back = tf.einsum("nrcf,xykf->nrck", slope, second.value)
    wide = by_channel.shape[-1]
    places = by_channel.shape[1] * by_channel.shape[2]
    flat = tf.reshape(by_channel, [-1, places, wide])
    out = tf.reshape(slope, [-1, places, slope.shape[-1]])
    across = tf.matmul(flat, out, transpose_a=True)
    built = [
        _own_taps(layer, first.shape, seen.given, back),
        tf.reshape(across, [-1, wide * slope.shape[-1]]),
    ]
    return _summed(layer, built, [first.shape, second.shape], slope)


def usual(layer: Layer) -> bool:
    """Tell whether a convolution is set as its rule takes it to be."""
    whole = layer.dilation_rate == (1, 1) and layer.data_format == "channels_last"
    if not whole:
        return False
    if hasattr(layer, "depth_multiplier"):  # TensorFlow has no others by channel
        return bool(layer.strides[0] == layer.strides[1])
    return bool(layer.groups == 1)


def _biased(layer: Layer, linear: Tensor) -> Tensor:
    return linear + layer.bias.value if layer.use_bias else linear


def _channels(layer: Layer, kernel: Tensor, given: Tensor) -> Tensor:
    strides = [1, *layer.strides, 1]
    return tf.nn.depthwise_conv2d(given, kernel, strides, layer.padding.upper())


def _summed(
    layer: Layer, kernels: list[Tensor], shapes: list[Any], slope: Tensor
) -> Slopes:
    """Return the slopes of flat *kernels* [records, numbers], and of the bias."""
    biased = [tf.reduce_sum(slope, [1, 2])] if layer.use_bias else []
    built = [*kernels, *biased]

    def summed(weight: Tensor) -> list[Tensor]:
        every = [record_slopes.weighed(each, weight) for each in built]
        first = zip(every, shapes, strict=False)
        return [tf.reshape(*each) for each in first] + every[len(shapes) :]

    return Slopes(tf.add_n([record_slopes.square(each) for each in built]), summed)


def _taps(layer: Layer, shape: Any, given: Tensor, slope: Tensor) -> Tensor:  # noqa: ANN401 - of a kernel
    """Return each record's gradient of a kernel, flat: a product for each of its taps.

    Neighbouring taps of few channels go into one product.
    """
    high, wide, channels, filters = shape
    whole, (rows, columns) = _padded(layer, shape, given, slope), slope.shape[1:3]
    flat = tf.reshape(slope, [-1, rows * columns, filters])
    (down, right), across = layer.strides, wide
    if channels <= FEW:
        row = _moved(whole, (1, wide), (whole.shape[1], columns), (1, right))
        whole, across, right = tf.concat(row, -1), 1, 1
    products = []
    for part in _moved(whole, (high, across), (rows, columns), (down, right)):
        each = tf.reshape(part, [-1, rows * columns, part.shape[-1]])
        products.append(tf.matmul(each, flat, transpose_a=True))
    size = high * wide * channels * filters
    return tf.reshape(tf.stack(products, 1), [-1, size])


def _own_taps(layer: Layer, shape: Any, given: Tensor, slope: Tensor) -> Tensor:  # noqa: ANN401 - of a kernel
    """Return the same where every channel has taps of its own."""
    high, wide, channels, each = shape
    whole, out = _padded(layer, shape, given, slope), slope.shape[1:3]
    apart = tf.reshape(slope, [-1, *out, channels, each])
    products = [
        tf.reduce_sum(part[..., None] * apart, [1, 2])
        for part in _moved(whole, (high, wide), out, layer.strides)
    ]
    size = high * wide * channels * each
    return tf.reshape(tf.stack(products, 1), [-1, size])


def _moved(given: Tensor, kernel: Pair, out: Pair, strides: Pair) -> list[Tensor]:
    """Return what came in under each tap of a kernel, by rows, for all that is out.

    In steps it is parted first, for a view that leaves places out is slow.
    """
    (down, right), (rows, columns) = strides, out
    parts = {
        (row, column): given[:, row::down, column::right]
        for row in range(min(down, kernel[0]))
        for column in range(min(right, kernel[1]))
    }
    return [
        parts[row % down, column % right][
            :,
            row // down : row // down + rows,
            column // right : column // right + columns,
        ]
        for row in range(kernel[0])
        for column in range(kernel[1])
    ]


def _padded(layer: Layer, shape: Any, given: Tensor, slope: Tensor) -> Tensor:  # noqa: ANN401 - of a kernel
    """Return *given* with the zeros around it that the layer saw."""
    if layer.padding == "valid":
        return given
    around = []
    for place in (0, 1):
        step, inside = layer.strides[place], given.shape[1 + place]
        reach = (slope.shape[1 + place] - 1) * step + shape[place]
        lack = max(reach - inside, 0)
        around.append((lack // 2, lack - lack // 2))
    return tf.pad(given, [(0, 0), *around, (0, 0)])
