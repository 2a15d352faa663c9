"""What an operator does with a study, and what is said of it, while nothing runs."""

from pathlib import Path

import pytest

from common.errors import MachineError, UsageError
from server.conduct import studies
from server.conduct.studies import Progress, Submitted
from server.members import addresses
from tests import clinics
from tests.enrolling import Desk, desk
from tests.tomls import toml

__all__ = ["desk"]

STUDY = clinics.study()


@pytest.fixture
def given(tmp_path: Path) -> Submitted:
    return studies.submit(tmp_path, STUDY)


def test_a_study_that_found_no_room_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = studies.private_files.write

    def full(path: Path, content: bytes) -> None:
        if path.name == "study.json":
            raise MachineError(f"{path} cannot be written: no space left on device")
        write(path, content)

    monkeypatch.setattr(studies.private_files, "write", full)
    with pytest.raises(MachineError, match="no space left"):
        studies.submit(tmp_path, STUDY)
    assert list((tmp_path / "studies").iterdir()) == []


def test_submitting_twice_changes_nothing(given: Submitted, tmp_path: Path) -> None:
    studies.note(given, Progress("running", "round 3 of logistic", (), "then"))
    assert studies.submit(tmp_path, STUDY) == given
    assert studies.progress(given).doing == "round 3 of logistic"
    assert studies.unfinished(tmp_path) == (given.folder.name,)


@pytest.mark.parametrize("phase", ["failed", "stopped"])
def test_a_study_that_ended_early_is_taken_up_again(
    given: Submitted, tmp_path: Path, phase: studies.Phase
) -> None:
    studies.mark(given, "stop")
    studies.note(given, Progress(phase, since="then"))
    assert studies.unfinished(tmp_path) == ()
    with pytest.raises(UsageError, match="nothing to stop"):
        studies.mark(given, "stop")
    studies.submit(tmp_path, STUDY)
    assert studies.progress(given).phase == "submitted"
    assert not studies.marked(given, "stop")


def test_a_result_is_never_replaced(given: Submitted, tmp_path: Path) -> None:
    studies.note(given, Progress("finished", since="then"))
    with pytest.raises(UsageError, match="has finished already") as told:
        studies.submit(tmp_path, STUDY)
    assert told.value.hints["then"] == given.command("report")


def test_a_site_is_waited_for_since_it_was_first_missing(
    given: Submitted, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(["1", "2", "3", "4", "5"])
    monkeypatch.setattr(studies, "now", lambda: next(clock))
    tell, since = studies.tells(given), []
    for waiting in (("north", "south"), ("south",), ("south",), ("north", "south")):
        tell("opening the study", waiting, {"south": "refused, id 1a2b3c4d"})
        since.append((studies.progress(given).waiting, studies.progress(given).since))
    assert since == [
        (("north", "south"), "1"),
        (("south",), "1"),
        (("south",), "1"),
        (("north", "south"), "4"),
    ]


@pytest.mark.parametrize("word", ["small", STUDY.digest()[:6], STUDY.digest()])
def test_a_study_is_found_by_name_and_digest(
    given: Submitted, tmp_path: Path, word: str
) -> None:
    assert studies.find(tmp_path, word) == given


def test_two_versions_need_a_digest(given: Submitted, tmp_path: Path) -> None:
    other = studies.submit(tmp_path, clinics.study(model=None, evaluation=None))
    with pytest.raises(UsageError, match="2 submitted studies are called small"):
        studies.find(tmp_path, "small")
    assert studies.find(tmp_path, other.study.digest()[:12]) == other
    assert studies.listed(tmp_path) != (given,)


def test_the_commands_of_an_aggregator_that_does_not_run(desk: Desk) -> None:
    desk.admit("north")
    Path("study.toml").write_text(toml(STUDY))
    code, _, err = desk.operator("submit", "study.toml")
    assert code == 3
    assert "south is no site of this consortium" in err
    desk.admit("south")
    submitted = desk.facts("server", "submit", "study.toml", "--dir", "agg")
    assert submitted["digest"] == STUDY.digest()
    assert submitted["running"] is False
    assert Path("agg/studies").stat().st_mode & 0o777 == 0o700
    code, out, _ = desk.operator("status")
    assert code == 0
    assert "heart-net: not running" in out
    assert out.count("not known while the aggregator does not run") == 2
    assert f"small ({STUDY.digest()[:12]}) submitted since " in out
    code, _, err = desk.operator("report", "small")
    assert code == 2
    assert "small has not finished: it is submitted" in err
    code, out, _ = desk.operator("stop", "small")
    assert "told to stop, as soon as the aggregator runs" in out
    assert desk.facts("server", "status", "--dir", "agg")["studies"][0]["told"] == [
        "stop"
    ]
    code, _, err = desk.operator("begin", "smal")
    assert code == 2
    assert "submitted are: small-" in err
    code, out, _ = desk.operator("revoke", "north")
    assert code == 0
    retry = f"consilium server retry {STUDY.digest()[:12]} --dir "
    assert "small is not over, and invites north\n" in out
    assert retry in out
    assert "--without north" in out
    code, _, err = desk.operator("submit", "small")
    assert code == 3
    assert "north was revoked and is no site of this consortium any more" in err
    assert "spells" not in err
    facts = desk.facts("server", "status", "--dir", "agg")
    assert (facts["certificate_until"][:2], facts["warning"]) == ("20", None)
    assert [each["certificate_until"][:2] for each in facts["sites"]] == ["20", "20"]


@pytest.mark.parametrize(
    ("url", "listens"),
    [
        ("https://aggregator.example.org:9443", "0.0.0.0:9443"),
        ("https://192.0.2.7:8443", "0.0.0.0:8443"),  # it may be that of a router
        ("https://127.0.0.1:9443", "127.0.0.1:9443"),
        ("https://localhost:9443", "127.0.0.1:9443"),
        ("https://[::1]:9443", "[::1]:9443"),
    ],
)
def test_an_aggregator_of_one_machine_listens_on_loopback(
    url: str, listens: str
) -> None:
    assert addresses.listening(url) == listens
