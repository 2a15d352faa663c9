"""Whatever is wrong with a hospital's files: one exit code, a fix, and never a cell."""

from datetime import timedelta
from pathlib import Path

import pytest

from client import site
from client.door.opened import open_study
from client.tables import integration
from common.errors import ConsiliumError, DataError, Refusal, StudyError
from common.study import Study
from tests import clinics

CANARY = "Kanarienvogel"
"""A cell that must never be seen again outside the file it stands in."""


def failure(
    place: Path, records: list[str], study: Study | None = None, **changed: str
) -> ConsiliumError:
    """Return how cleaning *records* fails; *changed* replaces text in site.toml."""
    header = changed.pop("header", clinics.HEADER)
    local = clinics.folder(place, records, header=header)
    text = local.read_text()
    for old, new in changed.items():
        assert old in text
        text = text.replace(old, new)
    local.write_text(text)
    with pytest.raises(ConsiliumError) as caught:
        _read(local, study or clinics.study())
    assert CANARY not in str(caught.value) + str(caught.value.facts())
    assert caught.value.hints["where"]
    assert caught.value.hints["then"]
    return caught.value


def _read(local: Path, study: Study) -> None:
    read = site.read(local)
    integration.table(read, study)


def test_a_missing_column_is_named_with_the_line_that_asks_for_it(
    tmp_path: Path,
) -> None:
    header = clinics.HEADER.replace("chol", "cholesterin")
    error = failure(tmp_path, clinics.lines(), header=header)
    assert isinstance(error, DataError)
    assert "column 'chol' is not in export.csv" in str(error)
    assert "site.toml line 13" in error.hints["where"]


def test_a_column_nearly_spelled_right_is_suggested(tmp_path: Path) -> None:
    header = clinics.HEADER.replace("visit", "Vi sit")
    error = failure(tmp_path, clinics.lines(), header=header)
    assert error.hints["fix"] == 'event_time = "Vi sit"'


def test_without_a_header_no_first_record_is_repeated(tmp_path: Path) -> None:
    for first in (CANARY, "patient_17", "patient1", "Patients"):
        record = f"{first},2020-01-01,61,250,mild,m,yes"
        error = failure(tmp_path, clinics.lines(), header=record)
        assert first not in str(error)
        assert "2020" not in str(error)


def test_a_wrong_unit_is_recognised(tmp_path: Path) -> None:
    records = clinics.lines()
    small = [
        ",".join([*r.split(",")[:3], f"{4 + i % 5}.5", *r.split(",")[4:]])
        for i, r in enumerate(records)
    ]
    error = failure(tmp_path, small)
    assert isinstance(error, DataError)
    assert "100% of chol lie outside 50 to 700 mg/dL, most of them below" in str(error)
    assert 'unit = "mmol/L"' in error.hints["fix"]


def test_values_that_fit_no_unit_say_so(tmp_path: Path) -> None:
    far = [
        ",".join([*r.split(",")[:3], "99999", *r.split(",")[4:]])
        for r in clinics.lines()
    ]
    error = failure(tmp_path, far)
    assert "99999" not in str(error)
    assert "another unit" in error.hints["likely"]


@pytest.mark.parametrize(
    "cell",
    [CANARY, "nan", "inf", "1e999", "1e", "12,5", "--4", "1_000", "0x10", "12 mg"],
)
def test_a_cell_that_is_no_number_is_found_by_line(tmp_path: Path, cell: str) -> None:
    quoted = f'p9,v9,61,"{cell}",mild,m,yes'
    error = failure(tmp_path, [clinics.lines()[0], quoted])
    assert isinstance(error, DataError)
    assert "1 of 2 cells of chol are not numbers" in str(error)
    assert "export.csv line 3" in error.hints["where"]
    assert f'"{cell}"' not in str(error)


def test_an_unknown_spelling_is_found_by_line(tmp_path: Path) -> None:
    error = failure(tmp_path, [*clinics.lines(3), f"p9,v9,61,250,{CANARY},m,yes"])
    assert "1 of 4 cells of pain are no declared level" in str(error)
    assert "export.csv line 5" in error.hints["where"]


