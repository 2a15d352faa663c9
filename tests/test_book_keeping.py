"""Clipped gradients by book-keeping are those of a loop over records."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import StudyError
from common.schema import Image
from common.sections.networks import ImageNetwork, TabularNetwork
from common.tasks.networks import book_keeping, keras_layers, torch_layers
from tests import dense

L = keras.layers
Layers = Callable[[], list[Any]]
SIZE = (8, 7, 3)
LAYERS: dict[str, Layers] = {
    "dense": lambda: [L.Flatten(), L.Dense(5), L.Dense(1)],
    "dense without bias": lambda: [L.Flatten(), L.Dense(5, use_bias=False), L.Dense(1)],
    "dense with its own activation": lambda: [
        L.Flatten(),
        L.Dense(5, activation="tanh"),
        L.Dense(1),
    ],
    "convolution, same": lambda: [
        L.Conv2D(4, 3, padding="same"),
        L.Flatten(),
        L.Dense(1),
    ],
    "convolution, valid": lambda: [L.Conv2D(4, 3), L.Flatten(), L.Dense(1)],
    "convolution without bias": lambda: [
        L.Conv2D(4, 3, use_bias=False),
        L.Flatten(),
        L.Dense(1),
    ],
    "convolution of uneven taps": lambda: [
        L.Conv2D(5, (2, 4), padding="same"),
        L.Conv2D(3, (3, 1)),
        L.Flatten(),
        L.Dense(1),
    ],
    "convolution of many channels": lambda: [
        L.Conv2D(6, 1),
        L.Conv2D(4, 3, activation="sigmoid"),
        L.Flatten(),
        L.Dense(1),
    ],
    "convolution in steps, same": lambda: [
        L.Conv2D(5, 3, strides=2, padding="same"),
        L.Conv2D(6, 2, strides=2, padding="same"),
        L.Flatten(),
        L.Dense(1),
    ],
    "convolution in uneven steps": lambda: [
        L.Conv2D(5, (3, 2), strides=(1, 3)),
        L.Conv2D(3, 3, strides=(3, 1), padding="same"),
        L.Flatten(),
        L.Dense(1),
    ],
    "convolution by channel": lambda: [
        L.DepthwiseConv2D(3, padding="same"),
        L.DepthwiseConv2D((2, 3), strides=2, depth_multiplier=2, use_bias=False),
        L.Conv2D(6, 1),
        L.Flatten(),
        L.Dense(1),
    ],
    "separable convolution": lambda: [
        L.SeparableConv2D(6, 3, padding="same", activation="relu"),
        L.SeparableConv2D(4, 3, strides=2, depth_multiplier=2, use_bias=False),
        L.SeparableConv2D(3, 2, strides=2, padding="same"),
        L.Flatten(),
        L.Dense(1),
    ],
    "group normalisation": lambda: [
        L.GroupNormalization(3),
        L.Conv2D(4, 3),
        L.GroupNormalization(2),
        L.Flatten(),
        L.Dense(1),
    ],
    "layer normalisation": lambda: [
        L.LayerNormalization(),
        L.Conv2D(4, 3),
        L.LayerNormalization(),
        L.Flatten(),
        L.Dense(5),
        L.LayerNormalization(),
        L.Dense(1),
    ],
    "pooling": lambda: [
        L.Conv2D(4, 3),
        L.AveragePooling2D(2),
        L.Activation("tanh"),
        L.GlobalAveragePooling2D(),
        L.Dense(1),
    ],
    "largest and rectified": lambda: [
        L.Conv2D(4, 3),
        L.ReLU(),
        L.MaxPooling2D(2),
        L.Flatten(),
        L.Dense(1),
    ],
}


def model(layers: Layers) -> Any:
    keras.utils.set_random_seed(3)
    return keras.Sequential([L.Input(SIZE), *layers()])


CLIPPED = {name: book_keeping.Clipped(model(layers)) for name, layers in LAYERS.items()}


def looped(model: Any, images: np.ndarray, outcome: np.ndarray) -> np.ndarray:
    """Return the gradient of each record [records, parameters], one after the other."""
    weights = [each.value for each in model.trainable_weights]
    rows = []
    for image, y in zip(images, outcome, strict=True):
        with tf.GradientTape() as tape:
            logit = tf.reshape(model(image[None]), [-1])
            loss = tf.nn.sigmoid_cross_entropy_with_logits([np.float32(y)], logit)
        parts = tape.gradient(loss, weights)
        rows.append(np.concatenate([each.numpy().ravel() for each in parts]))
    return np.array(rows, dtype=np.float64)


def shortened(each: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(each, axis=1)
    return (each * (bounds / np.maximum(length, bounds))[:, None]).sum(axis=0)


@pytest.mark.parametrize("name", LAYERS)
@settings(max_examples=4)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 9))
def test_every_layer_gives_what_a_loop_gives(name: str, seed: int, count: int) -> None:
    clipped, draw = CLIPPED[name], np.random.default_rng(seed)
    arrays = [draw.normal(size=each.shape) * 0.4 for each in clipped.model.weights]
    clipped.set(arrays)
    images = draw.random((count, *SIZE)).astype(np.float32)
    outcome = draw.integers(0, 2, count).astype(float)
    each = looped(clipped.model, images, outcome)
    bounds = np.linalg.norm(each, axis=1) * draw.choice([0.1, 0.7, 3.0], count)
    found, _ = clipped.add(images, outcome, bounds)
    expected = shortened(each, bounds)
    known = 1e-5 * np.abs(expected).max() + 1e-6  # a sure answer has few digits left
    assert np.abs(found - expected).max() <= known


def test_more_records_than_a_block_are_all_added_once_and_traced_once() -> None:
    clipped, draw = CLIPPED["dense"], np.random.default_rng(0)
    images = draw.random((150, *SIZE)).astype(np.float32)
    outcome, bounds = draw.integers(0, 2, 150).astype(float), np.full(150, 0.3)
    whole, loss = clipped.add(images, outcome, bounds)
    parts = [
        clipped.add(images[part], outcome[part], bounds[part])
        for part in (slice(0, 1), slice(1, 1), slice(1, 100), slice(100, 150))
    ]
    np.testing.assert_allclose(sum(each for each, _ in parts), whole, atol=1e-5)
    np.testing.assert_allclose(sum(each for _, each in parts), loss, rtol=1e-6)
    assert clipped._traced.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf, 3e38])
def test_a_record_that_is_not_finite_counts_as_nothing(
    name: str, broken: float
) -> None:
    clipped, draw = CLIPPED[name], np.random.default_rng(1)
    images = draw.random((5, *SIZE)).astype(np.float32)
    outcome, bounds = np.array([0.0, 1, 1, 0, 1]), np.full(5, 0.5)
    without, _ = clipped.add(images[1:], outcome[1:], bounds[1:])
    images[0, 2, 2] = broken
    found, loss = clipped.add(images, outcome, bounds)
    assert np.isfinite(found).all()
    assert np.isfinite(loss).all()
    assert np.linalg.norm(found - without) <= 0.5 * (1 + 1e-5)


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (L.BatchNormalization(name="mixes"), "mixes .BatchNormalization. has no rule"),
        (L.Conv2D(4, 3, dilation_rate=2), "Conv2D. has no rule"),
        (L.SeparableConv2D(4, 3, dilation_rate=2), "SeparableConv2D. has no rule"),
        (L.Conv2D(3, 3, groups=3), "Conv2D. has no rule"),
        (L.GroupNormalization(3, scale=False), "GroupNormalization. has no rule"),
        (L.LayerNormalization(axis=1), "LayerNormalization. has no rule"),
        (L.SpatialDropout2D(0.3), "SpatialDropout2D. has no rule"),
        (L.DepthwiseConv2D(3, dilation_rate=2), "DepthwiseConv2D. has no rule"),
        (L.Conv2DTranspose(4, 3), "Conv2DTranspose. has no rule"),
        (L.SpectralNormalization(L.Dense(2)), "SpectralNormalization. has no rule"),
    ],
)
def test_a_layer_without_a_rule_is_refused_by_name(layer: Any, said: str) -> None:
    built = keras.Sequential([L.Input(SIZE), layer, L.Flatten(), L.Dense(1)])
    with pytest.raises(StudyError, match=said):
        book_keeping.Clipped(built)


@pytest.mark.parametrize("residual", ["residual", ""])
@settings(max_examples=6)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 9), depth=st.integers(1, 4))
def test_dense_layers_in_pytorch_give_what_a_loop_gives(
    residual: str, seed: int, count: int, depth: int
) -> None:
    network = TabularNetwork(
        kind="tabular_network", dense=(3, 4, 4, 2)[:depth], residual=bool(residual)
    )
    clipped, draw = torch_layers.Clipped(network, 3), np.random.default_rng(seed)
    layers = dense.drawn(network, 3, seed)
    clipped.set(dense.arrays(layers))
    x, outcome = draw.normal(size=(count, 3)), draw.integers(0, 2, count).astype(float)
    each = dense.looped(layers, x, outcome, x[:, :0])
    bounds = np.linalg.norm(each, axis=1) * draw.choice([0.1, 0.7, 3.0], count)
    found, _ = clipped.add(x, outcome, bounds)
    np.testing.assert_allclose(found, shortened(each, bounds), rtol=1e-9, atol=1e-12)
    x[0, 0] = np.nan
    rest, _ = clipped.add(x, outcome, bounds)
    others = shortened(each[1:], bounds[1:])
    np.testing.assert_allclose(rest, others, rtol=1e-9, atol=1e-12)


def test_a_gradient_moves_when_its_weights_do() -> None:
    """A call that ignores the weights it was given would find the same every time."""
    clipped = book_keeping.Clipped(
        keras_layers.build(
            ImageNetwork(kind="image_network", blocks=(4,), groups=2),
            Image(name="film", size=(8, 8)),
        )
    )
    draw = np.random.default_rng(5)
    images = draw.random((4, 8, 8, 1)).astype(np.float32)
    outcome, bounds = np.array([0.0, 1, 0, 1]), np.full(4, 1e9)
    start = [draw.normal(size=each.shape) * 0.3 for each in clipped.model.weights]
    slope = 1e-3
    for place in range(len(start)):
        clipped.set(start)
        gradient, loss = clipped.add(images, outcome, bounds)
        ends = np.cumsum([each.size for each in start])
        part = np.split(gradient, ends[:-1])[place].reshape(start[place].shape)
        assert np.linalg.norm(part) > 0
        moved = [*start]
        moved[place] = start[place] - slope * part / np.linalg.norm(part)
        clipped.set(moved)
        fell = (loss - clipped.add(images, outcome, bounds)[1])[0] / slope
        assert fell == pytest.approx(np.linalg.norm(part), rel=0.05)
