"""The shape of a task: what each person contributes, and what the sum makes of it.

    state ──► each site adds up what its people contribute ──► sum over sites ──► state

A task is a frozen record of pure functions. The smallest one counts records:

    COUNT = Task(
        name="count",
        rows="train",
        encoded=False,
        shows=lambda study: {},
        release=lambda study: {"records": Field("records", (1,), "count")},
        start=lambda study, found: State({}),
        local=lambda study, state, rows: {"records": np.array([len(rows.y)], float)},
        finish=lambda study, state, total: State(total, done=True),
        read=lambda study, state: {"records": int(state.arrays["records"][0])},
    )
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from common import large_arrays
from common.errors import StudyError
from common.registry import load, load_analysis, load_private
from common.release import Array, Release, Summands, unflatten
from common.sheet import Sheet
from common.study import Study

Findings = dict[str, object]
Shapes = Mapping[str, tuple[int, ...]]
"""Every array of a state that a site accepts, with its exact shape."""

Split = Literal["train", "test"]


@dataclass(frozen=True, slots=True)
class State:
    """What stands between two rounds: arrays that every site is shown, and the rest.

    ``kept`` is the server's own memory of the rounds before and never travels.
    """

    arrays: Mapping[str, Array]
    kept: Mapping[str, Array] = field(default_factory=dict)
    done: bool = False


def fingerprint(arrays: Mapping[str, Array]) -> str:
    """Return SHA-256 over name, kind, shape and bytes of each array, by name."""
    names = sorted(arrays)
    kinds = [[name, arrays[name].dtype.str, arrays[name].shape] for name in names]
    seal = hashlib.sha256(json.dumps(kinds).encode() + b"\n")
    for name in names:
        large_arrays.hashed(seal.update, arrays[name])
    return seal.hexdigest()


def rowwise(state: State) -> State:
    """Return *state* with every array row by row in memory.

    The order in memory decides in which order a product is added up, so a state that
    was written down and read again would otherwise lead to other last bits.
    """
    arrays, kept = (
        {name: np.asarray(array, order="C") for name, array in part.items()}
        for part in (state.arrays, state.kept)
    )
    return replace(state, arrays=arrays, kept=kept)


Found = Mapping[str, State]
"""The final states of the tasks of this study that came before, by task name."""


Keys = NDArray[np.uint64]
Sites = NDArray[np.int64]
Flags = NDArray[np.bool_]
Images = NDArray[np.float32]


def no_images() -> Images:
    """Return the pictures of records that have none."""
    return np.zeros((0, 0, 0, 0), dtype=np.float32)


@dataclass(frozen=True, slots=True, repr=False)
class Rows:
    """What a formula sees of a site: x [records, columns] and y [records], as numbers.

    For an encoded task x is the standardised design matrix without gaps. Otherwise it
    is ``values``: the clean ones, a category as the index of its level, a gap as NaN.
    ``key`` [records] is one number for each person and says nothing else: for a draw
    that must fall the same whenever it is made. ``site`` [records] is the place of the
    record's site among the study's, -1 for a site that is not among them. ``images``
    [records, height, width, channels] are from 0 to 1, and there are none where the
    study declares none. ``fewest`` is the site's own floor: a sum over fewer people
    than this, or than the study says, is left at zero (common/tasks/crowd.py). What
    would be of this site alone is too, unless the site ``tells`` it.
    """

    x: Array
    y: Array
    key: Keys = field(default_factory=lambda: np.zeros(0, dtype=np.uint64))
    values: Array = field(default_factory=lambda: np.zeros((0, 0)))
    site: Sites = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    images: Images = field(default_factory=no_images)
    fewest: int = 0
    tells: bool = True

    def __repr__(self) -> str:
        """Return a count only: rows may end up in a log line."""
        return f"<Rows of {len(self.y)} records>"

    def take(self, chosen: NDArray[np.int64] | NDArray[np.bool_]) -> "Rows":
        """Return the *chosen* records, in that order; each is held by rows."""
        values = x = np.ascontiguousarray(self.x[chosen])
        if self.values is not self.x:
            values = self.values[chosen] if len(self.values) else self.values
        return Rows(
            x,
            self.y[chosen],
            self.key[chosen] if len(self.key) else self.key,
            values,
            self.site[chosen] if len(self.site) else self.site,
            self.images[chosen] if len(self.images) else self.images,
            self.fewest,
            self.tells,
        )


Read = Callable[[Study, State], Findings]
Show = Callable[[Study, State], tuple[Sheet, ...]]
Each = Callable[[Study, State, Rows], Array]
Bounded = Callable[[Study, State, Rows, Array], Summands]
Local = Callable[[Study, State, Rows], Summands]
Both = Callable[[Study, State, Rows], tuple[Summands, Array]]
Combine = Callable[[Sequence[Summands]], Summands]


@dataclass(frozen=True, slots=True)
class Noisy:
    """How a task's sums become private: by one person's part in them, at most.

    ``each(study, state, rows)`` returns every record's part of the release as one row
    [records, numbers], in declared order. A row depends on its own record and on no
    other, to the last bit: no matrix product, whose rounding does. The site adds up the
    rows of a person, clips them together to the Euclidean length ``clip(study)``, adds
    up the people, and adds noise. ``rounds(study)`` is how often that happens: a
    constant of the study.
    ``weight`` is the task's share of mu^2 among the tasks over the same people.

    Where such rows would be too many numbers to hold, there is ``bounded`` instead:
    ``bounded(study, state, rows, bounds)`` returns the sum over the records, each
    shortened to its bound [records], and 0 for a record that is not finite. ``sample``
    is each person's chance to be in a round.
    """

    each: Each | None
    clip: Callable[[Study], float]
    rounds: Callable[[Study], int]
    weight: float
    bounded: Bounded | None = None
    sample: Callable[[Study], float] = lambda _study: 1.0


@dataclass(frozen=True, slots=True)
class Task:
    """Pure functions and a name: the site's half, the server's half, the reading.

    A task without ``noisy`` is only for a study whose privacy is "none". ``show`` is
    ``read`` as tables. Where ``combine`` returns a function, it makes a total of the
    answers, which are added otherwise: never of masked ones. ``both`` is ``local`` and
    what stays here. ``loads`` brings what the formula runs on, or raises MachineError;
    ``holds`` raises IntegrityError for a state that no honest aggregator would show.
    """

    name: str
    rows: Split
    encoded: bool
    shows: Callable[[Study], Shapes]
    release: Callable[[Study], Release]
    start: Callable[[Study, Found], State]
    local: Local
    finish: Callable[[Study, State, Summands], State]
    read: Read
    noisy: Noisy | None = None
    show: Show = lambda *_: ()
    combine: Callable[[Study], Combine | None] = lambda _study: None
    both: Both | None = None
    loads: Callable[[], object] = lambda: None
    holds: Callable[[Study, State], None] = lambda *_: None


def added(each: Each, release: Callable[[Study], Release]) -> Local:
    """Return the formula that adds up what *each* record contributes, unclipped."""

    def local(study: Study, state: State, rows: Rows) -> Summands:
        return unflatten(release(study), each(study, state, rows).sum(axis=0))

    return local


def kept(study: Study, state: State, total: Summands) -> State:
    """Keep the total as it is: one round is enough."""
    del study, state
    return State(dict(total), done=True)


def once(
    name: str, release: Callable[[Study], Release], local: Local, read: Read, show: Show
) -> Task:
    """Return the task that counts the clean rows that train, once, from nothing."""
    return Task(
        name=name,
        rows="train",
        encoded=False,
        shows=lambda _study: {},
        release=release,
        start=lambda _study, _found: State({}),
        local=local,
        finish=kept,
        read=read,
        show=show,
    )


Predict = Callable[[Study, Mapping[str, Array], Rows], Array]


@dataclass(frozen=True, slots=True)
class Model:
    """A task that learns from people, and what it then says about new ones.

    ``carries`` are the arrays of the learned state that a prediction needs.
    ``predict(study, arrays, rows)`` returns the expected outcome of each of *rows*, in
    the form that the task saw them: a probability for a binary outcome, one for each
    level of a category. ``before`` are the tasks that must come first. ``explain``
    returns what each column of the design adds for each row [records, columns + 1], the
    last being what everybody has: their sum is the prediction on the model's own
    ``scale``; of a category for each level [records, columns + 1, levels]. ``interval``
    returns the ends of a 95 % interval of the expected outcome [records, 2], where the
    model knows them. ``stays`` tells which of its ``parameters`` each site keeps.
    """

    fit: Task
    carries: Callable[[Study], Shapes]
    predict: Predict
    before: Callable[[Study], tuple["Task", ...]] = lambda _: ()
    explain: Predict | None = None
    scale: str = ""
    interval: Predict | None = None
    stays: Callable[[Study], Flags | None] = lambda _study: None


def model_of(study: Study) -> Model:
    """Return the model that *study* fits, in the form that keeps its promise.

    Raises StudyError when it fits none, or makes a promise that the model cannot keep.
    """
    kind = study.kind
    found = load(kind) if kind else None
    if not isinstance(found, Model):
        raise StudyError(f"study {study.study.name} has no [model]")
    if study.privacy == "none":
        return found
    one_shot = bool(getattr(study.model, "one_shot", None))
    private = load_private(kind, one_shot=one_shot)
    if not isinstance(private, Model):
        raise StudyError(f"{kind} has no private form yet")
    return private


def analyses_of(study: Study) -> tuple[Task, ...]:
    """Return the analyses of *study*, in the form that keeps its promise.

    Raises StudyError when it makes a promise that one of them cannot keep.
    """
    private = study.privacy != "none"
    return tuple(
        task
        for name in study.analysis.named()
        for task in _analysis(name, private=private)
    )


def _analysis(name: str, *, private: bool) -> tuple[Task, ...]:
    """Return the task of an analysis, or its tasks one after the other."""
    found = load_analysis(name, private=private)
    steps = found if isinstance(found, tuple) else (found,)
    tasks = tuple(step for step in steps if isinstance(step, Task))
    if not tasks:
        raise StudyError(f"{name} has no private form yet")
    return tasks
