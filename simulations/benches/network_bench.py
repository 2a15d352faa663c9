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

from client.learning import noise
from common.release import Array
from common.tasks.networks import book_keeping, keras_layers
from common.tasks.networks.torch_layers import Clipped
from simulations.benches import network_rivals, rival_layers, step_memory
from simulations.benches.network_steps import (
    CASES,
    LARGE_IMAGE,
    SMALL_CASE,
    Case,
    people,
    plain,
)
from simulations.benches.rival_layers import TABLES, Table

REPEATS, MANY = 5, 200
"""How many pairs are measured; how many steps of a table are one measurement."""
CLIP, DEVIATION = 1.0, 3.0
MEMORY, TABLE = 1.8, 1.2


def main() -> int:
    """Measure, print the table, and return 1 when a goal is missed."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    torch.set_num_threads(1)
    click.echo(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    missed = 0
    every: list[Callable[[], tuple[bool, str]]] = [
        *(partial(_line, case) for case in CASES),
        *(partial(_table, table) for table in TABLES),
        *(partial(_rival, name) for name in network_rivals.RIVALS),
        *(partial(_table_rival, name) for name in network_rivals.RIVALS),
        _memory,
        _noise,
    ]
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
    given = rival_layers.pictures(pictures, outcome)
    theirs = network_rivals.RIVALS[name](rival_layers.of_pictures(), *given, CLIP)
    ours, other = _in_turn(lambda: clipped.add(pictures, outcome, bounds), theirs)
    return _faster(name, "small CNN, 64", case.records / ours, case.records / other)


def _table(table: Table) -> tuple[bool, str]:
    """Measure a step of a *table* with clipping against PyTorch's own without."""
    model, (x, outcome) = rival_layers.of_table(table), rival_layers.rows(table)
    y = torch.from_numpy(outcome)
    usual = network_rivals.plain(model, torch.from_numpy(x), y)
    ours, theirs = _in_turn(_clipped(table), usual, MANY)
    figure = f"{ours / theirs:.2f} ({1e6 * ours:.0f} us / {1e6 * theirs:.0f} us)"
    what = f"a step with clipping / without: {table.what}"
    return ours / theirs <= TABLE, f"{what:<70}{figure:<28}goal {TABLE:g}"


def _table_rival(name: str) -> tuple[bool, str]:
    """Measure ours against another way to the same sum, of a table."""
    table = TABLES[0]
    model, (x, outcome) = rival_layers.of_table(table), rival_layers.rows(table)
    given = torch.from_numpy(x), torch.from_numpy(outcome)
    theirs = network_rivals.RIVALS[name](model, *given, CLIP)
    ours, other = _in_turn(_clipped(table), theirs, MANY)
    return _faster(name, table.what, table.records / ours, table.records / other)


def _clipped(table: Table) -> Callable[[], object]:
    """Return our step of a *table*, with the weights that the others have."""
    clipped = Clipped(table.network, rival_layers.WIDTH)
    weights = rival_layers.of_table(table).parameters()
    clipped.set([each.detach().numpy() for each in weights])
    x, outcome = rival_layers.rows(table)
    bounds = np.full(table.records, CLIP)
    return lambda: clipped.add(x, outcome, bounds)


def _faster(name: str, what: str, ours: float, other: float) -> tuple[bool, str]:
    """Say how many records a second ours takes, and another way."""
    text = f"records a second, book-keeping / {name}: {what}"
    figure = f"{ours / other:.1f} ({ours:.0f} / {other:.0f})"
    return ours > other, f"{text:<70}{figure:<28}goal 1"


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
    one: Callable[[], object], other: Callable[[], object], times: int = 1
) -> tuple[float, float]:
    """Return the median processor seconds of each, in pairs after a warm-up.

    What is measured is so many *times* in a row.
    """
    one()
    other()
    pairs = [(_used(one, times), _used(other, times)) for _ in range(REPEATS)]
    first, second = zip(*pairs, strict=True)
    return statistics.median(first), statistics.median(second)


def _used(call: Callable[[], object], times: int) -> float:
    begun = time.process_time()
    for _ in range(times):
        call()
    return (time.process_time() - begun) / times


if __name__ == "__main__":
    sys.exit(main())
