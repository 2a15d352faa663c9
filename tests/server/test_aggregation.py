"""Adding up: the same answers give the same bits, and a wrong answer gives none."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from common.errors import IntegrityError
from common.release import Field
from common.travel.wire import Answer, Place
from server.conduct.aggregation import total

RELEASE = {"s": Field("sums", (3,), "sum"), "n": Field("people", (1,), "count")}
VOTES = {"votes": Field("sites that bear it", (1,), "flag")}
PLACE = Place("d" * 64, "r" * 32, "describe", 1, "s" * 64)


def answer(site: str, vector: np.ndarray, place: Place = PLACE) -> Answer:
    return Answer(place, site, vector)


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
    answers = [answer("east", np.ones(4)), answer("north", vector)]
    with pytest.raises(IntegrityError, match=says):
        total(RELEASE, PLACE, answers)


@pytest.mark.parametrize(
    ("vector", "told"),
    [
        (np.array([1, 1, 11.0, 1]), "north: s holds numbers beyond 10, its limit"),
        (np.array([1, -1e308, 1, 1]), "north: s holds numbers beyond 10, its limit"),
        (np.array([1, 1, 1, 1e300]), "north: n holds numbers beyond 5, its limit"),
    ],
)
def test_a_number_that_no_site_can_have_is_refused_by_name(
    vector: np.ndarray, told: str
) -> None:
    limits = {"s": 10.0, "n": 5.0}
    answers = [answer("east", np.array([10, -10, 0, 5.0])), answer("north", vector)]
    total(RELEASE, PLACE, answers[:1], limits=limits)
    with pytest.raises(IntegrityError, match=told):
        total(RELEASE, PLACE, answers, limits=limits)


def test_a_site_has_one_vote_and_their_sum_one_of_each() -> None:
    votes = [answer(site, np.ones(1)) for site in ("east", "north", "south")]
    assert total(VOTES, PLACE, votes)["votes"] == 3
    for lie in (2.0, 0.5, -1.0):
        with pytest.raises(IntegrityError, match="south: votes is declared as flags"):
            total(VOTES, PLACE, [*votes[:2], answer("south", np.array([lie]))])


@pytest.mark.parametrize(
    "change",
    [
        {"digest": "e" * 64},
        {"run": "e" * 32},
        {"task": "evaluate"},
        {"round": 2},
        {"state": "e" * 64},
        {"roster": "e" * 64},
        {"sequence": 2},
    ],
    ids=lambda change: next(iter(change)),
)
def test_an_answer_to_another_question_is_refused(change: dict[str, Any]) -> None:
    other = replace(PLACE, **change)
    with pytest.raises(IntegrityError, match="another question"):
        total(RELEASE, PLACE, [answer("north", np.ones(4), other)])


@pytest.mark.parametrize("second", ["north", "east"])
def test_a_site_counts_once_and_in_its_order(second: str) -> None:
    answers = [answer(site, np.ones(4)) for site in ("north", second, "south")]
    with pytest.raises(IntegrityError, match=f"{second} answered twice"):
        total(RELEASE, PLACE, answers)
