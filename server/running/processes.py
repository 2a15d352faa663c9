"""Starts programs, starts again what dies, and leaves nothing running.

    with Crew([Program("gateway", command, environment, log, ready)]) as crew:
        crew.await_ready()
        while serving:
            crew.tend()

A crew that is killed leaves its programs behind. Each holds a lock on a file that says
which process it is, so that whoever comes next can end them before it begins.
"""

import fcntl
import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from common import talk
from common.errors import MachineError

LOG = logging.getLogger("consilium.processes")
READY_SECONDS = 60.0
STOP_SECONDS = 8.0
PAUSE_FIRST, PAUSE_LAST = 0.2, 10.0
STEADY_SECONDS = 30.0
"""A program that lived so long did not die of its start."""


@dataclass(frozen=True, slots=True)
class Program:
    """What to run, the settings it sees, and how to know that it is up.

    One that ``ends`` may do so by itself, and is not started again when it did well.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    log: Path
    ready: Callable[[], bool] = lambda: True
    ends: bool = False


@dataclass(slots=True)
class Life:
    """One run of a program."""

    process: subprocess.Popen[bytes]
    begun: float
    pause: float = PAUSE_FIRST
    next: float = 0.0


class Crew:
    """Programs that run together; those started last are stopped first."""

    def __init__(self, programs: Iterable[Program], locks: Path | None = None) -> None:
        """Know the programs; none runs before the crew is entered.

        With a folder of *locks*, a later crew can find what this one leaves behind.
        """
        self._programs = {each.name: each for each in programs}
        self._lives: dict[str, Life] = {}
        self._locks = locks

    def __enter__(self) -> Self:
        """Start every program, one after the other."""
        for name in self._programs:
            self.start(name)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        reason: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop every program: ask first, then insist."""
        for name in reversed(list(self._lives)):
            self.stop(name)

    def add(self, program: Program) -> None:
        """Take in one more program, and start it."""
        self._programs[program.name] = program
        self.start(program.name)

    def names(self) -> frozenset[str]:
        """Return who is in the crew: running, or to be started again."""
        return frozenset(self._lives)

    def start(self, name: str) -> None:
        """Start one program."""
        program = self._programs[name]
        lock = _seized(self._locks / name) if self._locks else None
        program.log.touch(mode=0o600)
        with program.log.open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - the command is this package's
                program.command,
                env=dict(program.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=() if lock is None else (lock,),
            )
        if lock is not None:
            os.pwrite(lock, f"{process.pid}\n".encode(), 0)
            os.close(lock)  # the program holds it now, and no one else
        self._lives[name] = Life(process, time.monotonic())
        text = f"started {name}, process {process.pid}"
        talk.event(
            LOG, logging.INFO, text, event="started", program=name, pid=process.pid
        )

    def stop(self, name: str) -> None:
        """Stop one program for good: ask first, then insist."""
        process = self._lives[name].process
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            LOG.warning("%s did not stop by itself", name)
            self.kill(name)
        del self._lives[name]

    def kill(self, name: str) -> None:
        """End one program at once, as a power cut would."""
        self._lives[name].process.kill()
        self._lives[name].process.wait()

    def pid(self, name: str) -> int:
        """Return the number of one program's process."""
        return self._lives[name].process.pid

    def await_ready(self) -> None:
        """Wait until every program is up; raise MachineError when one is not."""
        until = time.monotonic() + READY_SECONDS
        for name, program in self._programs.items():
            while not program.ready():
                dead = self._lives[name].process.poll() is not None
                if dead or time.monotonic() > until:
                    raise MachineError(
                        f"{name} did not start",
                        where=str(program.log),
                        likely="its port is taken, or one of its files is wrong",
                        fix="read the end of that log",
                    )
                time.sleep(PAUSE_FIRST / 4)

    def tend(self) -> list[str]:
        """Start again what died; wait longer each time, unless it had run for long.

        Return the programs that ended by themselves, and are let go.
        """
        now, ended = time.monotonic(), []
        for name, life in list(self._lives.items()):
            code = life.process.poll()
            if code is None:
                continue
            if code == 0 and self._programs[name].ends:
                ended.append(name)
                del self._lives[name]
            elif not life.next:
                steady = now - life.begun > STEADY_SECONDS
                life.pause = PAUSE_FIRST if steady else life.pause
                life.next = now + life.pause
                text = f"{name} died ({code}); started again in {life.pause:.1f} s"
                facts = {"program": name, "code": code}
                talk.event(LOG, logging.ERROR, text, event="died", **facts)
            elif now >= life.next:
                self.start(name)
                self._lives[name].pause = min(2 * life.pause, PAUSE_LAST)
        return ended


def end_orphans(locks: Path) -> None:
    """End every program that outlived the crew which started it.

    What a library left there, which takes it for a place of large files, is no lock.
    """
    for path in sorted(each for each in locks.iterdir() if each.is_file()):
        os.close(_seized(path))


def _seized(path: Path) -> int:
    """Return *path* open, empty and locked; end first whoever holds it.

    That is a program whose crew was killed, or what a program left behind that died.
    """
    number = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    until = time.monotonic() + STOP_SECONDS
    while not _free(number):
        for pid in _holders(path):
            _end(path.name, pid)
        if time.monotonic() > until:
            os.close(number)
            raise MachineError(
                f"{path.name} still runs, and cannot be ended",
                where=str(path),
                fix=f"fuser -k {path}",
            )
        time.sleep(PAUSE_FIRST / 4)
    os.ftruncate(number, 0)
    return number


def _end(name: str, pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
        text = f"ended {name}, which an earlier run left behind"
        facts = {"program": name, "pid": pid}
        talk.event(LOG, logging.WARNING, text, event="orphan", **facts)


def _holders(path: Path) -> set[int]:
    """Return who else holds the lock on *path*: not who only has it open.

    The number in it may be of another process by now.
    """
    found: set[int] = set()
    for each in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):  # not ours to look into, or gone meanwhile
            facts = each.parents[1] / "fdinfo" / each.name
            if each.samefile(path) and "FLOCK" in facts.read_text(encoding="utf-8"):
                found.add(int(each.parts[2]))
    return found - {os.getpid()}


def _free(number: int) -> bool:
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
