"""Privacy as a value: what each release costs, what they cost together, how much noise.

    spent = (Gaussian(mu=0.1), Gaussian(mu=0.2))
    epsilon_of(spent, delta=1e-5)       # 0.82
    mu_of(epsilon=1.0, delta=1e-5)      # 0.268: what a whole study may spend

Add or remove one person. A release of sums over all people with Gaussian noise is
``mu``-GDP with mu = (largest change by one person) / (standard deviation); several are
mu-GDP together with mu^2 = sum mu_j^2, exactly (Dong, Roth and Su 2022, section 3.3).
Steps over a Poisson sample are composed by Opacus' PRV accountant (Gopi et al. 2021),
which is loaded only when there is such a step.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final
from warnings import catch_warnings, filterwarnings

import numpy as np
from scipy.optimize import brentq
from scipy.special import log_ndtr

from common.errors import MachineError, StudyError

EPS_ERROR: Final = 0.01
"""How far the PRV accountant's epsilon may lie above the truth."""
SLACK: Final = 1e-9
"""Added to an epsilon that was found by halving, so that it is not below the truth."""
LARGEST: Final = 1e3
"""An epsilon beyond which nothing is promised at all."""

SIGMA_ERROR: Final = 1e-3
"""How far a sigma may lie above the least one, as a share of it."""
DIGITS: Final = 32
"""Bits of a mu that are looked at beside steps over samples."""
WIDER: Final = 1.1
"""By how much a sigma that is not enough grows before it is tried again."""


@dataclass(frozen=True, slots=True)
class Gaussian:
    """One release of sums over all people, with noise: mu-GDP."""

    mu: float

    def __post_init__(self) -> None:
        """Refuse what is no release: without noise there is no mu."""
        _require("mu", self.mu, math.isfinite(self.mu) and self.mu > 0)


@dataclass(frozen=True, slots=True)
class Subsampled:
    """Steps of DP-SGD, each over a Poisson sample of the people.

    ``sigma`` is the noise's standard deviation over the clip, ``rate`` each person's
    chance to be in a step.
    """

    sigma: float
    rate: float
    steps: int

    def __post_init__(self) -> None:
        """Refuse what is no step: no noise, no sample, or no end."""
        _require("sigma", self.sigma, math.isfinite(self.sigma) and self.sigma > 0)
        _require("rate", self.rate, 0 < self.rate <= 1)
        _require("steps", self.steps, self.steps >= 1)


Event = Gaussian | Subsampled


def sigma(event: Event) -> float:
    """Return the standard deviation of *event*'s noise over the clip."""
    return 1 / event.mu if isinstance(event, Gaussian) else event.sigma


def weaker(event: Event, parts: int) -> Event:
    """Return *event* with one of so many *parts* of its noise's variance."""
    if isinstance(event, Gaussian):
        return Gaussian(event.mu * math.sqrt(parts))
    return replace(event, sigma=event.sigma / math.sqrt(parts))


def delta_of(mu: float, epsilon: float) -> float:
    """Return the delta at which *mu*-GDP is (*epsilon*, delta)-DP.

    Balle and Wang 2018, theorem 8: Phi(-e/mu + mu/2) - exp(e) Phi(-e/mu - mu/2).
    """
    first = log_ndtr(-epsilon / mu + mu / 2)
    second = epsilon + log_ndtr(-epsilon / mu - mu / 2)
    return float(math.exp(first) * -math.expm1(min(second - first, 0.0)))


def epsilon_of(spent: Iterable[Event], delta: float) -> float:
    """Return the epsilon that all of *spent* has together at *delta*; 0 for nothing.

    Raises MachineError when steps over samples are among them and Opacus is missing.
    """
    _require("delta", delta, 0 < delta < 1)
    events = tuple(spent)
    mu = together(each for each in events if isinstance(each, Gaussian))
    merged: Counter[tuple[float, float]] = Counter()
    for each in events:
        if isinstance(each, Subsampled):
            merged[each.sigma, each.rate] += each.steps
    if merged:
        return _prv(_up(mu), tuple(sorted(merged.items())), delta)
    return _invert(mu, delta) if mu else 0.0


