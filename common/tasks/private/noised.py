"""What sums with noise say of the people who train, and where they say too little.

Kinds of sums have fixed shares of the squared length of a record's row, and each total
is divided by its weight again. What the noise leaves open is filled by what the study
declares: an estimate leans on it as far as the noise is large.
"""

import math

from common import promise
from common.release import Field, Release, Summands
from common.study import Study
from common.task import analyses_of, model_of
from common.tasks.describe import level_counts, levels, numbers, row

BINS = 8
"""Bins over a declared range: with noise, more would tell less."""

SHARES = {
    "records": 4.0,
    "missing": 1.0,
    "total": 1.5,
    "square": 1.5,
    "bins": 1.0,
    "levels": 3.0,
}
"""How the squared length of a record's row is shared out: a model needs the first."""

WEIGHT = 0.1
"""Share of mu^2 beside a model's; without a model all of it is spent here."""
SCORES = 0.2
"""That of the scores of a setting's candidates; their trials have as much as a model.
"""

MEAN, VARIANCE = (0.0, 1 / 9), (1 / 9, 0.01)
"""What one would guess of a number, in units of half its range, and the variance of the
guess: the middle of the range, and a sixth of it for one deviation."""

SHARE = 1 / 16
"""The variance of the guess that all levels are equally common."""


def release(study: Study) -> Release:
    """Declare the same as without a promise, coarser: all of them sums with noise."""
    count, bins = len(numbers(study)), (len(numbers(study)), BINS)
    declared = {
        "records": Field("records that train", (1,), "sum"),
        "missing": Field("records without a value", (len(gaps(study)),), "sum"),
        "total": Field("sum of distances from mid-range", (count,), "sum"),
        "square": Field("sum of their squares", (count,), "sum"),
        "bins": Field("records per 1/8 of the range", bins, "sum"),
        "levels": Field("records per level", (len(levels(study)),), "sum"),
    }
    return {name: field for name, field in declared.items() if field.size}


def gaps(study: Study) -> list[int]:
    """Return which variables can have a gap in a record that is kept."""
    return [i for i, each in enumerate(study.variables) if each.missing != "exclude"]


def weights(study: Study) -> dict[str, float]:
    """Return the factor of each array, by which no record's row is longer than 1."""
    sizes = {name: field.size for name, field in release(study).items()}
    categories = len(study.everything) - len(numbers(study))
    most = sizes | {"bins": len(numbers(study)), "levels": categories}
    whole = sum(SHARES[name] for name in sizes)
    return {name: math.sqrt(SHARES[name] / whole / most[name]) for name in sizes}


def deviation(study: Study, name: str) -> float:
    """Return the deviation of the noise in a total, without its weight."""
    noise = promise.of_share(study, 1.0, paid(study, WEIGHT))
    return noise / weights(study)[name]


def paid(study: Study, weight: float) -> float:
    """Return the share of mu^2 of a task of this *weight* among those who train."""
    fits = [model_of(study).fit] if study.model else []
    trials, scores = (fits, SCORES) if study.selection else ([], 0.0)
    beside = [each.noisy for each in (*analyses_of(study), *trials, *fits)]
    whole = WEIGHT + scores + math.fsum(each.weight for each in beside if each)
    return weight / whole


def tested(study: Study) -> float:
    """Return the share of mu^2 that those who test may spend: see common/costs.py."""
    fit = model_of(study).fit.noisy if study.model else None
    steps = fit is not None and fit.sample(study) < 1
    return 1.0 - paid(study, fit.weight) if fit and steps else 1.0


def people(study: Study, sums: Summands) -> float:
    """Return about how many train: never fewer than the noise alone may be."""
    return max(float(sums["records"][0]), deviation(study, "records"), 1.0)


def present(study: Study, sums: Summands, index: int) -> float:
    """Return about how many records have a value of the variable at *index*."""
    everyone, places = people(study, sums), gaps(study)
    if index not in places:
        return everyone
    missing = float(sums["missing"][places.index(index)])
    return max(everyone - max(missing, 0.0), 1.0)


def leaning(found: float, noise: float, prior: tuple[float, float]) -> float:
    """Return the mean of what was *found* and the prior, weighed by their variances.

    With many people this is what was found; with few it is what one would have guessed,
    and noise never becomes a constant by which everyone is divided.
    """
    guess, variance = prior
    return (found * variance + guess * noise**2) / (variance + noise**2)


def share(study: Study, sums: Summands, index: int, level: int) -> float:
    """Return about which share of the records with a value has one level."""
    counts = level_counts(study, sums, index)
    known = present(study, sums, index)
    prior = (1 / len(counts), SHARE)
    noise = deviation(study, "levels") / known
    leant = leaning(float(counts[level]) / known, noise, prior)
    return min(max(leant, 0.0), 1.0)


def moments(study: Study, sums: Summands, index: int) -> tuple[float, float]:
    """Return about mean and deviation of a number, in units of half its range."""
    place, known = row(study, index), present(study, sums, index)
    first, second = (
        (float(sums[name][place]) / known, deviation(study, name) / known)
        for name in ("total", "square")
    )
    mean = min(max(leaning(*first, MEAN), -1.0), 1.0)
    noise = math.hypot(second[1], 2 * mean * first[1])
    variance = leaning(max(second[0] - mean**2, 0.0), noise, VARIANCE)
    return mean, min(math.sqrt(variance), 1.0)


def widest(study: Study, sums: Summands, index: int) -> float:
    """Return a deviation that a number hardly exceeds, in units of half its range.

    That of the variance that was found and leant, and one deviation of its own doubt.
    """
    known = present(study, sums, index)
    mean, deviated = moments(study, sums, index)
    first, second = (deviation(study, name) / known for name in ("total", "square"))
    noise, guess = math.hypot(second, 2 * mean * first), VARIANCE[1]
    doubt = math.sqrt(noise**2 * guess / (noise**2 + guess))
    return min(math.sqrt(deviated**2 + doubt), 1.0)
