"""What a steward who errs is told: the command that was typed, one fix, and once."""

from dataclasses import replace
from pathlib import Path

import pytest

from client.books.chain import Entry
from client.formats import filed
from client.formats.raw import Place
from client.office.logbook import _line
from client.office.review import Review
from client.table import Count
from client.tables import integration
from common.cli import build
from common.errors import StudyError
from common.study import Study
from common.terminal import run
from tests import clinics, places
from tests.tomls import toml

SIGNALS = {
    "kind": "signals",
    "file": "monitor.csv",
    "person": "who",
    "event_time": "from",
    "time": "at",
}


def study() -> Study:
    number = {"kind": "number", "unit": "/min", "range": [20, 300]}
    named = [{**number, "name": name} for name in ("rate", "pulse")]
    none = {"model": None, "evaluation": None}
    return clinics.study(variables=named[:1], outcome=named[1], **none)


@pytest.mark.parametrize(
    "column",
    [
        {"column": "HR"},
        {"column": "HR", "take": "mean", "hours": [3, 3]},
    ],
)
def test_a_window_that_is_none_is_a_slip_in_the_file_and_names_the_command(
    tmp_path: Path, column: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    other = {"column": "HR", "take": "max"}
    local = places.site(tmp_path, SIGNALS, {"rate": column, "pulse": other})
    (tmp_path / "monitor.csv").write_text("who,from,at,HR\n")
    asked = tmp_path / "study.toml"
    asked.write_text(toml(study()), encoding="utf-8")
    words = ["client", "data", "check", "--study", str(asked), "--site"]
    assert run(build(), [*words, str(local.path)]) == StudyError.exit_code
    told = capsys.readouterr().err
    assert f"consilium client data check --study {asked} --site {local.path}" in told


def test_files_that_are_called_otherwise_are_counted_and_told(tmp_path: Path) -> None:
    """A file without a time would be left out, and nobody would know."""
    files = {"kind": "text", "files": "notes/{person}_{time}.txt", "dates": "%Y%m%d"}
    local = places.site(tmp_path, files, {"note": {"column": "text"}})
    (tmp_path / "notes").mkdir()
    for name in ("a_20240101", "b_20240101", "c", "d-20240101"):
        (tmp_path / "notes" / f"{name}.txt").write_text("well\n")
    (tmp_path / "notes" / "readme.md").write_text("no note\n")
    assert filed.others(Place(local, "it"), files["files"]) == 2
    prose = {"kind": "text", "name": "note", "buckets": 8}
    ill = {"absent": True}
    local = places.site(tmp_path, files, {"note": {"column": "text"}, "ill": ill})
    asked = clinics.study(variables=[prose])
    told = [c for c in integration.gather(local, asked).report if c.fix]
    assert [(c.count, c.what) for c in told] == [
        (2, "files of it that are not called notes/{person}_{time}.txt: not read")
    ]
    assert told[0].fix == "rename them, or correct `files` of [sources.it]"


def test_a_separator_of_two_letters_has_a_fix(tmp_path: Path) -> None:
    with pytest.raises(StudyError) as told:
        places.site(tmp_path, {**SIGNALS, "separator": ";;"}, {})
    assert told.value.hints["fix"] == 'separator = ";"'


def test_a_doubt_about_several_variables_is_said_once(tmp_path: Path) -> None:
    what = ("join", "people of labs without a record", 7, "correct `person`")
    counts = [Count(what[0], name, *what[1:]) for name in ("chol", "glucose")]
    fine = Count("read", "", "records read", 9)
    table = replace(clinics.table(), report=(fine, *counts))
    local = places.site(tmp_path, SIGNALS, {})
    (doubt,) = Review(local, clinics.study(), table, approved=True).doubts
    assert doubt.variable == "chol, glucose"
    assert doubt.count == 7


def test_a_line_of_the_ledger_that_is_of_no_study_names_none() -> None:
    entry = Entry(1, "2026-01-01T00:00:00Z", "withdrawn", "", "", {"by": "me"}, *"abc")
    assert "?" not in _line(entry)
    assert "withdrawn" in _line(entry)
