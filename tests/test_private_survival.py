"""Curves and log-rank tests of noisy counts: near exact ones, and honest of noise."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from client.table import Table
from common import plan
from common.study import Study
from common.tasks.analyses import survival
from common.tasks.private import log_rank, private_survival
from simulations.attacks import canary
from tests import clinics, promising, real

INTERVALS = 8
EDGES = np.arange(1, INTERVALS + 1)


def heart(
    epsilon: float | None, people: int | None = None
) -> tuple[Study, list[Table]]:
    """Return the heart hospitals, whose times until death are made up from disease."""
    codes = real._outcome("heart", "survival")
    values = real.read("heart").values
    kept = slice(None, people)
    whole = clinics.rows(values[kept], codes[kept], np.ones(len(codes[kept])))
    places = np.random.default_rng(0).integers(0, 4, len(whole.outcome))
    asked = {"outcome": clinics.DEATH, "analysis": {"survival": ["sex"]}}
    return promising.study("heart", epsilon, **asked), clinics.dealt(whole, places)


@pytest.mark.parametrize(("epsilon", "off"), [(1.0, 0.03), (3.0, 0.01), (8.0, 0.005)])
def test_the_curves_are_near_the_exact_ones(epsilon: float, off: float) -> None:
    asked, dealt = heart(epsilon)
    true = promising.exact(heart(None)[0], dealt)
    apart, held = [], []
    for found in promising.told(asked, dealt, 12):
        for curve, usual in zip(curves(found), curves(true), strict=True):
            for point, exact in zip(curve, usual, strict=True):
                if point["share"] is not None and exact["share"] is not None:
                    apart.append(point["share"] - exact["share"])
                    held.append(point["low"] <= exact["share"] <= point["high"])
    assert len(apart) > 50
    assert np.mean(np.abs(apart)) < off
    assert abs(np.mean(apart)) < off / 2
    assert np.mean(held) > 0.9


def curves(found: dict[str, Any]) -> list[list[dict[str, float]]]:
    levels = found["groups"][0]["levels"]
    return [found["everybody"]["curve"], *(each["curve"] for each in levels)]


def table(
    people: int, scale: float, last: float, draw: np.random.Generator
) -> np.ndarray:
    """Return [last seen or event, intervals] of people with exponential times."""
    time, seen = draw.exponential(scale, people), draw.uniform(0, last, people)
    place = np.searchsorted(EDGES, np.minimum(time, seen))
    event = (time <= seen) & (place < INTERVALS)
    counts = np.zeros((2, INTERVALS))
    np.add.at(counts, (event.astype(int), place.clip(max=INTERVALS - 1)), 1)
    return counts


@pytest.mark.parametrize("noise", [1e-6, 4.0, 10.0])
def test_an_interval_holds_the_true_share(noise: float) -> None:
    draw, held = np.random.default_rng(0), []
    true = survival.curve(table(400_000, 6, 10, draw))[0]
    for _ in range(300):
        found = private_survival.curve(
            table(1000, 6, 10, draw) + draw.normal(0, noise, (2, INTERVALS)), noise
        )
        every = zip(found.ends, true, found.kept, strict=True)
        held += [low <= share <= high for (low, high), share, kept in every if kept]
    assert len(held) > 2000
    assert np.mean(held) > 0.93


@pytest.mark.parametrize("groups", [2, 3])
@pytest.mark.parametrize("noise", [1e-6, 4.0, 10.0])
def test_groups_with_one_curve_are_told_apart_as_often_as_it_says(
    groups: int, noise: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And by the textbook's test far more often: so there is this one."""
    monkeypatch.setattr(log_rank, "TABLES", 199)
    draw, repeats, ours, theirs = np.random.default_rng(1), 300, [], []
    sizes = zip((500, 300, 200)[:groups], (10, 8, 14), strict=False)
    shape = [(people, last) for people, last in sizes]
    for _ in range(repeats):
        counts = np.array([table(people, 6, last, draw) for people, last in shape])
        noisy = counts + draw.normal(0, noise, counts.shape)
        ours.append(log_rank.tested(noisy, noise)["p"])
        theirs.append(survival.log_rank(noisy.clip(0))["p"])
    rejected = np.mean(np.array(ours, dtype=float) <= 0.05)
    assert abs(rejected - 0.05) < 3.5 * np.sqrt(0.05 * 0.95 / repeats)
    if noise == 10.0:
        assert np.mean(np.array(theirs, dtype=float) <= 0.05) > 0.2


def test_groups_that_differ_are_told_apart() -> None:
    draw = np.random.default_rng(2)
    counts = np.array([table(500, scale, 10, draw) for scale in (3, 8)])
    noisy = counts + draw.normal(0, 5.0, counts.shape)
    assert log_rank.tested(noisy, 5.0)["p"] < 0.01
    assert log_rank.tested(noisy[:1], 5.0)["p"] is None


def test_with_little_noise_p_is_about_the_textbooks() -> None:
    draw = np.random.default_rng(3)
    for _ in range(5):
        counts = np.array([table(400, scale, 10, draw) for scale in (6, 6.5)])
        usual = survival.log_rank(counts)
        found = log_rank.tested(counts, 1e-6)
        assert found["p"] == pytest.approx(usual["p"], abs=0.05)


@given(
    arrays(np.float64, (2, INTERVALS), elements=st.floats(-60, 300)),
    st.floats(0.1, 30),
)
@example(np.array([[12.0] + [2.0**-24] * (INTERVALS - 1), [2.0**-24] * INTERVALS]), 1.0)
def test_a_curve_falls_from_one_and_lies_in_its_interval(
    counts: np.ndarray, noise: float
) -> None:
    found = private_survival.curve(counts, noise)
    assert all(high + 1e-12 >= low for high, low in pairwise(found.share))
    assert (found.share >= 0.0).all()
    assert (found.share <= 1.0).all()
    for (low, high), share in zip(found.ends, found.share, strict=True):
        assert low <= share + 1e-12
        assert share <= high + 1e-12
    ends = np.flatnonzero(~found.kept)
    assert not len(ends) or not found.kept[ends[0] :].any()


def test_of_too_few_people_nothing_is_told() -> None:
    asked, dealt = heart(1.0, people=8)
    task = plan.find(asked, "survival")
    (state,) = promising.states(asked, dealt, 1)
    found = task.read(asked, state)
    assert found["groups"][0]["log_rank"]["p"] is None
    told = [point["share"] for curve in curves(found) for point in curve]
    assert set(told) == {None}
    first, differ = task.show(asked, state)
    assert "Counts have noise of deviation" in first.notes[-1]
    assert "which have the noise too" in differ.notes[0]


@pytest.mark.parametrize("end", [0.0, 1.0])
def test_an_audit_has_people_with_and_without_the_event(end: float) -> None:
    asked = canary.declared(heart(1.0)[0])
    one = canary.Canary(end, end, 1)
    found = canary.with_one(asked, one, "train").outcome
    codes = canary.without(asked).outcome
    assert len(found) == len(codes) + 1
    last = 2.0 * (len(clinics.DEATH["grid"]) - 1)  # watched to there, and no event
    assert set(codes) == {1.0}  # an event, and the first that is seen
    assert set(found) == ({1.0, last} if end else {1.0})
