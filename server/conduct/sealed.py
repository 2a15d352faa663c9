"""Records on disk that are whole or not there: numbered, checksummed, chained.

Each record is a file of its own, named only when it is on the disk: a name stands for a
whole record, and what has one is never written to again.

    file = magic, length of the body, SHA-256 of the body, check of these three, body
    body = length of the head, head (JSON: facts, arrays, seal before), bytes of arrays

Large arrays are a file beside their record, on the disk before it, and the head holds
the SHA-256 of that file. So they can go when no later step needs them, and the chain of
seals stays whole. They are written and read some MB at a time, and what is read lies in
the file: so spaces end the head where arrays can begin.
"""

import hashlib
import json
import math
import struct
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from common import large_arrays
from common.errors import IntegrityError, MachineError
from common.release import Array
from common.trust import private_files
from common.trust.private_files import Step

MAGIC = b"consilium record 1\n"
FRAME = struct.Struct(f">{len(MAGIC)}sQ32s8s")
LENGTH = struct.Struct(">Q")
ENDING, BESIDE = ".record", ".arrays"
EVEN = 64
"""Bytes of which a multiple is before the first array."""


Part = bytes | memoryview


@dataclass(frozen=True, slots=True)
class Record:
    """One thing to remember: facts for JSON, and arrays kept to the last bit.

    One whose arrays were dropped is read with None for them.
    """

    facts: Mapping[str, Any]
    arrays: Mapping[str, Array] | None


def add(folder: Path, number: int, record: Record, before: str, step: Step) -> str:
    """Make *record* durable as that *number* after the seal *before*; return its seal.

    Raises MachineError when it cannot be.
    """
    path, arrays = _path(folder, number), record.arrays or {}
    apart = sum(each.nbytes for each in arrays.values()) >= large_arrays.LARGE
    beside = _aside(path, arrays, step) if apart else None
    parts, seal = pack(record, before, beside)
    _durable(path, parts, step)
    return seal


def _aside(path: Path, arrays: Mapping[str, Array], step: Step) -> str:
    """Write *arrays* beside the record at *path*; return the hash of that file."""
    seal = hashlib.sha256()

    def parts() -> Iterator[Part]:
        for part in _bytes(arrays):
            seal.update(part)
            yield part

    _durable(path.with_suffix(BESIDE), parts(), step)
    return seal.hexdigest()


def pack(
    record: Record, before: str, beside: str | None = None
) -> tuple[Iterator[Part], str]:
    """Return *record* in parts that follow one another, and its seal.

    *before* is the seal before it, and *beside* the hash of its arrays if they lie
    there. The arrays are no copies.
    """
    arrays = record.arrays or {}
    kinds = [[n, a.dtype.str, list(a.shape)] for n, a in arrays.items()]
    facts = {"facts": record.facts, "arrays": kinds, "before": before}
    facts |= {"beside": beside} if beside else {}
    head = json.dumps(facts, separators=(",", ":")).encode()
    head += b" " * (-(FRAME.size + LENGTH.size + len(head)) % EVEN)
    inside, seal, length = {} if beside else arrays, hashlib.sha256(), 0
    for part in _body(head, inside):
        seal.update(part)
        length += len(part)
    digest = seal.digest()
    frame = FRAME.pack(MAGIC, length, digest, _check(length, digest))
    return chain([frame], _body(head, inside)), seal.hexdigest()


def _body(head: bytes, arrays: Mapping[str, Array]) -> Iterator[Part]:
    yield LENGTH.pack(len(head))
    yield head
    yield from _bytes(arrays)


def _bytes(arrays: Mapping[str, Array]) -> Iterator[Part]:
    for each in arrays.values():
        yield from large_arrays.bytes_of(each)


def _durable(path: Path, data: Iterable[Part], step: Step) -> None:
    with _writing(path.parent):
        private_files.replace_parts(path, data, step)


def drop(folder: Path, kept: Collection[int], step: Step = lambda _: None) -> None:
    """Remove the large arrays of all records but those *kept*, and what was torn off.

    Their hashes stay, and the seals are over these. Raises MachineError when it cannot.
    """
    names = {_path(folder, number).with_suffix(BESIDE).name for number in kept}
    with _writing(folder):
        for path in (
            *folder.glob(f"*{BESIDE}"),
            *folder.glob(f".*{private_files.NEW}"),
        ):
            if path.name not in names:
                step("drop")
                path.unlink(missing_ok=True)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Say in words that the disk is full, or that the folder is somebody else's."""
    try:
        yield
    except OSError as reason:
        raise MachineError(
            f"the journal cannot be written: {reason.strerror}",
            where=str(folder),
            likely="the disk is full, or the folder belongs to somebody else",
            fix="make room or change its owner; the run goes on from its last round",
        ) from None


