"""What ``client status`` says of a site, whether or not anything runs."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from client import site
from client.books import home
from client.line import presence
from client.line.presence import Board, Last
from common import terminal
from common.cli import build
from common.errors import NetworkError
from common.study import Study
from tests import clinics, residents

STUDY = clinics.study()
AGGREGATOR = "https://aggregator.example"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return residents.found(tmp_path, STUDY)


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def told(path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Return what shows the status: its text, and its facts."""

    def show() -> tuple[str, dict[str, Any]]:
        command = ["client", "status", "--site", str(path)]
        assert terminal.run(build(), command) == 0
        text = capsys.readouterr().out
        assert terminal.run(build(), [*command, "--json"]) == 0
        return text, json.loads(capsys.readouterr().out)

    return show


def note(path: Path, kind: str, study: Study = STUDY, **facts: str | int) -> None:
    at = site.read(path).home
    home.note(at, home.about(kind, study, **facts), now)


def test_it_works_when_nothing_runs(told: Any, path: Path) -> None:
    text, facts = told()
    assert text.startswith("north: not running\n")
    assert f"consilium client start --site {path}" in text
    assert "roster  version 2: north" in text
    assert "left    0 sums, for 0 studies; 0 rows" in text
    assert (facts["running"], facts["admitted"]) == (False, True)
    assert facts["sites"] == ["north"]


def test_before_its_admission_the_next_step_is_no_start(told: Any, path: Path) -> None:
    for each in (path.parent / "state").glob("*"):
        each.unlink()
    text, facts = told()
    assert "client start" not in text
    assert f"consilium client join INVITE --home {path.parent / 'state'}" in text
    assert facts["admitted"] is False


def test_after_a_kill_the_old_page_is_not_believed(told: Any, path: Path) -> None:
    board = Board(path.parent / "state", AGGREGATOR, now)
    board.put(state="connected", studies=(STUDY.digest(),))
    text, facts = told()
    assert "not running; last seen 20" in text
    assert facts["running"] is False


def test_it_says_that_it_was_stopped(told: Any, path: Path) -> None:
    Board(path.parent / "state", AGGREGATOR, now).put(state="stopped")
    assert "north: not running; stopped 20" in told()[0]


def test_it_says_for_whom_it_waits_and_why(told: Any, path: Path) -> None:
    place = path.parent / "state"
    with presence.alone(place):
        board = Board(place, AGGREGATOR, now)
        board.put(why=NetworkError("the other side cannot be reached").what)
        text, facts = told()
    assert f"north: waiting for {AGGREGATOR} since 20" in text
    assert "because the other side cannot be reached" in text
    assert f"consilium client doctor --site {path}" in text
    assert facts["now"]["state"] == "waiting"


def test_it_says_what_was_asked_last_and_that_it_is_silent_since(
    told: Any, path: Path
) -> None:
    place = path.parent / "state"
    with presence.alone(place):
        board = Board(place, AGGREGATOR, now)
        last = Last(
            time=now(),
            kind="round",
            answer="answered",
            digest=STUDY.digest(),
            task="logistic\x1b[2J",
            round=7,
        )
        early = datetime(2026, 1, 1, tzinfo=UTC)
        board.put(state="connected", heard=early, last=last)
        text, facts = told()
    assert ", silent since " in text
    assert f"logistic?[2J round 7 of {STUDY.digest()[:12]}, answered" in text
    assert facts["now"]["last"]["round"] == 7


def test_studies_are_told_with_the_next_command(told: Any, path: Path) -> None:
    other = clinics.study(study={**clinics.ABOUT, "name": "other"})
    third = clinics.study(study={**clinics.ABOUT, "name": "third"})
    by = {"by": "ada", "until": "2090-01-01"}
    note(path, "requested", other)
    note(path, "approved", third, **by)
    note(path, "paused", third, by="ada")
    note(path, "requested", STUDY)
    note(path, "released", STUDY, task="logistic", round=4, numbers=9, people=40)
    place = path.parent / "state"
    with presence.alone(place):
        Board(place, AGGREGATOR, now).put(studies=(STUDY.digest(),))
        text, facts = told()
    states = {each["study"]: each["state"] for each in facts["studies"]}
    assert states == {"other": "waiting", "third": "paused", "small": "running"}
    review = f"consilium client review {other.digest()[:12]} --site {path}"
    assert f"waiting for the steward\n  next    {review}" in text
    assert f"consilium client resume {third.digest()[:12]} --site {path}" in text
    assert "running, approved in site.toml; last answer logistic round 4" in text
    assert "left    1 sums, for 1 study" in text
    assert facts["releases"] == {STUDY.digest(): 1}
    assert "running" not in told()[0].replace("not running", "")


def test_studies_that_were_denied_are_counted(told: Any, path: Path) -> None:
    other = clinics.study(study={**clinics.ABOUT, "name": "other"})
    note(path, "requested", other)
    note(path, "denied", other, by="ada", reason="no")
    text, facts = told()
    assert f"  over    1 denied:   consilium client inbox --site {path}" in text
    assert "  study   other" not in text
    assert [each["state"] for each in facts["studies"]] == ["denied"]


def test_a_site_that_is_not_admitted_is_told_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = clinics.folder(tmp_path / "alone", clinics.lines(20))
    path.write_text('home = "state"\n' + path.read_text())
    assert terminal.run(build(), ["client", "status", "--site", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "there is no identity" in shown
    assert "consilium client join INVITE" in shown
