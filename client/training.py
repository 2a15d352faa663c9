"""Runs a task's formula over a table: the only place where records meet arithmetic."""

import numpy as np

from client.table import Table
from common.encoding import Encoding, encode
from common.release import Summands
from common.study import Study
from common.task import Rows, State, Task


class Design:
    """A table's encoded rows, kept while the consortium's constants stay the same.

    Each round of Newton's method needs the same design matrix; encoding it again
    would double the cost of the round.
    """

    def __init__(self, table: Table) -> None:
        """Hold *table*; nothing is encoded before it is asked for."""
        self._table = table
        self._kept: dict[str, tuple[Encoding, Rows]] = {}

    def rows(self, study: Study, task: Task, state: State) -> Rows:
        """Return what the formula of *task* may see."""
        clean = self._table.rows(task.rows)
        if not task.encoded:
            return clean
        encoding = Encoding.of(state.arrays)
        kept = self._kept.get(task.rows)
        if kept is None or not _same(kept[0], encoding):
            kept = encoding, Rows(encode(study, encoding, clean.x), clean.y)
            self._kept[task.rows] = kept
        return kept[1]


def run(task: Task, study: Study, state: State, design: Design) -> Summands:
    """Return this site's summands of one round."""
    return task.local(study, state, design.rows(study, task, state))


def _same(one: Encoding, other: Encoding) -> bool:
    pairs = zip(one.arrays().values(), other.arrays().values(), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)
