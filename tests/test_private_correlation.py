"""Correlation of noisy sums: near the exact one, and honest of chance and noise."""

import math
from typing import Any

import numpy as np
import pytest

from common.tasks.private import private_correlation
from tests import promising

NAMES = ["age", "thalach", "oldpeak"]
PAIR = ("x", "y")


@pytest.mark.parametrize(("epsilon", "off"), [(1.0, 0.12), (3.0, 0.05), (8.0, 0.03)])
def test_it_is_near_the_exact_r_of_the_heart_hospitals(
    epsilon: float, off: float
) -> None:
    dealt = promising.tables("heart")
    asked = {"analysis": {"correlation": NAMES}}
    true = promising.exact(promising.study("heart", **asked), dealt)["tests"]
    found = promising.told(promising.study("heart", epsilon, **asked), dealt, 12)
    apart, held = [], []
    for each in found:
        for test, usual in zip(each["tests"], true, strict=True):
            assert test["variables"] == usual["variables"]
            if test["r"] is not None:
                apart.append(test["r"] - usual["r"])
                held.append(test["interval"][0] <= usual["r"] <= test["interval"][1])
    assert len(apart) >= 18
    assert np.mean(np.abs(apart)) < off
    assert abs(np.mean(apart)) < 0.04
    assert np.mean(held) >= 0.9


def sums(x: np.ndarray, noise: float, draw: np.random.Generator) -> np.ndarray:
    """Return the total of a pair's block over records *x* [records, 2], noised."""
    return private_correlation._row(x).sum(axis=0) + draw.normal(0.0, noise, 6)


@pytest.mark.parametrize("noise", [1e-9, 3.0, 8.0])
def test_where_nothing_goes_together_it_rejects_as_often_as_it_says(
    noise: float,
) -> None:
    draw, repeats = np.random.default_rng(1), 1500
    found = [
        private_correlation.tested(
            PAIR, sums(draw.normal(size=(400, 2)), noise, draw), noise
        )
        for _ in range(repeats)
    ]
    p = np.array([each["p"] for each in found if each["p"] is not None])
    assert len(p) > repeats / 2
    assert abs(np.mean(p < 0.05) - 0.05) < 4 * math.sqrt(0.05 * 0.95 / len(p))


@pytest.mark.parametrize("true", [0.0, 0.5, -0.9])
@pytest.mark.parametrize("noise", [1e-9, 3.0])
def test_an_interval_holds_the_truth(true: float, noise: float) -> None:
    draw, held = np.random.default_rng(2), []
    both = [[1.0, true], [true, 1.0]]
    many = draw.multivariate_normal([0, 0], both, 400_000)
    whole = private_correlation.moments(sums(many, 0.0, draw), 0.0)
    centre = whole.xy / math.sqrt(whole.xx * whole.yy)
    assert centre == pytest.approx(true, abs=0.04)
    for _ in range(800):
        x = draw.multivariate_normal([0, 0], both, 400)
        told = private_correlation.tested(PAIR, sums(x, noise, draw), noise)
        held.append(told["interval"][0] <= centre <= told["interval"][1])
    assert np.mean(held) > 0.93


def test_without_noise_p_is_about_students() -> None:
    from scipy import stats  # noqa: PLC0415

    draw = np.random.default_rng(3)
    x = draw.multivariate_normal([0, 0], [[1, 0.1], [0.1, 1]], 500).clip(-1.4, 1.4)
    told = private_correlation.tested(PAIR, sums(x, 0.0, draw), 0.0)
    usual = stats.pearsonr(*x.T)
    assert told["r"] == pytest.approx(usual.statistic, abs=1e-9)
    assert told["p"] == pytest.approx(usual.pvalue, rel=0.05)


def test_what_noise_drowns_is_not_told_and_r_ends_at_one() -> None:
    draw = np.random.default_rng(4)
    few = private_correlation.tested(
        PAIR, sums(draw.normal(size=(30, 2)), 40.0, draw), 40.0
    )
    assert few["r"] is few["p"] is few["interval"] is None
    alike = np.repeat(draw.normal(size=(900, 1)), 2, axis=1)
    ends: list[Any] = [
        private_correlation.tested(PAIR, sums(alike, 5.0, draw), 5.0) for _ in range(50)
    ]
    assert {each["r"] for each in ends} & {1.0}
    assert all(
        -1.0 <= low <= high <= 1.0 for low, high in (e["interval"] for e in ends)
    )
