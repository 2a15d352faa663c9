"""Quantiles of a noisy histogram: near the exact ones, rising, and within intervals."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from client.table import Table
from common import plan
from common.schema import Number
from common.study import Study
from common.tasks.private import private_quantiles
from common.tasks.private.nearest import nearest
from simulations import plain
from tests import clinics, promising

SHARES = [0.1, 0.25, 0.5, 0.75, 0.9]
NAMES = ("age", "trestbps", "chol", "thalach", "oldpeak")
SIZE = Number(kind="number", name="size", unit="cm", range=(-5, 5), resolution=0.001)


def heart(epsilon: float | None) -> tuple[Study, list[Table]]:
    every = promising.variables("heart")
    kept = [at for at, each in enumerate(every) if each["name"] in NAMES]
    asked: dict[str, Any] = {
        "variables": [every[at] for at in kept],
        "analysis": {"quantiles": SHARES},
    }
    tables = [
        clinics.rows(each.values[:, kept], each.outcome, each.train)
        for each in promising.tables("heart")
    ]
    return promising.study("heart", epsilon, **asked), tables


@pytest.mark.parametrize(("epsilon", "off"), [(1.0, 0.015), (3.0, 0.008), (8.0, 0.006)])
def test_they_are_near_the_exact_ones_of_real_people(
    epsilon: float, off: float
) -> None:
    """As shares of the declared range, of which a bin is a thirtieth."""
    asked, dealt = heart(epsilon)
    true = promising.exact(heart(None)[0], dealt)["variables"]
    apart = []
    for found in promising.told(asked, dealt, 8):
        for line, usual, variable in zip(
            found["variables"], true, asked.variables, strict=True
        ):
            assert line["step"] >= variable.step
            across = variable.range[1] - variable.range[0]
            for share, value in line["quantiles"].items():
                if value is not None:
                    apart.append((value - usual["quantiles"][share]) / across)
    assert len(apart) > 180
    assert np.mean(np.abs(apart)) < off
    assert abs(np.mean(apart)) < off / 2


@pytest.mark.parametrize("noise", [0.1, 5.0, 15.0])
def test_an_interval_holds_the_true_quantile(noise: float) -> None:
    draw, held = np.random.default_rng(0), []
    edges = np.linspace(-5, 5, private_quantiles.BINS + 1)
    truth = stats.norm.ppf(SHARES)
    for _ in range(300):
        counts, _ = np.histogram(draw.normal(size=900), edges)
        noisy = counts + draw.normal(0.0, noise, len(counts))
        found = private_quantiles.told(SIZE, noisy, noise, SHARES)
        held += [
            each["interval"][0] <= value <= each["interval"][1]
            for each, value in zip(found, truth, strict=True)
            if each["interval"]
        ]
    assert len(held) > 800
    assert np.mean(held) > 0.93


@given(
    arrays(np.float64, 32, elements=st.floats(-50, 200)),
    st.floats(0.1, 30.0),
)
def test_quantiles_rise_and_stay_in_the_range(counts: np.ndarray, noise: float) -> None:
    found = private_quantiles.told(SIZE, counts, noise, SHARES)
    values = [each["value"] for each in found if each["value"] is not None]
    assert all(low <= high for low, high in pairwise(values))
    assert all(-5 <= value <= 5 for value in values)
    for each in found:
        if each["value"] is not None:
            low, high = each["interval"]
            assert low <= each["value"] <= high


@given(arrays(np.float64, 12, elements=st.floats(-50, 200)))
def test_the_nearest_counts_add_up_and_none_is_negative(counts: np.ndarray) -> None:
    total = max(float(counts.sum()), 1.0)
    near = nearest(counts, total)
    assert near.sum() == pytest.approx(total)
    assert (near >= 0.0).all()
    draw = np.random.default_rng(0)
    for _ in range(20):
        other = draw.dirichlet(np.ones(len(counts))) * total
        assert ((near - counts) ** 2).sum() <= ((other - counts) ** 2).sum() + 1e-6


def test_bins_are_whole_steps_and_of_few_values_each_its_own() -> None:
    grade = Number(kind="number", name="g", unit="1", range=(0, 4), resolution=1)
    year = Number(kind="number", name="y", unit="a", range=(0, 120), resolution=1)
    assert private_quantiles.width(grade) == 1
    assert private_quantiles.width(year) == 4
    counts = np.r_[10.0, 10.0, 60.0, 10.0, 10.0, np.zeros(27)]
    (found,) = private_quantiles.told(grade, counts, 0.1, [0.5])
    assert found["value"] == pytest.approx(2.0)


def test_too_few_people_and_the_ends_are_not_told() -> None:
    asked, dealt = heart(1.0)
    few = [clinics.rows(t.values[:6], t.outcome[:6], t.train[:6]) for t in dealt]
    task = plan.find(asked, "quantiles")
    (state,) = promising.states(asked, few, 1)
    told = task.read(asked, state)["variables"]
    assert {value for line in told for value in line["quantiles"].values()} == {None}
    counts = np.full(32, 20.0)
    ends = private_quantiles.told(SIZE, counts, 5.0, [0.001, 0.5, 0.999])
    assert [each["value"] is None for each in ends] == [True, False, True]
    (sheet,) = task.show(asked, state)
    assert "least and the greatest values" in sheet.notes[0]


def test_a_gap_is_in_no_bin_and_everybody_else_in_one() -> None:
    asked, dealt = heart(1.0)
    rows = plain.pooled(dealt).rows("train")
    task = plan.find(asked, "quantiles")
    each = task.noisy.each(asked, task.start(asked, {}), rows).reshape(-1, 5, 32)
    assert np.array_equal(each.any(axis=2), ~np.isnan(rows.x))
    assert ((each > 0).sum(axis=2) <= 1).all()
