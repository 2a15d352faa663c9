"""Several fits side by side: their sums stacked in one release, round by round.

Each trial is the same fit of another study or of other people. What all are shown
alike, the encoding, is shown once; the rest is stacked, trial by trial. It takes as
many rounds as the slowest of them, and a trial that is done adds nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from common.encoding import shapes
from common.release import Array, Release, Summands
from common.study import Study
from common.task import Found, Model, Rows, Shapes, State, Task

LAST, KEPT = "last ", "kept "
"""Before the names of arrays that only the server holds of each trial."""
GOES_ON = "goes_on"
"""Under which name stands whether a trial goes on."""

Without = Callable[[Study, Rows], Sequence[Rows | None]]


@dataclass(frozen=True, slots=True)
class Trials:
    """The fits of a *model*: ``of`` a study which, ``rows`` which people each sees.

    A fit that sees None of a site has zeros of it. ``by`` says in words what differs,
    and ``found`` what each finds of the tasks before it.
    """

    model: Model
    of: Callable[[Study], list[Study]]
    rows: Without
    by: str
    found: Callable[[Study, Found, int], Found] = lambda _study, found, _place: found


def task(name: str, trials: Trials) -> Task:
    """Return the task that fits all *trials*; its state is what a prediction needs."""
    return Task(
        name=name,
        rows="train",
        encoded=trials.model.fit.encoded,
        shows=partial(_shows, trials),
        release=partial(_release, trials),
        start=partial(_start, trials),
        local=partial(_local, trials),
        finish=partial(_finish, trials),
        read=lambda _study, _state: {},
    )


def carried(study: Study, trials: Trials) -> Shapes:
    """Return the arrays that the task ends with: those of a prediction, stacked."""
    return _stacked(study, trials.model.carries(study), len(trials.of(study)))


def learned(study: Study, model: Model, state: State, place: int) -> dict[str, Array]:
    """Return what the trial at *place* has learned."""
    return _unpacked(study, model.carries(study), state, place)


def shown(study: Study, trials: Trials, state: State, place: int) -> State:
    """Return what the trial at *place* is shown in a round."""
    return State(_unpacked(study, trials.model.fit.shows(study), state, place))


def _shows(trials: Trials, study: Study) -> Shapes:
    count = len(trials.of(study))
    return {**_stacked(study, trials.model.fit.shows(study), count), GOES_ON: (count,)}


def _release(trials: Trials, study: Study) -> Release:
    count = len(trials.of(study))
    return {
        name: replace(
            field,
            meaning=f"{field.meaning}, {trials.by}",
            shape=(count, *field.shape),
        )
        for name, field in trials.model.fit.release(study).items()
    }


def _start(trials: Trials, study: Study, found: Found) -> State:
    fit, every = trials.model.fit, trials.of(study)
    begun = [
        fit.start(each, trials.found(study, found, place))
        for place, each in enumerate(every)
    ]
    shown = _packed(study, [_part(each.arrays, fit.shows(study)) for each in begun])
    blank = _blank(trials.model.carries(study))
    kept = _stack(KEPT, [each.kept for each in begun])
    last = _stack(LAST, [blank] * len(every))
    return State({**shown, GOES_ON: np.ones(len(every))}, kept={**kept, **last})


def _local(trials: Trials, study: Study, state: State, rows: Rows) -> Summands:
    fit, release = trials.model.fit, trials.model.fit.release(study)
    nothing = _blank({name: field.shape for name, field in release.items()})
    found: list[Summands] = []
    every = zip(trials.of(study), trials.rows(study, rows), strict=True)
    for place, (each, inside) in enumerate(every):
        if inside is None or not state.arrays[GOES_ON][place]:
            found.append(nothing)
            continue
        found.append(fit.local(each, shown(study, trials, state, place), inside))
    return {name: np.stack([each[name] for each in found]) for name in release}


def _finish(trials: Trials, study: Study, state: State, total: Summands) -> State:
    arrays = {name: array.copy() for name, array in state.arrays.items()}
    kept = {name: array.copy() for name, array in state.kept.items()}
    shown, carries = trials.model.fit.shows(study), trials.model.carries(study)
    for place, each in enumerate(trials.of(study)):
        if not arrays[GOES_ON][place]:
            continue
        after = _stepped(trials.model.fit, (study, each), state, total, place)
        if after.done:
            arrays[GOES_ON][place] = 0.0
            _store(kept, LAST, _part(after.arrays, carries), place)
            continue
        _store(arrays, "", _part(after.arrays, _apart(study, shown)), place)
        _store(kept, KEPT, after.kept, place)
    if arrays[GOES_ON].any():
        return State(arrays, kept=kept)
    last = {name: kept[f"{LAST}{name}"] for name in carries}
    alike = {name: array[0] for name, array in last.items() if name in shapes(study)}
    return State({**last, **alike}, done=True)


def _stepped(
    fit: Task, of: tuple[Study, Study], state: State, total: Summands, place: int
) -> State:
    """Return the next state of one trial."""
    study, each = of
    kept = _unstack(KEPT, state.kept, place)
    now = State(_unpacked(study, fit.shows(study), state, place), kept=kept)
    return fit.finish(each, now, {name: array[place] for name, array in total.items()})


def _apart(study: Study, named: Shapes) -> Shapes:
    """Return what differs from trial to trial: all but the one encoding."""
    return {name: shape for name, shape in named.items() if name not in shapes(study)}


def _stacked(study: Study, named: Shapes, count: int) -> Shapes:
    own = {name: (count, *shape) for name, shape in _apart(study, named).items()}
    return {**{n: s for n, s in named.items() if n in shapes(study)}, **own}


def _packed(study: Study, every: Sequence[dict[str, Array]]) -> dict[str, Array]:
    """Return the arrays of all trials as one state shows them."""
    shared = {n: array for n, array in every[0].items() if n in shapes(study)}
    return {**_stack("", every), **shared}


def _unpacked(
    study: Study, named: Shapes, state: State, place: int
) -> dict[str, Array]:
    """Return the arrays of the trial at *place*."""
    alone = _apart(study, named)
    return {
        name: state.arrays[name][place] if name in alone else state.arrays[name]
        for name in named
    }


def _part(arrays: Mapping[str, Array], named: Shapes) -> dict[str, Array]:
    return {name: arrays[name] for name in named}


def _blank(named: Shapes) -> dict[str, Array]:
    return {name: np.zeros(shape) for name, shape in named.items()}


def _stack(before: str, every: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    return {f"{before}{n}": np.stack([each[n] for each in every]) for n in every[0]}


def _unstack(before: str, kept: Mapping[str, Array], place: int) -> dict[str, Array]:
    found = [name for name in kept if name.startswith(before)]
    return {name.removeprefix(before): kept[name][place] for name in found}


def _store(
    into: dict[str, Array], before: str, arrays: Mapping[str, Array], place: int
) -> None:
    for name, array in arrays.items():
        into[f"{before}{name}"][place] = array
