"""Each step of a naive pipeline that is wrong, and that ours does not take.

Each has a test on made-up records here; those that the four real heart files show are
in ``tests/simulations/test_heart.py`` and ``test_heart_faults.py``.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from client import site
from client.table import Table
from client.tables import cleaning, integration
from client.tables.work import Work
from common import plan
from common.encoding import columns
from common.errors import DataError, StudyError
from common.sections.cleaning import ORDER
from common.study import Study
from simulations import plain
from simulations.worth import compare
from tests import clinics


def table(place: Path, records: list[str], study: Study | None = None) -> Table:
    local = site.read(clinics.folder(place, records))
    return integration.table(local, study or clinics.study())


def counted(table: Table, step: str) -> dict[str, int]:
    return {line.what: line.count for line in table.report if line.step == step}


def row(person: str, day: str, chol: str = "", age: str = "61") -> str:
    return f"{person},{day},{age},{chol},mild,m,yes"


CARRY = {"carry": {"chol": 30}}


def test_a_gap_is_filled_by_the_persons_own_past_only(tmp_path: Path) -> None:
    """Not by the row above, which is another person's."""
    records = [
        row("p1", "2020-01-20"),  # ten days after p1's value
        row("p2", "2020-01-11"),  # the row above is p1's
        row("p1", "2020-01-10", "240"),
        row("p1", "2020-01-05"),  # before it: the future is not known
        row("p1", "2020-03-20"),  # too long after it
        row("p3", "2020-01-01", "300"),
    ]
    found = table(tmp_path, records, clinics.study(cleaning=CARRY)).values[:, 1]
    expected = [240, np.nan, 240, np.nan, np.nan, 300]
    np.testing.assert_array_equal(found, expected)
    naive = pd.Series([np.nan, np.nan, 240, np.nan, np.nan, 300]).ffill()
    assert naive[3] == naive[4] == 240, "the naive step fills both"


def test_without_a_rule_nothing_is_carried(tmp_path: Path) -> None:
    records = [row("p1", "2020-01-10", "240"), row("p1", "2020-01-20")]
    assert np.isnan(table(tmp_path, records).values[1, 1])


def test_a_value_that_was_carried_is_not_carried_on(tmp_path: Path) -> None:
    days = ("2020-01-01", "2020-01-21", "2020-02-10")
    values = ("240", "", "")
    records = [row("p1", day, value) for day, value in zip(days, values, strict=True)]
    found = table(tmp_path, records, clinics.study(cleaning=CARRY)).values[:, 1]
    np.testing.assert_array_equal(found, [240, 240, np.nan])


def test_two_people_who_are_alike_stay_two_and_are_counted(tmp_path: Path) -> None:
    alike = [row("p1", "v", "", "50"), row("p2", "v", "", "50"), row("p3", "v", "250")]
    found = table(tmp_path, alike)
    assert len(found.outcome) == 3
    (line,) = counted(found, "lookalikes").items()
    assert line[1] == 2


def test_one_number_for_two_people_can_keep_both(tmp_path: Path) -> None:
    """A man of 54 and a man of 43: the steward sees it, and nobody is deleted."""
    records = [row("1132", "v", "240", "54"), row("1132", "v", "240", "43")]
    both = clinics.study(cleaning={"conflicts": "both"})
    found = table(tmp_path / "a", records, both)
    assert sorted(found.values[:, 0].tolist()) == [43, 54]
    assert 2 in counted(found, "duplicates").values()
    one = table(tmp_path / "b", records)
    assert len(one.outcome) == 1
    assert 1 in counted(one, "duplicates").values()


def test_what_adds_nothing_is_one_record_even_where_both_are_kept(
    tmp_path: Path,
) -> None:
    records = [row("p1", "v", "240"), row("p1", "v", "")]
    both = clinics.study(cleaning={"conflicts": "both"})
    assert len(table(tmp_path, records, both).outcome) == 1


def test_a_fraction_stays_one_and_a_zero_that_means_missing_is_a_gap(
    tmp_path: Path,
) -> None:
    """``astype(int)`` would fail on the gap, and make 2 of 2.3."""
    found = table(tmp_path, [row("p1", "v", "240.5", "61.3"), row("p2", "v", "")])
    assert found.values[0, :2].tolist() == [61.3, 240.5]
    zeros = [row(f"p{i}", "v", "0") for i in range(2)]
    with pytest.raises(DataError, match=r"of chol lie outside 50 to 700") as no:
        table(tmp_path, [*zeros, row("p3", "v", "240")])
    assert "list the code under `missing`" in no.value.hints["fix"]


def test_records_with_gaps_stay(tmp_path: Path) -> None:
    found = table(tmp_path, [row("p1", "v"), row("p2", "v", "240"), row("p3", "v")])
    assert len(found.outcome) == 3


