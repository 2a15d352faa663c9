"""Large arrays lie in files without a name, and in memory only where one looks at them.

A network of 200 MB is in a round a dozen times: as it was, as it is shown, as a sum, as
what each step remembers. All of these are used from one end to the other, some numbers
at a time. So each is mapped from a file, and what was passed is let go: the machine
keeps it in its cache of files while there is room, and a process holds a few MB of it.

    total = zeros(25_000_000)                # as numpy's, if it is small
    for part in passing(total, vector):
        total[part] += vector[part]
"""

import mmap
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.lib.array_utils import byte_bounds
from numpy.typing import DTypeLike, NDArray

from common.errors import MachineError

LARGE: Final = 2**23
"""Bytes from which on an array lies in a file."""
SOME: Final = 2**18
"""Numbers that are looked at at a time."""

Data = bytes | memoryview


def empty(count: int, kind: DTypeLike = np.float64) -> NDArray[Any]:
    """Return *count* numbers to write over, in a file when they are large.

    Raises MachineError when the disk has no room: it is taken now, not on the way.
    """
    size = count * np.dtype(kind).itemsize
    if size < LARGE:
        return np.empty(count, kind)
    with _room(), tempfile.TemporaryFile() as file:
        _take(file.fileno(), size)
        return np.frombuffer(mmap.mmap(file.fileno(), size), kind)


def _take(file: int, size: int) -> None:
    """Make *file* so long; where the system can, its room on the disk is taken now."""
    if sys.platform == "darwin":
        os.ftruncate(file, size)
    else:
        os.posix_fallocate(file, 0, size)


def zeros(count: int, kind: DTypeLike = np.float64) -> NDArray[Any]:
    """Return *count* zeros, in a file when they are large: a fresh one holds zeros."""
    found = empty(count, kind)
    if found.nbytes < LARGE:
        found[:] = 0
    return found


def like(array: NDArray[Any]) -> NDArray[Any]:
    """Return numbers to write over, as many and of the kind of a flat *array*."""
    return empty(array.size, array.dtype)


def made(each: Callable[..., NDArray[Any]], *given: NDArray[Any]) -> NDArray[Any]:
    """Return what *each* makes of flat arrays of one length and kind, number by number.

    It is called with some numbers of each at a time.
    """
    found = like(given[0])
    for part in passing(found, *given):
        found[part] = each(*(one[part] for one in given))
    return found


def joined(pieces: Iterable[Data]) -> Data:
    """Return *pieces* one after the other: bytes, or a large whole from a file."""
    with _room(), tempfile.SpooledTemporaryFile(LARGE) as file:
        size = sum(file.write(each) for each in pieces)
        file.seek(0)
        if size < LARGE:
            return file.read()
        return memoryview(mmap.mmap(file.fileno(), size))


def content(path: Path) -> Data:
    """Return what is in *path*; of a large file it stays there."""
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size < LARGE:
            return file.read()
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def passing(*arrays: NDArray[Any]) -> Iterator[slice]:
    """Yield part after part of flat *arrays* of one length; what is passed is let go.

    A small array is one part of itself: sums over it take the steps they always took.
    """
    count = len(arrays[0])
    if max(each.nbytes for each in arrays) < LARGE:
        yield slice(0, count)
        return
    held = [(each, found) for each in arrays if (found := _mapping(each))]
    for start in range(0, count, SOME):
        part = slice(start, start + SOME)
        yield part
        for array, mapping in held:
            _let_go(array[part], mapping)


def let_go(*arrays: NDArray[Any]) -> None:
    """Hold nothing of *arrays* in memory that lies in a file."""
    for each in arrays:
        if each.size and (mapping := _mapping(each)):
            _let_go(each, mapping)


def bytes_of(array: NDArray[Any]) -> Iterator[memoryview]:
    """Yield the bytes of *array*, row by row, some at a time."""
    flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    for part in passing(flat):
        yield flat[part].data


def hashed(update: Callable[[Data], object], data: Data | NDArray[Any]) -> None:
    """Call *update*, that of a hash, with all of *data*, some at a time."""
    if not isinstance(data, np.ndarray) and len(data) < LARGE:
        update(data)
        return
    for piece in bytes_of(np.asarray(data)):
        update(piece)


def finite(array: NDArray[Any]) -> bool:
    """Say whether every number of *array* is finite."""
    flat = array.reshape(-1)
    return all(bool(np.isfinite(flat[part]).all()) for part in passing(flat))


def farthest(array: NDArray[np.float64]) -> float:
    """Return how far from 0 the farthest number of a flat *array* is."""
    parts = [np.abs(array[part]).max(initial=0.0) for part in passing(array)]
    return float(max(parts))


def norm(array: NDArray[np.float64]) -> float:
    """Return the Euclidean length of a flat *array*."""
    parts = [np.linalg.norm(array[part]) for part in passing(array)]
    return float(parts[0] if len(parts) == 1 else np.linalg.norm(parts))


def _mapping(array: NDArray[Any]) -> mmap.mmap | None:
    """Return the file in which *array* lies, if it lies in one."""
    held: object = array
    while isinstance(held, np.ndarray):
        held = held.base
    if isinstance(held, memoryview):
        held = held.obj
    return held if isinstance(held, mmap.mmap) else None


def _let_go(array: NDArray[Any], mapping: mmap.mmap) -> None:
    """Give the pages of *array* back: what was written to them is in the file."""
    origin, _ = byte_bounds(np.frombuffer(mapping, np.uint8))
    first, last = (each - origin for each in byte_bounds(array))
    start = first - first % mmap.PAGESIZE
    mapping.madvise(mmap.MADV_DONTNEED, start, last - start)


@contextmanager
def _room() -> Iterator[None]:
    """Say in words that the disk is full, or that there is no folder for such files."""
    try:
        yield
    except OSError as reason:
        raise MachineError(
            f"a large array finds no room on the disk: {reason.strerror}",
            where=tempfile.gettempdir(),
            likely="a network takes a dozen times its size there while a round goes on",
            fix="make room; or name a larger disk:   export TMPDIR=FOLDER",
        ) from None
