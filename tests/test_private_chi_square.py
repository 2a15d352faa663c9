"""A test of noisy counts: right about chance and noise, and sees what is there."""

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from client.table import Table
from common import costs, plan, promise
from common.study import Study
from common.task import State
from common.tasks.private import one_release, private_chi_square
from simulations import plain
from tests import clinics

FOUR = clinics.ABOUT | {"sites": ["a", "b", "c", "d"]}
SHARED = {"epsilon": 1.0, "delta": 1e-5, "noise": "shared"}
PAIRS = [["pain", "sex"], ["sex", "ill"]]


def study(**changes: Any) -> Study:
    given = {"study": FOUR, "rounds": {"quorum": 4, "deadline_seconds": 2}}
    asked = {"chi_square": PAIRS}
    one = {"model": None, "evaluation": None, "analysis": asked, "privacy": SHARED}
    return clinics.study(**{**given, **one, **changes})


def tables(together: float = 0.0, people: int = 400) -> list[Table]:
    """Return four sites where sex goes with the outcome, or not."""
    found = []
    for seed in range(4):
        draw = np.random.default_rng(seed)
        x = clinics.values(people, seed)
        x[:, 2], x[:, 3] = draw.integers(0, 3, people), draw.integers(0, 2, people)
        chance = 0.5 + together * (x[:, 3] - 0.5)
        y = (draw.random(people) < chance).astype(float)
        found.append(clinics.rows(x, y, np.ones(people, bool)))
    return found


def found(asked: Study, dealt: list[Table], seed: int = 0) -> list[dict[str, Any]]:
    noise = plain.gaussian(np.random.default_rng(seed))
    state = plain.run(asked, dealt, noise)["chi_square"]
    return plan.find(asked, "chi_square").read(asked, state)["tests"]


@pytest.mark.parametrize("noise", [0.0, 6.0, 20.0])
def test_where_nothing_goes_together_it_rejects_as_often_as_it_says(
    noise: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the textbook's does not: that is why there is this one."""
    monkeypatch.setattr(private_chi_square, "TABLES", 199)
    draw = np.random.default_rng(7)
    chances = np.outer([0.5, 0.3, 0.2], [0.6, 0.4]).ravel()
    ours, theirs, repeats = 0, 0, 400
    for each in range(repeats):
        table = draw.multinomial(800, chances).astype(float)
        table += draw.normal(0.0, noise, table.shape) if noise else 0.0
        table = table.reshape(3, 2)
        p = private_chi_square.tested(table, noise, each)["p"]
        ours += p is not None and p <= 0.05
        plain_ = stats.chi2_contingency(table.clip(1.0), correction=False).pvalue
        theirs += plain_ <= 0.05
    assert ours / repeats <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / repeats)
    assert ours / repeats >= 0.01
    if noise >= 6.0:
        assert theirs / repeats > 0.1


def test_what_goes_together_is_seen_at_epsilon_one() -> None:
    related, unrelated = found(study(), tables(0.4)), found(study(), tables())
    assert related[1]["p"] < 0.01
    assert unrelated[1]["p"] > 0.01
    assert related[1]["p_holm"] >= related[1]["p"]


def test_without_noise_it_is_about_the_textbooks() -> None:
    draw = np.random.default_rng(3)
    for seed in range(5):
        table = draw.multinomial(500, [0.22, 0.18, 0.28, 0.32]).reshape(2, 2)
        p = private_chi_square.tested(table.astype(float), 1e-9, seed)["p"]
        exact = stats.chi2_contingency(table, correction=False).pvalue
        assert p == pytest.approx(exact, abs=0.03)


@pytest.mark.parametrize("noise", ["site", "shared"])
def test_the_noise_it_knows_is_the_noise_that_is_added(noise: str) -> None:
    model = {"kind": "logistic", "ridge": 1.0}
    kept = {**SHARED, "noise": noise}
    for more in ({}, {"model": model, "evaluation": {"test": 0.3}}):
        asked = study(privacy=kept, **more)
        task = plan.find(asked, "chi_square")
        added = costs.deviation(asked, task) * 2.0  # four sites
        known = one_release.noise(asked, len(PAIRS)) / math.sqrt(len(PAIRS))
        assert known == pytest.approx(added, rel=1e-9)
        whole = sum(
            costs.charges(asked)[t.name].mu ** 2 * plan.rounds(asked, t)
            for t in plan.tasks(asked)
            if t.rows == "train"
        )
        assert whole == pytest.approx(promise.mu_of(1.0, 1e-5) ** 2, rel=1e-6)


def test_too_little_is_left_of_few_people() -> None:
    (first, _) = found(study(privacy={**SHARED, "epsilon": 0.1}), tables(people=10))
    assert first["p"] is None


def test_one_record_is_in_one_cell_of_each_table() -> None:
    asked = study()
    rows = tables()[0].rows("train")
    each = plan.find(asked, "chi_square").noisy.each(asked, State({}), rows)
    known = ~np.isnan(rows.x[:, [2, 3]]).any(axis=1)
    assert np.linalg.norm(each, axis=1)[known] == pytest.approx(1.0)


@pytest.mark.parametrize("noise", [0.0, 6.0, 15.0])
@pytest.mark.parametrize("apart", [0.0, 0.4])
def test_strength_is_about_cramers_v_and_not_the_noise(
    noise: float, apart: float
) -> None:
    draw, found = np.random.default_rng(8), []
    chances = np.array([[0.25, 0.25], [0.25, 0.25]]) + apart / 4 * np.array(
        [[1, -1], [-1, 1]]
    )
    for _ in range(200):
        table = draw.multinomial(800, chances.ravel()).reshape(2, 2).astype(float)
        noisy = table + draw.normal(0.0, noise, (2, 2))
        found.append(private_chi_square.strength(noisy, noise))
    assert np.mean(found) == pytest.approx(apart, abs=0.04)
    few = private_chi_square.strength(np.full((2, 2), 5.0), 15.0)
    assert few is None