def together(spent: Iterable[Gaussian]) -> float:
    """Return the mu that several releases have together, 0 for none."""
    return math.sqrt(math.fsum(each.mu**2 for each in spent))


def mu_of(epsilon: float, delta: float) -> float:
    """Return the largest mu that is (*epsilon*, *delta*)-DP."""
    _require("epsilon", epsilon, 0 < epsilon < LARGEST)
    _require("delta", delta, 0 < delta < 1)
    high = 1.0
    while delta_of(high, epsilon) < delta:
        high *= 2
    low = high
    while delta_of(low, epsilon) > delta:
        low /= 2
    return _root(lambda mu: delta_of(mu, epsilon) - delta, low, high)


@lru_cache(maxsize=64)
def sigma_of(
    promised: tuple[float, float],
    rate: float,
    steps: int,
    beside: tuple[Event, ...] = (),
) -> float:
    """Return the sigma by which *steps* at *rate* keep (epsilon, delta) = *promised*.

    The least one to a thousandth, with everything in *beside* paid for as well. Raises
    StudyError where that alone is more than the promise.
    """
    epsilon, delta = promised
    whole = mu_of(epsilon, delta)

    def kept(sigma: float) -> bool:
        step = Subsampled(sigma, rate, steps)
        return epsilon_of([*beside, step], delta) <= epsilon

    if epsilon_of(beside, delta) > epsilon - EPS_ERROR:
        raise StudyError(
            f"epsilon {epsilon:g} is spent by what is released beside the steps",
            fix="a larger epsilon, or fewer releases",
        )
    # About right by the central limit theorem, which promises too much: from there on
    # it is tried (Dong, Roth and Su 2022, corollary 5.4).
    low = 1 / math.sqrt(math.log1p(whole**2 / (rate**2 * steps)))
    wider = WIDER
    while kept(low):
        low /= WIDER
    while not kept(high := low * wider):
        low, wider = high, wider**2
    while high > low * (1 + SIGMA_ERROR):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if kept(middle) else (middle, high)
    return high


def shares(total: float, weights: dict[str, float]) -> dict[str, float]:
    """Split a whole study's *total* mu by *weights* of its square, by name."""
    whole = math.fsum(weights.values())
    return {name: total * math.sqrt(weight / whole) for name, weight in weights.items()}


def _invert(mu: float, wanted: float) -> float:
    if delta_of(mu, 0.0) <= wanted:
        return 0.0
    if delta_of(mu, LARGEST) > wanted:
        return math.inf
    return _root(lambda eps: wanted - delta_of(mu, eps), 0.0, LARGEST) + SLACK


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    return float(brentq(function, low, high, xtol=1e-12, rtol=1e-12))


def _up(mu: float) -> float:
    """Return *mu* a little larger: the same, in whichever order it was added up."""
    unit = 2.0**-DIGITS * 2.0 ** math.frexp(mu)[1]
    return math.ceil(mu / unit) * unit


@lru_cache(maxsize=256)
def _prv(
    mu: float, steps: tuple[tuple[tuple[float, float], int], ...], delta: float
) -> float:
    """Return an upper bound within EPS_ERROR for *steps* as ((sigma, rate), count).

    A run that is under way is asked for each round, and always costs the same.
    """
    try:
        from opacus.accountants import create_accountant  # noqa: PLC0415 - loads torch
    except ImportError:
        raise MachineError(
            "steps over samples are accounted for by Opacus, which is not installed",
            fix="pip install 'consilium[networks]'",
        ) from None
    accountant = create_accountant("prv")
    accountant.history = [(*pair, count) for pair, count in steps]
    if mu:
        accountant.history.append((1 / mu, 1.0, 1))
    # At rate 1, log(0) is minus infinity, rightly; and that a coarse bound by which the
    # grid is chosen could be tighter says nothing of the result.
    with np.errstate(divide="ignore"), catch_warnings():
        filterwarnings("ignore", "Optimal order is", UserWarning)
        return float(accountant.get_epsilon(delta, eps_error=EPS_ERROR))


def _require(name: str, value: float, good: bool) -> None:  # noqa: FBT001 - a claim
    if not good:
        raise StudyError(f"{name} = {value} gives no privacy", likely="a wrong number")
