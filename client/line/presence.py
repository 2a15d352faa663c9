"""What the resident process shows of itself: one page in its home, and one lock.

    with presence.alone(home):              # a second resident is refused, by name
        board = Board(home, url, clock)
        board.put(state="connected")

Others read the page (``consilium client status``), and the lock says whether somebody
still writes it. It tells of studies, rounds and times, never of a record.
"""

import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import AwareDatetime, ValidationError

from common.errors import ConsiliumError, MachineError
from common.schema import Document
from common.trust import private_files

LOG = logging.getLogger("consilium.client.presence")
HEX: Final = 12
"""Digits of a digest that people are shown."""
FRESH: Final = 10.0
"""Seconds after which the page is written again though nothing changed."""
PATIENCE: Final = 1.0
"""Seconds in which somebody who only looks lets go of the lock."""


class Last(Document):
    """The last question, and whether it was answered or refused."""

    time: AwareDatetime
    kind: str
    answer: Literal["answered", "refused"]
    digest: str = ""
    task: str = ""
    round: int = 0

    def words(self) -> str:
        """Return what was asked, for a person."""
        asked = f"{self.task} round {self.round}" if self.task else self.kind
        return f"{asked} of {self.digest[:HEX]}" if self.digest else asked


class Page(Document):
    """What the resident process is doing, for whom it waits, and since when."""

    pid: int
    state: Literal["waiting", "connected", "stopped"]
    whom: str
    since: AwareDatetime
    heard: AwareDatetime | None = None
    why: str = ""
    studies: tuple[str, ...] = ()
    last: Last | None = None


class Board:
    """The page of this process, written anew when something changes."""

    def __init__(self, home: Path, whom: str, clock: Callable[[], datetime]) -> None:
        """Begin a page in *home*: waiting for *whom*, from now."""
        self._home, self.clock, self._written = home, clock, 0.0
        self._page = Page(
            pid=os.getpid(), state="waiting", whom=whom, since=clock(), why="starting"
        )
        self._write()

    def put(self, **changes: Any) -> None:  # noqa: ANN401 - the fields of a Page
        """Change the page; when the state is another, from now on."""
        if changes.get("state", self._page.state) != self._page.state:
            changes["since"] = self.clock()
        self._page = self._page.model_copy(update=changes)
        self._write()

    def heard(self) -> None:
        """Note that the other side answered, now and then."""
        if time.monotonic() - self._written > FRESH:
            self.put(heard=self.clock())

    @property
    def since(self) -> datetime:
        """When the state on the page began."""
        return self._page.since

    def _write(self) -> None:
        """Write the page; the process goes on without one, and says so."""
        self._written = time.monotonic()
        try:
            text = self._page.model_dump_json(indent=1)
            private_files.write(page(self._home), text.encode())
        except ConsiliumError as fault:
            LOG.warning("others cannot see how this process is: %s", fault.what)


def page(home: Path) -> Path:
    """Return where the page of *home* is."""
    return home / "status.json"


def read(home: Path) -> Page | None:
    """Return the page in *home*, if there is one that can be read."""
    try:
        return Page.model_validate_json(page(home).read_bytes())
    except (OSError, ValidationError):
        return None


@contextmanager
def alone(home: Path) -> Iterator[None]:
    """Be the one resident process of *home*; raise MachineError beside another.

    The machine lets go of the lock when this process ends, however it ends.
    """
    path = home / "resident.lock"
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        _lock(path, file)
        os.ftruncate(file, 0)
        os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(file)


def running(home: Path) -> int:
    """Return the number of the resident process of *home*; 0 when none runs."""
    try:
        file = os.open(home / "resident.lock", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _number(file)
    else:
        return 0
    finally:
        os.close(file)


def require_stopped(home: Path) -> None:
    """Raise MachineError while the resident process of *home* runs."""
    if number := running(home):
        raise _runs(home / "resident.lock", number)


def _lock(path: Path, file: int) -> None:
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                break
        time.sleep(PATIENCE / 20)
    raise _runs(path, _number(file))


def _runs(path: Path, number: int) -> MachineError:
    return MachineError(
        f"the resident process of this home runs already: process {number}",
        where=str(path),
        likely="a service started it, or another terminal",
        fix=f"use that one, or end it first:   kill {number}",
        then="consilium client status --site SITE.toml",
    )


def _number(file: int) -> int:
    """Return who wrote its number into the lock; 1 when that is not to be read."""
    text = os.pread(file, 20, 0).strip()
    return int(text) if text.isdigit() else 1
