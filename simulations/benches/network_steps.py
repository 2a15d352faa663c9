"""The steps that the bench of networks measures: which network, which pictures.

A step is the gradient of a batch. Without privacy it is an ordinary one of TensorFlow,
over the same blocks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from common.release import Array
from common.schema import Image
from common.sections.networks import ImageNetwork
from common.task import Images

Keras = Any


@dataclass(frozen=True, slots=True)
class Case:
    """A network, its pictures, how many are in a step, and the goal for the ratio."""

    what: str
    network: ImageNetwork
    image: Image
    records: int
    goal: float


ORIGINAL = ImageNetwork(
    kind="image_network",
    blocks=(32, 64, 128),
    groups=0,
    padding="valid",
    head="flatten",
    dense=(512,),
)
SMALL = ImageNetwork(
    kind="image_network", blocks=(32, 64), groups=0, head="flatten", dense=(128,)
)
LARGE_IMAGE = Image(name="film", size=(150, 150), channels=3)
SMALL_IMAGE = Image(name="film", size=(28, 28), channels=3)
CASES = (
    Case(
        "default, 28 x 28 x 3, 64",
        ImageNetwork(kind="image_network"),
        SMALL_IMAGE,
        64,
        1.35,
    ),
    Case("small CNN, 28 x 28 x 3, 64", SMALL, SMALL_IMAGE, 64, 1.35),
    Case("original, 150 x 150 x 3, 16", ORIGINAL, LARGE_IMAGE, 16, 2.1),
    Case("original, 128 in blocks of 16", ORIGINAL, LARGE_IMAGE, 128, 1.3),
)
SMALL_CASE, ORIGINAL_CASE = CASES[1], CASES[2]


def people(case: Case) -> tuple[Images, Array]:
    """Return the pictures and the outcomes of a step, always the same."""
    draw = np.random.default_rng(0)
    pictures = draw.random((case.records, *case.image.shape), dtype=np.float32)
    return pictures, draw.integers(0, 2, case.records).astype(np.float64)


def plain(
    model: Keras,
    pictures: Images,
    outcome: Array,
    size: int,
) -> Callable[[], object]:
    """Return an ordinary step of the same blocks: the gradient of the summed loss."""
    loss = keras.losses.BinaryCrossentropy(from_logits=True, reduction="sum")

    @tf.function  # type: ignore[untyped-decorator]
    def gradient(images: Any, y: Any) -> Any:  # noqa: ANN401
        with tf.GradientTape() as tape:
            whole = loss(y[:, None], model(images))
        return tape.gradient(whole, [each.value for each in model.trainable_weights])

    def step() -> object:
        total: Any = 0.0
        for first in range(0, len(outcome), size):
            part = slice(first, first + size)
            found = gradient(pictures[part], outcome[part].astype(np.float32))
            total += np.concatenate([each.numpy().ravel() for each in found])
        return total

    return step