def test_a_declared_share_of_unreadable_cells_is_counted_instead(
    tmp_path: Path,
) -> None:
    study = clinics.study(quality={"unreadable": 0.5})
    local = site.read(
        clinics.folder(tmp_path, [clinics.lines()[0], f"p9,v9,{CANARY},250,mild,m,yes"])
    )
    table = integration.table(local, study)
    assert ("codes", "age", 1) in [(c.step, c.variable, c.count) for c in table.report]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is empty"),
        (clinics.HEADER + "\n", "has a header and no records"),
        (clinics.HEADER + f'\np1,"{CANARY}', "cannot be read as a table"),
        (
            clinics.HEADER + f"\np1,v1,1,1,mild,m,yes,{CANARY},2\n",
            "has 9 cells for 7 columns in line 2",
        ),
        (clinics.HEADER + ",chol\np1,v1,1,1,mild,m,yes,1", "two columns called"),
        (
            clinics.HEADER + f"\np1,v1,1,1,mild,m,yes,{CANARY}",
            "has 8 cells for 7 columns in line 2",
        ),
        (
            clinics.HEADER + "\np1,v1,1,mild,m,yes",
            "has 6 cells for 7 columns in line 2",
        ),
        (
            clinics.HEADER + f'\np1,"{CANARY} v1,1,1,mild,m,yes\np2,"x,2',
            "cannot be read",
        ),
    ],
)
def test_a_broken_file_says_which_and_why(
    tmp_path: Path, content: str, says: str
) -> None:
    local = site.read(clinics.folder(tmp_path, []))
    local.data_file.write_text(content)
    with pytest.raises(DataError, match=says) as caught:
        integration.table(local, clinics.study())
    assert CANARY not in str(caught.value)


def test_other_encodings_are_refused_until_they_are_named(tmp_path: Path) -> None:
    local = clinics.folder(tmp_path, [])
    export = tmp_path / "export.csv"
    record = f"{clinics.HEADER}\nMüller,v1,61,250,mild,m,yes\n"
    export.write_bytes(record.encode("latin-1"))
    with pytest.raises(DataError, match="is not utf-8") as caught:
        integration.table(site.read(local), clinics.study())
    assert "ller" not in str(caught.value)
    local.write_text(
        local.read_text().replace("[data]", '[data]\nencoding = "latin-1"')
    )
    assert len(integration.table(site.read(local), clinics.study()).outcome) == 1


def test_an_absent_file_and_an_unknown_encoding_are_explained(tmp_path: Path) -> None:
    gone = failure(tmp_path, [], **{"export.csv": "elsewhere.csv"})
    assert "elsewhere.csv does not exist" in str(gone)
    odd = failure(tmp_path, [], **{"[data]": '[data]\nencoding = "klingon"'})
    assert "'klingon', which is no encoding" in str(odd)


def test_a_mapping_must_know_every_declared_variable(tmp_path: Path) -> None:
    error = failure(tmp_path, clinics.lines(), **{"[columns.pain]": "[columns.pein]"})
    assert isinstance(error, StudyError)
    assert "nothing is mapped to the declared variable pain" in str(error)


def test_units_and_levels_must_be_declared_in_the_study(tmp_path: Path) -> None:
    stones = {'column = "age"': 'column = "age"\nunit = "stone"'}
    assert "no conversion of age from 'stone'" in str(
        failure(tmp_path, clinics.lines(), **stones)
    )
    level = failure(tmp_path, clinics.lines(), **{'f = "female"': 'f = "woman"'})
    assert "'woman' is not a declared level of sex" in str(level)


def test_a_study_that_splits_by_column_needs_one(tmp_path: Path) -> None:
    study = clinics.study(evaluation={"test": "declared"})
    assert 'split = "' in failure(tmp_path, clinics.lines(), study).hints["fix"]
    named = {"[data]": '[data]\nsplit = "pain"'}
    error = failure(tmp_path, clinics.lines(), study, **named)
    assert "cells of the split column are not train or test" in str(error)


@pytest.mark.parametrize("approved", ["", "0" * 64])
def test_another_version_than_was_approved_is_refused_before_reading(
    tmp_path: Path, approved: str
) -> None:
    local = clinics.folder(tmp_path, clinics.lines(), approved=approved)
    (tmp_path / "export.csv").unlink()
    study = clinics.study()
    with pytest.raises(Refusal, match="has not approved this version") as caught:
        open_study(site.read(local), study, clinics.TODAY)
    assert caught.value.exit_code == 7
    assert study.digest() in caught.value.hints["fix"]