@pytest.mark.parametrize(
    ("rules", "refused"),
    [
        ({}, False),
        ({"missing": 0.7}, False),
        ({"missing": 0.6}, True),
        ({"missing": 0.1, "missing_of": {"chol": 0.8}}, False),
        ({"missing_of": {"chol": 0.5}}, True),
    ],
)
def test_a_variable_with_too_many_gaps_stops_the_site(
    tmp_path: Path, rules: dict[str, Any], *, refused: bool
) -> None:
    records = [row("p1", "v"), row("p2", "v", "240"), row("p3", "v")]
    study = clinics.study(quality=rules)
    if not refused:
        assert len(table(tmp_path, records, study).outcome) == 3
        return
    with pytest.raises(DataError, match="67% of the records have no chol") as no:
        table(tmp_path, records, study)
    assert "240" not in str(no.value)


def test_what_is_never_measured_here_is_no_fault(tmp_path: Path) -> None:
    path = clinics.folder(tmp_path, [row("p1", "v", "240")])
    text = path.read_text().replace('column = "chol"', "absent = true")
    path.write_text(text)
    study = clinics.study(quality={"missing": 0.1})
    assert np.isnan(integration.table(site.read(path), study).values[0, 1])


def test_a_drift_within_the_range_is_seen(tmp_path: Path) -> None:
    usual = {**clinics.VARIABLES[1], "typical": [200, 40]}
    variables = [clinics.VARIABLES[0], usual, *clinics.VARIABLES[2:]]
    records = [row(f"p{i}", "v", str(340 + i)) for i in range(10)]
    asked = clinics.study(variables=variables, quality={"drift": 4})
    assert len(table(tmp_path / "a", records, asked).outcome) == 10
    strict = clinics.study(variables=variables, quality={"drift": 3})
    with pytest.raises(DataError, match=r"lies 3\.6 typical deviations from"):
        table(tmp_path / "b", records, strict)


