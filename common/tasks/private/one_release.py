"""An analysis under a promise: one noisy sum of rows that are no longer than 1.

A row is made of blocks, each no longer than 1 and all weighed alike, and a block of
parts with fixed shares of its squared length. The totals are divided by the weights
again. How much noise that leaves is known from the study alone, so that an interval or
a p-value can hold it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from common import promise
from common.release import Array, Field, Release, Summands
from common.sheet import Sheet
from common.study import Study
from common.task import Findings, Found, Noisy, Rows, State, Task, added
from common.tasks.private import noised, scales

WEIGHT: Final = 0.9
"""Share of mu^2 beside describe's: what is asked for, as a model is."""
CLEAR: Final = 3.0
"""A divisor stands so many deviations of its noise above 0, or nothing is told: then
a ratio is about what it is without noise, and how far off is known."""


@dataclass(frozen=True, slots=True)
class Block:
    """One array that leaves, and what each record adds to it: a row of length 1."""

    name: str
    field: Field
    row: Callable[[Study, State, Rows], Array]


Blocks = Callable[[Study], Sequence[Block]]
Read = Callable[[Study, State], Findings]
Show = Callable[[Study, State], tuple[Sheet, ...]]


@dataclass(frozen=True, slots=True)
class Told:
    """What an analysis says of its state: as findings, and as tables."""

    read: Read
    show: Show


def weights(
    shares: Mapping[str, float], lengths: Mapping[str, float]
) -> dict[str, float]:
    """Return each part's factor: parts no longer than *lengths* are then 1 together."""
    whole = math.fsum(shares.values())
    return {name: math.sqrt(s / whole) / lengths[name] for name, s in shares.items()}


def noise(study: Study, blocks: int, rounds: int = 1) -> float:
    """Return the deviation of the noise in a total of one of so many *blocks*."""
    share = noised.paid(study, WEIGHT) / rounds
    return promise.of_share(study, 1.0, share) * math.sqrt(blocks)


def totals(study: Study, blocks: Blocks, state: State) -> dict[str, Array]:
    """Return the total of each block, as if it were alone."""
    every = blocks(study)
    return {
        each.name: state.arrays[each.name] * math.sqrt(len(every)) for each in every
    }


def task(
    name: str,
    blocks: Blocks,
    numbers: Callable[[Study], Sequence[str]],
    told: Told,
) -> Task:
    """Return the task that releases *blocks* once; it measures *numbers* by scales."""

    def release(study: Study) -> Release:
        return {each.name: each.field for each in blocks(study)}

    def each(study: Study, state: State, rows: Rows) -> Array:
        every = blocks(study)
        parts = [block.row(study, state, rows) for block in every]
        return np.column_stack(parts) / math.sqrt(len(every))

    def start(study: Study, found: Found) -> State:
        return State(scales.near(study, found, numbers(study)))

    def finish(study: Study, state: State, total: Summands) -> State:
        del study
        return State({**state.arrays, **total}, done=True)

    return Task(
        name=name,
        rows="train",
        encoded=False,
        shows=lambda study: scales.shapes(numbers(study)),
        release=release,
        start=start,
        local=added(each, release),
        finish=finish,
        read=told.read,
        show=told.show,
        noisy=Noisy(
            each=each,
            clip=lambda _study: 1.0,
            rounds=lambda _study: 1,
            weight=WEIGHT,
        ),
    )
