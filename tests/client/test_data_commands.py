"""What a steward does with records before and after a study."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from client import site
from client.app import SHELF
from client.books import home, ledger
from client.cli import client
from client.door import opened
from client.office import anonymity
from client.tables import integration, withdrawals
from common.cli import build
from common.errors import DataError, IntegrityError, Refusal
from common.study import Study
from common.terminal import run
from simulations.engines import engine
from tests import clinics, sources
from tests.client.test_home import decide, entries, hospital
from tests.tomls import toml

CANARY = "Kanarienvogel"


def consilium(*words: object) -> int:
    return run(build(), [str(word) for word in words])


def said(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def written(place: Path, study: Study) -> Path:
    path = place / "study.toml"
    path.write_text(toml(study), encoding="utf-8")
    return path


def test_a_source_is_added_once_it_can_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sources.tables(tmp_path, sources.people(5), "csv").unlink()
    path = tmp_path / "site.toml"
    add = ("client", "data", "add", "stays", "--site", path, "--kind", "csv")
    keys = ("--person", "mrn", "--event-time", "am", "--json")
    assert consilium(*add, "--file", "stays.csv", *keys) == 0
    assert said(capsys)["sources"] == ["stays.csv has the 2 mapped columns"]
    before = path.read_bytes()
    assert consilium(*add, "--file", "stays.csv", *keys) == 3
    labs = ("client", "data", "add", "labs", "--site", path, "--kind", "csv")
    assert consilium(*labs, "--file", "nothing.csv", *keys) == 9
    assert path.read_bytes() == before
    assert not [*tmp_path.glob(".*")]
    assert consilium(*labs, "--file", "labs.csv", *keys) == 0
    assert [*site.read(path).mapping.named] == ["stays", "labs"]


MADE = {
    "csv": (
        "--file=list.csv",
        "--person=who",
        "--event-time=at",
        "--set=missing=-9,NA",
    ),
    "text": ("--file=notes/{person}_{time}.txt", "--set=dates=%Y%m%d"),
    "signals": ("--file=list.csv", "--person=who", "--event-time=", "--set=time=at"),
    "wfdb": ("--file=notes/{person}.hea",),
    "images": (
        *("--file=list.csv", "--person=who", "--event-time=at"),
        "--set=pixels=all.npz",
    ),
    "png": ("--file=list.csv", "--person=who", "--event-time=at", "--set=folder=notes"),
    "dicom": ("--file=notes/*.dcm", "--set=modality=DX, CR"),
}


@pytest.mark.parametrize("kind", MADE)
def test_any_kind_of_source_is_added(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "list.csv").write_text("who,at\np1,2024-01-01\n")
    for name in ("notes/p1_20240101.txt", "notes/p1.hea", "notes/a.dcm", "all.npz"):
        (tmp_path / name).touch()
    path = tmp_path / "site.toml"
    add = ("client", "data", "add", "it", "--site", path, "--kind", kind)
    assert consilium(*add, *MADE[kind], "--json") == 0, capsys.readouterr().err
    (source,) = site.read(path).mapping.named.values()
    assert source.kind == kind
    if kind == "dicom":
        assert source.model_dump()["modality"] == ("DX", "CR")


def test_what_is_not_given_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("who,at\np1,2024-01-01\n")
    path = tmp_path / "site.toml"
    answers = "signals\nlist.csv\nwho\n\nat\n"
    add = ["data", "add", "it", "--site", str(path)]
    done = CliRunner().invoke(client, add, input=answers)
    assert done.exit_code == 0, done.output
    assert "when a sample was taken" in done.output
    assert "parquet" in done.output, "the kinds are said where one is asked for"
    assert site.read(path).mapping.named["it"].model_dump()["time"] == "at"


def test_an_error_names_the_file_that_stays_and_the_command_to_repeat(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "list.csv").write_text("who,at\np1,2024-01-01\n")
    path = tmp_path / "site.toml"
    add = ("client", "data", "add", "it", "--site", path, "--kind", "csv")
    assert consilium(*add, "--file=list.csv", "--person=whom", "--event-time=") == 9
    told = capsys.readouterr().err
    assert f"{path} is as before" in told
    assert f"consilium client data add it --site {path}" in told
    assert ".new" not in told
    assert not path.exists()
    assert consilium(*add, "--set", "nonsense") == 2
    assert consilium(*add, "--file=none.csv", "--person=who", "--event-time=") == 9
    told = capsys.readouterr().err
    assert "none.csv does not exist" in told
    assert ".new" not in told


def test_a_list_is_a_setting_as_toml_writes_it_or_between_commas(
    tmp_path: Path,
) -> None:
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "a.dcm").touch()
    path = tmp_path / "site.toml"
    add = ("client", "data", "add", "it", "--site", path, "--kind=dicom")
    given = (*add, "--file=films/*.dcm", "--set", 'modality=["DX", "CR"]')
    assert consilium(*given, "--set", "window=[40, 400") == 2
    assert consilium(*given, "--set", "window=[40, 400]") == 0
    source = site.read(path).mapping.named["it"].model_dump()
    assert (source["modality"], source["window"]) == (("DX", "CR"), (40.0, 400.0))


def test_a_script_is_told_which_setting_it_does_not_give(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    add = ("client", "data", "add", "it", "--site", tmp_path / "site.toml")
    assert consilium(*add, "--kind=text") == 2
    assert "--set files=…" in capsys.readouterr().err


def test_codes_for_no_value_are_guessed_where_no_range_holds_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    header = "patient,visit,age,chol,pain,sex,ill"
    records = [f"p{i},v,{40 + i},{200 + i},mild,m,yes" for i in range(20)]
    records += ["q1,v,99,NA,mild,m,yes", "q2,v,99,-9,mild,m,yes"]
    path = clinics.folder(tmp_path, records, header=header)
    path.write_text(path.read_text().partition("[columns")[0])
    where = ("--study", written(tmp_path, clinics.study()), "--site", path)
    assert consilium("client", "data", "suggest", *where) == 0
    told = capsys.readouterr().out
    assert 'column = "chol"\nmissing = ["-9", "NA"]' in told
    assert told.count("missing") == 1, "99 is an age"


PROSE = {"kind": "text", "name": "note", "buckets": 4}


def test_texts_and_unknown_spellings_are_guessed_without_a_cell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A level that is spelled in no known way is left to be filled in."""
    header = "patient,visit,age,pain,Note"
    records = [f"p{i},v,{40 + i},{CANARY}{i % 2},short of breath" for i in range(9)]
    path = clinics.folder(tmp_path, records, header=header)
    path.write_text(path.read_text().partition("[columns")[0])
    asked = clinics.study(variables=[*clinics.VARIABLES, PROSE])
    where = ("--study", written(tmp_path, asked), "--site", path)
    assert consilium("client", "data", "suggest", *where) == 0
    told = capsys.readouterr().out
    assert "[columns.note]   # called alike" in told
    assert '"… severe" = "severe"' in told
    assert "note_0" not in told
    assert CANARY not in told
    assert "# nothing looks like: chol, sex, ill" in told


