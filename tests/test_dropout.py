"""Dropout: each record's gradient is still its own, and a study can be repeated."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import binomtest

from client.learning import training
from client.learning.training import Design
from common import costs
from common.release import Array, flatten
from common.schema import Image
from common.sections.networks import ImageNetwork, TabularNetwork
from common.study import Study
from common.task import State
from common.tasks.networks import book_keeping, dropout, keras_layers, torch_layers
from simulations import plain
from tests import clinics, dense
from tests.test_book_keeping import shortened
from tests.test_networks import KINDS, PRIVACY, begun
from tests.test_tasks import table_of

RATE = 0.4
IMAGE = Image(name="film", size=(8, 8))
PICTURES = ImageNetwork(
    kind="image_network", blocks=(4,), groups=2, dense=(5,), dropout=RATE
)
TABLE = TabularNetwork(
    kind="tabular_network", dense=(4, 4), residual=True, dropout=RATE
)


def asked(kind: str, **changes: Any) -> Study:
    """Return a small study of a network that learns with dropout."""
    layers = {"dense": [5]} if kind == "image_network" else {}
    model = {"kind": kind, **clinics.MODELS[kind], **layers, "dropout": RATE}
    needs = clinics.NEEDS.get(kind, {})
    return clinics.study(**{"model": model} | needs | changes)


def test_a_draw_is_the_same_for_a_person_wherever_they_are() -> None:
    key = np.random.default_rng(1).integers(0, 2**63, 4000).astype(np.uint64)
    whole = dropout.scales(key, 7, 3, RATE, 5)
    np.testing.assert_array_equal(dropout.scales(key[1::2], 7, 3, RATE, 5), whole[1::2])
    np.testing.assert_allclose(np.unique(whole), [0.0, 1 / (1 - RATE)])
    silent = int((whole == 0).sum())
    assert binomtest(silent, whole.size, RATE).pvalue > 1e-6
    for other in (dropout.scales(key, 7, 4, RATE, 5), whole[:, [1, 2, 3, 4, 0]]):
        both = int(((other == 0) & (whole == 0)).sum())
        assert binomtest(both, whole.size, RATE**2).pvalue > 1e-6
    assert dropout.scales(key, 7, 3, 0.0, 5).shape == (4000, 0)


def looped(model: Any, images: Array, outcome: Array, scales: Array) -> Array:
    """Return the gradient of each record, by a pass of its own through the layers."""
    found = []
    for image, y, scale in zip(images, outcome, scales, strict=True):
        with tf.GradientTape() as tape:
            flowing, left = tf.constant(image[None]), scale.astype(np.float32)
            for layer in model.layers:
                if isinstance(layer, keras.layers.Dropout):
                    units = flowing.shape[1]
                    flowing, left = flowing * left[:units], left[units:]
                else:
                    flowing = layer(flowing)
            loss = tf.nn.sigmoid_cross_entropy_with_logits(
                [np.float32(y)], tf.reshape(flowing, [-1])
            )
        parts = tape.gradient(loss, [each.value for each in model.trainable_weights])
        found.append(np.concatenate([each.numpy().ravel() for each in parts]))
    return np.array(found, dtype=np.float64)


def test_pictures_give_what_a_loop_gives_in_blocks_of_any_size() -> None:
    model, draw = keras_layers.build(PICTURES, IMAGE), np.random.default_rng(2)
    blocks = [book_keeping.Clipped(model, size) for size in (1, 3, 64)]
    blocks[0].set([draw.normal(size=each.shape) * 0.5 for each in model.weights])
    images = draw.random((7, 8, 8, 1)).astype(np.float32)
    outcome, key = draw.integers(0, 2, 7).astype(float), np.arange(7, dtype=np.uint64)
    scales = dropout.scales(key, 0, 1, RATE, 4 + 5)
    each = looped(model, images, outcome, scales)
    bounds = np.linalg.norm(each, axis=1) * 0.7 + 1e-3
    for clipped in blocks:
        found, _ = clipped.add(images, outcome, bounds, scales)
        np.testing.assert_allclose(found, shortened(each, bounds), atol=1e-5)
    assert np.abs(found - blocks[0].add(images, outcome, bounds)[0]).max() > 1e-3


def test_records_in_a_table_give_what_a_loop_gives_in_blocks_of_any_size() -> None:
    clipped, draw = torch_layers.Clipped(TABLE, 4), np.random.default_rng(3)
    layers = dense.drawn(TABLE, 4, 3)
    clipped.set(dense.arrays(layers))
    x, outcome = draw.normal(size=(9, 4)), draw.integers(0, 2, 9).astype(float)
    scales = dropout.scales(np.arange(9, dtype=np.uint64), 0, 1, RATE, 8)
    each = dense.looped(layers, x, outcome, scales)
    bounds = np.linalg.norm(each, axis=1) * draw.choice([0.3, 3.0], 9)
    for size in (1, 4, 1000):
        clipped._block = size
        found, _ = clipped.add(x, outcome, bounds, scales)
        np.testing.assert_allclose(found, shortened(each, bounds), atol=1e-11)


@pytest.mark.parametrize("kind", KINDS)
def test_hospitals_together_learn_what_one_with_everybody_does(kind: str) -> None:
    whole, study = table_of(kind, 200), asked(kind)
    places = np.random.default_rng(0).integers(0, 3, 200)
    pooled, again, dealt = (
        plain.run(study, tables)[kind].arrays["parameters"]
        for tables in ([whole], [whole], clinics.split(whole, places))
    )
    np.testing.assert_array_equal(again, pooled)
    np.testing.assert_allclose(dealt, pooled, atol=1e-5)
    model = {**study.model.model_dump(), "dropout": 0.0}
    without = clinics.study(model=model, **clinics.NEEDS.get(kind, {}))
    other = plain.run(without, [whole])[kind].arrays["parameters"]
    assert np.abs(other - pooled).max() > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_a_person_moves_a_private_sum_by_the_clip_at_most(kind: str) -> None:
    rounds = {"quorum": 1, "maximum": 100}
    study, whole = asked(kind, privacy=PRIVACY, rounds=rounds), table_of(kind, 40)
    task, state = begun(study, whole)
    shown = state.arrays["parameters"]
    moved = State({**state.arrays, "parameters": shown * 30.0})
    fewer = clinics.split(whole, (np.arange(40) == 0).astype(int))[0]
    one, other = (
        flatten(task.release(study), training.run(task, study, moved, Design(each)))
        for each in (whole, fewer)
    )
    assert np.linalg.norm(one - other) <= costs.noisy(task).clip(study)
