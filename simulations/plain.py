"""The whole protocol as one loop: what the real apps must equal, message by message.

No Flower, no files, no door: a study over tables in memory. Tests, benchmarks and the
forty splits of the heart benchmark run on it, and it is the shortest way to read what a
study does.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from client.learning import training
from client.learning.training import Design
from client.table import Table
from common import costs, plan
from common.errors import StudyError
from common.release import Array, Summands, check, flatten, unflatten
from common.study import Study
from common.task import State, Task

Noise = Callable[[Array, float], Array]
"""Takes a vector and a deviation, and returns the vector with noise."""


def gaussian(draw: np.random.Generator) -> Noise:
    """Return noise from *draw*, which can be repeated: never for real people."""
    return lambda vector, deviation: vector + draw.normal(0.0, deviation, vector.shape)


def run(
    study: Study, tables: Sequence[Table], noise: Noise | None = None
) -> dict[str, State]:
    """Return the final state of every task of *study* over *tables*.

    With *noise*, every answer gets what the study says that its site adds.
    """
    return learned(study, tables, noise)[0]


def learned(
    study: Study, tables: Sequence[Table], noise: Noise | None = None
) -> tuple[dict[str, State], list[Array | None]]:
    """Return what :func:`run` does, and the personal layers of each site, if any."""
    designs = [Design(table) for table in tables]
    states: dict[str, State] = {}
    own: list[Array | None] = [None] * len(designs)
    for task in plan.tasks(study):
        state = plan.begin(study, task, states)
        for _ in range(study.rounds.maximum):
            pairs = zip(designs, own, strict=True)
            said = [training.learn(task, study, state, *each) for each in pairs]
            answers, own = [each for each, _ in said], [each for _, each in said]
            if noise:
                answers = [_noised(task, study, each, noise) for each in answers]
            state = task.finish(study, state, total(task, study, answers))
            if state.done:
                break
        else:
            raise StudyError(f"{task.name} did not settle")
        states[task.name] = state
    return states, own


def total(task: Task, study: Study, answers: Sequence[Summands]) -> Summands:
    """Return the sum of *answers*, each as declared, or what they combine to."""
    for answer in answers:
        check(task.release(study), answer)
    if combine := task.combine(study):
        return combine(answers)
    return {name: np.sum([a[name] for a in answers], axis=0) for name in answers[0]}


def _noised(task: Task, study: Study, answer: Summands, noise: Noise) -> Summands:
    release = task.release(study)
    vector = flatten(release, answer)
    return unflatten(release, noise(vector, costs.deviation(study, task)))


def _apart(codes: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Return the codes of all sites, where people of two sites are two people."""
    steps = np.cumsum([0, *(each.max(initial=-1) + 1 for each in codes)])
    return np.concatenate([c + step for c, step in zip(codes, steps, strict=False)])


def pooled(tables: Sequence[Table]) -> Table:
    """Return all records as one table: what no hospital may ever do."""
    return Table(
        values=np.concatenate([table.values for table in tables]),
        outcome=np.concatenate([table.outcome for table in tables]),
        train=np.concatenate([table.train for table in tables]),
        person=_apart([table.person for table in tables]),
        key=np.concatenate([table.key for table in tables]),
        people={
            "train": sum(table.people["train"] for table in tables),
            "test": sum(table.people["test"] for table in tables),
        },
        report=(),
        site=np.concatenate([table.site for table in tables]),
        images=np.concatenate([table.images for table in tables]),
    )
