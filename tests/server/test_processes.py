"""A crew keeps its programs alive, and leaves none behind, however it ends."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from common.errors import MachineError
from server.running import processes
from server.running.processes import Crew, Program

FOREVER = "import time; time.sleep(600)"


def program(place: Path, code: str = FOREVER, *, ends: bool = False) -> Program:
    command = (sys.executable, "-c", code)
    return Program("one", command, dict(os.environ), place / "one.log", ends=ends)


def tended(crew: Crew, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        crew.tend()
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Say whether a process runs; one that is dead and not yet waited for does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def opened(pid: int) -> set[str]:
    """Return what a process has open; it may close a file while we look."""
    found = set()
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            found.add(str(each.readlink()))
    return found


def test_what_a_program_left_behind_is_ended_before_it_is_started_again(
    tmp_path: Path,
) -> None:
    """A child that was forked holds the lock of its parent, which died."""
    locks = tmp_path / "locks"
    locks.mkdir()
    code = f"import os, time; os.fork(); {FOREVER}"
    with Crew([program(tmp_path, code)], locks) as crew:
        first = crew.pid("one")
        until = time.monotonic() + 10
        while not (child := children(first)):
            assert time.monotonic() < until
            time.sleep(0.02)
        crew.kill("one")
        assert all(alive(each) for each in child)
        tended(crew, 1.0)
        assert alive(crew.pid("one"))
        assert crew.pid("one") != first
        assert not any(alive(each) for each in child)
        left = children(crew.pid("one"))
    for each in left:
        os.kill(each, signal.SIGKILL)


def children(pid: int) -> list[int]:
    """Return what a process has forked."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8")
    return [int(each) for each in text.split()]


def test_what_dies_is_started_again(tmp_path: Path) -> None:
    with Crew([program(tmp_path)]) as crew:
        first = crew.pid("one")
        crew.kill("one")
        tended(crew, 1.0)
        second = crew.pid("one")
        assert second != first
        assert alive(second)
    assert not alive(second)


def test_what_was_stopped_stays_so(tmp_path: Path) -> None:
    with Crew([program(tmp_path)]) as crew:
        crew.stop("one")
        tended(crew, 1.0)
        assert crew.names() == frozenset()


@pytest.mark.parametrize(
    ("code", "stays"), [("", False), ("raise SystemExit(3)", True)]
)
def test_what_may_end_is_started_again_only_if_it_failed(
    tmp_path: Path, code: str, *, stays: bool
) -> None:
    with Crew([program(tmp_path, code, ends=True)]) as crew:
        tended(crew, 1.0)
        assert ("one" in crew.names()) is stays


def test_what_does_not_come_up_is_named_with_its_log(tmp_path: Path) -> None:
    broken = Program("one", (sys.executable, "-c", ""), {}, tmp_path / "log", bool)
    with Crew([broken]) as crew, pytest.raises(MachineError) as told:
        crew.await_ready()
    assert told.value.what == "one did not start"
    assert told.value.hints["where"] == str(tmp_path / "log")


@pytest.mark.parametrize("written", ["", "its own", "another"])
def test_an_orphan_is_ended_and_nobody_else(tmp_path: Path, written: str) -> None:
    """The lock says who it is: the number beside it may be missing or be of another."""
    locks = tmp_path / "locks"
    locks.mkdir()
    command = (sys.executable, "-c", FOREVER)
    bystander = subprocess.Popen(command)  # noqa: S603 - our own
    crew = Crew([program(tmp_path)], locks)
    crew.start("one")
    orphan = crew.pid("one")
    if written != "its own":
        number = str(bystander.pid) if written else ""
        (locks / "one").write_text(number)
    reads = f"import time; kept = open({str(locks / 'one')!r}); time.sleep(600)"
    reader = subprocess.Popen((sys.executable, "-c", reads))  # noqa: S603 - our own
    until = time.monotonic() + 10
    while str(locks / "one") not in opened(reader.pid):
        assert time.monotonic() < until
        time.sleep(0.02)
    (locks / "left by a library").mkdir()
    processes.end_orphans(locks)
    assert not alive(orphan)
    assert alive(bystander.pid)
    assert alive(reader.pid)
    reader.kill()
    reader.wait()
    with Crew([program(tmp_path)], locks) as later:
        assert alive(later.pid("one"))
    bystander.kill()
    bystander.wait()
    crew.kill("one")
