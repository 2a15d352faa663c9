"""Which setting predicts best, under a promise: every trial and every score is paid.

Each person is in one fold, and so in the trials of all the others. What they add to all
trials is one row, clipped as a whole; and one row are the errors by which the fits that
have not seen them differ. A fit that ends after one round is made once a fold: its
noisy sums serve every candidate. With two folds each person is in one trial of each
candidate only, which is the cheapest.
"""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from common import promise
from common.errors import StudyError
from common.release import Array, Field, Release, Summands
from common.sheet import Sheet
from common.study import Study
from common.task import Findings, Found, Model, Noisy, Rows, State, Task
from common.tasks import selection, side_by_side
from common.tasks.forests import random_forest
from common.tasks.private import noised
from common.tasks.selection import TRIALS, asked, settled
from common.tasks.side_by_side import Trials

DEPTH, NOISE = "depth", "noise"
"""A setting; and what a fit of one round shows, for how far it may lean on its sums."""


def tasks(study: Study, model: Model) -> tuple[Task, Task, Task]:
    """Return what fits the trials, what compares them, and the fit of the best one."""
    model = _pruning(model) if asked(study).key == DEPTH else model
    once = NOISE in model.fit.shows(study)
    of, rows = (_folds, _rows) if once else (selection.candidates, _every)
    one = _apart(_summing(model)) if once else model
    trials = Trials(one, of, rows, selection.BY)
    first = replace(side_by_side.task(TRIALS, trials), noisy=_stacked(trials))
    said = _ending(model, trials) if once else _told(trials)
    return first, _compared(trials, said), selection.final(model.fit)


def _noisy(model: Model) -> Noisy:
    if model.fit.noisy is None:
        raise StudyError(f"{model.fit.name} has no private form yet")
    return model.fit.noisy


def _folds(study: Study) -> list[Study]:
    """Return the study of each trial, one for each fold: all candidates are in one."""
    return [study] * asked(study).folds


def _rows(study: Study, rows: Rows) -> list[Rows]:
    """Return the people of all folds but one, for each of them."""
    every = range(asked(study).folds)
    return [rows.take(_outside(study, rows, fold)) for fold in every]


def _every(study: Study, rows: Rows) -> list[Rows]:
    return _rows(study, rows) * len(asked(study).values)


def _outside(study: Study, rows: Rows, place: int) -> NDArray[np.bool_]:
    """Return who is in the trial at *place*: all but its fold."""
    folds, inside = selection.folds_of(study, rows), place % asked(study).folds
    return np.not_equal(folds, inside)


def _reach(study: Study, trials: Trials) -> float:
    """Return how long a person's row is at most, where that of one fit is 1."""
    folds = asked(study).folds
    return math.sqrt(len(trials.of(study)) * (folds - 1) / folds)


def _stacked(trials: Trials) -> Noisy:
    """Return how the sums of all trials become private together."""
    fit, noisy = trials.model.fit, _noisy(trials.model)

    def each(study: Study, state: State, rows: Rows) -> Array:
        if noisy.each is None:
            raise StudyError(f"{fit.name} does not say what a record contributes")
        parts = []
        for place, one in enumerate(trials.of(study)):
            shown = side_by_side.shown(study, trials, state, place)
            outside = _outside(study, rows, place)[:, None]
            parts.append(np.where(outside, noisy.each(one, shown, rows), 0.0))
        ends = np.cumsum([field.size for field in fit.release(study).values()])
        arrays = np.split(np.stack(parts, axis=1), ends[:-1], axis=2)
        return np.concatenate([a.reshape(len(rows.y), -1) for a in arrays], axis=1)

    def bounded(study: Study, state: State, rows: Rows, most: Array) -> Summands:
        if noisy.bounded is None:
            raise StudyError(f"{fit.name} does not add up what it bounds")
        found, own = list[Summands](), most / _reach(study, trials)
        for place, one in enumerate(trials.of(study)):
            shown = side_by_side.shown(study, trials, state, place)
            outside = _outside(study, rows, place)
            inside = rows.take(outside)
            found.append(noisy.bounded(one, shown, inside, own[outside]))
        return {name: np.stack([f[name] for f in found]) for name in found[0]}

    return replace(
        noisy,
        each=each if noisy.each else None,
        clip=lambda study: _reach(study, trials) * noisy.clip(study),
        bounded=bounded if noisy.bounded else None,
    )


def _apart(model: Model) -> Model:
    """Return a fit of one round as a trial makes it: with the noise of all trials."""

    def start(study: Study, found: Found) -> State:
        begun, folds = model.fit.start(study, found), asked(study).folds
        noise = begun.arrays[NOISE] * math.sqrt(folds - 1)
        return replace(begun, arrays={**begun.arrays, NOISE: noise})

    return replace(model, fit=replace(model.fit, start=start))


