"""What releases cost: in closed form, by Opacus' accountant, and by somebody else's."""

import math
import subprocess
import sys
from collections.abc import Callable

import pytest
from dp_accounting import (
    ComposedDpEvent,
    GaussianDpEvent,
    PoissonSampledDpEvent,
    SelfComposedDpEvent,
    get_epsilon_gaussian,
)
from dp_accounting.pld import PLDAccountant
from hypothesis import given, settings
from hypothesis import strategies as st

from common import privacy
from common.errors import StudyError
from common.privacy import Gaussian, Subsampled

MU = st.floats(0.01, 3.0)
EPSILON = st.floats(0.05, 10.0)
DELTA = st.sampled_from([1e-8, 1e-6, 1e-5, 1e-3])
STEPS = [
    (Subsampled(1.5, 0.02, 300),),
    (Subsampled(1.0, 0.05, 100), Subsampled(2.0, 0.1, 30)),
    (Subsampled(2.0, 1.0, 40),),
    (Subsampled(1.5, 0.02, 50), Subsampled(1.5, 0.02, 50)),
]


def elsewhere(*events: privacy.Event) -> PLDAccountant:
    """Return Google's accountant, having seen the same events."""
    told = [
        GaussianDpEvent(1 / each.mu)
        if isinstance(each, Gaussian)
        else SelfComposedDpEvent(
            PoissonSampledDpEvent(each.rate, GaussianDpEvent(each.sigma)), each.steps
        )
        for each in events
    ]
    return PLDAccountant().compose(ComposedDpEvent(told))


@pytest.mark.parametrize("mu", [0.05, 0.3, 1.0, 2.5])
@pytest.mark.parametrize("delta", [1e-6, 1e-5, 1e-3])
def test_the_closed_form_is_another_accountants(mu: float, delta: float) -> None:
    """Theirs in closed form to 1e-6, and on a grid a little above."""
    ours = privacy.epsilon_of([Gaussian(mu)], delta)
    exact = get_epsilon_gaussian(1 / mu, delta)
    assert ours == pytest.approx(exact, abs=1e-6)
    assert elsewhere(Gaussian(mu)).get_epsilon(delta) == pytest.approx(ours, abs=2e-4)


def test_known_figures() -> None:
    """A hundred releases at sigma 10, and the mu of usual epsilons."""
    hundred = [Gaussian(0.1)] * 100
    assert privacy.epsilon_of(hundred, 1e-5) == pytest.approx(4.37718, abs=1e-5)
    for epsilon, mu in ((0.5, 0.142), (1, 0.268), (2, 0.502), (4, 0.925), (8, 1.666)):
        assert privacy.mu_of(epsilon, 1e-5) == pytest.approx(mu, abs=5e-4)


@given(epsilon=EPSILON, delta=DELTA)
def test_noise_for_a_promise_keeps_it_and_no_more(epsilon: float, delta: float) -> None:
    mu = privacy.mu_of(epsilon, delta)
    assert privacy.epsilon_of([Gaussian(mu)], delta) == pytest.approx(epsilon, abs=1e-6)
    assert privacy.epsilon_of([Gaussian(mu * 1.01)], delta) > epsilon


@given(mus=st.lists(MU, min_size=1, max_size=6), delta=DELTA)
def test_releases_compose_as_squares_in_any_order(
    mus: list[float], delta: float
) -> None:
    events = [Gaussian(mu) for mu in mus]
    whole = privacy.together(events)
    assert whole == pytest.approx(math.sqrt(sum(mu**2 for mu in mus)))
    assert privacy.together(reversed(events)) == whole
    both = privacy.epsilon_of(events, delta)
    assert both >= privacy.epsilon_of(events[:1], delta)
    assert privacy.epsilon_of([Gaussian(whole)], delta) == pytest.approx(both)


@given(total=MU, weights=st.lists(st.floats(0.01, 1.0), min_size=1, max_size=5))
def test_shares_spend_the_whole_and_nothing_else(
    total: float, weights: list[float]
) -> None:
    split = privacy.shares(total, {str(i): w for i, w in enumerate(weights)})
    assert privacy.together(map(Gaussian, split.values())) == pytest.approx(total)


