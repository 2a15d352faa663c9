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
from functools import partial

import click
import numpy as np
import tensorflow as tf
import torch

from client import noise
from common.release import Array
from common.tasks import book_keeping, keras_layers
from simulations import network_rivals, step_memory
from simulations.network_steps import (
    CASES,
    LARGE_IMAGE,
    SMALL_CASE,
    Case,
    people,
    plain,
)

REPEATS = 3
CLIP, DEVIATION = 1.0, 3.0
MEMORY = 1.8


def main() -> int:
    """Measure, print the table, and return 1 when a goal is missed."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    torch.set_num_threads(1)
    click.echo(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    missed = 0
    cases = [partial(_line, case) for case in CASES]
    rivals = [partial(_rival, name) for name in network_rivals.RIVALS]
    every: list[Callable[[], tuple[bool, str]]] = [*cases, *rivals, _memory, _noise]
    for measure in every:
        met, text = measure()
        missed += not met
        click.echo(f"{'met   ' if met else 'MISSED'}  {text}")
    return 1 if missed else 0


def _line(case: Case) -> tuple[bool, str]:
    """Measure a step with clipping against the same step without."""
    pictures, outcome = people(case)
    size = min(case.records, 16 if case.image is LARGE_IMAGE else case.records)
    clipped = book_keeping.Clipped(keras_layers.build(case.network, case.image), size)
    bounds = np.full(case.records, CLIP)

    def private() -> Array:
        return clipped.add(pictures, outcome, bounds)[0]

    usual = plain(clipped.model, pictures, outcome, size)
    ours, theirs = _in_turn(private, usual)
    figure = f"{ours / theirs:.2f} ({1000 * ours:.0f} ms / {1000 * theirs:.0f} ms)"
    what = f"a step with clipping / without: {case.what}"
    return ours / theirs <= case.goal, f"{what:<70}{figure:<28}goal {case.goal:g}"


def _rival(name: str) -> tuple[bool, str]:
    """Measure ours against another way to the same sum, on the same layers."""
    case = SMALL_CASE
    pictures, outcome = people(case)
    clipped = book_keeping.Clipped(
        keras_layers.build(case.network, case.image), case.records
    )
    bounds = np.full(case.records, CLIP)
    theirs = network_rivals.RIVALS[name](pictures, outcome, CLIP)
    ours, other = _in_turn(lambda: clipped.add(pictures, outcome, bounds), theirs)
    text = f"records a second, book-keeping / {name}: small CNN, 64"
    rates = f"({case.records / ours:.0f} / {case.records / other:.0f})"
    return other > ours, f"{text:<70}{f'{other / ours:.1f} {rates}':<28}goal 1"


def _memory() -> tuple[bool, str]:
    """Measure the peak of a step of the original network, each in its own process."""
    ours, theirs = (step_memory.measured(way) for way in ("clipped", "plain"))
    text = "peak memory above import, with clipping / without: original, 16"
    figure = f"{ours / theirs:.2f} ({ours:.0f} MiB / {theirs:.0f} MiB)"
    return ours <= MEMORY * theirs, f"{text:<70}{figure:<28}goal {MEMORY:g}"


def _noise() -> tuple[bool, str]:
    """Measure the noise of a round of the default network, beside a step of it."""
    case = CASES[0]
    pictures, outcome = people(case)
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
