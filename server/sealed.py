"""Records on disk that are whole or not there: numbered, checksummed, chained.

Each record is a file of its own, named only when it is on the disk: a name stands for a
whole record, and what has one is never written to again.

    file = magic, length of the body, SHA-256 of the body, check of these three, body
    body = length of the head, head (JSON: facts, arrays, seal before), bytes of arrays

A large record is written and read some MB at a time, and what is read lies in the file:
so spaces end the head where arrays can begin.
"""

import hashlib
import json
import math
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from common import large_arrays, private_files
from common.errors import IntegrityError, MachineError
from common.private_files import Step
from common.release import Array

MAGIC = b"consilium record 1\n"
FRAME = struct.Struct(f">{len(MAGIC)}sQ32s8s")
LENGTH = struct.Struct(">Q")
ENDING = ".record"
EVEN = 64
"""Bytes of which a multiple is before the first array."""


Part = bytes | memoryview


@dataclass(frozen=True, slots=True)
class Record:
    """One thing to remember: facts for JSON, and arrays kept to the last bit."""

    facts: Mapping[str, Any]
    arrays: Mapping[str, Array]


def pack(record: Record, before: str) -> tuple[Iterator[Part], str]:
    """Return *record* in parts that follow one another, and its seal.

    *before* is the seal before it. The arrays are no copies: a network's state may be a
    large part of the memory.
    """
    kinds = [[n, a.dtype.str, list(a.shape)] for n, a in record.arrays.items()]
    facts = {"facts": record.facts, "arrays": kinds, "before": before}
    head = json.dumps(facts, separators=(",", ":")).encode()
    head += b" " * (-(FRAME.size + LENGTH.size + len(head)) % EVEN)
    seal, length = hashlib.sha256(), 0
    for part in _body(head, record):
        seal.update(part)
        length += len(part)
    digest = seal.digest()
    frame = FRAME.pack(MAGIC, length, digest, _check(length, digest))
    return chain([frame], _body(head, record)), seal.hexdigest()


def _body(head: bytes, record: Record) -> Iterator[Part]:
    yield LENGTH.pack(len(head))
    yield head
    for each in record.arrays.values():
        yield from large_arrays.bytes_of(each)


def write(folder: Path, number: int, data: Iterable[Part], step: Step) -> None:
    """Make *data* durable as record *number*; raise MachineError when it cannot be."""
    try:
        private_files.replace_parts(_path(folder, number), data, step)
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
        record, seal, told = _unpack(path, number, data)
        del data  # a large one is not held while the next is read
        if told != before:
            raise broken(path, number, "does not follow the record before it")
        yield record, seal
        before = seal


def broken(path: Path, number: int, how: str) -> IntegrityError:
    """Return the error that names a record and what is wrong with it."""
    return IntegrityError(
        f"record {number} of the journal {how}",
        where=str(path),
        likely="the disk is failing, or somebody changed the file",
        fix="bring the folder back from a copy, or start again in an empty one",
    )


def _ends_early(data: Part) -> bool:
    """Say whether *data* is the beginning of a record, and nothing but too short."""
    if len(data) < FRAME.size:
        return MAGIC.startswith(bytes(data[: len(MAGIC)]))
    magic, length, digest, check = FRAME.unpack_from(data)
    whole: bool = magic == MAGIC and check == _check(length, digest)
    return whole and len(data) < FRAME.size + int(length)


def _unpack(path: Path, number: int, data: Part) -> tuple[Record, str, str]:
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
    arrays = _arrays(head["arrays"], body[LENGTH.size + size :])
    return Record(head["facts"], arrays), seal.hexdigest(), head["before"]


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
