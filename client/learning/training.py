"""Runs a task's formula over a table: the only place where records meet arithmetic.

Where the study promises privacy, a formula only says what each record contributes, and
the sum over people is made and bounded here. Noise is added at the door.
"""

import logging
from dataclasses import replace

import numpy as np

from client.learning import clipping, sampling
from client.learning.clipping import Codes, Part
from client.table import Table
from common import costs, personal
from common.encoding import Encoding, check, encode
from common.errors import IntegrityError, StudyError
from common.release import Array, Summands, length, unflatten
from common.study import Study
from common.task import Rows, Split, State, Task

LOG = logging.getLogger("consilium.client")


class Design:
    """A table's encoded rows, by the one encoding that a study has.

    Each round of Newton's method needs the same design matrix; encoding it again would
    double the cost of the round. And a second encoding in one study would only serve to
    look at few records at a time, so it is refused.
    """

    def __init__(self, table: Table, fewest: int = 0, *, tells: bool = True) -> None:
        """Hold *table* and the site's rules; nothing is encoded before it is asked."""
        self._table, self._fewest, self._tells = table, fewest, tells
        self._encoding: Encoding | None = None
        self._kept: dict[str, Rows] = {}

    def anew(self) -> "Design":
        """Return the same table and rules, not encoded yet."""
        return Design(self._table, self._fewest, tells=self._tells)

    def rows(self, study: Study, task: Task, state: State) -> Rows:
        """Return what the formula of *task* may see.

        Raises IntegrityError for an encoding that is impossible, or is another one.
        """
        own = self._table.rows(task.rows)
        clean = replace(own, fewest=self._fewest, tells=self._tells)
        if not task.encoded:
            return clean
        encoding = self._agreed(study, Encoding.of(state.arrays))
        if task.rows not in self._kept:
            encoded = replace(clean, x=encode(study, encoding, clean.x))
            self._kept[task.rows] = encoded
        return self._kept[task.rows]

    def persons(self, split: Split) -> Codes:
        """Return who is behind each of the records of :meth:`rows`."""
        return self._table.persons(split)

    def _agreed(self, study: Study, encoding: Encoding) -> Encoding:
        if self._encoding is None:
            check(study, encoding)
            self._encoding = encoding
        if not _same(self._encoding, encoding):
            raise IntegrityError("a round came with another encoding than the last")
        return encoding


def run(task: Task, study: Study, state: State, design: Design) -> Summands:
    """Return this site's summands of one round: clipped by person under a promise."""
    rows = design.rows(study, task, state)
    if study.privacy == "none":
        return task.local(study, state, rows)
    noisy, release = costs.noisy(task), task.release(study)
    person = design.persons(task.rows)
    if noisy.bounded:
        chosen = sampling.draw(person, noisy.sample(study))
        bounds = sampling.bounds(person[chosen], noisy.clip(study))
        return noisy.bounded(study, state, rows.take(chosen), bounds)
    if noisy.each is None:
        raise StudyError(f"{task.name} does not say what a record contributes")
    each = noisy.each
    part = Part(
        each=lambda block: each(study, state, block),
        width=length(release),
        clip=noisy.clip(study),
    )
    clipped = clipping.add(part, rows, person)
    if clipped.broken:
        LOG.warning("%s: %d records count as 0: not finite", task.name, clipped.broken)
    return unflatten(release, clipped.total)


def learn(
    task: Task, study: Study, state: State, design: Design, own: Array | None
) -> tuple[Summands, Array | None]:
    """Return the summands as :func:`run` does, and this site's own layers after them.

    *own* are those before it: None where it has none yet, and the common model's serve.
    """
    shown = State(personal.put(study, state.arrays, own))
    if task.both is None or personal.places(study, state.arrays) is None:
        return run(task, study, shown, design), own
    return task.both(study, shown, design.rows(study, task, shown))


def _same(one: Encoding, other: Encoding) -> bool:
    pairs = zip(one.arrays().values(), other.arrays().values(), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)