def test_a_site_that_is_not_invited_refuses(tmp_path: Path) -> None:
    about = {**clinics.ABOUT, "sites": ["south"]}
    study = clinics.study(study=about)
    local = clinics.folder(tmp_path, clinics.lines(), approved=study.digest())
    with pytest.raises(Refusal, match="north is not invited"):
        open_study(site.read(local), study, clinics.TODAY)


def test_a_study_that_expired_is_refused(tmp_path: Path) -> None:
    study = clinics.study()
    local = clinics.folder(tmp_path, clinics.lines(), approved=study.digest())
    open_study(site.read(local), study, study.study.expires)
    late = study.study.expires + timedelta(days=1)
    with pytest.raises(Refusal, match="expired on 2030-12-31"):
        open_study(site.read(local), study, late)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('f = "female"', 'male = "female"', "'male' that is mapped to another"),
        ('column = "pain"', 'column = "pain"\nunit = "a"', "has no unit"),
        ('column = "age"', 'column = "age"\nlevels = { a = "b" }', "has no levels"),
        ('column = "pain"', 'column = "pain"\nmissing = ["mild"]', "among its missing"),
        ('column = "age"', 'column = "age"\nabsent = true', "keep one of them"),
    ],
)
def test_a_mapping_that_contradicts_itself_is_refused(
    tmp_path: Path, old: str, new: str, says: str
) -> None:
    error = failure(tmp_path, clinics.lines(), **{old: new})
    assert isinstance(error, StudyError)
    assert says in str(error)


def test_a_header_proves_itself_by_another_column_before_a_near_one_is_named(
    tmp_path: Path,
) -> None:
    header = clinics.HEADER.replace("chol", "cholest")
    error = failure(tmp_path, clinics.lines(), header=header)
    assert error.hints["fix"] == 'column = "cholest"'


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_another_separator_is_found_and_can_be_pasted(
    tmp_path: Path, separator: str
) -> None:
    written = [line.replace(",", separator) for line in clinics.lines()]
    header = clinics.HEADER.replace(",", separator)
    fix = failure(tmp_path, written, header=header).hints["fix"]
    setting, _, table = fix.rpartition("   in ")
    local = clinics.folder(tmp_path, written, header=header)
    local.write_text(local.read_text().replace(table, f"{table}\n{setting}"))
    assert len(integration.table(site.read(local), clinics.study()).outcome)


def test_a_decimal_comma_is_recognised_and_thousands_are_none(tmp_path: Path) -> None:
    def said(text: str) -> str:
        cells = [line.split(",") for line in clinics.lines()]
        lines = [",".join([*each[:3], text, *each[4:]]) for each in cells]
        return str(failure(tmp_path, lines).hints["fix"])

    assert said('"250,5"') == 'decimal = ","   in [data]'
    assert "under `missing`" in said('"1,250"')


@pytest.mark.parametrize(
    ("content", "says", "fix"),
    [
        (b"PK\x03\x04" + bytes(600), "is no text", "save it as CSV"),
        (b"PAR1" + bytes(600), "is no text", 'kind = "parquet"'),
        ("a,b\nc,d\n".encode("utf-16"), "is not utf-8 in line 1", '"utf-16"'),
        (b"a,b\n1,2\n3,\xe9\n", "is not utf-8 in line 3", '"latin-1"'),
    ],
)
def test_what_is_no_text_is_told_by_its_kind(
    tmp_path: Path, content: bytes, says: str, fix: str
) -> None:
    local = clinics.folder(tmp_path, [])
    (tmp_path / "export.csv").write_bytes(content)
    with pytest.raises(DataError, match=says) as caught:
        integration.table(site.read(local), clinics.study())
    assert fix in caught.value.hints["fix"]


def test_a_quote_that_never_ends_is_found_where_it_begins(tmp_path: Path) -> None:
    lines = clinics.lines()
    error = failure(tmp_path, [*lines[:4], f'"{lines[4]}', *lines[5:]])
    assert "cannot be read as a table from line 6" in str(error)
