"""Which ridge predicts best: federated cross-validation over folds of persons.

Every candidate is fitted without each fold, all of them side by side: their sums are
stacked in one release, so that it takes as many rounds as one fit. Then each person is
predicted by the fits that have not seen them, and the candidate with the least squared
error is fitted to all (Hastie, Tibshirani & Friedman 2009, section 7.10). A fold is a
function of the person alone, by a public seed. Standardisation is of all who train.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from common.errors import Refusal, StudyError
from common.models import Selection
from common.release import Array, Field, Release, Summands
from common.sheet import Cell, Sheet, decimal
from common.study import Study
from common.task import Findings, Found, Model, Rows, State, Task
from common.tasks import side_by_side
from common.tasks.side_by_side import Trials
from common.trees import draws

TRIALS, TRIED = "trials", "selection"
RIDGE = "ridge"
BY = "by candidate and fold left out"
ALIKE = 1e-9
"""Errors this close, as a share of the least, are one: sums differ by rounding."""


def asked(study: Study) -> Selection:
    """Return what *study* asks; raise StudyError when it selects nothing."""
    if study.selection is None:
        raise StudyError("this study has no [selection]")
    return study.selection


def settled(study: Study, ridge: float) -> Study:
    """Return *study* as if its model had been declared with this *ridge*."""
    model = study.model.model_copy(update={RIDGE: ridge}) if study.model else None
    return study.model_copy(update={"model": model})


def tasks(model: Model) -> tuple[Task, Task, Task]:
    """Return what fits the trials, what compares them, and the fit of the best one."""
    trials = Trials(model, _candidates, _without, BY)
    first = side_by_side.task(TRIALS, trials)
    return first, _compared(trials), _final(model.fit)


def _candidates(study: Study) -> list[Study]:
    """Return the study of each trial: one for each fold of each candidate."""
    wanted = asked(study)
    every = [settled(study, ridge) for ridge in wanted.ridge]
    return [each for each in every for _ in range(wanted.folds)]


def _without(study: Study, rows: Rows) -> list[Rows]:
    """Return the people whom each trial sees: all but one fold of them."""
    folds, wanted = _folds(study, rows), asked(study)
    _enough(study, rows, folds)
    every = [rows.take(folds != fold) for fold in range(wanted.folds)]
    return every * len(wanted.ridge)


def _folds(study: Study, rows: Rows) -> NDArray[np.int64]:
    """Return the fold of each record: that of its person, the same wherever it is."""
    wanted = asked(study)
    (draw,) = draws(rows.key, wanted.seed, 1)
    return np.floor(draw * wanted.folds).astype(np.int64)


def _enough(study: Study, rows: Rows, folds: NDArray[np.int64]) -> None:
    """Raise Refusal where a fold here holds too few people for a sum that all may see.

    Two trials differ by a fold, and so do their sums, where no masks hide them.
    """
    people = [len(np.unique(rows.key[folds == each])) for each in np.unique(folds)]
    if not study.masked and min(people, default=0) < study.disclosure.min_people:
        raise Refusal(
            f"a fold has fewer people here than {study.disclosure.min_people}",
            likely="many folds, few people, and sums that are not masked",
            fix="in [selection]: fewer folds; or secure aggregation",
        )


def _compared(trials: Trials) -> Task:
    """Return the task that predicts each person by the fits that have not seen them."""
    model = trials.model

    def local(study: Study, state: State, rows: Rows) -> Summands:
        folds, wanted = _folds(study, rows), asked(study)
        found = np.zeros((len(wanted.ridge), 2))
        for place, each in enumerate(_candidates(study)):
            outside = rows.take(folds == place % wanted.folds)
            arrays = side_by_side.learned(study, model, state, place)
            errors = _errors(each, model.predict(each, arrays, outside), outside.y)
            found[place // wanted.folds] += errors.sum(), (errors**2).sum()
        return {
            "records": np.array([float(len(rows.y))]),
            "error": found[:, 0],
            "square": found[:, 1],
        }

    def release(study: Study) -> Release:
        count = (len(asked(study).ridge),)
        return {
            "records": Field("records", (1,), "count"),
            "error": Field("sum of squared errors, by candidate", count, "sum"),
            "square": Field("sum of their squares, by candidate", count, "sum"),
        }

    return Task(
        name=TRIED,
        rows="train",
        encoded=model.fit.encoded,
        shows=lambda study: side_by_side.carried(study, trials),
        release=release,
        start=lambda _study, found: State(dict(found[TRIALS].arrays)),
        local=local,
        finish=_chosen,
        read=_read,
        show=_show,
    )


def _final(fit: Task) -> Task:
    """Return *fit* with the ridge that was chosen, which its state carries."""

    def of(study: Study, state: State) -> Study:
        return settled(study, float(state.arrays[RIDGE][0]))

    def inner(state: State) -> State:
        arrays = {n: a for n, a in state.arrays.items() if n != RIDGE}
        return replace(state, arrays=arrays)

    def start(study: Study, found: Found) -> State:
        ridge = found[TRIED].arrays[RIDGE]
        begun = fit.start(settled(study, float(ridge[0])), found)
        return replace(begun, arrays={**begun.arrays, RIDGE: ridge})

    def finish(study: Study, state: State, total: Summands) -> State:
        after = fit.finish(of(study, state), inner(state), total)
        return replace(after, arrays={**after.arrays, RIDGE: state.arrays[RIDGE]})

    return replace(
        fit,
        shows=lambda study: {**fit.shows(study), RIDGE: (1,)},
        start=start,
        local=lambda study, state, rows: fit.local(
            of(study, state), inner(state), rows
        ),
        finish=finish,
        read=lambda study, state: fit.read(of(study, state), state),
        show=lambda study, state: fit.show(of(study, state), state),
    )


def _chosen(study: Study, state: State, total: Summands) -> State:
    """Choose the least error; where it makes no difference, what [model] says."""
    del state
    own = float(getattr(study.model, RIDGE, 0.0))
    ridges, error = asked(study).ridge, total["error"]
    near = [
        r for r, e in zip(ridges, error, strict=True) if e <= error.min() * (1 + ALIKE)
    ]
    best = own if own in near else near[0]
    return State({**total, RIDGE: np.array([best])}, done=True)


def _errors(study: Study, predicted: Array, outcome: Array) -> Array:
    """Return each record's squared error, over all levels of a category."""
    if study.outcome.kind == "category":
        true = np.eye(predicted.shape[1])[outcome.astype(np.int64)]
        return np.asarray(((predicted - true) ** 2).sum(axis=1))
    return np.asarray((predicted - outcome) ** 2)


