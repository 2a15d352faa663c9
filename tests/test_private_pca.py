"""Components of a noisy Gram: near the exact ones, and told how far they are turned."""

import math
from typing import Any

import numpy as np
import pytest

from common import plan
from common.task import Rows
from common.tasks.analyses import pca
from common.tasks.linear import newton
from common.tasks.private import private_pca
from simulations import plain
from tests import promising

ASKED = {"analysis": {"pca": 3}}


def angle(one: dict[str, Any], other: dict[str, Any]) -> float:
    """Return by how many degrees two components differ, from their loadings."""
    x, y = (np.array([*each["loadings"].values()]) for each in (one, other))
    return math.degrees(math.acos(min(abs(float(x @ y)), 1.0)))


@pytest.mark.parametrize(
    ("epsilon", "degrees", "off"),
    [(1.0, 22.0, 0.15), (3.0, 9.0, 0.05), (8.0, 5.0, 0.03)],
)
def test_the_first_component_of_real_people_is_found(
    epsilon: float, degrees: float, off: float
) -> None:
    dealt = promising.tables("diabetes")
    true = promising.exact(promising.study("diabetes", **ASKED), dealt)["components"][0]
    turned, shares = [], []
    for each in promising.told(
        promising.study("diabetes", epsilon, **ASKED), dealt, 12
    ):
        first = each["components"][0]
        shares.append(first["share"] - true["share"])
        if first["loadings"]:
            turned.append((angle(first, true), first["turned"]))
    assert len(turned) >= 10
    assert np.mean([apart for apart, _ in turned]) < degrees
    assert np.mean([apart <= told + 1.0 for apart, told in turned]) >= 0.9
    assert np.mean(np.abs(shares)) < off


def test_with_little_noise_it_is_the_exact_one_but_for_who_was_shortened() -> None:
    dealt = promising.tables("breast_cancer")
    true = promising.exact(promising.study("breast_cancer", **ASKED), dealt)
    (found,) = promising.told(promising.study("breast_cancer", 100.0, **ASKED), dealt)
    for each, usual in zip(found["components"], true["components"], strict=True):
        assert each["share"] == pytest.approx(usual["share"], abs=0.02)
        assert angle(each, usual) < 15.0


@pytest.mark.parametrize("noise", [0.05, 0.15])
@pytest.mark.parametrize("together", [0.2, 0.5])
def test_what_noise_turns_is_told_as_wide_as_it_is(
    together: float, noise: float
) -> None:
    """Against the covariance before noise, with the noise of each of many draws."""
    draw, spread = np.random.default_rng(0), np.linspace(0.5, 1.5, 8)
    true = np.full((8, 8), together) + np.diag(np.full(8, 1.0 - together))
    true *= np.outer(spread, spread)
    variances, components = pca.turned(private_pca.scaled(true, 1e-9))
    held, near = [], []
    for _ in range(60):
        upper = draw.normal(0.0, noise, 36) / private_pca._double(8)
        noisy = true + newton.symmetric(upper, 8)
        made, margin, turned = private_pca.moved(noisy, noise)
        found = pca.turned(private_pca.scaled(noisy, noise))
        along = min(abs(float(found[1][0] @ components[0])), 1.0)
        if turned[0] < private_pca.LOST:
            held.append(math.degrees(math.acos(along)) <= turned[0])
        near.append(abs(found[0][0] - made[0] - variances[0]) <= margin[0])
    assert len(held) > 50
    assert np.mean(held) >= 0.9
    assert np.mean(near) >= 0.88


def test_what_may_be_noise_is_not_told() -> None:
    dealt = promising.tables("breast_cancer")
    asked = promising.study("breast_cancer", 0.5, **ASKED)
    for found in promising.told(asked, dealt, 6):
        assert all(one["variance"] > one["margin"] for one in found["components"])
        assert all(one["loadings"] is None for one in found["components"][1:])


def test_a_component_without_direction_is_shown_without_numbers() -> None:
    dealt = promising.tables("heart")
    asked = promising.study("heart", 3.0, **ASKED)
    task = plan.find(asked, "pca")
    (state,) = promising.states(asked, dealt, 1)
    (sheet,) = task.show(asked, state)
    lost = [at for at, head in enumerate(sheet.columns) if "any direction" in head]
    assert lost
    assert all(row[at] is None for row in sheet.rows for at in lost)
    assert "19 times of 20" in sheet.notes[0]


@pytest.mark.parametrize("asked", [ASKED, {"analysis": {"clusters": {"groups": 3}}}])
def test_a_wide_record_adds_the_same_whoever_is_beside_it(
    asked: dict[str, Any],
) -> None:
    """Thirty columns, however they lie in memory: numpy adds them up in that order."""
    draw = np.random.default_rng(0)
    study = promising.study("breast_cancer", 1.0, **asked)
    task = plan.tasks(study)[-1]
    state = task.start(study, plain.run(study, promising.tables("breast_cancer")))
    x = np.asarray(draw.normal(size=(40, 30)), order="F")
    rows = Rows(x, np.zeros(40), values=x)
    every = task.noisy.each(study, state, rows)
    for at in range(40):
        alone = task.noisy.each(study, state, rows.take(np.array([at])))
        assert np.array_equal(alone[0], every[at])
