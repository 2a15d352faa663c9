"""Every step from a hospital's text to clean numbers, and the order between them."""

from pathlib import Path

import numpy as np
import pytest

from client import site
from client.table import Table
from client.tables import integration
from common.errors import DataError
from common.study import Study
from tests import clinics


def clean(place: Path, records: list[str], study: Study | None = None) -> Table:
    local = site.read(clinics.folder(place, records))
    return integration.table(local, study or clinics.study())


def counts(table: Table) -> dict[tuple[str, str], int]:
    return {(line.step, line.variable): line.count for line in table.report}


def test_values_arrive_as_declared_numbers(tmp_path: Path) -> None:
    table = clean(tmp_path, ["p1,v1,61,250,mild,m,yes", "p2,v1,30,120,none,f,no"])
    assert table.values.tolist() == [[61, 250, 1, 1], [30, 120, 0, 0]]
    assert table.outcome.tolist() == [1, 0]


def test_missing_codes_become_gaps_however_they_are_written(tmp_path: Path) -> None:
    records = ["p1,v1,NA,-9,mild,m,yes", "p2,v1,-9.0,,none,f,no"]
    table = clean(tmp_path, [*records, *clinics.lines()])
    assert np.isnan(table.values[:2, :2]).all()
    assert counts(table)["missing", "age"] == 1 + 1
    assert counts(table)["missing", "chol"] == 2


def test_a_unit_is_converted_and_counted(tmp_path: Path) -> None:
    local = clinics.folder(tmp_path, ["p1,v1,61,5,mild,m,yes", "p2,v1,9,,none,f,no"])
    text = local.read_text().replace(
        'column = "chol"', 'column = "chol"\nunit = "mmol/L"'
    )
    local.write_text(text)
    read = site.read(local)
    table = integration.table(read, clinics.study())
    assert table.values[0, 1] == pytest.approx(193.35)
    assert counts(table)["units", "chol"] == 1


def test_decimal_commas_are_numbers(tmp_path: Path) -> None:
    local = clinics.folder(tmp_path, ["p1;v1;61,5;250,25;mild;m;yes"])
    export = tmp_path / "export.csv"
    export.write_text(
        export.read_text().replace(clinics.HEADER, clinics.HEADER.replace(",", ";"))
    )
    local.write_text(
        local.read_text().replace("[data]", '[data]\nseparator = ";"\ndecimal = ","')
    )
    read = site.read(local)
    table = integration.table(read, clinics.study())
    assert table.values[0].tolist() == [61.5, 250.25, 1, 1]


def test_a_point_among_decimal_commas_is_no_number(tmp_path: Path) -> None:
    local = clinics.folder(tmp_path, ['p1,v1,61,"1.234",mild,m,yes'])
    local.write_text(local.read_text().replace("[data]", '[data]\ndecimal = ","'))
    read = site.read(local)
    with pytest.raises(DataError, match="1 of 1 cells of chol are not numbers"):
        integration.table(read, clinics.study())


def test_what_is_outside_the_range_is_missing_and_counted(tmp_path: Path) -> None:
    table = clean(tmp_path, ["p,v,610,250,mild,m,yes", *clinics.lines()])
    assert np.isnan(table.values[0, 0])
    assert counts(table)["ranges", "age"] == 1


def test_the_same_registration_counts_once(tmp_path: Path) -> None:
    twice = "p1,v1,61,250,mild,m,yes"
    table = clean(tmp_path, [twice, "p2,v1,30,120,none,f,no", twice])
    assert len(table.outcome) == 2
    assert counts(table)["duplicates", ""] == 1


def test_of_two_registrations_the_most_complete_is_kept(tmp_path: Path) -> None:
    records = ["p1,v1,61,250,mild,m,yes", "p1,v1,,250,mild,m,yes"]
    table = clean(tmp_path, records)
    assert table.values[:, 0].tolist() == [61]


def test_two_people_who_look_alike_are_two(tmp_path: Path) -> None:
    table = clean(tmp_path, [f"p{i},v1,61,250,mild,m,yes" for i in range(2)])
    assert len(table.outcome) == 2


