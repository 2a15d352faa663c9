"""Which setting predicts best: federated cross-validation over folds of persons.

Every candidate is fitted without each fold, all of them side by side: their sums are
stacked in one release, so that it takes as many rounds as one fit. Then each person is
predicted by the fits that have not seen them, and the candidate with the least squared
error is fitted to all (Hastie, Tibshirani & Friedman 2009, section 7.10). A fold is a
function of the person alone, by a public seed. Standardisation is of all who train.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from common.arithmetic.trees import draws
from common.errors import Refusal, StudyError
from common.release import Array, Field, Release, Summands
from common.sections.models import Selection
from common.sheet import Cell, Sheet, decimal
from common.study import Study
from common.task import Findings, Found, Model, Rows, State, Task
from common.tasks import crowd, side_by_side
from common.tasks.side_by_side import Trials

TRIALS, TRIED = "trials", "selection"
BY = "by candidate and fold left out"
WORDS = {
    "ridge": "ridge",
    "depth": "depth of the trees",
    "columns": "number of columns a node",
    "features": "number of random features",
}
ALIKE = 1e-9
"""Errors this close, as a share of the least, are one: sums differ by rounding."""

Said = Callable[[Study, State, int, Rows], Array]


def asked(study: Study) -> Selection:
    """Return what *study* asks; raise StudyError when it selects nothing."""
    if study.selection is None:
        raise StudyError("this study has no [selection]")
    return study.selection


def settled(study: Study, value: float) -> Study:
    """Return *study* as if its model had been declared with this *value*."""
    key = asked(study).key
    told = value if key == "ridge" else int(value)
    model = study.model.model_copy(update={key: told}) if study.model else None
    return study.model_copy(update={"model": model})


def chosen(study: Study, found: Found) -> float:
    """Return the value that was chosen."""
    return float(found[TRIED].arrays[asked(study).key][0])


def tasks(model: Model) -> tuple[Task, Task, Task]:
    """Return what fits the trials, what compares them, and the fit of the best one."""
    trials = Trials(model, candidates, without, BY)

    def said(study: Study, state: State, place: int, rows: Rows) -> Array:
        arrays, wanted = side_by_side.learned(study, model, state, place), asked(study)
        value = wanted.values[place // wanted.folds]
        return model.predict(settled(study, value), arrays, rows)

    first = side_by_side.task(TRIALS, trials)
    return first, compared(trials, first.name, said), final(model.fit)


def candidates(study: Study) -> list[Study]:
    """Return the study of each trial: one for each fold of each candidate."""
    wanted = asked(study)
    every = [settled(study, value) for value in wanted.values]
    return [each for each in every for _ in range(wanted.folds)]


def without(study: Study, rows: Rows) -> list[Rows]:
    """Return the people whom each trial sees: all but one fold of them."""
    return one_fold_less(study, rows) * len(asked(study).values)


def one_fold_less(study: Study, rows: Rows) -> list[Rows]:
    """Return the people of all folds but one, for each of them."""
    folds = folds_of(study, rows)
    _enough(study, rows, folds)
    return [rows.take(folds != fold) for fold in range(asked(study).folds)]


def folds_of(study: Study, rows: Rows) -> NDArray[np.int64]:
    """Return the fold of each record: that of its person, the same wherever it is."""
    wanted = asked(study)
    (draw,) = draws(rows.key, wanted.seed, 1)
    return np.floor(draw * wanted.folds).astype(np.int64)


def _enough(study: Study, rows: Rows, folds: NDArray[np.int64]) -> None:
    """Raise Refusal where a fold here holds too few people for a sum that all may see.

    Two trials differ by a fold, and so do their sums, where no masks hide them.
    """
    every = (rows.take(folds == each) for each in np.unique(folds))
    if not study.masked and (not len(folds) or any(crowd.few(study, e) for e in every)):
        raise Refusal(
            "a fold has fewer people here than the floor",
            likely="many folds, few people, and sums that are not masked",
            fix="in [selection]: fewer folds; or secure aggregation",
        )


def compared(trials: Trials, before: str, said: Said) -> Task:
    """Return the task that predicts each person by the fits that have not seen them.

    ``said(study, state, place, rows)`` is what the trial at a place predicts, counted
    over the folds of each candidate; *before* is the task that ended with the trials.
    """

    def local(study: Study, state: State, rows: Rows) -> Summands:
        error = errors(said, study, state, rows)
        return {
            "records": np.array([float(len(rows.y))]),
            "error": error.sum(axis=0),
            "square": (error**2).sum(axis=0),
        }

    def release(study: Study) -> Release:
        count = (len(asked(study).values),)
        return {
            "records": Field("records", (1,), "count"),
            "error": Field("sum of squared errors, by candidate", count, "sum"),
            "square": Field("sum of their squares, by candidate", count, "sum"),
        }

    return Task(
        name=TRIED,
        rows="train",
        encoded=trials.model.fit.encoded,
        shows=lambda study: side_by_side.carried(study, trials),
        release=release,
        start=lambda _study, found: State(dict(found[before].arrays)),
        local=local,
        finish=_chosen,
        read=_read,
        show=_show,
    )


def final(fit: Task) -> Task:
    """Return *fit* with the value that was chosen, which its state carries."""

    def of(study: Study, state: State) -> Study:
        return settled(study, float(state.arrays[asked(study).key][0]))

    def inner(study: Study, state: State) -> State:
        key = asked(study).key
        arrays = {n: a for n, a in state.arrays.items() if n != key}
        return replace(state, arrays=arrays)

    def start(study: Study, found: Found) -> State:
        begun = fit.start(settled(study, chosen(study, found)), found)
        return _carrying(study, begun, found[TRIED])

    def finish(study: Study, state: State, total: Summands) -> State:
        after = fit.finish(of(study, state), inner(study, state), total)
        return _carrying(study, after, state)

    return replace(
        fit,
        shows=lambda study: {**fit.shows(study), asked(study).key: (1,)},
        start=start,
        local=lambda study, state, rows: fit.local(
            of(study, state), inner(study, state), rows
        ),
        finish=finish,
        read=lambda study, state: fit.read(of(study, state), state),
        show=lambda study, state: fit.show(of(study, state), state),
    )


def _carrying(study: Study, state: State, chosen: State) -> State:
    """Return *state* with the value in *chosen*."""
    key = asked(study).key
    return replace(state, arrays={**state.arrays, key: chosen.arrays[key]})


def _chosen(study: Study, state: State, total: Summands) -> State:
    """Choose the least error; where it makes no difference, what [model] says."""
    del state
    key, values, error = asked(study).key, asked(study).values, total["error"]
    near = [
        v for v, e in zip(values, error, strict=True) if e <= error.min() * (1 + ALIKE)
    ]
    own = float(getattr(study.model, key))
    best = own if own in near else near[0]
    return State({**total, key: np.array([float(best)])}, done=True)


def errors(said: Said, study: Study, state: State, rows: Rows) -> Array:
    """Return each record's error by candidate, by the fits that have not seen it."""
    folds, wanted = folds_of(study, rows), asked(study)
    found = np.zeros((len(rows.y), len(wanted.values)))
    for place in range(len(wanted.values) * wanted.folds):
        inside = folds == place % wanted.folds
        outside = rows.take(inside)
        told = said(study, state, place, outside)
        found[inside, place // wanted.folds] = _squared(study, told, outside.y)
    return found


def _squared(study: Study, predicted: Array, outcome: Array) -> Array:
    """Return each record's squared error, over all levels of a category."""
    if study.outcome.kind == "category":
        true = np.eye(predicted.shape[1])[outcome.astype(np.int64)]
        return np.asarray(((predicted - true) ** 2).sum(axis=1))
    return np.asarray((predicted - outcome) ** 2)


def _read(study: Study, state: State) -> Findings:
    """Return every trial with its error, and what was chosen."""
    arrays, key = state.arrays, asked(study).key
    records = max(float(arrays["records"][0]), 2.0)
    means = arrays["error"] / records
    spread = np.maximum(arrays["square"] / records - means**2, 0.0) / (records - 1)
    lines = zip(asked(study).values, means, np.sqrt(spread), strict=True)
    return {
        "folds": asked(study).folds,
        "candidates": [
            {key: value, "error": float(mean), "standard_error": float(error)}
            for value, mean, error in lines
        ],
        key: float(arrays[key][0]),
    }


def _show(study: Study, state: State) -> tuple[Sheet, ...]:
    found = _read(study, state)
    note = (
        f"Mean squared error of people by fits without their fold, of {found['folds']} "
        "folds. The chosen one looks a little better here than it is: the test people "
        "were not asked."
    )
    return sheet(study, found, ("error", "standard_error"), note)


def sheet(
    study: Study, found: Findings, names: tuple[str, ...], note: str
) -> tuple[Sheet, ...]:
    """Show what is told under these *names* of each candidate, and which was chosen."""
    key, lines = asked(study).key, found["candidates"]
    rows: list[tuple[Cell, ...]] = [
        (
            f"{line[key]:g}",
            *(decimal(line[name], 5) for name in names),
            "chosen" if line[key] == found[key] else "",
        )
        for line in (lines if isinstance(lines, list) else [])
    ]
    heads = (key, *(name.replace("_", " ") for name in names), "")
    title = f"Which {WORDS[key]} predicts best"
    return (Sheet(title, heads, tuple(rows), (note,)),)
