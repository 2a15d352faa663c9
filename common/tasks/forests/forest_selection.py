"""Which depth, or number of columns, a forest should have: by folds of persons.

For each fold a forest is grown without it, level by level, all of them side by side.
One growth serves every depth, for an inner node knows its people: a tree is pruned to
be a smaller one. Then the forest of all people is grown with what was chosen.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from common.encoding import columns
from common.release import Array, Summands
from common.study import Study
from common.task import Found, Model, Rows, State, Task
from common.tasks import selection, side_by_side
from common.tasks.forests import random_forest
from common.tasks.side_by_side import Trials

DEPTH = "depth"
Finds = Callable[[Study, Found, int], Found]


def tasks(study: Study, model: Model) -> tuple[Task, ...]:
    """Return the histogram, the trials, what compares them, and the forest's levels."""
    bins, *levels = (*model.before(study), model.fit)
    trials: list[Trials] = []
    for place, level in enumerate(levels):
        last = place + 1 == len(levels)
        carries = model.carries if last else levels[place + 1].shows
        found = _after(trials[-1], levels[place - 1], place) if trials else _first
        trials.append(_trials(study, replace(model, fit=level, carries=carries), found))
    grown = [side_by_side.task(_name(n), each) for n, each in enumerate(trials, 1)]
    compared = selection.compared(trials[-1], grown[-1].name, _said(study, model))
    final = [_settled(level, place) for place, level in enumerate(levels)]
    return bins, *grown, compared, *final


def _name(number: int) -> str:
    return f"{selection.TRIALS}_level_{number}"


def _trials(study: Study, model: Model, found: Finds) -> Trials:
    """Return one level of every trial."""
    deep = selection.asked(study).key == DEPTH
    of = _folds if deep else selection.candidates
    rows = selection.one_fold_less if deep else selection.without
    return Trials(model, of, rows, selection.BY, found)


def _folds(study: Study) -> list[Study]:
    """Return the study of each trial, one for each fold: all depths are in one."""
    return [study] * selection.asked(study).folds


def _first(_study: Study, found: Found, _place: int) -> Found:
    return found


def _after(trials: Trials, level: Task, number: int) -> Finds:
    """Return what the next level of a trial finds: where its last *level* ended."""

    def found(study: Study, before: Found, place: int) -> Found:
        ended = before[_name(number)]
        arrays = side_by_side.learned(study, trials.model, ended, place)
        none = {"importance": np.zeros(len(columns(study)))}
        return {**before, level.name: State(arrays, kept=none)}

    return found


def _said(study: Study, model: Model) -> selection.Said:
    """Return what a trial's forest predicts, pruned to the depth of its candidate."""
    deep, folds = selection.asked(study).key == DEPTH, selection.asked(study).folds

    def said(asked: Study, state: State, place: int, rows: Rows) -> Array:
        trial = place % folds if deep else place
        arrays = side_by_side.learned(asked, model, state, trial)
        if deep:
            depth = int(selection.asked(asked).values[place // folds])
            arrays = random_forest.pruned(arrays, depth)
        return model.predict(asked, arrays, rows)

    return said


def _settled(level: Task, place: int) -> Task:
    """Return a *level* of the forest with what was chosen: none below its depth."""

    def start(study: Study, found: Found) -> State:
        begun, key = level.start(study, found), selection.asked(study).key
        kept = {**begun.kept, key: found[selection.TRIED].arrays[key]}
        arrays = dict(begun.arrays)
        if key == DEPTH and place >= kept[key][0]:
            arrays["open"] = np.full_like(arrays["open"], -1.0)
        return State(arrays, kept=kept)

    def finish(study: Study, state: State, total: Summands) -> State:
        key = selection.asked(study).key
        value, of = state.kept[key], study
        if key != DEPTH:
            of = selection.settled(study, float(value[0]))
        after = level.finish(of, state, total)
        return replace(after, arrays={**after.arrays, key: value}) if last else after

    last = level.name == random_forest.NAME
    return replace(level, start=start, finish=finish)
