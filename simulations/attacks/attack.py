"""Two attacks on what a site releases, and how much privacy they prove to be lost.

``often`` tells many runs with a canary from many without it by the likelihood ratio:
the best test there is against noise that is what it is said to be. ``closely`` sees
fewer runs, each released by calls of its own, beside the noise of a site that colludes,
and measures how the noise hangs together: noise that is used twice cancels out.

Errors are bounded by Clopper and Pearson, and together by the Gaussian trade-off that
the promise is made in: mu >= Phi^-1(1 - false alarms) - Phi^-1(misses) (Nasr et al.
2023). Steps over samples have another trade-off. There the bound is the one that holds
for any: epsilon >= log((1 - delta - misses) / false alarms) (Kairouz, Oh and Viswanath
2015), and the attacker knows who else was drawn, and that the canary may have been.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import beta

from client.learning import noise, training
from client.learning.training import Design
from client.table import Table
from common import costs, encoding, plan, promise
from common.design import Column
from common.encoding import Encoding
from common.privacy import Gaussian, epsilon_of
from common.release import Array, flatten
from common.schema import Number
from common.study import Study
from common.task import Split, State, Task

BLOCK = 2**20
"""So many numbers are released at a time."""
FEW, CLOSE = 500, 3
"""Runs that are released one by one, and rounds of a task that are then looked at."""
SHARES = np.linspace(0.001, 0.999, 200)
"""Where a test may cut, as shares of what was seen."""
TILTS = (50.0, 0.0)
"""Weights by which every score is 0 or 1, or a half: an aggregator may ask anything."""
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

    ``apart`` [numbers] is what a canary changes who is in, with a chance of ``rate``;
    ``deviation`` is what a site adds.
    """

    sums: Array
    apart: Array
    deviation: float
    clip: float
    times: int
    rate: float

    @property
    def far(self) -> float:
        """How far the canary moves the sums."""
        return float(np.linalg.norm(self.apart))


def asked(
    study: Study, found: Mapping[str, State], split: Split, tilt: float
) -> list[Asked]:
    """Return what an aggregator asks in order to see people of *split*.

    With a *tilt* every round but the last of a fit takes the features' side of who has
    no outcome, the last the other: a canary is in some of them, and others' noise in
    all. Without one everybody pulls: to the side of their outcome, and half as far.
    """
    asking = []
    for task in plan.tasks(study):
        if task.rows != split:
            continue
        times, state = plan.rounds(study, task), task.start(study, found)
        asking.append(Asked(task, _tilted(study, state, tilt), max(times - 1, 1)))
        if times > 1:
            asking.append(Asked(task, _tilted(study, state, -tilt), 1))
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
            costs.noisy(each.task).sample(study),
        )
        for each, sums, others in zip(asking, *both, strict=True)
    ]


def separation(study: Study, releases: Sequence[Seen]) -> float:
    """Return how well the best attack tells the two apart: the mu that is used up."""
    scale = np.sqrt(promise.parts(study))
    squares = [
        e.times * (e.rate * e.far / (e.deviation * scale)) ** 2 for e in releases
    ]
    return float(np.sqrt(np.sum(squares)))


def often(study: Study, releases: Sequence[Seen], runs: int, error: float) -> float:
    """Return the epsilon that *runs* of each hospital prove lost, but for *error*."""
    scores = [np.zeros(runs), np.zeros(runs)]
    for each in releases:
        for side in (0, 1):
            for _ in range(each.times if each.far else 0):
                seen = _noised(study, each, side, runs) @ each.apart
                scores[side] += _likelihood(study, each, seen)
    return _told_apart(study, scores, error, runs // 8)


def closely(study: Study, releases: Sequence[Seen], error: float) -> float:
    """Return the epsilon that is proven lost to one who measures the noise first."""
    told = [_features(study, releases, side) for side in (0, 1)]
    half = FEW // 2
    fitted, shift = told[0][:half], told[1][:half].mean(axis=0)
    centre = fitted.mean(axis=0)
    spread = np.atleast_2d(np.cov(fitted.T)) + TINY * np.eye(fitted.shape[1])
    weight = np.linalg.solve(spread, shift - centre)
    return _told_apart(study, [each @ weight for each in told], error, half)


def _likelihood(study: Study, each: Seen, seen: Array) -> Array:
    """Return [runs]: log likelihood ratios of what is *seen* along a canary."""
    spread = each.deviation**2 * promise.parts(study)
    ratio: Array = (seen - each.far**2 / 2) / spread
    if each.rate >= 1:
        return ratio
    out, within = np.log1p(-each.rate), np.log(each.rate)
    return np.asarray(np.logaddexp(out, within + ratio))


def _told_apart(
    study: Study, scores: Sequence[Array], error: float, first: int
) -> float:
    """Return the epsilon proven by the rest, where the *first* runs set the test."""
    delta = promise.of(study).delta
    alone, canary = (score[first:] for score in scores)
    if costs.sampled(study) is None:
        middle = sum(float(score[:first].mean()) for score in scores) / 2
        return proven(least(alone > middle, canary <= middle, error), delta)
    tried = np.quantile(np.concatenate([each[:first] for each in scores]), SHARES)
    told = [each[:first] for each in scores]
    best = max(tried, key=lambda cut: _any(told[0] > cut, told[1] <= cut, delta, error))
    return _any(alone > best, canary <= best, delta, error)


def _any(alarms: Flags, misses: Flags, delta: float, error: float) -> float:
    """Return the epsilon that any mechanism with these errors has at least."""
    false, missed = (_most(each, error / 2) for each in (alarms, misses))
    kept = [(1 - delta - missed) / false, (1 - delta - false) / missed]
    return float(np.log(max(1.0, *kept)))


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

    All weights are 0 but the intercept, which is a network's last number. Columns are
    measured from the middle of their ranges, and finely: then everybody is far out, on
    one side or the other.
    """
    arrays = dict(state.arrays)
    if set(arrays) >= ENCODING:
        bounds = np.array([_bounds(study, each) for each in encoding.columns(study)])
        middle, half = bounds.mean(axis=1), np.ptp(bounds, axis=1) / 2
        arrays |= Encoding(middle, half / FINE, middle).arrays()
    if "weights" in arrays:
        arrays["weights"] = np.zeros_like(arrays["weights"])
        arrays["weights"][-1] = weight
    if "parameters" in arrays:
        arrays["parameters"] = np.zeros_like(arrays["parameters"])
        arrays["parameters"][-1] = weight
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
            training.run(_with_everyone(each.task), study, each.state, design),
        )
        for each in asking
    ]


def _with_everyone(task: Task) -> Task:
    """Return *task* with everybody in each step."""
    noisy = costs.noisy(task)
    return replace(task, noisy=replace(noisy, sample=lambda _study: 1.0))


def _noised(study: Study, each: Seen, side: int, runs: int) -> Array:
    """Return [runs, numbers] of what leaves, less what is known to be there.

    With shared noise each of the honest sites adds its part, and their sum is seen.
    """
    step = max(1, BLOCK // each.sums.size)
    blocks = []
    for first in range(0, runs, step):
        rows = min(step, runs - first)
        present = side * (noise.draws(rows) <= each.rate)
        vectors = each.sums + present[:, None] * each.apart
        released = noise.add(vectors.ravel(), each.deviation, each.clip)
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
