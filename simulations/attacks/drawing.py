"""Are the people of a step drawn as the accountant assumes: alone, at the study's rate?

The code that ships draws many steps at hospitals of several sizes, and each law of a
Poisson sample is tested: how often anybody is in, how much the number of people varies,
and whether who was in one step says who is in the next. Shuffled batches, batches of a
fixed size and rates that were made from a number of people fail by far.
"""

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from client.learning import training
from client.learning.training import Design
from client.table import Table
from common import costs
from common.errors import Refusal
from common.release import Array, Summands, length, unflatten
from common.study import Study
from common.task import Keys, Rows, State, Task

DRAWS: Final = 400
SIZES: Final = (10, 40)
"""People of each hospital: each of them twice, for records count together."""
CHANCE: Final = 1e-7
"""How unlikely it is that a right draw is called wrong, by one of the tests."""

Who = NDArray[np.bool_]


def check(study: Study, task: Task, state: State, table: Table) -> None:
    """Raise Refusal unless *task* draws the people of *table* as it is charged for."""
    rate = costs.noisy(task).sample(study)
    for people in SIZES:
        drawn = _drawn(study, task, state, _of(table, people))
        for law, p in _laws(drawn, rate).items():
            if p < CHANCE:
                raise Refusal(
                    f"steps of {task.name} are charged as Poisson samples at rate "
                    f"{rate:g}, and are not: {law} (p = {p:.1g}, {people} people)",
                    likely="a loader that shuffles, or a rate made from how many "
                    "people there are",
                )


def _of(table: Table, people: int) -> Table:
    """Return a table of so many *people* who train, each with two records."""
    first = np.flatnonzero(table.train)
    chosen = np.resize(first, 2 * people)
    return replace(
        table,
        values=table.values[chosen],
        outcome=table.outcome[chosen],
        train=np.ones(len(chosen), dtype=bool),
        person=np.repeat(np.arange(people), 2),
        key=np.repeat(np.arange(people, dtype=np.uint64), 2),
        site=np.zeros(0, dtype=np.int64),
        images=table.images[chosen] if len(table.images) else table.images,
    )


def _drawn(study: Study, task: Task, state: State, table: Table) -> Who:
    """Return [steps, people]: who was in each step, with all their records.

    Raises Refusal when somebody was in with one record alone.
    """
    keys: list[Keys] = []

    def look(_study: Study, _state: State, rows: Rows, _bounds: Array) -> Summands:
        keys.append(rows.key)
        return unflatten(task.release(study), np.zeros(length(task.release(study))))

    marked = replace(task, noisy=replace(costs.noisy(task), bounded=look))
    for _ in range(DRAWS):
        training.run(marked, study, state, Design(table))
    people = len(np.unique(table.key))
    times = np.array([np.bincount(each.astype(int), minlength=people) for each in keys])
    if not np.isin(times, (0, 2)).all():
        raise Refusal(f"steps of {task.name} draw records, where people are charged")
    return times > 0


def _laws(drawn: Who, rate: float) -> dict[str, float]:
    """Return the p-value of each law of a Poisson sample."""
    steps, people = drawn.shape
    counts = drawn.sum(axis=1)
    spread = ((counts - people * rate) ** 2).sum() / (people * rate * (1 - rate))
    again = int((drawn[1:] & drawn[:-1]).sum())
    pairs = (steps - 1) * people
    return {
        "people are in too often or too seldom": stats.binomtest(
            int(counts.sum()), steps * people, rate
        ).pvalue,
        "the number of people varies too little or too much": 2
        * min(stats.chi2.cdf(spread, steps), stats.chi2.sf(spread, steps)),
        "who was in a step says who is in the next": stats.binomtest(
            again, pairs, rate**2
        ).pvalue,
    }