def test_what_is_one_record_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of several sources everybody is one record, unless an index says otherwise."""
    path = sources.tables(tmp_path, sources.people(), "csv")
    where = ("--study", written(tmp_path, sources.study()), "--site", path)
    assert consilium("client", "data", "check", *where) == 0
    assert "one record for each row of stays" in capsys.readouterr().out
    path.write_text(path.read_text().replace('[index]\nsource = "stays"\n', ""))
    assert consilium("client", "data", "suggest", *where) == 0
    assert '# [index]\n# source = "stays"' in capsys.readouterr().out


def test_a_mapping_is_guessed_and_fits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From names, units and spellings; what is pasted gives the values."""
    header = "Patient,visit,Alter,Cholesterin (Serum),pain,Geschlecht,ill"
    records = [
        f"p{i},2020-01-01,{40 + i},{4 + i / 10},mild,{('w', 'M', 'Female')[i % 3]},yes"
        for i in range(20)
    ]
    path = clinics.folder(tmp_path, records, header=header)
    head = path.read_text().partition("[columns")[0].replace('"patient"', '"Patient"')
    path.write_text(head)
    study = written(tmp_path, clinics.study())
    where = ("--study", study, "--site", path)
    assert consilium("client", "data", "suggest", *where) == 0
    text = capsys.readouterr().out
    assert 'unit = "mmol/L"' in text
    assert 'levels = { "Female" = "female", "M" = "male", "w" = "female" }' in text
    path.write_text(head + text)
    table = integration.table(site.read(path), clinics.study())
    assert table.values[0].tolist() == pytest.approx([40, 4 * 38.67, 1, 0])


