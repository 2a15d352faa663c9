"""Adding up: the same answers give the same bits, and a wrong answer gives none."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import IntegrityError
from common.release import Field
from common.wire import Answer, Place
from server.aggregation import total

RELEASE = {"s": Field("sums", (3,), "sum"), "n": Field("people", (1,), "count")}
PLACE = Place("d" * 64, "r" * 32, "describe", 1, "s" * 64)


def answer(site: str, vector: np.ndarray, place: Place = PLACE) -> Answer:
    return Answer(place, site, vector)


@given(st.permutations(range(5)))
def test_the_order_of_arrival_does_not_matter(order: list[int]) -> None:
    draw = np.random.default_rng(0)
    vectors = [np.r_[draw.normal(size=3) * 10.0**k, 1.0] for k in range(5)]
    answers = [answer(f"site-{k}", vectors[k]) for k in range(5)]
    expected = total(RELEASE, PLACE, answers)
    found = total(RELEASE, PLACE, [answers[k] for k in order])
    np.testing.assert_array_equal(found["s"], expected["s"])


@pytest.mark.parametrize(
    ("vector", "says"),
    [
        (np.ones(5), "north: an answer holds 5 numbers"),
        (np.array([1, 1, 1, -1.0]), "north: n is declared as counts"),
        (np.array([np.nan, 1, 1, 1.0]), "north: s holds numbers that are not finite"),
        (np.ones(4, dtype=np.float32), "float32"),
    ],
)
def test_an_answer_that_does_not_fit_is_refused(vector: np.ndarray, says: str) -> None:
    answers = [answer("south", np.ones(4)), answer("north", vector)]
    with pytest.raises(IntegrityError, match=says):
        total(RELEASE, PLACE, answers)


@pytest.mark.parametrize(
    "change",
    [
        {"digest": "e" * 64},
        {"run": "e" * 32},
        {"task": "evaluate"},
        {"round": 2},
        {"state": "e" * 64},
    ],
    ids=lambda change: next(iter(change)),
)
def test_an_answer_to_another_question_is_refused(change: dict[str, Any]) -> None:
    other = replace(PLACE, **change)
    with pytest.raises(IntegrityError, match="another question"):
        total(RELEASE, PLACE, [answer("north", np.ones(4), other)])


def test_a_site_counts_once() -> None:
    answers = [answer(site, np.ones(4)) for site in ("north", "south", "north")]
    with pytest.raises(IntegrityError, match="north answered twice"):
        total(RELEASE, PLACE, answers)
