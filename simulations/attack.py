"""Two attacks on what a site releases, and how much privacy they prove to be lost.

``often`` tells many runs with a canary from many without it by the likelihood ratio:
the best test there is against noise that is what it is said to be. ``closely`` sees
fewer runs, each released by calls of its own, beside the noise of a site that colludes,
and measures how the noise hangs together: noise that is used twice cancels out.

Errors are bounded by Clopper and Pearson, and together by the Gaussian trade-off that
the promise is made in: mu >= Phi^-1(1 - false alarms) - Phi^-1(misses) (Nasr et al.
2023).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import beta

from client import noise, training
from client.table import Table
from client.training import Design
from common import costs, encoding, plan, promise
from common.encoding import Column, Encoding
from common.privacy import Gaussian, epsilon_of
from common.release import Array, flatten
from common.schema import Number
from common.study import Study
from common.task import Split, State, Task
from simulations import plain

BLOCK = 2**20
"""So many numbers are released at a time."""
FEW, CLOSE = 500, 3
"""Runs that are released one by one, and rounds of a task that are then looked at."""
FAR = 50.0
"""A weight by which every score is 0 or 1: an aggregator may ask anything."""
FINE = 10.0
TINY = 1e-9
Flags = NDArray[np.bool_]
ENCODING = {"centre", "scale", "fill"}


@dataclass(frozen=True, slots=True)
class Asked:
    """One release: of which task, from which state, and in how many rounds."""

    task: Task
    state: State
    times: int


@dataclass(frozen=True, slots=True)
class Seen:
    """One release of both hospitals before noise, as far as they differ.

    ``apart`` [numbers] is what a canary changes, ``deviation`` what a site adds.
    """

    sums: Array
    apart: Array
    deviation: float
    clip: float
    times: int

    @property
    def far(self) -> float:
        """How far the canary moves the sums."""
        return float(np.linalg.norm(self.apart))


def asked(study: Study, table: Table, split: Split) -> list[Asked]:
    """Return what an aggregator asks in order to see people of *split*.

    Every round but the last of a fit takes the features' side of who has no outcome,
    the last the other: a canary is in some of them, and others' noise in all.
    """
    found = plain.run(study, [table])
    asking = []
    for task in plan.tasks(study):
        if task.rows != split:
            continue
        times, state = plan.rounds(study, task), task.start(study, found)
        asking.append(Asked(task, _tilted(study, state, FAR), max(times - 1, 1)))
        if times > 1:
            asking.append(Asked(task, _tilted(study, state, -FAR), 1))
    return asking


def seen(
    study: Study, asking: Sequence[Asked], tables: tuple[Table, Table]
) -> list[Seen]:
    """Return what is released without and with the canary, noise left out."""
    both = [_sums(study, asking, table) for table in tables]
    return [
        Seen(
            sums,
            others - sums,
            costs.deviation(study, each.task),
            costs.noisy(each.task).clip(study),
            each.times,
        )
        for each, sums, others in zip(asking, *both, strict=True)
    ]


def separation(study: Study, releases: Sequence[Seen]) -> float:
    """Return how well the best attack tells the two apart: the mu that is used up."""
    scale = np.sqrt(promise.parts(study))
    squares = [e.times * (e.far / (e.deviation * scale)) ** 2 for e in releases]
    return float(np.sqrt(np.sum(squares)))


def often(study: Study, releases: Sequence[Seen], runs: int, error: float) -> float:
    """Return the least mu that *runs* of each hospital leave, but for *error*."""
    scores = [np.zeros(runs), np.zeros(runs)]
    for each in releases:
        weight = each.apart / each.deviation**2
        for side in (0, 1):
            for _ in range(each.times if each.far else 0):
                scores[side] += _noised(study, each, side, runs) @ weight
    first = runs // 8
    middle = sum(float(score[:first].mean()) for score in scores) / 2
    alone, canary = (score[first:] for score in scores)
    return least(alone > middle, canary <= middle, error)


def closely(study: Study, releases: Sequence[Seen], error: float) -> float:
    """Return the least mu that some runs leave to one who measures the noise first."""
    told = [_features(study, releases, side) for side in (0, 1)]
    half = FEW // 2
    fitted, shift = told[0][:half], told[1][:half].mean(axis=0)
    centre = fitted.mean(axis=0)
    spread = np.atleast_2d(np.cov(fitted.T)) + TINY * np.eye(fitted.shape[1])
    weight = np.linalg.solve(spread, shift - centre)
    middle = float(weight @ (shift + centre)) / 2
    kept = [each[half:] @ weight for each in told]
    return least(kept[0] > middle, kept[1] <= middle, error)


def least(alarms: Flags, misses: Flags, error: float) -> float:
    """Return the mu that so many false *alarms* and *misses* prove, but for *error*."""
    false, missed = (_most(each, error / 2) for each in (alarms, misses))
    return max(0.0, float(-ndtri(false) - ndtri(missed)))


def proven(mu: float, delta: float) -> float:
    """Return the epsilon that a mechanism of *mu* has at least at *delta*."""
    return epsilon_of([Gaussian(mu)], delta) if mu else 0.0


def _most(found: Flags, error: float) -> float:
    """Return the upper end of a rate (Clopper and Pearson 1934)."""
    count, size = int(found.sum()), len(found)
    return 1.0 if count == size else float(beta.ppf(1 - error, count + 1, size - count))


def _tilted(study: Study, state: State, weight: float) -> State:
    """Return *state* as a hostile aggregator makes it, and as sites accept it.

    All weights are 0 but the intercept. Columns are measured from the middle of their
    ranges, and finely: then everybody is far out, on one side or the other.
    """
    arrays = dict(state.arrays)
    if set(arrays) >= ENCODING:
        bounds = np.array([_bounds(study, each) for each in encoding.columns(study)])
        middle, half = bounds.mean(axis=1), np.ptp(bounds, axis=1) / 2
        arrays |= Encoding(middle, half / FINE, middle).arrays()
    if "weights" in arrays:
        arrays["weights"] = np.zeros_like(arrays["weights"])
        arrays["weights"][-1] = weight
    return State(arrays)


def _bounds(study: Study, column: Column) -> tuple[float, float]:
    variable = study.variables[column.variable]
    if column.kind == "value" and isinstance(variable, Number):
        return variable.range
    return 0.0, 1.0


def _sums(study: Study, asking: Sequence[Asked], table: Table) -> list[Array]:
    design = Design(table)
    return [
        flatten(
            each.task.release(study),
            training.run(each.task, study, each.state, design),
        )
        for each in asking
    ]


def _noised(study: Study, each: Seen, side: int, runs: int) -> Array:
    """Return [runs, numbers] of what leaves, less what is known to be there.

    With shared noise each of the honest sites adds its part, and their sum is seen.
    """
    vector = each.sums + side * each.apart
    step = max(1, BLOCK // vector.size)
    blocks = []
    for first in range(0, runs, step):
        rows = min(step, runs - first)
        released = noise.add(np.tile(vector, rows), each.deviation, each.clip)
        for _ in range(promise.parts(study) - 1):
            nothing = np.zeros(released.size)
            released += noise.add(nothing, each.deviation, each.clip)
        blocks.append(released.reshape(rows, -1) - each.sums)
    return np.concatenate(blocks)


def _features(study: Study, releases: Sequence[Seen], side: int) -> Array:
    """Return [FEW, numbers]: along what a canary changes, and a colluder's noise."""
    along: list[tuple[Seen, Array]] = []
    first: dict[int, Array] = {}
    for each in releases:
        line = first.setdefault(each.sums.size, each.apart / (each.far or 1.0))
        along += [(each, line / each.deviation)] * min(each.times, CLOSE)
    return np.array([_once(study, along, side) for _ in range(FEW)])


def _once(study: Study, along: Sequence[tuple[Seen, Array]], side: int) -> Array:
    """Return one run: each number a release of its own, as at the door."""
    numbers = []
    for each, line in along:
        own = _noised(study, each, side, 1)[0]
        other = noise.add(np.zeros(own.size), each.deviation, each.clip)
        numbers += [float(own @ line), float(other @ line)]
    return np.array(numbers)