def test_the_oldest_are_one_age(tmp_path: Path) -> None:
    records = [row(f"p{age}", "v", "240", str(age)) for age in (88, 89, 90, 104)]
    found = table(tmp_path, records)
    assert found.values[:, 0].tolist() == [88, 89, 90, 90]
    assert counted(found, "ages") == {"ages above 89: taken as 90": 2}


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ({"steps": ["people", "gaps", "people"]}, "a step is taken once"),
        ({"steps": ["gaps", "people"]}, "steps begin with people"),
        ({"steps": ["people", "cohort"]}, "gaps is one of them"),
        ({"carry": {"weight": 3}}, "'weight' is not a declared variable"),
        ({"carry": {"ill": 3}}, "an outcome is not carried on"),
        ({"carry": {"chol": 3}, "steps": ["people", "gaps"]}, 'no step "carry"'),
    ],
)
def test_steps_that_make_no_sense_are_refused(rules: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        clinics.study(cleaning=rules)


def test_the_study_orders_the_steps(tmp_path: Path) -> None:
    """Carried before the cohort is chosen, a value counts for it; after it, not."""
    rule = [{"variable": "chol", "at_least": 200}]
    records = [row("p1", "2020-01-01", "240"), row("p1", "2020-01-02")]
    first = clinics.study(cleaning=CARRY, cohort=rule)
    assert len(table(tmp_path / "a", records, first).outcome) == 2
    steps = ["people", "duplicates", "cohort", "carry", "gaps"]
    last = clinics.study(cleaning={**CARRY, "steps": steps}, cohort=rule)
    assert len(table(tmp_path / "b", records, last).outcome) == 1


VALUE = st.sampled_from(["", "60", "240", "240.5", "699"])
RECORD = st.tuples(st.integers(0, 3), st.sampled_from([1, 2, 21, 41]), VALUE, VALUE)
ROWS = st.lists(RECORD, min_size=1, max_size=9)


@settings(max_examples=40, deadline=None)
@given(rows=ROWS, steps=st.permutations([*ORDER[1:]]))
def test_cleaning_twice_is_cleaning_once(
    rows: list[tuple[int, int, str, str]], steps: list[str]
) -> None:
    study = clinics.study(cleaning={**CARRY, "steps": ["people", *steps]})
    once = cleaned(study, work(rows))
    again = cleaned(study, once)
    pd.testing.assert_frame_equal(once.frame, again.frame)
    pd.testing.assert_frame_equal(once.keys, again.keys)


def work(rows: list[tuple[int, int, str, str]]) -> Work:
    """Return records of (person, day, age, chol) as they come out of a reader."""
    numbers = np.array([[float(a or "nan"), float(c or "nan")] for *_, a, c in rows])
    frame = pd.DataFrame(numbers, columns=["age", "chol"])
    frame = frame.assign(pain=1.0, sex=[float(p % 2) for p, *_ in rows], ill=1.0)
    who = np.array([person for person, *_ in rows])
    day = np.array([day for _, day, *_ in rows])
    keys = {"person": who, "folded": who, "event": day, "when": day.astype(float)}
    return Work(frame, pd.DataFrame({**keys, "trains": True}), {}, ())


def cleaned(study: Study, work: Work) -> Work:
    for step in study.cleaning.steps:
        work = cleaning.STEPS[step](study, work)
    return work


def test_a_site_says_which_declared_variable_it_lacks(tmp_path: Path) -> None:
    """A server never asks a site for its categories, nor a site for another's."""
    path = clinics.folder(tmp_path, [row("p1", "v", "240")])
    path.write_text(path.read_text().replace("[columns.pain]", "[columns.pains]"))
    with pytest.raises(StudyError, match="nothing is mapped to the declared variable"):
        integration.table(site.read(path), clinics.study())


def two_hospitals() -> list[Table]:
    """Return two that are unlike: at one everybody is older and has more of it."""
    one, other = clinics.table(80, 1), clinics.table(80, 2)
    return [one, replace(other, values=other.values + np.array([15, 60, 0, 0]))]


def test_standardising_each_hospital_by_itself_learns_another_model() -> None:
    study, tables = clinics.study(), two_hospitals()
    together = plain.run(study, tables)
    pooled = plain.run(study, [plain.pooled(tables)])
    for key, array in pooled["logistic"].arrays.items():
        np.testing.assert_allclose(together["logistic"].arrays[key], array, atol=1e-9)
    by_itself = [replace(table, values=_standard(table)) for table in tables]
    naive = compare.fitted(study, plain.run(study, by_itself))
    ours = compare.fitted(study, together)
    gaps = [
        np.abs(ours.predict(a.rows("test")) - naive.predict(b.rows("test"))).max()
        for a, b in zip(tables, by_itself, strict=True)
    ]
    assert max(gaps) > 0.02


def _standard(table: Table) -> np.ndarray:
    """Return the two numbers of a hospital as if it were all of the world."""
    values = table.values.copy()
    train = values[table.train, :2]
    own = (values[:, :2] - np.nanmean(train, axis=0)) / np.nanstd(train, axis=0)
    values[:, :2] = own * [20, 50] + [55, 240]
    return values


def test_who_tests_changes_no_bit_of_what_is_learned() -> None:
    study, tables = clinics.study(), two_hospitals()
    others = [
        replace(
            table,
            values=np.where(table.train[:, None], table.values, 1.0),
            outcome=np.where(table.train, table.outcome, 1 - table.outcome),
        )
        for table in tables
    ]
    learned, again = plain.run(study, tables), plain.run(study, others)
    for name in ("describe", "logistic"):
        for key, array in learned[name].arrays.items():
            np.testing.assert_array_equal(again[name].arrays[key], array)


def test_a_test_of_counts_says_nothing_and_one_of_a_table_does() -> None:
    """Of the counts of one variable the statistic is 0, and p 1, whatever they are."""
    analysis = {"chi_square": [["sex", "ill"]]}
    study = clinics.study(model=None, evaluation=None, analysis=analysis)
    drawn = clinics.table(400, 3)
    known = ~np.isnan(drawn.values[:, 3])
    sex, ill = drawn.values[known, 3], drawn.values[known, 3]
    naive = stats.chi2_contingency(pd.Series(sex).value_counts())
    assert (naive.statistic, naive.pvalue, naive.dof) == (0.0, 1.0, 0)
    table = clinics.rows(drawn.values[known], ill, np.ones(known.sum()))
    (task,) = [each for each in plan.tasks(study) if each.name == "chi_square"]
    state = plain.run(study, [table])["chi_square"]
    told: Any = task.read(study, state)
    test = told["tests"][0]
    expected = stats.chi2_contingency(pd.crosstab(sex, ill))
    assert test["statistic"] == pytest.approx(expected.statistic)
    assert test["p"] < 1e-50


def test_a_variable_that_hardly_anybody_measured_stays(tmp_path: Path) -> None:
    """What is not known is a level of its own; nobody and nothing is dropped."""
    said = [f"p{i},v,{40 + i},240,{'mild' if i == 7 else ''},m,yes" for i in range(20)]
    found = table(tmp_path, said)
    assert len(found.outcome) == 20
    assert int(np.isnan(found.values[:, 2]).sum()) == 19
    names = [each.name for each in columns(clinics.study())]
    assert "pain missing" in names


def test_the_order_of_the_columns_means_nothing() -> None:
    """A network that looks for neighbours in a table would see others each time."""
    study, tables = clinics.study(), two_hospitals()
    order = [2, 0, 3, 1]
    mixed = study.model_copy(
        update={"declared": tuple(study.variables[place] for place in order)}
    )
    moved = [replace(each, values=each.values[:, order]) for each in tables]
    one = compare.fitted(study, plain.run(study, tables))
    other = compare.fitted(mixed, plain.run(mixed, moved))
    for before, after in zip(tables, moved, strict=True):
        expected = one.predict(before.rows("test"))
        found = other.predict(after.rows("test"))
        np.testing.assert_allclose(found, expected, atol=1e-8)


def test_a_network_for_pictures_is_not_to_be_had_for_a_table() -> None:
    model = {"kind": "image_network", **clinics.MODELS["image_network"]}
    study = clinics.study(model=model)
    with pytest.raises(StudyError, match="needs pictures, and the study declares none"):
        [task.release(study) for task in plan.tasks(study)]
