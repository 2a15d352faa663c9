"""A study whose steps are over samples: what it costs is what the accountants say."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
from dp_accounting import dp_event
from dp_accounting.pld import PLDAccountant

from client import site as sites
from client.books import spending
from client.books.spending import Ceiling
from common import costs, plan, privacy, promise
from common.privacy import Gaussian, Subsampled
from common.release import unflatten
from common.study import Study
from common.task import State
from common.tasks.private import noised
from common.told import statement
from tests import clinics
from tests.charges import Aggregator, site, vector

PROMISE = {"epsilon": 2.0, "delta": 1e-5, "noise": "site"}
SHARED = {**PROMISE, "noise": "shared", "colluders": 1}
ABOUT = {**clinics.ABOUT, "sites": ["north", "south", "west"]}
ROUNDS = {"quorum": 3, "deadline_seconds": 2, "maximum": 30}
KIND, STEPS, RATE = "tabular_network", 12, 0.25


def asked(kept: object = PROMISE, rate: float = RATE, **changes: object) -> Study:
    """Return a small network's study that makes a promise."""
    training = {"steps": STEPS, "sample": rate, "clip": 0.5}
    model = {"kind": KIND, "dense": [4], "training": training}
    about = {"privacy": kept, "study": ABOUT, "rounds": ROUNDS, "model": model}
    return clinics.study(**about | changes)


def events(study: Study) -> list[privacy.Event]:
    """Return what those who train pay for, one by one."""
    return list(costs.events(study, "train"))


def test_the_steps_have_the_least_noise_that_keeps_the_promise() -> None:
    study = asked()
    step = costs.charges(study)[KIND]
    assert isinstance(step, Subsampled)
    assert (step.rate, step.steps) == (RATE, 1)
    spent = privacy.epsilon_of(events(study), 1e-5)
    assert 2.0 - 0.03 <= spent <= 2.0
    everybody = costs.charges(asked(rate=1.0))[KIND]
    assert step.sigma < privacy.sigma(everybody), "a sample costs less than everyone"
    assert step.sigma / RATE > privacy.sigma(everybody), "and is no gift"


def test_another_accountant_says_the_same() -> None:
    study = asked()
    accountant = PLDAccountant(value_discretization_interval=1e-3)
    for event in events(study):
        noise = dp_event.GaussianDpEvent(privacy.sigma(event))
        rate = event.rate if isinstance(event, Subsampled) else 1.0
        accountant.compose(dp_event.PoissonSampledDpEvent(rate, noise))
    assert accountant.get_epsilon(1e-5) <= 2.0


def test_who_tests_pays_no_more_than_who_trains_pays_for_sums() -> None:
    """So that a trainer's cost is the dearer of the two, whatever the steps cost."""
    study = asked()
    train, test = (
        privacy.together(e for e in costs.events(study, s) if isinstance(e, Gaussian))
        for s in ("train", "test")
    )
    assert test <= train * (1 + 1e-9)
    assert spending.whole(study) == (Gaussian(train), _whole(study))
    assert spending.fits(spending.whole(study), Ceiling(2.0, 1e-5))
    assert not spending.fits(spending.whole(study), Ceiling(1.95, 1e-5))


@pytest.mark.parametrize("kept", [PROMISE, SHARED], ids=["site", "shared"])
def test_formulas_know_the_noise_that_sites_add(kept: object) -> None:
    study = asked(kept)
    shares = {"describe": noised.paid(study, noised.WEIGHT), "evaluate": None}
    for name, share in shares.items():
        task = plan.find(study, name)
        part = noised.tested(study) if share is None else share
        whole = promise.whole(study, costs.noisy(task).clip(study), part)
        added = costs.deviation(study, task) * math.sqrt(3)
        assert promise.in_total(study, whole) == pytest.approx(added, rel=1e-9)


def test_without_masks_a_site_tells_what_its_own_noise_keeps() -> None:
    study = asked(SHARED)
    weaker = costs.if_masking_fails(study)
    assert weaker is not None
    assert weaker > 2.0
    alone = privacy.epsilon_of(spending.whole_alone(study), 1e-5)
    assert alone == pytest.approx(weaker, abs=0.03)
    assert costs.if_masking_fails(asked()) == pytest.approx(2.0, abs=0.03)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_statement_says_that_samples_are_drawn(
    language: statement.Language,
) -> None:
    said = {each.key: each.answer for each in statement.answers(asked(), language)}
    assert "q = 0.25" in said["mechanism_sampled"]
    assert "q = 0.25" in said["sampling_done"]
    assert {"sampling", "composition"}.isdisjoint(said)


def test_a_site_charges_each_step_before_it_answers(tmp_path: Path) -> None:
    study = asked(study=clinics.ABOUT, rounds={"quorum": 2, "maximum": 30})
    asking = Aggregator(site(tmp_path, study, budget="epsilon = 2.0"))
    assert asking.open(study).has_content()
    describe, network = plan.find(study, "describe"), plan.find(study, KIND)
    sums = unflatten(describe.release(study), vector(asking.ask(study, 1, "describe")))
    found = {"describe": describe.finish(study, State({}), sums)}
    arrays = network.start(study, found).arrays
    for number in range(1, STEPS + 1):
        given = {"arrays": arrays, "sequence": number + 1}
        assert asking.ask(study, number, KIND, **given).has_content()
    over = {"arrays": arrays, "sequence": STEPS + 2}
    assert asking.ask(study, STEPS + 1, KIND, **over).has_error()
    asking.restart()  # what is held open is no other test's
    entries = sites.read(asking.path).entries()
    (run,) = spending.accounts(entries, clinics.TODAY)
    assert run.spent() == (costs.charges(study)["describe"], _whole(study))
    held = spending.fits(run.committed(), Ceiling(2.0, 1e-5))
    assert held, "the evaluation that is to come costs a trainer nothing"


def _whole(study: Study) -> Subsampled:
    step = costs.charges(study)[KIND]
    assert isinstance(step, Subsampled)
    return replace(step, steps=STEPS)