def test_fhir_codes_are_found_and_what_is_not_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = sources.fhir(tmp_path, sources.people(5))
    path.write_text(path.read_text().partition("[index]")[0])
    study = written(tmp_path, sources.study())
    where = ("--study", study, "--site", path, "--json")
    assert consilium("client", "data", "suggest", *where) == 0
    found = said(capsys)
    assert '"2093-3"' in found["found"]["chol"]
    assert 'elapsed = "years"' in found["found"]["age"]
    assert found["lacking"] == ["tests", "ill"]
    assert 'pick = "any"' in found["found"]["diabetes"]


def test_an_export_without_a_header_is_not_repeated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    header = f"patient,visit,61,250,{CANARY},m,1950-04-01"
    path = clinics.folder(tmp_path, clinics.lines(3), header=header)
    path.write_text(path.read_text().partition("[columns")[0])
    where = ("--study", written(tmp_path, clinics.study()), "--site", path)
    assert consilium("client", "data", "suggest", *where) == 9
    told = capsys.readouterr()
    assert "seems to have no header" in told.err
    assert CANARY not in told.err + told.out
    assert "1950" not in told.err


def test_the_check_tells_counts_and_no_cell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = [*clinics.lines(40), f"{CANARY},2020-01-01,99,,severe,f,no"]
    path = clinics.folder(tmp_path / "north", records)
    study = written(tmp_path, clinics.study())
    page = tmp_path / "page.html"
    where = ("--study", study, "--site", path, "--page", page, "--json")
    assert consilium("client", "data", "check", *where) == 0
    told = capsys.readouterr()
    found = json.loads(told.out)
    assert found["sources"] == ["export.csv has the 7 mapped columns"]
    assert found["record"] == "one record for each row"
    gaps = {each["name"]: each["missing"] for each in found["variables"]}
    assert gaps["chol"] == pytest.approx(1 / 41)
    assert found["groups"]["by"] == ["age", "pain", "sex"]
    assert found["groups"]["smallest"] == 1
    html = page.read_text()
    assert "Small groups" in html
    assert page.stat().st_mode & 0o077 == 0
    for text in (told.out, told.err, html):
        assert CANARY not in text
    assert consilium("client", "data", "check", *where[:4]) == 0
    assert "Small groups, for your eyes only" in capsys.readouterr().out


def test_small_groups_are_counted_by_person(tmp_path: Path) -> None:
    records = [f"p{i},v,{40 + i % 5},250,mild,m,yes" for i in range(12)]
    records += [f"old,v{i},81,250,severe,f,no" for i in range(6)]
    path = clinics.folder(tmp_path, records)
    table = integration.table(site.read(path), clinics.study())
    found = anonymity.groups(clinics.study(), table)
    assert (found.groups, found.smallest, found.people_in_small) == (2, 1, 1)
    few = {(each.variable, each.level): each.people for each in found.levels}
    assert few == {("pain", "severe"): 1, ("sex", "female"): 1}


def test_a_person_of_two_small_groups_is_one_person(tmp_path: Path) -> None:
    records = [f"p{i},v,{40 + i % 5},250,mild,m,yes" for i in range(12)]
    records += ["old,v0,69,250,severe,f,no", "old,v1,71,250,severe,f,no"]
    path = clinics.folder(tmp_path, records)
    table = integration.table(site.read(path), clinics.study())
    found = anonymity.groups(clinics.study(), table)
    assert (found.groups, found.smallest, found.people_in_small) == (3, 1, 1)