def test_two_visits_of_one_person_are_two_records_on_one_side(tmp_path: Path) -> None:
    visits = [f"p{i},v{j},61,250,mild,m,yes" for i in range(30) for j in range(2)]
    table = clean(tmp_path, visits)
    assert len(table.outcome) == 60
    pairs = table.train.reshape(30, 2)
    assert (pairs[:, 0] == pairs[:, 1]).all()
    assert table.people["train"] + table.people["test"] == 30


def test_a_record_without_a_person_is_left_out(tmp_path: Path) -> None:
    table = clean(tmp_path, [",v1,61,250,mild,m,yes", "p2,v1,30,120,none,f,no"])
    assert len(table.outcome) == 1
    assert counts(table)["person", ""] == 1


def test_the_cohort_is_kept_and_a_gap_is_outside(tmp_path: Path) -> None:
    rules = [{"variable": "age", "at_least": 40, "at_most": 80}]
    study = clinics.study(cohort=[*rules, {"variable": "sex", "one_of": ["male"]}])
    records = [
        "p1,v1,39,250,mild,m,yes",
        "p2,v1,40,250,mild,m,yes",
        "p3,v1,,250,mild,m,yes",
        "p4,v1,50,250,mild,f,yes",
        "p5,v1,81,250,mild,m,yes",
    ]
    table = clean(tmp_path, records, study)
    assert table.values[:, 0].tolist() == [40]
    assert counts(table)["cohort", "age"] == 3
    assert counts(table)["cohort", "sex"] == 1


def test_people_without_an_outcome_or_a_needed_value_are_left_out(
    tmp_path: Path,
) -> None:
    needed = [{**clinics.VARIABLES[0], "missing": "exclude"}, *clinics.VARIABLES[1:]]
    records = [
        "p1,v1,,250,mild,m,yes",
        "p2,v1,50,250,mild,m,",
        "p3,v1,50,250,mild,m,no",
    ]
    table = clean(tmp_path, records, clinics.study(variables=needed))
    assert table.outcome.tolist() == [0]
    assert counts(table)["gaps", "age"] == counts(table)["gaps", "ill"] == 1


def test_the_split_stays_when_the_export_is_written_again(tmp_path: Path) -> None:
    records = clinics.lines(200)
    first = clean(tmp_path / "a", records)
    again = clean(tmp_path / "b", list(reversed(records)))
    assert (first.train == again.train[::-1]).all()
    other = clinics.study(evaluation={"test": 0.3, "seed": 1})
    assert (clean(tmp_path / "c", records, other).train != first.train).any()


def test_cleaning_a_clean_export_changes_nothing(tmp_path: Path) -> None:
    table = clean(tmp_path, clinics.lines())
    assert {line.step for line in table.report} == {"read", "done"}


def test_a_table_prints_counts_only(tmp_path: Path) -> None:
    table = clean(tmp_path, clinics.lines())
    assert repr(table) == "<Table of 40 records and 4 variables>"
    train = len(table.rows("train").y)
    assert repr(table.rows("train")) == f"<Rows of {train} records>"


def test_a_person_cannot_train_and_test(tmp_path: Path) -> None:
    study = clinics.study(evaluation={"test": "declared"})
    header = clinics.HEADER + ",side"
    records = ["p1,v1,61,250,mild,m,yes,train", "p1,v2,62,250,mild,m,yes,test"]
    local = clinics.folder(tmp_path, records, header=header)
    local.write_text(local.read_text().replace("[data]", '[data]\nsplit = "side"'))
    read = site.read(local)
    with pytest.raises(DataError, match="1 people are split between train and test"):
        integration.table(read, study)


def test_person_keys_that_look_alike_are_counted(tmp_path: Path) -> None:
    records = ["P1,v1,61,250,mild,m,yes", "p1,v1,62,250,mild,m,no"]
    table = clean(
        tmp_path, [*records, "007,v1,50,250,mild,m,no", "7,v1,5,250,mild,m,no"]
    )
    assert len(table.outcome) == 4
    assert counts(table)["person", ""] == 2


def test_a_code_is_no_person_and_no_visit(tmp_path: Path) -> None:
    records = ["NA,v1,61,250,mild,m,yes", "p1,NA,62,250,mild,m,no", *clinics.lines(3)]
    table = clean(tmp_path, records)
    assert len(table.outcome) == 3
    assert counts(table)["person", ""] == counts(table)["event", ""] == 1
