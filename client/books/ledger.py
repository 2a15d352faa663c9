"""The site's ledger: a file that only grows, and holds on the disk what it returned.

    with ledger.writing(path) as log:       # nobody else writes meanwhile
        decide(log.entries)
        log.append(Note("released", digest, "heart", {"round": 1}), clock)

The file is this user's alone (0600 in a folder of 0700). What a crash in the middle of
a write left is mended when the ledger is next opened for writing; nothing else is ever
changed in it.
"""

import fcntl
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from client.books import chain
from client.books.chain import NOTHING, THEN, Entry, Head, Note, Parsed
from common.errors import IntegrityError, MachineError
from common.trust import private_files

OTHERS = 0o077
"""The permission bits that let another user of the machine in."""

Clock = Callable[[], datetime]
PIECE = 2**26
"""Bytes that are read of a ledger at a time."""
KNOWN: dict[Path, tuple[bytes, Parsed]] = {}
"""What this process read last of each ledger: a round does not parse the past again."""


class Log:
    """A ledger that is open for writing, and locked."""

    def __init__(self, path: Path, file: int) -> None:
        """Read and check *file*; mend what a crash in the middle of a write left."""
        data = _content(file)
        parsed = parse(path, data)
        self._path, self._file, self._size = path, file, parsed.size
        self.entries = parsed.entries
        if len(data) > parsed.size:
            os.ftruncate(file, parsed.size)
        elif not data.endswith(b"\n") and data:
            self._write(b"\n")

    def append(self, note: Note, clock: Clock) -> Entry:
        """Return *note* as an entry once it is on the disk.

        Raises MachineError when it cannot be written; the ledger is then as before.
        """
        entry = chain.seal(note, chain.head(self.entries), clock())
        self._write(entry.line())
        self.entries = (*self.entries, entry)
        return entry

    def _write(self, data: bytes) -> None:
        try:
            write_all(self._file, data)
            os.fsync(self._file)
            if self._size == 0:
                sync_folder(self._path.parent)
        except OSError as fault:
            with suppress(OSError):
                os.ftruncate(self._file, self._size)
            raise unusable(self._path, fault) from None
        self._size += len(data)


@contextmanager
def writing(path: Path) -> Generator[Log]:
    """Open the ledger at *path* for writing, made if need be; wait for other writers.

    Raises IntegrityError when it is broken, and MachineError when it cannot be used or
    others may read it.
    """
    private_folder(path.parent)
    file = _open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        _private(path, os.fstat(file).st_mode, "600")
        if not path.exists() or not os.path.samestat(os.fstat(file), path.stat()):
            raise IntegrityError(f"{path} was replaced while it was in use", then=THEN)
        yield Log(path, file)
    finally:
        os.close(file)


def append(path: Path, note: Note, clock: Clock) -> Entry:
    """Write one *note* to the ledger at *path*; see :meth:`Log.append`."""
    with writing(path) as log:
        return log.append(note, clock)


def read(path: Path) -> tuple[Entry, ...]:
    """Return every entry, checked; a ledger that is not there is empty.

    Raises IntegrityError with the line that does not fit.
    """
    if not path.exists():
        return ()
    file = _open(path, os.O_RDONLY)
    try:
        fcntl.flock(file, fcntl.LOCK_SH)
        return parse(path, _content(file)).entries
    finally:
        os.close(file)


def parse(path: Path, data: bytes) -> Parsed:
    """Return the entries in *data*; only what was added to the ledger is checked anew.

    What was there before is compared with what was read then, byte by byte.
    """
    before, known = KNOWN.get(path, (b"", NOTHING))
    if not data.startswith(before):
        known = NOTHING
    parsed = chain.parse(path, data, known)
    whole = data[: parsed.size]
    if whole.endswith(b"\n"):
        KNOWN[path] = whole, parsed
    return parsed


def verify(path: Path, expected: Head | None = None) -> Head:
    """Check the whole ledger and return its head.

    With a witnessed head *expected*, also raise IntegrityError when the ledger does not
    contain it: its end was cut off, or it is an older copy, or another ledger.
    """
    entries = read(path)
    if expected is not None and not chain.holds(entries, expected):
        raise IntegrityError(
            f"the ledger does not hold entry {expected.number} as it was witnessed",
            where=f"{path} line {min(expected.number, len(entries))}",
            likely="it was cut short, restored from an older copy, or written anew",
            fix="put back the ledger that holds it; nothing leaves until then",
            then=THEN,
        )
    return chain.head(entries)


def private_folder(folder: Path) -> None:
    """Make *folder* for this user only; raise MachineError when others may enter it."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = folder.stat().st_mode
    except OSError as fault:
        raise unusable(folder, fault) from None
    _private(folder, mode, "700")


def sync_folder(folder: Path) -> None:
    """Make the names in *folder*, and its own name, outlast a power cut."""
    private_files.sync_folder(folder)
    private_files.sync_folder(folder.parent)


def write_all(file: int, data: bytes) -> None:
    """Write *data*, however many calls it takes."""
    while data:
        data = data[os.write(file, data) :]


def unusable(path: Path, fault: OSError) -> MachineError:
    """Return what the machine said about *path* as an error that helps."""
    return MachineError(
        f"{path} cannot be used: {(fault.strerror or 'unknown fault').lower()}",
        likely="the disk is full, or another user owns it",
        fix="free some space, or run as the user that owns the site's home",
    )


def _open(path: Path, flags: int) -> int:
    try:
        return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as fault:
        raise unusable(path, fault) from None


def _content(file: int) -> bytes:
    """Return all of *file*: one call of the machine gives less than 2 GiB of it."""
    pieces, at = list[bytes](), 0
    while piece := os.pread(file, PIECE, at):
        pieces.append(piece)
        at += len(piece)
    return b"".join(pieces)


def _private(path: Path, mode: int, wanted: str) -> None:
    if mode & OTHERS:
        raise MachineError(
            f"other users of this machine may read {path}",
            likely="it was copied or restored with other permissions",
            fix=f"chmod {wanted} {path}",
        )
