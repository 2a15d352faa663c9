"""Who lacks a value is somebody too: their cells belong to a table as any others do.

An analysis of two variables leaves out who lacks one of them, and describe does not:
what those few have would follow by subtraction. So a table is looked at with its gaps
as one more row and column before it is told.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from common.arithmetic import suppression
from common.release import Array, Release, Summands
from common.schema import Number
from common.study import Study
from common.task import Found, Local, Read, Show, State, Task, once
from common.tasks import describe, named
from common.tasks.named import Pair

OF = "describe: "
KEPT = ("records", "present", "levels")
"""What describe has told of how many have a value, and which."""


def beside(
    name: str, release: Callable[[Study], Release], local: Local, read: Read, show: Show
) -> Task:
    """Return the task that counts once, and is read beside what describe has told."""
    task = once(name, release, local, read, show)
    return replace(task, start=_start, finish=_finish)


def table(
    study: Study, pair: Pair, counts: Array, sums: Summands
) -> list[suppression.Told]:
    """Return *counts* [levels, levels] of who has both, None where it is withheld."""
    across = _lacking(study, pair[0], counts.sum(axis=1), sums)
    down = _lacking(study, pair[1], counts.sum(axis=0), sums)
    whole = _framed(counts, across, down, sums)
    return [line[:-1] for line in _told(study, whole, ends=1)[:-1]]


def groups(study: Study, pair: Pair, counts: Array, sums: Summands) -> suppression.Told:
    """Return *counts* [levels] of who has a number and is in a group, or None."""
    lacking = _lacking(study, pair[1], counts, sums)
    rest = np.array([_present(study, pair[0], sums) - counts.sum()])
    whole = _framed(counts[:, None], lacking, rest, sums)
    return [line[0] for line in _told(study, whole, ends=2)[:-1]]


def _start(study: Study, found: Found) -> State:
    """Keep what describe has told; no site is shown it again."""
    del study
    told = found["describe"].arrays
    return State({}, kept={OF + name: told[name] for name in KEPT if name in told})


def _finish(study: Study, state: State, total: Summands) -> State:
    del study
    return State({**total, **state.kept}, done=True)


def _lacking(study: Study, name: str, having: Array, sums: Summands) -> Array:
    """Return who has a level and lacks the other variable, where *having* have both.

    By the level of a number that cuts part they are not known: few of them are taken to
    be in its smallest level, where they hide most, and many in its largest.
    """
    if not isinstance(named.declared(study, name), Number):
        places = [place for place, _, _ in describe.levels(study)]
        levels: Array = sums[f"{OF}levels"][np.equal(places, _place(study, name))]
        return levels - having
    rest = _present(study, name, sums) - having.sum()
    few = rest < study.disclosure.cell
    lacking = np.zeros(len(having))
    lacking[np.argmin(having) if few else np.argmax(having)] = rest
    return lacking


def _framed(counts: Array, across: Array, down: Array, sums: Summands) -> Array:
    """Return *counts* with who lacks the column's variable beside, the row's below."""
    neither = sums[f"{OF}records"][0] - counts.sum() - across.sum() - down.sum()
    return np.block([[counts, across[:, None]], [down, neither]])


def _told(study: Study, whole: Array, ends: int) -> list[suppression.Told]:
    """Return the frame of a table as it may be told.

    Describe tells who lacks each variable, and the table of how many it is: so the last
    total of the rows is known, those of the last *ends* columns, and who lacks both.
    """
    known = np.zeros(np.add(whole.shape, 1), dtype=bool)
    known[-2, -1] = known[-2, -2] = known[-1, -1] = True
    known[-1, -1 - ends : -1] = True
    return suppression.table(np.maximum(whole, 0.0), study.disclosure.cell, known)


def _present(study: Study, name: str, sums: Summands) -> float:
    return float(sums[f"{OF}present"][_place(study, name)])


def _place(study: Study, name: str) -> int:
    return [each.name for each in study.everything].index(name)
