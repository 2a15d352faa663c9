"""The lines of a ledger: each seals itself and names the line before it.

A line is canonical JSON (RFC 8785), is numbered, and holds the hash of the line before
and its own: SHA-256 over the same JSON without ``hash``. No line can be changed,
removed, moved or repeated unseen. What only a witness can see, an end that was cut off,
is found against a head that somebody else remembers.

A head may be shown to others and hides what it seals: each entry carries a salt, so
that a count cannot be guessed and tried against the hash.
"""

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import rfc8785

from common.errors import IntegrityError

KINDS = (
    *("requested", "refused", "admitted", "released", "opened", "closed"),
    *("approved", "denied", "paused", "resumed", "revoked", "granted"),
    "withdrawn",
)
GENESIS = "0" * 64
"""What the first entry names as the hash before it."""
THEN = "consilium client verify --site SITE.toml"

Facts = Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class Note:
    """What is to be written down: counts, ids and words, never a value of a record."""

    kind: str
    digest: str
    study: str
    facts: Facts


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the ledger."""

    number: int
    time: str
    kind: str
    digest: str
    study: str
    facts: Facts
    salt: str
    previous: str
    hash: str

    def line(self) -> bytes:
        """Return the entry as it stands in the file, with its end."""
        return rfc8785.dumps(asdict(self)) + b"\n"


@dataclass(frozen=True, slots=True)
class Head:
    """How long a ledger is, and what its last line seals: enough to miss a cut end."""

    number: int
    hash: str

    def __str__(self) -> str:
        """Return the head as a person copies it."""
        return f"{self.number}:{self.hash}"


@dataclass(frozen=True, slots=True)
class Parsed:
    """The entries in a file, and how many of its bytes they are."""

    entries: tuple[Entry, ...]
    size: int


NOTHING = Parsed((), 0)
"""What is known of a ledger that was not read yet."""


def seal(note: Note, last: Head, now: datetime) -> Entry:
    """Return *note* as the entry after *last*."""
    if note.kind not in KINDS:
        raise ValueError(note.kind)
    fields = {
        **asdict(note),
        "facts": {name: _storable(fact) for name, fact in note.facts.items()},
        "number": last.number + 1,
        "time": now.astimezone(UTC).isoformat(timespec="seconds"),
        "salt": secrets.token_hex(16),
        "previous": last.hash,
    }
    return Entry(**fields, hash=_hash(fields))


def head(entries: Sequence[Entry]) -> Head:
    """Return the head of a ledger of *entries*."""
    return Head(entries[-1].number, entries[-1].hash) if entries else Head(0, GENESIS)


def holds(entries: Sequence[Entry], witnessed: Head) -> bool:
    """Tell whether *witnessed* was once the head of a ledger of *entries*."""
    return 0 <= witnessed.number <= len(entries) and witnessed == head(
        entries[: witnessed.number]
    )


def parse(path: Path, data: bytes, known: Parsed = NOTHING) -> Parsed:
    """Return the entries in *data*; raise IntegrityError with the line that is wrong.

    A last line without its end is what a crash in the middle of a write leaves. It is
    an entry when it is whole, and counts for nothing when it stops in mid-sentence.
    *known* is what the whole lines at its beginning were found to be before. *path* is
    for the error.
    """
    *lines, tail = data[known.size :].split(b"\n")
    if _is_json(tail):
        lines.append(tail)
        tail = b""
    entries, last = [*known.entries], head(known.entries)
    for number, line in enumerate(lines, start=len(entries) + 1):
        entry = _checked(path, number, line)
        if (entry.number, entry.previous) != (number, last.hash):
            raise _broken(path, number, "does not follow the line before it")
        entries.append(entry)
        last = Head(number, entry.hash)
    return Parsed(tuple(entries), len(data) - len(tail))


def _is_json(tail: bytes) -> bool:
    """Tell whether *tail* begins with a whole JSON value: then no write was torn."""
    try:
        json.JSONDecoder().raw_decode(tail.decode(errors="replace"))
    except (ValueError, RecursionError):
        return False
    return True


def _checked(path: Path, number: int, line: bytes) -> Entry:
    try:
        return _entry(line)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise _broken(path, number, "is not what was written") from None


def _entry(line: bytes) -> Entry:
    """Return the entry that *line* is, to the last byte; raise ValueError otherwise."""
    fields = json.loads(line)
    entry = Entry(**fields)
    known = entry.kind in KINDS and isinstance(entry.facts, dict)
    known = known and rfc8785.dumps(fields) == line
    sealed = fields.pop("hash")
    if not known or _hash(fields) != sealed:
        raise ValueError
    return entry


def _hash(fields: dict[str, Any]) -> str:
    return hashlib.sha256(rfc8785.dumps(fields)).hexdigest()


def _storable(fact: str | int) -> str | int:
    """Return *fact* as JSON can hold it: a file name may hold what UTF-8 cannot."""
    if isinstance(fact, int):
        return fact
    return fact.encode(errors="replace").decode()


def _broken(path: Path, number: int, how: str) -> IntegrityError:
    return IntegrityError(
        f"line {number} of the ledger {how}",
        where=f"{path} line {number}",
        likely="the file was edited, or lines of it were removed, moved or repeated",
        fix="put back the ledger from a copy; nothing leaves until it is whole",
        then=THEN,
    )