def test_who_withdraws_is_left_out_and_the_studies_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study, path = clinics.study(), hospital(tmp_path)
    decide(path, study)
    before = engine.run(study, [path]).states["logistic"].arrays
    other = clinics.study(study={**clinics.ABOUT, "name": "unused"})
    decide(path, other)
    assert consilium("client", "withdraw", "p3", "--site", path, "--json") == 0
    told = said(capsys)
    assert [each["study"] for each in told["studies"]] == ["small"]
    assert told["studies"][0]["refit"] is True
    assert told["known"] is True
    assert entries(path)[-1].kind == "withdrawn"
    assert "p3" not in json.dumps(entries(path)[-1].facts)
    state = path.parent / "state"
    for file in (withdrawals.file(state), home.log(state)):
        assert b"p3" not in file.read_bytes()
    table = integration.table(site.read(path), study)
    assert ("withdrawn", 1) in [(each.step, each.count) for each in table.report]
    decide(path, study)
    after = engine.run(study, [path]).states["logistic"].arrays
    records = [each for each in clinics.lines(60) if not each.startswith("p3,")]
    without = hospital(tmp_path / "without", records)
    decide(without, study)
    exact = engine.run(study, [without]).states["logistic"].arrays
    assert all((after[name] == exact[name]).all() for name in after)
    assert any((after[name] != before[name]).any() for name in after)
    assert consilium("client", "withdraw", "p3", "--site", path) == 0
    again = capsys.readouterr().out
    assert "withdrawn already" in again
    assert "small (" in again


def test_who_withdraws_is_gone_though_the_records_cannot_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study, path = clinics.study(), hospital(tmp_path)
    decide(path, study)
    engine.run(study, [path])
    export = path.parent / "export.csv"
    whole = export.read_bytes()
    export.write_bytes(whole.replace(b"age", b"years", 1))
    asked = ("client", "withdraw", "p3", "--site", path)
    assert consilium(*asked) == DataError.exit_code
    told = capsys.readouterr().err
    assert told.startswith("error: withdrawn, but which studies held the person cannot")
    assert "consilium client withdraw --site" in told
    assert len(withdrawals.read(path.parent / "state")) == 1
    assert entries(path)[-1].kind == "withdrawn"
    export.write_bytes(whole)
    assert consilium(*asked) == 0
    again = capsys.readouterr().out
    assert "withdrawn already" in again
    assert "small (" in again
    assert [each.kind for each in entries(path)].count("withdrawn") == 1


def test_a_number_that_nobody_has_is_told_and_counts_all_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = hospital(tmp_path)
    assert consilium("client", "withdraw", "p3x", "--site", path) == 0
    told = capsys.readouterr().out
    assert "no record here has this number" in told
    assert "p3x" not in told
    assert len(withdrawals.read(path.parent / "state")) == 1
    (path.parent / "export.csv").unlink()
    assert consilium("client", "withdraw", "p4", "--site", path) == 0
    assert len(withdrawals.read(path.parent / "state")) == 2


@pytest.mark.parametrize("kind", ["csv", "parquet", "omop", "fhir"])
def test_who_withdraws_is_found_in_every_kind_of_source(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    write = {"omop": sources.omop, "fhir": sources.fhir}
    everyone = sources.people(5)
    path = (
        write[kind](tmp_path, everyone)
        if kind in write
        else sources.tables(tmp_path, everyone, kind)
    )
    path.write_text('home = "state"\n' + path.read_text())
    for number, known in (("MRN0003", True), ("MRN0009", False)):
        done = ("client", "withdraw", number, "--site", path, "--json")
        assert consilium(*done) == 0
        assert said(capsys)["known"] is known


def test_a_study_that_is_open_is_read_again_without_the_person(
    tmp_path: Path,
) -> None:
    study, path = clinics.study(), hospital(tmp_path)
    decide(path, study)
    SHELF.hold(opened.open_study(site.read(path), study, clinics.TODAY))
    SHELF.find(str(path), study.digest())
    assert consilium("client", "withdraw", "p3", "--site", path, "-q") == 0
    with pytest.raises(Refusal, match="not open here"):
        SHELF.find(str(path), study.digest())


def test_nobody_comes_back_when_the_list_is_damaged(tmp_path: Path) -> None:
    study, path = clinics.study(), hospital(tmp_path)
    assert consilium("client", "withdraw", "p3", "--site", path, "-q") == 0
    file = withdrawals.file(path.parent / "state")
    file.write_text(file.read_text()[:-3])
    with pytest.raises(IntegrityError, match="the list of those who withdrew"):
        integration.table(site.read(path), study)
    ledger.verify(home.log(path.parent / "state"))
