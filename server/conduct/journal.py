"""The journal of one run: what the aggregator must not forget, durable round by round.

A round counts from the moment its record is on the disk. Whatever was asked and not
recorded is asked again, and the sites give the same answer to the same question.

A network's state may be hundreds of MB. A run goes on from its last round, so of large
states only those are kept that it may go on from, and of all others the hashes.

    with journal.held(Path("run-1"), study.digest(), wire.PROTOCOL) as book:
        outcome = rounds.run(study, grid, book)     # after a crash: the same line again
"""

import fcntl
import logging
import os
import secrets
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from common.errors import IntegrityError, MachineError, UsageError
from common.release import Array
from common.task import State
from common.trust import private_files
from common.trust.private_files import Step
from server.conduct import sealed
from server.conduct.sealed import Record

LOG = logging.getLogger("consilium.server")
OPENED, ROUND, CLOSED = "opened", "round", "closed"


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes of content sent to and received from each site, so far."""

    sent: Mapping[str, int] = field(default_factory=dict)
    received: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """One finished round: the state it led to, and the hash of each site's answer."""

    task: str
    round: int
    state: State
    answers: Mapping[str, str]


@dataclass(slots=True)
class Journal:
    """What is known of a run; with a folder, on the disk before anything follows it.

    ``held`` is the number of the last record of each task.
    """

    digest: str
    protocol: int = 0
    folder: Path | None = None
    step: Step = field(default=lambda _: None)
    run: str = field(default_factory=lambda: secrets.token_hex(16))
    roster: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()
    traffic: Traffic = field(default_factory=Traffic)
    last: dict[str, Entry] = field(default_factory=dict)
    held: dict[str, int] = field(default_factory=dict)
    closed: bool = False
    count: int = 0
    seal: str = ""

    def finished(self, task: str) -> bool:
        """Say whether *task* has come to its end."""
        return task in self.last and self.last[task].state.done

    def opened(self, roster: tuple[str, ...], refusals: tuple[str, ...]) -> None:
        """Fix the roster, for good."""
        self.roster, self.refusals = roster, refusals
        about = {"digest": self.digest, "protocol": self.protocol, "run": self.run}
        self._add(OPENED, {**about, "roster": roster, "refusals": refusals}, {})

    def add(self, entry: Entry, traffic: Traffic) -> None:
        """Record a round; when this returns, it is on the disk."""
        self.last[entry.task], self.traffic = entry, traffic
        facts = {
            "task": entry.task,
            "round": entry.round,
            "done": entry.state.done,
            "answers": dict(entry.answers),
        }
        self._add(ROUND, facts, _packed(entry.state))

    def close(self, traffic: Traffic) -> None:
        """Record that the sites were told that the study is over."""
        self.closed, self.traffic = True, traffic
        self._add(CLOSED, {}, {})

    def words(self) -> str:
        """Return in a few words how far the run has come."""
        if not self.last:
            return f"run {self.run[:8]} has opened the study"
        entry = list(self.last.values())[-1]
        return f"run {self.run[:8]} has finished round {entry.round} of {entry.task}"

    def _add(
        self, kind: str, facts: Mapping[str, object], arrays: Mapping[str, Array]
    ) -> None:
        if self.folder is None:
            return
        record = Record({"kind": kind, **facts, **asdict(self.traffic)}, arrays)
        # Before it is written, not after: what it follows is there if it tears.
        sealed.drop(self.folder, self.held.values(), self.step)
        self.seal = sealed.add(self.folder, self.count, record, self.seal, self.step)
        if kind == ROUND:
            self.held[str(facts["task"])] = self.count
        self.count += 1


@contextmanager
def held(
    folder: Path, digest: str, protocol: int, step: Step = lambda _: None
) -> Generator[Journal]:
    """Hold the journal in *folder*, read and checked; nobody else can meanwhile.

    Raises IntegrityError for a broken journal or one of another study or protocol,
    UsageError when another process holds it.
    """
    with _locked(folder, _make(folder)):
        yield _read(folder, digest, protocol, step)


def _read(folder: Path, digest: str, protocol: int, step: Step) -> Journal:
    book, lost = Journal(digest, protocol, folder, step), set()
    for number, (record, seal) in enumerate(sealed.read(folder)):
        if number == 0:
            _same(folder, record.facts, {"digest": digest, "protocol": protocol})
        _replay(book, record)
        if record.arrays is None:
            lost.add(number)
        book.count, book.seal = number + 1, seal
    for number in lost.intersection(book.held.values()):
        raise sealed.lost(folder, number)
    if book.roster and not book.closed:
        LOG.info("journal: %s; going on from there", book.words())
    return book


def _replay(book: Journal, record: Record) -> None:
    """Take what *record* says into *book*."""
    facts = record.facts
    if facts["kind"] == OPENED:
        book.run = facts["run"]
        book.roster, book.refusals = tuple(facts["roster"]), tuple(facts["refusals"])
    elif facts["kind"] == ROUND:
        state = _state(record.arrays or {}, done=facts["done"])
        entry = Entry(facts["task"], facts["round"], state, facts["answers"])
        book.last[entry.task], book.held[entry.task] = entry, book.count
    else:
        book.closed = True
    book.traffic = Traffic(facts["sent"], facts["received"])


def _same(folder: Path, facts: Mapping[str, Any], wanted: Mapping[str, object]) -> None:
    for name, value in wanted.items():
        if facts.get(name) != value:
            what = "study" if name == "digest" else "protocol version"
            raise IntegrityError(
                f"the journal is of another {what}",
                where=str(folder),
                likely="the study or Consilium was changed since the run began",
                fix="give this study a folder of its own:   --journal ANOTHER-FOLDER",
            )


def _packed(state: State) -> dict[str, Array]:
    parts = {"arrays": state.arrays, "kept": state.kept}
    return {f"{p}/{n}": array for p, part in parts.items() for n, array in part.items()}


def _state(packed: Mapping[str, Array], *, done: bool) -> State:
    parts: dict[str, dict[str, Array]] = {"arrays": {}, "kept": {}}
    for name, array in packed.items():
        part, _, rest = name.partition("/")
        parts[part][rest] = array
    return State(parts["arrays"], parts["kept"], done)


def _make(folder: Path) -> int:
    """Make *folder* when it is not there; return the open file that locks it."""
    try:
        if not folder.is_dir():
            folder.mkdir(mode=0o700, parents=True)
            private_files.sync_folder(folder.parent)
        return os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as reason:
        raise MachineError(
            f"there can be no journal: {reason.strerror}",
            where=str(folder),
            fix="name a folder that you may write to:   --journal ANOTHER-FOLDER",
        ) from None


@contextmanager
def _locked(folder: Path, number: int) -> Generator[None]:
    """Keep everybody else out; the lock goes with the process, however it ends."""
    try:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                "another process is running a study from this journal",
                where=str(folder),
                fix="wait for it to end, or stop it",
            ) from None
        yield
    finally:
        os.close(number)