def read(folder: Path) -> Iterator[tuple[Record, str]]:
    """Yield each record of *folder* in order with its seal, each checked.

    A disk that loses power may name a record before it holds it: a last record that
    only ends too early counts as not written. Raises IntegrityError for all else.
    """
    paths, before = sorted(folder.glob(f"*{ENDING}")), ""
    for number, path in enumerate(paths):
        if path != _path(folder, number):
            raise broken(_path(folder, number), number, "is missing")
        data = large_arrays.content(path)
        if path == paths[-1] and _ends_early(data):
            return
        head, arrays, seal = _unpack(path, number, data)
        if head["before"] != before:
            raise broken(path, number, "does not follow the record before it")
        if "beside" in head:
            if path == paths[-1] and _lacks(path, head):
                return
            arrays = _found(path, number, head)
        kept = None if arrays is None else _arrays(head["arrays"], arrays)
        del data, arrays  # a large one is not held while the next is read
        yield Record(head["facts"], kept), seal
        before = seal


def broken(path: Path, number: int, how: str) -> IntegrityError:
    """Return the error that names a record and what is wrong with it."""
    return IntegrityError(
        f"record {number} of the journal {how}",
        where=str(path),
        likely="the disk is failing, or somebody changed the file",
        fix="bring the folder back from a copy, or start again in an empty one",
    )


def lost(folder: Path, number: int) -> IntegrityError:
    """Return the error that names the arrays that are needed and not there."""
    beside = _path(folder, number).with_suffix(BESIDE)
    return broken(beside, number, "has lost its arrays")


def _ends_early(data: Part) -> bool:
    """Say whether *data* is the beginning of a record, and nothing but too short."""
    if len(data) < FRAME.size:
        return MAGIC.startswith(bytes(data[: len(MAGIC)]))
    magic, length, digest, check = FRAME.unpack_from(data)
    whole: bool = magic == MAGIC and check == _check(length, digest)
    return whole and len(data) < FRAME.size + int(length)


def _unpack(
    path: Path, number: int, data: Part
) -> tuple[dict[str, Any], memoryview | None, str]:
    """Return the head of a record, what follows it, and the seal; all is checked."""
    if len(data) < FRAME.size:
        raise broken(path, number, "is cut off")
    magic, length, digest, check = FRAME.unpack_from(data)
    body = memoryview(data)[FRAME.size :]
    seal = hashlib.sha256()
    large_arrays.hashed(seal.update, body)
    sound = magic == MAGIC and check == _check(length, digest) and len(body) == length
    if not sound or seal.digest() != digest:
        raise broken(path, number, "is not what was written")
    (size,) = LENGTH.unpack_from(body)
    head = json.loads(bytes(body[LENGTH.size : LENGTH.size + size]))
    return head, body[LENGTH.size + size :], seal.hexdigest()


def _lacks(path: Path, head: Mapping[str, Any]) -> bool:
    """Say whether the arrays beside the record at *path* are not all there."""
    beside = path.with_suffix(BESIDE)
    size = sum(np.dtype(k).itemsize * math.prod(s) for _, k, s in head["arrays"])
    return not beside.exists() or beside.stat().st_size < size


def _found(path: Path, number: int, head: Mapping[str, Any]) -> memoryview | None:
    """Return the arrays beside the record at *path*, or None if they were dropped."""
    beside = path.with_suffix(BESIDE)
    if not beside.exists():
        return None
    data, seal = large_arrays.content(beside), hashlib.sha256()
    large_arrays.hashed(seal.update, data)
    if seal.hexdigest() != head["beside"]:
        raise broken(beside, number, "has other arrays than were written")
    return memoryview(data)


def _arrays(kinds: list[Any], data: memoryview) -> dict[str, Array]:
    arrays, start = {}, 0
    for name, kind, shape in kinds:
        dtype, count = np.dtype(kind), math.prod(shape)
        flat = np.frombuffer(data, dtype, count, start)
        if flat.nbytes < large_arrays.LARGE or not flat.flags.aligned:
            # A copy lies in memory as any fresh array does: sums take the same steps.
            flat = flat.copy()
        arrays[name] = flat.reshape(shape)
        start += flat.nbytes
    return arrays


def _check(length: int, digest: bytes) -> bytes:
    return hashlib.sha256(MAGIC + LENGTH.pack(length) + digest).digest()[:8]


def _path(folder: Path, number: int) -> Path:
    return folder / f"{number:06}{ENDING}"
