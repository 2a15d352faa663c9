"""The whole protocol as one loop: what the real apps must equal, message by message.

No Flower, no files, no door: a study over tables in memory. Tests, benchmarks and the
forty splits of the heart benchmark run on it, and it is the shortest way to read what a
study does.
"""

from collections.abc import Sequence

import numpy as np

from client import training
from client.table import Table
from client.training import Design
from common import plan
from common.errors import StudyError
from common.release import Summands, check
from common.study import Study
from common.task import State, Task


def run(study: Study, tables: Sequence[Table]) -> dict[str, State]:
    """Return the final state of every task of *study* over *tables*."""
    designs = [Design(table) for table in tables]
    states: dict[str, State] = {}
    for task in plan.tasks(study):
        state = task.start(study, states)
        for _ in range(study.rounds.maximum):
            answers = [training.run(task, study, state, each) for each in designs]
            state = task.finish(study, state, total(task, study, answers))
            if state.done:
                break
        else:
            raise StudyError(f"{task.name} did not settle")
        states[task.name] = state
    return states


def total(task: Task, study: Study, answers: Sequence[Summands]) -> Summands:
    """Return the sum of *answers*, each exactly as declared."""
    for answer in answers:
        check(task.release(study), answer)
    return {name: np.sum([a[name] for a in answers], axis=0) for name in answers[0]}


def pooled(tables: Sequence[Table]) -> Table:
    """Return all records as one table: what no hospital may ever do."""
    return Table(
        values=np.concatenate([table.values for table in tables]),
        outcome=np.concatenate([table.outcome for table in tables]),
        train=np.concatenate([table.train for table in tables]),
        people={
            "train": sum(table.people["train"] for table in tables),
            "test": sum(table.people["test"] for table in tables),
        },
        report=(),
    )
