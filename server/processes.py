"""Starts programs, starts again what dies, and leaves nothing running.

with Crew([Program("gateway", command, environment, log, ready)]) as crew:
crew.await_ready()
while serving:
crew.tend()
"""

import logging
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from common.errors import MachineError

LOG = logging.getLogger("consilium.processes")
READY_SECONDS = 60.0
STOP_SECONDS = 8.0
PAUSE_FIRST, PAUSE_LAST = 0.2, 10.0
STEADY_SECONDS = 30.0
"""A program that lived so long did not die of its start."""


@dataclass(frozen=True, slots=True)
class Program:
    """What to run, the settings it sees, and how to know that it is up."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    log: Path
    ready: Callable[[], bool]


@dataclass(slots=True)
class Life:
    """One run of a program."""

    process: subprocess.Popen[bytes]
    begun: float
    pause: float = PAUSE_FIRST
    next: float = 0.0


class Crew:
    """Programs that run together; those started last are stopped first."""

    def __init__(self, programs: Iterable[Program]) -> None:
        """Know the programs; none runs before the crew is entered."""
        self._programs = {each.name: each for each in programs}
        self._lives: dict[str, Life] = {}

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
        for name in reversed(self._programs):
            self.stop(name)

    def start(self, name: str) -> None:
        """Start one program."""
        program = self._programs[name]
        with program.log.open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - the command is this package's
                program.command,
                env=dict(program.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._lives[name] = Life(process, time.monotonic())
        LOG.info("started %s, process %d", name, process.pid)

    def stop(self, name: str) -> None:
        """Stop one program: ask first, then insist."""
        process = self._lives[name].process
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            LOG.warning("%s did not stop by itself", name)
            self.kill(name)

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

    def tend(self) -> None:
        """Start again what died; wait longer each time, unless it had run for long."""
        now = time.monotonic()
        for name, life in list(self._lives.items()):
            if life.process.poll() is None:
                continue
            if not life.next:
                steady = now - life.begun > STEADY_SECONDS
                life.pause = PAUSE_FIRST if steady else life.pause
                life.next = now + life.pause
                LOG.error("%s died (%d)", name, life.process.returncode)
            elif now >= life.next:
                self.start(name)
                self._lives[name].pause = min(2 * life.pause, PAUSE_LAST)
