"""What clipping each record costs a network: processor time of one thread, in turn.

A step is the gradient of a batch, and with privacy each record's is clipped. Noise from
the machine's entropy comes once a round, however many batches that was, and has a line
of its own. ``make bench`` prints the table.
"""

import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import click
import keras
import numpy as np
import tensorflow as tf
import torch
from opacus.grad_sample import GradSampleModule

from client import noise
from common.networks import ImageNetwork
from common.release import Array
from common.schema import Image
from common.task import Images
from common.tasks import book_keeping, keras_layers

REPEATS = 3
CLIP, DEVIATION = 1.0, 3.0

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


def main() -> int:
    """Measure, print the table, and return 1 when a goal is missed."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    torch.set_num_threads(1)
    click.echo(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    missed = 0
    cases = [partial(_line, case) for case in CASES]
    for measure in [*cases, partial(_opacus), partial(_noise)]:
        met, text = measure()
        missed += not met
        click.echo(f"{'met   ' if met else 'MISSED'}  {text}")
    return 1 if missed else 0


def _line(case: Case) -> tuple[bool, str]:
    """Measure a step with clipping against the same step without."""
    pictures, outcome = _people(case)
    size = min(case.records, 16 if case.image is LARGE_IMAGE else case.records)
    clipped = book_keeping.Clipped(keras_layers.build(case.network, case.image), size)
    bounds = np.full(case.records, CLIP)

    def private() -> Array:
        return clipped.add(pictures, outcome, bounds)[0]

    plain = _plain(clipped.model, pictures, outcome, size)
    ours, theirs = _in_turn(private, plain)
    figure = f"{ours / theirs:.2f} ({1000 * ours:.0f} ms / {1000 * theirs:.0f} ms)"
    what = f"a step with clipping / without: {case.what}"
    return ours / theirs <= case.goal, f"{what:<70}{figure:<28}goal {case.goal:g}"


def _people(case: Case) -> tuple[Images, Array]:
    draw = np.random.default_rng(0)
    pictures = draw.random((case.records, *case.image.shape), dtype=np.float32)
    return pictures, draw.integers(0, 2, case.records).astype(np.float64)


def _plain(
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


def _opacus() -> tuple[bool, str]:
    """Measure ours against Opacus' hooks on the same layers."""
    case = CASES[1]
    pictures, outcome = _people(case)
    clipped = book_keeping.Clipped(
        keras_layers.build(case.network, case.image), case.records
    )
    bounds = np.full(case.records, CLIP)
    nn = torch.nn
    layers = nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * 49, 128),
        nn.ReLU(),
        nn.Linear(128, 1),
    )
    hooked = GradSampleModule(layers, loss_reduction="sum")
    x = torch.from_numpy(pictures.transpose(0, 3, 1, 2).copy()).requires_grad_()
    y = torch.from_numpy(outcome.astype(np.float32))

    def theirs() -> object:
        hooked.zero_grad()
        logit = hooked(x)[:, 0]
        loss = nn.functional.binary_cross_entropy_with_logits(logit, y, reduction="sum")
        torch.autograd.backward(loss)
        built = [vars(each)["grad_sample"] for each in layers.parameters()]
        square = [each.flatten(1).square().sum(1) for each in built]
        weight = (CLIP / torch.stack(square).sum(0).sqrt()).clamp(max=1.0)
        return [torch.einsum("i,i...->...", weight, each) for each in built]

    ours, other = _in_turn(lambda: clipped.add(pictures, outcome, bounds), theirs)
    text = "records a second, book-keeping / Opacus' hooks: small CNN, 64"
    rates = f"({case.records / ours:.0f} / {case.records / other:.0f})"
    return other > ours, f"{text:<70}{f'{other / ours:.1f} {rates}':<28}goal 1"


def _noise() -> tuple[bool, str]:
    """Measure the noise of a round of the default network, beside a step of it."""
    case = CASES[0]
    pictures, outcome = _people(case)
    clipped = book_keeping.Clipped(
        keras_layers.build(case.network, case.image), case.records
    )
    bounds = np.full(case.records, CLIP)
    total, _ = clipped.add(pictures, outcome, bounds)
    ours, step = _in_turn(
        lambda: noise.add(total, DEVIATION, CLIP),
        lambda: clipped.add(pictures, outcome, bounds),
    )
    text = f"noise of a round / one step of 64: default, {total.size:,} numbers"
    figure = f"{ours / step:.2f} ({1000 * ours:.1f} ms)"
    return ours < step, f"{text:<70}{figure:<28}goal 1"


def _in_turn(
    one: Callable[[], object], other: Callable[[], object]
) -> tuple[float, float]:
    """Return the median processor seconds of each, in pairs after a warm-up."""
    one()
    other()
    pairs = [(_used(one), _used(other)) for _ in range(REPEATS)]
    first, second = zip(*pairs, strict=True)
    return statistics.median(first), statistics.median(second)


def _used(call: Callable[[], object]) -> float:
    begun = time.process_time()
    call()
    return time.process_time() - begun


if __name__ == "__main__":
    sys.exit(main())
