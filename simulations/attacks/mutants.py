"""Mistakes that people make with differential privacy, made on purpose for an audit.

Each replaces one function of the code that ships, for as long as the audit looks. An
audit that does not find them would not find ours.
"""

import math
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from client.learning import clipping, noise, sampling, training
from client.learning.clipping import Codes, Part
from common import costs, encoding, plan
from common.encoding import Encoding
from common.privacy import mu_of
from common.release import Array, Summands
from common.study import Study
from common.task import Rows, Task

Any = Callable[..., object]


@dataclass(frozen=True, slots=True)
class Mutant:
    """A mistake in words, and the function that makes it in place of another."""

    what: str
    module: ModuleType
    name: str
    wrong: Callable[[Any], Any]


def _halved(right: Any) -> Any:
    return lambda *given: np.asarray(right(*given)) / 2


def _twice(right: Any) -> Any:
    def deviation(study: Study, task: Task) -> float:
        return float(str(right(study, task))) / math.sqrt(len(study.study.sites))

    return deviation


def _same_key(right: Any) -> Any:
    return lambda count, *_: right(count, bytes)


def _unclipped(right: Any) -> Any:
    del right
    return lambda _part, people: people.sum(axis=0)


def _one_group(right: Any) -> Any:
    def clip(part: Part, people: Array) -> Array:
        free = people[:, -1] > 0
        kept: Array = np.asarray(right(part, people[~free])) + people[free].sum(axis=0)
        return kept

    return clip


def _batch(right: Any) -> Any:
    def add(part: Part, rows: Rows, person: Codes) -> object:
        loose = Part(part.each, part.width, sys.float_info.max)
        found = right(loose, rows, person)
        total = getattr(found, "total")  # noqa: B009 - a Clipped
        whole = clipping._clip(part, total[None, :])  # noqa: SLF001
        return clipping.Clipped(whole, 0)

    return add


def _by_record(right: Any) -> Any:
    return lambda part, rows, _person: right(part, rows, np.arange(len(rows.y)))


def _own_scale(right: Any) -> Any:
    def encode(study: Study, _agreed: Encoding, values: Array) -> Array:
        plan_ = encoding.columns(study)
        raw = [encoding.expand(each, values[:, each.variable]) for each in plan_]
        known = np.nan_to_num(np.column_stack(raw))
        centre, scale = known.mean(axis=0), known.std(axis=0)
        return np.asarray(right(study, Encoding(centre, scale, centre), values))

    return encode


def _mean(right: Any) -> Any:
    def run(task: Task, study: Study, state: object, design: training.Design) -> object:
        sums: Summands = dict(right(task, study, state, design))  # type: ignore[call-overload]
        people = len(set(design.persons(task.rows).tolist()))
        return {name: array * (20 / people) for name, array in sums.items()}

    return run


def _each_round_whole(right: Any) -> Any:
    def split(study: Study, total: float, side: str) -> list[tuple[str, float]]:
        tasks = {task.name: task for task in plan.tasks(study)}
        given: list[tuple[str, float]] = list(right(study, total, side))  # type: ignore[call-overload]
        return [
            (name, mu * math.sqrt(plan.rounds(study, tasks[name])))
            for name, mu in given
        ]

    return split


def _each_task_whole(right: Any) -> Any:
    del right

    def split(study: Study, total: float, side: str) -> list[tuple[str, float]]:
        return [
            (task.name, total / math.sqrt(plan.rounds(study, task)))
            for task in plan.tasks(study)
            if task.rows == side
        ]

    return split


def _one_sided(right: Any) -> Any:
    return lambda *given: np.abs(np.asarray(right(*given)))


def _rate_of_people(right: Any) -> Any:
    def draw(person: Codes, _rate: float, *given: object) -> object:
        return right(person, min(EXPECTED / len(np.unique(person)), 1.0), *given)

    return draw


def _shuffled(right: Any) -> Any:
    """Deal out everybody before anybody comes again, as a loader does."""
    del right
    waiting: dict[int, list[int]] = {}

    def draw(person: Codes, rate: float, *_: object) -> object:
        everyone = np.unique(person)
        size = max(round(rate * len(everyone)), 1)
        left = waiting.setdefault(len(everyone), [])
        if len(left) < size:
            left[:] = np.random.default_rng().permutation(everyone).tolist()
        batch, left[:] = left[:size], left[size:]
        return np.flatnonzero(np.isin(person, batch))

    return draw


def _realised(right: Any) -> Any:
    def bounds(person: Codes, clip: float) -> object:
        drawn = len(np.unique(person))
        return np.asarray(right(person, clip)) * (EXPECTED / max(drawn, 1))

    return bounds


def _one_step(right: Any) -> Any:
    return lambda promised, rate, _steps, beside: right(promised, rate, 1, beside)


def _lax(right: Any) -> Any:
    del right
    return lambda epsilon, delta: mu_of(2 * epsilon, delta)


EXPECTED = 20
"""People that somebody takes to be in a step."""

MUTANTS = {
    "noise-halved": Mutant("noise of half the deviation", noise, "normal", _halved),
    "noise-divided-twice": Mutant(
        "noise divided among the sites once more", costs, "deviation", _twice
    ),
    "noise-one-sided": Mutant("noise that only adds", noise, "normal", _one_sided),
    "same-key": Mutant(
        "every release has the noise of one key", noise, "normal", _same_key
    ),
    "unclipped": Mutant("nobody is clipped", clipping, "_clip", _unclipped),
    "group-unclipped": Mutant(
        "one group is not clipped", clipping, "_clip", _one_group
    ),
    "batch-clipped": Mutant(
        "the sum is clipped and no person", clipping, "add", _batch
    ),
    "record-clipped": Mutant(
        "records are clipped and no person", clipping, "add", _by_record
    ),
    "own-scale": Mutant(
        "a site standardises by its own people", training, "encode", _own_scale
    ),
    "own-divisor": Mutant(
        "sums are divided by how many people are here", training, "run", _mean
    ),
    "rounds-not-charged": Mutant(
        "all rounds are charged as one", costs, "_split", _each_round_whole
    ),
    "tasks-not-charged": Mutant(
        "each task spends the whole promise", costs, "_split", _each_task_whole
    ),
    "epsilon-doubled": Mutant(
        "noise is calibrated to twice the epsilon", costs, "mu_of", _lax
    ),
}

OF_STEPS = {
    "rate-from-people": Mutant(
        "steps are sampled at a rate made from how many people are here",
        *(sampling, "draw", _rate_of_people),
    ),
    "shuffled": Mutant(
        "shuffled batches are charged as Poisson samples", sampling, "draw", _shuffled
    ),
    "realised-divisor": Mutant(
        "a step is divided by how many people were drawn", sampling, "bounds", _realised
    ),
    "steps-not-charged": Mutant(
        "all steps are charged as one", costs, "sigma_of", _one_step
    ),
}
"""Mistakes that only a study with steps over samples can make."""
ALL = MUTANTS | OF_STEPS


@contextmanager
def broken(name: str) -> Generator[None]:
    """Make the mistake called *name* for a while."""
    mutant = ALL[name]
    right = getattr(mutant.module, mutant.name)
    setattr(mutant.module, mutant.name, mutant.wrong(right))
    try:
        yield
    finally:
        setattr(mutant.module, mutant.name, right)
