"""What is told of a number that few have, and of the few who lack a value."""

import itertools
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest

from client.table import Table
from common import plan
from common.encoding import Encoding, columns
from common.release import Array
from common.study import Study
from common.task import Findings
from simulations import plain
from tests import clinics

AGE, CHOL, PAIN, SEX = range(4)
"""The places of these variables in the tables of the clinics."""
AGED = clinics.VARIABLES[AGE] | {"cuts": [40, 60]}
FLOOR = {"min_people": 1, "min_cell": 10, "min_sites": 1}


def asked(**analysis: Any) -> Study:
    """Return a study of which no count below 10 is told."""
    changes: dict[str, Any] = {"model": None, "evaluation": None, "disclosure": FLOOR}
    variables = [AGED, *clinics.VARIABLES[1:]]
    return clinics.study(**changes, variables=variables, analysis=analysis)


def table(change: Callable[[Array], None]) -> Table:
    """Return a table of which everybody trains and has every value, then changed."""
    whole = clinics.table(300)
    whole.train[:] = True
    whole.values[:] = np.nan_to_num(whole.values, nan=1.0)
    whole.values[:, CHOL] = whole.values[:, CHOL].clip(100)
    change(whole.values)
    return whole


def read(study: Study, whole: Table, name: str) -> Findings:
    state = plain.run(study, [whole])[name]
    return plan.find(study, name).read(study, state)


def described(study: Study, whole: Table, name: str) -> dict[str, Any]:
    """Return what describe tells of one variable."""
    lines: Any = read(study, whole, "describe")["variables"]
    by_name: dict[str, dict[str, Any]] = {line["name"]: line for line in lines}
    return by_name[name]


def lacking(variable: int, people: int) -> Callable[[Array], None]:
    """Return what takes *variable* from so many *people*."""

    def change(values: Array) -> None:
        values[:people, variable] = np.nan

    return change


@pytest.mark.parametrize(("having", "told"), [(1, 0), (9, 0), (10, 5)])
def test_a_mean_is_told_of_ten_people_or_more(having: int, told: int) -> None:
    study, whole = asked(), table(lacking(CHOL, 300 - having))
    line = described(study, whole, "chol")
    assert line["count"] == having
    keys = ("mean", "std", "25%", "50%", "75%")
    assert sum(line[key] is not None for key in keys) == told


def test_a_model_holds_no_constant_of_a_few() -> None:
    """Sites are shown the encoding, and a model is given away with it."""
    study, whole = asked(), table(lacking(CHOL, 299))
    encoding = Encoding.of(plain.run(study, [whole])["describe"].arrays)
    assert (encoding.centre[CHOL], encoding.scale[CHOL]) == (375.0, 0.0)
    assert encoding.fill[CHOL] == 375.0  # the middle of the declared range


def test_a_mean_of_a_few_does_not_follow_from_groups() -> None:
    """One person has an age and no sex: everybody's sum less that of both sexes."""
    study, whole = asked(compare=[["age", "sex"]]), table(lacking(SEX, 1))
    (test,) = _tests(study, whole, "compare")
    assert [group["mean"] is None for group in test["groups"]].count(True) > 0
    assert test["p"] is test["f"] is test["difference"] is None


def test_a_level_of_a_few_does_not_follow_from_a_table() -> None:
    study, whole = asked(chi_square=[["pain", "sex"]]), table(lacking(SEX, 2))
    (test,) = _tests(study, whole, "chi_square")
    table_ = test["table"]
    assert test["withheld"] == "cells"
    assert table_["expected"] is None  # it would tell the totals
    levels = described(study, whole, "pain")["levels"].values()
    for line, known in zip(table_["counts"], levels, strict=True):
        lost = None if None in line else known - sum(line)
        assert lost in {None, 0}


@pytest.mark.parametrize("people", [0, 60])
def test_nobody_or_many_without_a_value_change_nothing(people: int) -> None:
    change = lacking(SEX, people)
    study = asked(compare=[["age", "sex"]], chi_square=[["pain", "sex"]])
    whole = table(change)
    (groups,), (cells,) = (
        _tests(study, whole, name) for name in ("compare", "chi_square")
    )
    assert None not in itertools.chain(*cells["table"]["counts"])
    assert cells["p"] is not None
    assert groups["p"] is not None


def test_an_association_is_as_careful() -> None:
    study, whole = asked(association=True), table(lacking(SEX, 2))
    tests = {test["variable"]: test for test in _tests(study, whole, "association")}
    assert tests["sex"]["p"] is None
    assert tests["pain"]["p"] is not None


def test_a_number_that_cuts_part_is_looked_at_as_well() -> None:
    study = asked(chi_square=[["age", "pain"]])
    (test,) = _tests(study, table(lacking(PAIN, 3)), "chi_square")
    assert test["withheld"] == "cells"


def _tests(study: Study, whole: Table, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = cast("Any", read(study, whole, name)["tests"])
    return found


def rare(few: int) -> Callable[[Array], None]:
    """Return what leaves so many people of 12 in severe pain, the others in none."""

    def change(values: Array) -> None:
        values[:, PAIN] = 1.0
        values[:few, PAIN] = 2.0
        values[few:12, PAIN] = 0.0

    return change


@pytest.mark.parametrize("few", [2, 9])
def test_no_constant_counts_a_level_that_is_withheld(few: int) -> None:
    study = asked(pca=2)
    states = plain.run(study, [table(rare(few))])
    same = plain.run(study, [table(rare(5))])
    levels = described(study, table(rare(few)), "pain")["levels"]
    assert (levels["none"], levels["severe"]) == (None, None)
    for key, array in Encoding.of(states["describe"].arrays).arrays().items():
        assert np.array_equal(array, Encoding.of(same["describe"].arrays).arrays()[key])
    every: list[float] = states["pca"].arrays["variances"].tolist()
    width = np.count_nonzero(Encoding.of(states["describe"].arrays).scale)
    assert sum(every) == pytest.approx(width * 300 / 299)


def test_constants_are_exact_where_levels_are_told() -> None:
    study, whole = asked(), table(lacking(SEX, 0))
    place = [each.name for each in columns(study)].index("pain = severe")
    encoding = Encoding.of(plain.run(study, [whole])["describe"].arrays)
    share = float((whole.values[:, PAIN] == 2.0).mean())
    assert encoding.centre[place] == pytest.approx(share)
    assert encoding.scale[place] == pytest.approx(np.sqrt(share * (1 - share)))