def _summing(model: Model) -> Model:
    """Return *model* with a fit of one round that ends with its sums."""

    def finish(study: Study, state: State, total: Summands) -> State:
        del study
        return State({**state.arrays, **total}, done=True)

    return replace(
        model,
        fit=replace(model.fit, finish=finish),
        carries=lambda study: {
            **model.fit.shows(study),
            **{name: f.shape for name, f in model.fit.release(study).items()},
        },
    )


def _ending(model: Model, trials: Trials) -> selection.Said:
    """Return what the sums of a fold's trial predict with the value of a candidate."""

    def said(study: Study, state: State, place: int, rows: Rows) -> Array:
        value, fold = divmod(place, asked(study).folds)
        one = settled(study, asked(study).values[value])
        arrays = side_by_side.learned(study, trials.model, state, fold)
        begun = State({name: arrays[name] for name in model.fit.shows(study)})
        total = {name: arrays[name] for name in model.fit.release(study)}
        return model.predict(one, model.fit.finish(one, begun, total).arrays, rows)

    return said


def _told(trials: Trials) -> selection.Said:
    """Return what the trial of a candidate without a fold predicts."""

    def said(study: Study, state: State, place: int, rows: Rows) -> Array:
        arrays = side_by_side.learned(study, trials.model, state, place)
        one = settled(study, asked(study).values[place // asked(study).folds])
        return trials.model.predict(one, arrays, rows)

    return said


def _pruning(model: Model) -> Model:
    """Return a forest that is drawn as deep as any candidate, and then pruned."""

    def finish(study: Study, state: State, total: Summands) -> State:
        most = settled(study, max(asked(study).values))
        after = model.fit.finish(most, state, total)
        depth = int(getattr(study.model, DEPTH))
        return replace(after, arrays=random_forest.pruned(after.arrays, depth))

    return replace(model, fit=replace(model.fit, finish=finish))


def _compared(trials: Trials, said: selection.Said) -> Task:
    """Return the task that holds the candidates against each other."""

    def each(study: Study, state: State, rows: Rows) -> Array:
        error = selection.errors(said, study, state, rows) / _most(study)
        error = error.clip(0.0, 1.0)
        apart: Array = error - error.mean(axis=1, keepdims=True)
        return apart

    def start(study: Study, found: Found) -> State:
        people = noised.people(study, found["describe"].arrays)
        return State(dict(found[TRIALS].arrays), kept={"people": np.array([people])})

    def local(study: Study, state: State, rows: Rows) -> Summands:
        return {"error": each(study, state, rows).sum(axis=0)}

    return Task(
        name=selection.TRIED,
        rows="train",
        encoded=trials.model.fit.encoded,
        shows=lambda study: side_by_side.carried(study, trials),
        release=_release,
        start=start,
        local=local,
        finish=_chosen,
        read=_read,
        show=_show,
        noisy=Noisy(
            each=each, clip=_clip, rounds=lambda _study: 1, weight=noised.SCORES
        ),
    )


def _most(study: Study) -> float:
    """Return the largest squared error that counts: the whole range of a number.

    Of a category it is 2: all of the chance on a level that did not come.
    """
    if study.outcome.kind == "category":
        return 2.0
    low, high = getattr(study.outcome, "range", (0.0, 1.0))
    return float(high - low) ** 2


def _release(study: Study) -> Release:
    count = (len(asked(study).values),)
    words = "squared errors by candidate, less the mean of all candidates'"
    return {"error": Field(words, count, "sum")}


def _clip(study: Study) -> float:
    """Return how far errors from 0 to 1 are from their mean, all together at most."""
    return math.sqrt(len(asked(study).values)) / 2.0


def _noise(study: Study) -> float:
    """Return the deviation of the noise in the total of a candidate."""
    share = noised.paid(study, noised.SCORES)
    return promise.of_share(study, _clip(study), share)


def _chosen(study: Study, state: State, total: Summands) -> State:
    """Choose the least error; what [model] says stays where only noise is between."""
    key, values, error = asked(study).key, asked(study).values, total["error"]
    best, own = int(error.argmin()), values.index(getattr(study.model, key))
    if error[own] - error[best] <= math.sqrt(2.0) * _noise(study):
        best = own
    told = {key: np.array([float(values[best])]), "people": state.kept["people"]}
    return State({**total, **told}, done=True)


def _read(study: Study, state: State) -> Findings:
    """Return by how much each candidate's error differs, and what was chosen."""
    arrays, key = state.arrays, asked(study).key
    scale = _most(study) / float(arrays["people"][0])
    return {
        "folds": asked(study).folds,
        "candidates": [
            {key: value, "difference": float(error * scale)}
            for value, error in zip(asked(study).values, arrays["error"], strict=True)
        ],
        "noise": _noise(study) * scale,
        key: float(arrays[key][0]),
    }


def _show(study: Study, state: State) -> tuple[Sheet, ...]:
    found = _read(study, state)
    note = (
        f"Mean squared error of people by fits without their fold, of {found['folds']} "
        "folds, less the mean of all candidates; with noise of a deviation of "
        f"{found['noise']:.2g}. What [model] says stays where no more is between."
    )
    return selection.sheet(study, found, ("difference",), note)
