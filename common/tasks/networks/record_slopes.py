"""Each record's gradient of one layer, and the sums of it that a rule may return."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

Tensor = Any
Layer = Any


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


def square(each: Tensor) -> Tensor:
    """Return the squared length of *each* record's numbers."""
    return tf.reduce_sum(tf.square(tf.reshape(each, [tf.shape(each)[0], -1])), 1)


def finite(each: Tensor, weight: Tensor) -> Tensor:
    """Return *each* record's numbers, 0 where the record is left out."""
    return tf.where(weight[:, None] > 0, each, 0.0)


def kept(each: Tensor, weight: Tensor) -> Tensor:
    """Return *each* record's numbers times its weight, 0 where it is left out."""
    return finite(each, weight) * weight[:, None]


def weighed(built: Tensor, weight: Tensor) -> Tensor:
    """Return the weighed sum of what was *built* of all records."""
    return tf.reduce_sum(kept(built, weight), 0)
