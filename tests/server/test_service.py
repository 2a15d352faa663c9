"""The service tells the SuperLink who may connect, and keeps its own house in order."""

import json
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from common.errors import MachineError, UsageError
from common.trust import enrolment, private_files
from server.conduct import studies
from server.conduct.studies import Phase, Progress
from server.gate import calls
from server.members import consortium
from server.running import ending, logs, room, service, superlink
from server.running.processes import Crew
from server.running.service import Members
from server.running.superlink import Link
from tests import clinics
from tests.enrolling import Desk, desk

__all__ = ["desk"]


def known(link: Link) -> list[str]:
    return sorted(each.site for each in superlink.registered(link).values())


def test_the_superlink_is_told_of_every_member_again(desk: Desk) -> None:
    """Of one that is admitted later; and of all, when its database is another."""
    desk.admit("north")
    opened = consortium.load(Path("agg"))
    link = superlink.prepare(desk.folder / "superlink", service.free_port())
    members = Members()
    with Crew([superlink.program(link)]) as crew:
        crew.await_ready()
        service._tell(opened, link, crew, members)
        assert known(link) == ["north"]
        assert not any(each.connected for each in superlink.registered(link).values())
        desk.admit("south")
        service._tell(opened, link, crew, members)
        assert known(link) == ["north", "south"]
        _admissions_come_late(desk, lambda: service._tell(opened, link, crew, members))
        assert known(link) == ["east", "north", "south"]
        crew.kill("superlink")
        superlink.forget(link)
        before = members.told
        crew.start("superlink")
        service._tell(opened, link, crew, members)  # it is not up yet
        assert members.told == before
        crew.await_ready()
        service._tell(opened, link, crew, members)
        assert known(link) == ["east", "north", "south"]


def _admissions_come_late(desk: Desk, tell: Callable[[], None]) -> None:
    """Look just after a roster was written, and before the admission that brings it."""
    desk.admit("east")
    kept = Path("agg/east.admitted").rename("kept")
    tell()
    kept.rename("agg/east.admitted")
    desk.facts("client", "renew", "--home", "east")
    before = Path("agg/east.admitted").read_bytes()
    words = enrolment.spoken(Path("east.request").read_bytes())
    assert desk.operator("admit", "east.request", "--words", words)[0] == 0
    after = Path("agg/east.admitted").read_bytes()
    private_files.write(Path("agg/east.admitted"), before)
    tell()
    private_files.write(Path("agg/east.admitted"), after)
    tell()


@pytest.mark.parametrize(
    "written", ["9443", "host:", ":9443", "h:port", "h:0", "h:70000"]
)
def test_what_is_no_address_is_said(written: str) -> None:
    with pytest.raises(UsageError, match="is no address"):
        service.address(written)


def test_a_port_that_is_taken_is_said_before_anything_starts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(MachineError, match="nobody can listen on"):
            service.require_free(where)
    service.require_free(where)


def test_one_service_at_a_time_and_the_other_is_named(tmp_path: Path) -> None:
    named = pytest.raises(MachineError, match=r"process \d+")
    with service._only(tmp_path), named as no, service._only(tmp_path):
        pass
    assert "server status" in no.value.hints["then"]
    with service._only(tmp_path):
        assert service.starting(tmp_path)  # it has not said where it listens
        (tmp_path / service.FACTS).touch()
        assert not service.starting(tmp_path)
        (tmp_path / service.FACTS).unlink()
    assert not service.starting(tmp_path)


def test_little_room_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    room.warn(tmp_path)
    assert (room.short(tmp_path), caplog.messages) == (None, [])
    monkeypatch.setattr(room, "LEAST", 2**80)
    room.warn(tmp_path)
    assert (
        f"MiB free in {tmp_path}; a full disk stops every study" in caplog.messages[0]
    )
    assert f"df -h {tmp_path}" in caplog.messages[0]


def test_a_study_that_failed_is_said_with_its_fix() -> None:
    error = MachineError("no room", fix="make some", then="submit again").facts()
    said = ending.words(Progress("failed", error=error))
    assert said == "has failed: no room\n  fix     make some\n  then    submit again"
    phases: list[Phase] = ["finished", "stopped", "submitted"]
    said = ", ".join(ending.words(Progress(each)) for each in phases)
    assert said == "has finished, was stopped, begins anew"


def test_a_study_whose_folder_is_gone_ends_without_a_fault(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "consilium.server")
    ending.say(tmp_path, "heart-0")
    assert caplog.messages == ["heart-0 was stopped"]


def test_what_cannot_be_written_down_leaves_no_trace_of_code(tmp_path: Path) -> None:
    """The study's process ends with the error alone, and is started again."""
    given = studies.submit(tmp_path, clinics.study())
    (given.folder / "progress.json").unlink()
    (given.folder / "progress.json").mkdir()  # as a full disk: no file takes its place
    command = (
        sys.executable,
        "-m",
        "server.running.runner",
        tmp_path,
        given.folder.name,
    )
    port = str(service.free_port())
    ended = subprocess.run(  # noqa: S603 - the command is ours
        (*command, port), capture_output=True, text=True, check=False
    )
    assert ended.returncode == MachineError.exit_code
    assert "Traceback" not in ended.stdout + ended.stderr
    said = json.loads(ended.stdout.splitlines()[-1])
    assert "progress.json cannot be written: is a directory" in said["what"]


def test_whose_calls_are_turned_away(tmp_path: Path) -> None:
    assert calls.turned_away(tmp_path) == {}
    log = tmp_path / "logs" / "gateway.log"
    log.parent.mkdir()
    line = '2026-11-30 00:21:33,460 INFO {{"site": "{}", "status": {}}}\n'
    answers = [("north", 200), ("south", 401), ("east", 401), ("north", 401)]
    written = "".join(line.format(*each) for each in [*answers, ("east", 200)])
    log.write_text(f"{'x' * calls.TAIL}\n2026-11-30 INFO started\n{written}")
    found = calls.turned_away(tmp_path)
    assert set(found) == {"north", "south"}
    assert "turned away, the last at 00:21:33" in found["south"]


def test_who_has_left_more_than_it_may_is_told(tmp_path: Path) -> None:
    assert calls.overfull(tmp_path) == {}
    log = tmp_path / "logs" / "gateway.log"
    log.parent.mkdir()
    line = '2026-11-30 00:21:33,460 INFO {{"site": "{}", "path": "{}", "status": {}}}\n'
    part, beat = "/v1/fleet/push-object", "/v1/fleet/send-node-heartbeat"
    told = [
        ("north", part, 507),
        ("south", part, 507),
        ("south", beat, 200),
        ("north", part, 200),
        ("east", beat, 507),
    ]
    log.write_text("".join(line.format(*each) for each in told))
    assert calls.overfull(tmp_path) == {
        "south": "; its answers are refused, the last at 00:21:33: it has left more "
        "here than it may: see logs/gateway.log"
    }


def test_a_log_that_has_grown_is_laid_aside_under_its_writer(tmp_path: Path) -> None:
    log = tmp_path / "gateway.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"first\n")
        logs.shorten(tmp_path, 6)
        assert log.read_bytes() == b"first\n"
        logs.shorten(tmp_path, 5)
        writer.write(b"second\n")
    assert (tmp_path / "gateway.log.1").read_bytes() == b"first\n"
    assert log.read_bytes() == b"second\n"
