"""Invents people with a state of health of their own, and what was measured on them.

Three hidden numbers (metabolism, heart, lungs) move everything: a Gaussian copula with
published marginals for the laboratory, a logistic model for the outcome, and what the
monitor, the radiograph and the note will show. So all sources of one person agree.

Marginals by sex are the quantiles of NHANES 2017-March 2020, ages 45 to 65 (public
domain; National Center for Health Statistics, pre-pandemic files), as are the share of
diagnosed diabetes and the correlation of glucose with HbA1c (0.82). Smoking: Cornelius
et al., MMWR 71 (2022), rounded. Readmission within 30 days, 19.6 %: Jencks, Williams
and Coleman, NEJM 360 (2009). How the hidden numbers weigh is ours. The result is an
oracle for cleaning; how well a model does on it says nothing about medicine.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtr

from common.release import Array

PROBABILITIES = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975, 0.99)
Quantiles = Mapping[str, tuple[float, ...]]
WOMEN: Quantiles = MappingProxyType(
    {
        "bmi": (18.3, 19.4, 20.5, 22.3, 25.6, 29.8, 35.6, 42.4, 47.6, 50.9, 57.1),
        "systolic": (91, 95, 99, 103, 112, 123, 137, 150, 160, 174.6, 187),
        "cholesterol": (118.6, 127, 139, 152, 173, 197, 224, 252, 271, 287, 312),
        "glucose": (71.5, 76, 80, 83, 88, 94, 105, 134, 171.7, 229, 297),
        "hba1c": (4.8, 5.0, 5.1, 5.2, 5.4, 5.7, 6.2, 7.3, 8.54, 10.26, 11.8),
        "creatinine": (0.42, 0.48, 0.51, 0.56, 0.63, 0.73, 0.84, 0.97, 1.07, 1.23, 1.8),
    }
)
MEN: Quantiles = MappingProxyType(
    {
        "bmi": (18.2, 19.7, 21.2, 22.8, 25.4, 28.9, 32.9, 38.5, 42.2, 45.0, 50.1),
        "systolic": (94, 100, 104, 108, 117, 127, 140, 153, 163, 171, 185),
        "cholesterol": (100.7, 113, 122, 135.5, 161, 186, 216, 243, 259, 274, 296),
        "glucose": (66.6, 75, 80, 83.6, 90, 97, 109, 151, 206, 259, 333),
        "hba1c": (4.6, 4.9, 5.0, 5.2, 5.4, 5.7, 6.2, 7.5, 9.0, 10.3, 11.7),
        "creatinine": (0.57, 0.63, 0.67, 0.75, 0.84, 0.96, 1.1, 1.25, 1.38, 1.59, 2.49),
    }
)
LOADINGS: Mapping[str, tuple[float, float, float]] = MappingProxyType(
    {
        "bmi": (0.45, 0.10, 0.05),
        "systolic": (0.15, 0.45, 0.0),
        "cholesterol": (0.15, 0.20, 0.0),
        "glucose": (0.92, 0.0, 0.0),
        "hba1c": (0.95, 0.0, 0.0),
        "creatinine": (0.15, 0.35, 0.0),
    }
)
"""Weights of metabolism, heart and lungs; what is left of the variance is chance."""

DIABETIC, CURRENT, EVER, READMITTED = 0.19, 0.125, 0.345, 0.196
AGES = (45, 95)
EFFECTS: Mapping[str, float] = MappingProxyType(
    {"metabolism": 0.5, "heart": 0.7, "lungs": 0.9, "age": 0.4}
)
"""Log-odds of a readmission per deviation."""


@dataclass(frozen=True, slots=True)
class Population:
    """How the people of one hospital differ from the published ones.

    ``shift`` moves the mean of metabolism, heart and lungs, in deviations.
    """

    size: int
    age: float
    women: float
    shift: tuple[float, float, float]


@dataclass(frozen=True, slots=True, repr=False)
class Person:
    """One invented person: hidden state, and true values in the study's units."""

    state: tuple[float, float, float]
    values: Mapping[str, float | str]


def invent(population: Population, rng: np.random.Generator) -> list[Person]:
    """Return the people of one hospital; the same generator gives the same people."""
    size = population.size
    state = rng.standard_normal((size, 3)) + population.shift
    age = np.clip(rng.normal(population.age, 11.0, size), *AGES).round()
    woman = rng.random(size) < population.women
    columns: dict[str, list[float] | list[str]] = {
        "age": age.tolist(),
        "sex": np.where(woman, "female", "male").tolist(),
        **{name: _measured(name, state, woman, rng) for name in LOADINGS},
        "smoking": _smoking(state[:, 2], rng),
        "diabetes": _yes(_share(state[:, 0], 1.5, DIABETIC), rng),
        "statin": _yes(_share(state[:, 1], 0.8, 0.3), rng),
        "readmitted": _yes(_risk(state, age), rng),
    }
    rows = zip(*columns.values(), strict=True)
    people = zip(state.tolist(), rows, strict=True)
    return [
        Person((m, h, lungs), dict(zip(columns, row, strict=True)))
        for (m, h, lungs), row in people
    ]


def _measured(
    name: str, state: Array, woman: NDArray[np.bool_], rng: np.random.Generator
) -> list[float]:
    """Return a laboratory value: a correlated normal, through published quantiles."""
    weights = np.array(LOADINGS[name])
    chance = np.sqrt(1.0 - weights @ weights) * rng.standard_normal(len(state))
    share = ndtr(state @ weights + chance)
    found = np.where(woman, _inverse(WOMEN[name], share), _inverse(MEN[name], share))
    return [float(value) for value in found]


def _inverse(quantiles: tuple[float, ...], share: Array) -> Array:
    """Return the value below which *share* of the people lie, linear between points."""
    low, high = 2 * quantiles[0] - quantiles[1], 2 * quantiles[-1] - quantiles[-2]
    points = (low, *quantiles, high)
    return np.interp(share, (0.0, *PROBABILITIES, 1.0), points)


def _share(state: Array, slope: float, mean: float) -> Array:
    """Return probabilities that rise with *state* and are *mean* on average.

    The slope widens the logit: the factor is that of Zeger, Liang and Albert 1988.
    """
    wider = np.sqrt(1.0 + 0.346 * slope**2)
    return np.asarray(expit(slope * state + wider * np.log(mean / (1.0 - mean))))


def _risk(state: Array, age: Array) -> Array:
    weights = [EFFECTS[name] for name in ("metabolism", "heart", "lungs")]
    score = state @ weights + EFFECTS["age"] * (age - 65.0) / 11.0
    return _share(score, 1.0, READMITTED)


def _smoking(lungs: Array, rng: np.random.Generator) -> list[str]:
    score = ndtr((0.4 * lungs + rng.standard_normal(len(lungs))) / np.hypot(0.4, 1.0))
    never = 1.0 - EVER
    levels = np.where(score < never, "never", "former")
    return [str(each) for each in np.where(score > 1.0 - CURRENT, "current", levels)]


def _yes(share: Array, rng: np.random.Generator) -> list[str]:
    return ["yes" if each else "no" for each in rng.random(len(share)) < share]