def _read(study: Study, state: State) -> Findings:
    """Return every trial with its error, and what was chosen."""
    arrays = state.arrays
    records = max(float(arrays["records"][0]), 2.0)
    means = arrays["error"] / records
    spread = np.maximum(arrays["square"] / records - means**2, 0.0) / (records - 1)
    lines = zip(asked(study).ridge, means, np.sqrt(spread), strict=True)
    return {
        "folds": asked(study).folds,
        "candidates": [
            {"ridge": ridge, "error": float(mean), "standard_error": float(error)}
            for ridge, mean, error in lines
        ],
        "ridge": float(arrays[RIDGE][0]),
    }


def _show(study: Study, state: State) -> tuple[Sheet, ...]:
    found = _read(study, state)
    lines = found["candidates"] if isinstance(found["candidates"], list) else []
    rows: list[tuple[Cell, ...]] = [
        (
            f"{line['ridge']:g}",
            decimal(line["error"], 5),
            decimal(line["standard_error"], 5),
            "chosen" if line["ridge"] == found["ridge"] else "",
        )
        for line in lines
    ]
    note = (
        f"Mean squared error of people by fits without their fold, of {found['folds']} "
        "folds. The chosen one looks a little better here than it is: the test people "
        "were not asked."
    )
    head = ("ridge", "error", "standard error", "")
    return (Sheet("Which ridge predicts best", head, tuple(rows), (note,)),)
