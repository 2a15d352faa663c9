"""Intervals: against statsmodels, and where the usual formulas collapse."""

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from common.arithmetic import intervals


@pytest.mark.parametrize(("right", "people"), [(0, 7), (3, 10), (50, 50), (171, 254)])
def test_a_share_is_wilson(right: int, people: int) -> None:
    expected = proportion_confint(right, people, method="wilson")
    assert intervals.share(right, people) == pytest.approx(expected, abs=1e-12)


def test_nobody_has_no_interval() -> None:
    assert intervals.share(0, 0) is None
    assert intervals.auc(0.5, 0, 3) is None
    assert intervals.auc(0.5, 3, 0) is None


@pytest.mark.parametrize("value", [0.0, 0.3, 0.5, 0.97, 1.0])
def test_an_area_lies_inside_its_interval(value: float) -> None:
    low, high = intervals.auc(value, 12, 20) or (2, 2)
    assert 0 <= low <= value <= high <= 1
    assert high - low > 0.05


def test_a_perfect_area_is_not_certain() -> None:
    low, high = intervals.auc(1.0, 8, 8) or (0, 0)
    assert low < 0.9
    assert high == 1.0


def test_more_people_say_more() -> None:
    few, many = intervals.auc(0.8, 20, 20), intervals.auc(0.8, 200, 200)
    assert few is not None
    assert many is not None
    assert np.diff(few)[0] > 2 * np.diff(many)[0]


def test_the_interval_covers_the_truth() -> None:
    draw = np.random.default_rng(0)
    true, covered = 0.7602, 0  # Phi(1 / sqrt(2)), the area of N(1, 1) against N(0, 1)
    for _ in range(400):
        having, without = draw.normal(1, 1, 30), draw.normal(0, 1, 40)
        area = float(np.mean(having[:, None] > without))
        low, high = intervals.auc(area, 30, 40) or (1, 0)
        covered += low <= true <= high
    assert 0.92 <= covered / 400 <= 0.98
