"""The audit: it finds what is wrong, nothing where all is right, and says which."""

import json
from pathlib import Path

import numpy as np
import pytest

from client.learning import noise
from common import terminal
from common.cli import build
from common.errors import StudyError
from common.study import Study
from simulations.attacks import attack, audit, canary, mutants
from tests import clinics
from tests.tomls import toml

NUMBERS = [
    {"kind": "number", "name": name, "unit": "1", "range": [0, 100]}
    for name in ("age", "weight", "height")
]
SITE = {"epsilon": 1.0, "delta": 1e-5, "noise": "site"}
SHARED = {**SITE, "noise": "shared", "colluders": 1}
FOUR = clinics.ABOUT | {"sites": ["a", "b", "c", "d"]}
ROUNDS = {"quorum": 4, "deadline_seconds": 2}
QUICK, MANY, LOUD = (
    8000,
    200_000,
    ["noise-halved", "same-key", "record-clipped", "own-scale"],
)


def promised(kept: dict[str, object], **changes: object) -> Study:
    own = {"variables": NUMBERS, "study": FOUR, "rounds": ROUNDS, **changes}
    return clinics.study(privacy=kept, **own)


@pytest.mark.parametrize("kept", [SITE, SHARED], ids=["site", "shared"])
def test_what_ships_keeps_its_promise_and_the_attack_comes_near(
    kept: dict[str, object],
) -> None:
    found = audit.audit(promised(kept), QUICK)
    assert found.holds
    assert 0.4 < found.lower <= 1.0


def test_a_study_of_every_kind_of_variable_keeps_its_promise() -> None:
    kinds = promised({**SITE, "epsilon": 4.0}, variables=clinics.VARIABLES)
    found = audit.audit(kinds, QUICK)
    assert 2.0 < found.lower <= 4.0


@pytest.mark.parametrize(
    "model",
    [
        {"kind": "svm", "ridge": 1.0},
        {"kind": "rbf_svm", "ridge": 1.0, "features": 20},
        {"kind": "poisson", "ridge": 1.0},
        {"kind": "logistic", "ridge": 1.0, "one_shot": True},
    ],
    ids=str,
)
def test_other_private_models_keep_their_promise(model: dict[str, object]) -> None:
    outcome = clinics.COUNT if model["kind"] == "poisson" else clinics.BINARY
    found = audit.audit(promised(SITE, model=model, outcome=outcome), QUICK)
    assert 0.4 < found.lower <= 1.0


@pytest.mark.parametrize("name", LOUD)
def test_a_mistake_is_found(name: str) -> None:
    found = audit.audit(promised(SITE), QUICK, name)
    assert not found.holds
    assert found.refused or found.lower > 1.0


@pytest.mark.slow
@pytest.mark.parametrize("kept", [SITE, SHARED], ids=["site", "shared"])
@pytest.mark.parametrize("name", mutants.MUTANTS)
def test_every_mistake_is_found(name: str, kept: dict[str, object]) -> None:
    assert not audit.audit(promised(kept), audit.RUNS, name).holds


def stepping(kept: dict[str, object]) -> Study:
    """Return a study of a small network, a quarter of the people in each step."""
    training = {"steps": 12, "sample": 0.25, "clip": 0.5}
    model = {"kind": "tabular_network", "dense": [4], "training": training}
    return promised(kept, model=model)


def test_steps_over_samples_keep_their_promise() -> None:
    found = audit.audit(stepping(SITE), QUICK)
    assert found.holds
    assert 0.1 < found.lower <= 1.0
    assert found.method == audit.ANY_METHOD


@pytest.mark.parametrize(
    ("name", "said"), [("rate-from-people", "too often"), ("shuffled", "are not")]
)
def test_people_who_are_drawn_otherwise_are_noticed(name: str, said: str) -> None:
    found = audit.audit(stepping(SITE), 1000, name)
    assert not found.holds
    assert said in found.refused


OF_STEPS = [*mutants.OF_STEPS, "noise-halved", "record-clipped"]


@pytest.mark.slow
@pytest.mark.parametrize("kept", [SITE, SHARED], ids=["site", "shared"])
@pytest.mark.parametrize("name", OF_STEPS)
def test_every_mistake_with_steps_is_found(name: str, kept: dict[str, object]) -> None:
    assert not audit.audit(stepping(kept), MANY, name).holds


def test_a_mistake_is_gone_afterwards() -> None:
    right = noise.normal
    with mutants.broken("noise-halved"):
        assert noise.normal is not right
    assert noise.normal is right


@pytest.mark.parametrize("mu", [0.0, 0.27, 1.5])
def test_the_bound_is_above_the_truth_in_one_trial_of_twenty_at_most(mu: float) -> None:
    """On a null whose mu is known; 3 deviations more for chance among the trials."""
    draw, trials, error = np.random.default_rng(0), 600, 0.05
    wrong = 0
    for _ in range(trials):
        alone, moved = draw.normal(0, 1, 1000), draw.normal(mu, 1, 1000)
        wrong += attack.least(alone > mu / 2, moved <= mu / 2, error) > mu
    assert wrong / trials <= error + 3 * (error * (1 - error) / trials) ** 0.5


def test_the_bound_comes_near_the_truth_with_many_runs() -> None:
    draw = np.random.default_rng(1)
    alone, moved = draw.normal(0, 1, 10**6), draw.normal(0.5, 1, 10**6)
    assert attack.least(alone > 0.25, moved <= 0.25, 0.05) == pytest.approx(
        0.5, abs=0.02
    )


def test_an_end_of_a_range_is_within_it() -> None:
    """0.035 + (0.34 - 0.035) is more than 0.34."""
    ratio = {"kind": "number", "name": "ratio", "unit": "1", "range": [0.035, 0.34]}
    study = canary.declared(promised(SITE, variables=[ratio]))
    table = canary.with_one(study, canary.CANARIES[-1], "train")
    assert np.nanmax(table.values) == 0.34


def test_there_is_nothing_to_audit_without_a_promise() -> None:
    with pytest.raises(StudyError, match="promises no privacy"):
        audit.audit(clinics.study())


def test_the_command_says_claim_and_bound(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "study.toml"
    path.write_text(toml(promised({**SITE, "epsilon": 2.0})))
    command = ["simulate", "audit", str(path), "--runs", "1000", "--json", "-q"]
    assert terminal.run(build(), command) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["claimed_epsilon"] == 2.0
    assert 0.0 < found["lower_bound"] <= 2.0
    assert (found["delta"], found["confidence"]) == (1e-5, 0.95)
    assert {"method", "adversary", "runs"} <= set(found)
    broken = [*command, "--break", "unclipped"]
    assert terminal.run(build(), broken) == 0
    assert json.loads(capsys.readouterr().out)["lower_bound"] > 2.0


def test_a_mistake_has_a_name(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "study.toml"
    path.write_text(toml(promised(SITE)))
    command = ["simulate", "audit", str(path), "--break", "bad-luck"]
    assert terminal.run(build(), command) == 2
    assert "noise-halved" in capsys.readouterr().err
