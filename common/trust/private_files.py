"""Files that only their owner may read: keys, and what an enrolment remembers.

A key that others can read is not a key. So nothing is read from a file that is open to
group or others, nor from a folder that is: the program stops and says what to type.

One private folder is enough that nobody reads what lies below. But who may write to a
folder above it can move it away and put another in its place, of keys that are theirs:
so all of these are looked at, by the names that lead there and where these lead. Whose
they are is not asked: who lives in another's folder trusts that one.
"""

import os
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from common.errors import IdentityError, MachineError, UsageError

FILE, FOLDER = 0o600, 0o700
NEW = ".new"
"""How a file's name ends before it is whole; a dot begins it."""
Step = Callable[[str], None]
"""Told what is about to happen; a test dies there."""
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_KEY = "if others may have read a key, ask for a new invite instead"


def make_folder(path: Path) -> None:
    """Make the folder *path* for its owner only, unless it is there and is private."""
    try:
        path.mkdir(mode=FOLDER, parents=True, exist_ok=True)
    except OSError as broken:
        what = f"{path} cannot be made: {_why(broken)}"
        raise MachineError(what, fix="choose another folder") from None
    _require(path, FOLDER)
    _require_place(path)


def require_private(path: Path) -> None:
    """Raise IdentityError unless *path* is its owner's only, in a folder that is too.

    And nobody else may put another in that folder's place. What is not there is no
    leak: a missing file is said by whoever reads it.
    """
    _require(path.parent, FOLDER)
    _require(path, FILE)
    _require_place(path.parent)


def require_own(path: Path, then: str) -> None:
    """Raise IdentityError when others can read *path*, wherever it lies."""
    _require(path, FILE, then)


def read(path: Path, then: str = "") -> bytes:
    """Return the private file *path*."""
    require_private(path)
    return content(path, then)


def content(path: Path, then: str = "") -> bytes:
    """Return what is in *path*; raise UsageError when that cannot be read."""
    try:
        return path.read_bytes()
    except OSError as broken:
        what = f"{path} cannot be read: {_why(broken)}"
        if isinstance(broken, FileNotFoundError):
            what = f"there is no file {path}"
        raise UsageError(what, fix="check the path", then=then) from None


def write(path: Path, *parts: bytes | memoryview) -> None:
    """Write *parts* to *path* for its owner only: wholly and durably, or not at all."""
    write_parts(path, parts)


def write_parts(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    """Write *parts*, which may be made one by one, as :func:`write` does."""
    try:
        replace_parts(path, parts)
    except OSError as broken:
        raise MachineError(
            f"{path} cannot be written: {_why(broken)}",
            fix=f"see that {path.parent} is there, is yours, and has space",
        ) from None


def sync_folder(path: Path) -> None:
    """Make the names in the folder *path* outlast a power cut; raise OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace(path: Path, content: bytes, step: Step = lambda _: None) -> None:
    """Write *path* as :func:`write` does; raise OSError when it cannot be.

    It is written under a name that nobody reads, synced, and only then named: a name
    stands for the whole content.
    """
    replace_parts(path, [content], step)


def replace_parts(
    path: Path, parts: Iterable[bytes | memoryview], step: Step = lambda _: None
) -> None:
    """Write *parts* one after the other as :func:`replace` does."""
    new = path.with_name(f".{path.name}.{os.getpid()}{NEW}")
    step("write")
    new.unlink(missing_ok=True)
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE)
        with os.fdopen(descriptor, "wb") as stream:
            stream.writelines(parts)
            stream.flush()
            step("sync")
            os.fsync(stream.fileno())
        step("name")
        new.replace(path)
    except OSError:
        with suppress(OSError):  # the first fault is the one to tell
            new.unlink(missing_ok=True)
        raise
    step("sync the folder")
    sync_folder(path.parent)


def _why(broken: OSError) -> str:
    """Return what the machine says, without the name: it may be of a new file."""
    return (broken.strerror or type(broken).__name__).lower()


def _require(path: Path, mode: int, then: str = _KEY) -> None:
    if not path.exists():
        return
    found = stat.S_IMODE(path.stat().st_mode)
    if found & _OTHERS:
        raise IdentityError(
            f"{path} is open to other users of this machine (mode {found:04o})",
            likely="it was copied or unpacked without its permissions",
            fix=f"chmod {mode:04o} {path}",
            then=then,
        )


def _require_place(folder: Path) -> None:
    """Raise IdentityError when others may replace *folder* in one of those above it.

    A folder in which each may remove what is his alone (/tmp) is none of these; nor is
    one that a group may write to which is this user's own, as most systems make them.
    """
    for above in sorted({*folder.absolute().parents, *folder.resolve().parents}):
        found = above.stat() if above.exists() else None
        if found is None or found.st_mode & stat.S_ISVTX:
            continue
        group = found.st_mode & stat.S_IWGRP and found.st_gid != os.getegid()
        if group or found.st_mode & stat.S_IWOTH:
            raise IdentityError(
                f"other users of this machine may replace {folder}",
                where=f"{above} (mode {stat.S_IMODE(found.st_mode):04o})",
                likely="they may write to a folder above it",
                fix=f"chmod go-w {above}",
                then=_KEY,
            )