@pytest.mark.parametrize("steps", STEPS)
def test_steps_over_samples_are_bounded_from_above(
    steps: tuple[Subsampled, ...],
) -> None:
    ours = privacy.epsilon_of(steps, 1e-5)
    theirs = elsewhere(*steps).get_epsilon(1e-5)
    assert -1e-3 <= ours - theirs <= 0.02


def test_releases_and_steps_are_composed_as_one() -> None:
    events = (Gaussian(0.2), Subsampled(1.0, 0.01, 300), Gaussian(0.1))
    ours = privacy.epsilon_of(events, 1e-5)
    assert -1e-3 <= ours - elsewhere(*events).get_epsilon(1e-5) <= 0.02
    assert ours < sum(privacy.epsilon_of([each], 1e-5) for each in events)


def test_equal_steps_are_one_entry() -> None:
    apart = [Subsampled(1.0, 0.02, 50)] * 4
    once = [Subsampled(1.0, 0.02, 200)]
    assert privacy.epsilon_of(apart, 1e-5) == privacy.epsilon_of(once, 1e-5)


@pytest.mark.parametrize(
    ("promised", "rate", "steps", "beside"),
    [
        ((3.0, 1e-5), 0.05, 1000, ()),
        ((1.0, 1e-5), 0.1, 60, (Gaussian(0.15),)),
        pytest.param(
            (8.0, 1e-5),
            0.1,
            50,
            (Subsampled(2.0, 0.1, 20), Gaussian(0.3)),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_noise_for_steps_keeps_a_promise_and_hardly_more(
    promised: tuple[float, float],
    rate: float,
    steps: int,
    beside: tuple[privacy.Event, ...],
) -> None:
    """Judged by the other accountant too."""
    epsilon, delta = promised
    sigma = privacy.sigma_of(promised, rate, steps, beside)
    events = (*beside, Subsampled(sigma, rate, steps))
    assert privacy.epsilon_of(events, delta) <= epsilon
    assert epsilon - 0.03 <= elsewhere(*events).get_epsilon(delta) <= epsilon


def test_known_noise_for_steps() -> None:
    """As Opacus' own calibration finds it: 2.363 (2.353 without its margin)."""
    assert privacy.sigma_of((3.0, 1e-5), 0.05, 1000) == pytest.approx(2.363, abs=5e-3)


def test_a_promise_that_is_spent_has_no_noise_for_steps() -> None:
    with pytest.raises(StudyError, match="epsilon 1 is spent"):
        privacy.sigma_of((1.0, 1e-5), 0.1, 10, (Gaussian(0.3),))


def test_opacus_is_loaded_only_for_steps() -> None:
    code = (
        "import sys; from common.privacy import *;"
        "epsilon_of([Gaussian(0.1)], 1e-5); mu_of(1.0, 1e-5);"
        "assert not {'torch', 'opacus'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603 - our own


@settings(max_examples=30)
@given(mu=MU, epsilon=EPSILON)
def test_delta_falls_with_epsilon_and_grows_with_mu(mu: float, epsilon: float) -> None:
    here = privacy.delta_of(mu, epsilon)
    assert privacy.delta_of(mu, epsilon + 0.1) <= here <= 1.0
    assert privacy.delta_of(mu * 1.1, epsilon) >= here


NO_PRIVACY: dict[str, Callable[[], object]] = {
    "no mu": lambda: Gaussian(0.0),
    "endless mu": lambda: Gaussian(math.inf),
    "no noise": lambda: Subsampled(0.0, 0.1, 1),
    "no sample": lambda: Subsampled(1.0, 0.0, 1),
    "more than all": lambda: Subsampled(1.0, 1.1, 1),
    "no step": lambda: Subsampled(1.0, 0.1, 0),
    "no epsilon": lambda: privacy.mu_of(0.0, 1e-5),
    "no delta": lambda: privacy.mu_of(1.0, 0.0),
    "delta of one": lambda: privacy.epsilon_of([Gaussian(1.0)], 1.0),
}


@pytest.mark.parametrize("name", NO_PRIVACY)
def test_what_gives_no_privacy_is_no_event(name: str) -> None:
    with pytest.raises(StudyError, match="gives no privacy"):
        NO_PRIVACY[name]()
