"""Noisy gradient descent: full batches, bounded slopes, momentum, and the mean of it.

How many steps, how long and how far is fixed before: by the study, and by a count of
people that has noise itself. No slope of a record is longer than the descent says, so
that no gradient needs clipping. The model is the mean of the last half of the steps
(Polyak & Juditsky 1992), which averages the noise away.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from common import promise
from common.encoding import Encoding, columns
from common.privacy import mu_of
from common.release import Array, Field, Release, Summands
from common.study import Study
from common.task import Found, Noisy, Read, Rows, State, Task, added
from common.tasks.linear import newton
from common.tasks.linear.newton import Arrays
from common.tasks.private import noised

MOMENTUM = 0.9
STEPS, FEWEST, MOST = 8, 5, 40
"""Steps when nothing is known of how many people there are; else between these."""

WEIGHT = 0.9
"""Share of mu^2 beside describe's."""


@dataclass(frozen=True, slots=True)
class Course:
    """Where steps begin [width], how steep a slope counts, and how bent the loss is.

    Slopes are told in units of ``unit``. ``bend`` is about the largest second
    derivative of the mean loss: one number, or one for each weight.
    """

    weights: Array
    bend: Array
    unit: float = 1.0


@dataclass(frozen=True, slots=True)
class Descent:
    """What a fit steps along: a slope for each record, and where its steps begin.

    ``each(study, arrays, rows)`` returns slopes [records, width] in units of the
    course, none longer than ``clip``; ``ridge`` is on each weight [width]. ``settled``
    is what of all weights tells nothing, and is taken off: noise is as much in it.
    """

    name: str
    width: Callable[[Study], int]
    each: Callable[[Study, Arrays, Rows], Array]
    clip: Callable[[Study], float]
    ridge: Callable[[Study], Array]
    begin: Callable[[Study, Summands], Course]
    settled: Callable[[Study, Array], Array] = lambda _study, weights: weights


def task(descent: Descent, read: Read) -> Task:
    """Return the private task that takes the steps of *descent*."""

    def each(study: Study, state: State, rows: Rows) -> Array:
        return descent.each(study, state.arrays, rows)

    def release(study: Study) -> Release:
        """Declare the gradient, intercepts last."""
        shape = (descent.width(study),)
        return {"gradient": Field("sum of the slopes, clipped", shape, "sum")}

    return Task(
        name=descent.name,
        rows="train",
        encoded=True,
        shows=lambda study: {**newton.shown(descent.width(study), study), "unit": (1,)},
        release=release,
        start=lambda study, found: _start(descent, study, found),
        local=added(each, release),
        finish=lambda study, state, total: _finish(descent, study, state, total),
        read=read,
        noisy=Noisy(each=each, clip=descent.clip, rounds=rounds, weight=WEIGHT),
    )


def rounds(study: Study) -> int:
    """Return how many steps are taken: from the study alone, whatever the data say.

    Few people or much noise allow few steps: mu * people / (6 * sqrt(d)) of them, for
    each of them has more noise the more there are.
    """
    kept, steps = promise.of(study), STEPS
    if kept.expected_people:
        noise = promise.in_total(study, 1.0 / mu_of(kept.epsilon, kept.delta))
        told = kept.expected_people / (6 * noise * math.sqrt(len(columns(study))))
        steps = min(max(round(told), FEWEST), MOST)
    return min(steps, study.rounds.maximum)


def _start(descent: Descent, study: Study, found: Found) -> State:
    """Begin where the noisy sums of describe say."""
    sums = found["describe"].arrays
    course = descent.begin(study, sums)
    return State(
        {
            **Encoding.of(sums).arrays(),
            "weights": course.weights,
            "unit": np.array([course.unit]),
        },
        kept={
            "people": np.array([noised.people(study, sums)]),
            "bend": course.bend,
            "steps": np.zeros(1),
            "last": course.weights,
            "tail": np.zeros_like(course.weights),
        },
    )


def _finish(descent: Descent, study: Study, state: State, total: Summands) -> State:
    """Take one step with momentum (Nesterov 1983); end with the mean of the last."""
    kept, shown, last = state.kept, state.arrays["weights"], rounds(study)
    people, number = float(kept["people"][0]), int(kept["steps"][0]) + 1
    penalty = descent.ridge(study) / people
    gradient = state.arrays["unit"] * total["gradient"] / people + penalty * shown
    reached = shown - gradient / (kept["bend"] + penalty.max(initial=0.0))
    reached = descent.settled(study, reached)
    late = number > last // 2
    tail = kept["tail"] + reached * late
    if number >= last:
        mean = tail / (last - last // 2)
        return State({**state.arrays, "weights": mean}, done=True)
    ahead = reached + MOMENTUM * (reached - kept["last"])
    kept = {**kept, "steps": np.array([float(number)]), "last": reached, "tail": tail}
    return State({**state.arrays, "weights": ahead}, kept=kept)
