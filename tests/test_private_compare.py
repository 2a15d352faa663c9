"""Groups compared by noisy sums: near the exact means, and tests that know of noise."""

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from client.table import Table
from common import plan
from common.study import Study
from common.tasks.private import private_compare
from simulations import plain
from tests import clinics, promising

MEASURED = {"kind": "number", "name": "size", "unit": "cm", "range": [-20, 20]}
GROUPS = {
    2: {"kind": "category", "name": "arm", "levels": ["old", "new"]},
    4: {"kind": "category", "name": "arm", "levels": ["a", "b", "c", "d"]},
}


def study(levels: int, epsilon: float, **changes: Any) -> Study:
    asked = {"variables": [MEASURED, GROUPS[levels]], "analysis": ASKED, **changes}
    return promising.study("heart", epsilon, **asked)


ASKED = {"compare": [["size", "arm"]]}


def dealt(x: np.ndarray, group: np.ndarray) -> list[Table]:
    values = np.column_stack([x, group.astype(float)])
    whole = clinics.rows(values, np.zeros(len(x)), np.ones(len(x)))
    return clinics.dealt(whole, np.arange(len(x)) % 4)


@pytest.mark.parametrize(("epsilon", "off"), [(1.0, 2.0), (3.0, 0.8), (8.0, 0.4)])
def test_it_is_near_the_exact_difference_of_real_people(
    epsilon: float, off: float
) -> None:
    """The age of those with and without heart disease: 5.4 years apart."""
    people = promising.tables("heart")
    asked = {"analysis": {"compare": [["age", "ill"], ["age", "cp"]]}}
    true = promising.exact(promising.study("heart", **asked), people)["tests"]
    found = promising.told(promising.study("heart", epsilon, **asked), people, 16)
    usual = true[0]["difference"]
    apart = [each["tests"][0]["difference"] - usual for each in found]
    held = [
        low <= usual <= high
        for low, high in (each["tests"][0]["interval"] for each in found)
    ]
    assert np.mean(np.abs(apart)) < off
    assert abs(np.mean(apart)) < off / 2
    assert np.mean(held) >= 0.8
    assert np.median([each["tests"][1]["p"] for each in found]) < 0.2
    for each in found:
        for group, exact in zip(
            each["tests"][0]["groups"], true[0]["groups"], strict=True
        ):
            assert abs(group["mean"] - exact["mean"]) < 6 * off


@pytest.mark.parametrize("levels", [2, 4])
@pytest.mark.parametrize("epsilon", [0.5, 2.0, 100.0])
def test_where_nothing_differs_it_rejects_as_often_as_it_says(
    levels: int, epsilon: float
) -> None:
    """And the textbook's, of the same noisy means, does not."""
    asked, repeats = study(levels, epsilon), 200
    draw = np.random.default_rng(5)
    p, naive = [], []
    for seed in range(repeats):
        tables = dealt(draw.normal(1.0, 3.0, 1600), draw.integers(0, levels, 1600))
        noise = plain.gaussian(np.random.default_rng(seed))
        state = plain.run(asked, tables, noise)["compare"]
        (test,) = plan.find(asked, "compare").read(asked, state)["tests"]
        p.append(test["p"])
        known = [g for g in test["groups"] if g["mean"] is not None]
        means = np.array([g["mean"] for g in known])
        error = 9.0 / np.array([g["count"] for g in known])
        ratio = ((means - means.mean()) ** 2 / error).sum()
        naive.append(stats.chi2.sf(ratio, len(known) - 1))
    told = np.array([each for each in p if each is not None])
    assert len(told) > repeats / 2
    assert abs(np.mean(told < 0.05) - 0.05) < 4 * math.sqrt(0.05 * 0.95 / len(told))
    if epsilon == 0.5:
        assert np.mean(np.array(naive) < 0.05) > 0.15


def test_with_little_noise_it_is_the_exact_comparison() -> None:
    draw = np.random.default_rng(6)
    tables = dealt(draw.normal(0.0, 3.0, 900), draw.integers(0, 4, 900))
    exact = study(4, 1.0, privacy="none")
    (usual,) = promising.exact(exact, tables)["tests"]
    (found,) = promising.told(study(4, 100.0), tables)[0]["tests"]
    for key in ("f", "eta_squared"):
        assert found[key] == pytest.approx(usual[key], rel=0.1, abs=0.005)
    assert found["p"] == pytest.approx(usual["p"], abs=0.06)
    assert found["degrees"] == usual["degrees"]


def test_a_group_within_the_noise_is_not_told_and_in_no_test() -> None:
    draw = np.random.default_rng(7)
    group = np.r_[np.zeros(5), draw.integers(1, 4, 1195)].astype(int)
    asked = study(4, 1.0)
    tables = dealt(draw.normal(0.0, 3.0, 1200), group)
    state = next(promising.states(asked, tables, 1))
    task = plan.find(asked, "compare")
    (test,) = task.read(asked, state)["tests"]
    few, *others = test["groups"]
    assert few == dict.fromkeys(few) | {"level": "a"}
    assert all(each["mean"] is not None for each in others)
    assert test["degrees"][0] == 2
    assert test["difference"] is None
    first, groups = task.show(asked, state)
    assert groups.rows[0][1] == "withheld"
    assert "no more than 3 times" in groups.notes[0]
    assert "hold it beside chance" in " ".join(first.notes)


def test_a_value_beyond_four_deviations_counts_as_four() -> None:
    asked = study(2, 1.0, variables=[{**MEASURED, "typical": [0, 2]}, GROUPS[2]])
    far = dealt(np.array([20.0, 8.0, -19.0, np.nan]), np.zeros(4, int))
    task = plan.find(asked, "compare")
    state = task.start(asked, {})
    rows = plain.pooled(far).rows("train")
    each = task.noisy.each(asked, state, rows)
    assert np.array_equal(each[0], each[1])
    assert np.linalg.norm(each[0]) == pytest.approx(1.0)
    assert not each[3].any()
    assert private_compare.WEIGHTS["total"] * np.array([1, 1, -1, 0]) == pytest.approx(
        each[:, 1]
    )


def test_scales_learned_from_noise_do_not_cut_people_off() -> None:
    """Without typical figures: means and deviations are right, with more noise."""
    people = promising.tables("heart")
    bare = [
        {key: value for key, value in each.items() if key != "typical"}
        for each in promising.variables("heart")
    ]
    asked = {"variables": bare, "analysis": {"compare": [["age", "ill"]]}}
    true = promising.exact(promising.study("heart", **asked), people)["tests"][0]
    found = promising.told(promising.study("heart", 2.0, **asked), people, 12)
    apart = [each["tests"][0]["difference"] - true["difference"] for each in found]
    assert abs(np.mean(apart)) < 0.4
    for place, group in enumerate(true["groups"]):
        spread = [each["tests"][0]["groups"][place]["std"] for each in found]
        known = [each for each in spread if each is not None]
        assert np.mean(known) == pytest.approx(group["std"], rel=0.15)
