"""Arrays as they travel: what ``numpy.save`` writes, held once however large.

Nothing in them is run, unpacked or believed. A large array is a view of the bytes that
came, and those of a network lie in a file (common/large_arrays.py).
"""

import math
from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import Any

import numpy as np
from flwr.app import Array as FlowerArray
from flwr.app import ArrayRecord
from numpy.lib.format import (
    header_data_from_array_1_0,
    read_array,
    read_array_header_1_0,
    read_array_header_2_0,
    read_magic,
    write_array_header_1_0,
)
from numpy.typing import NDArray

from common import large_arrays
from common.large_arrays import Data
from common.release import Array

LARGE, HEAD = 2**20, 2**12
"""Bytes of an array above which it is not copied; and those that its head is within."""
STYPE = "numpy.ndarray"
"""How Flower calls the one form in which arrays travel."""


def read(given: FlowerArray) -> Array:
    """Return one array; raise ValueError unless it is what it says that it is."""
    array = _viewed(given) if len(given.data) > LARGE else _read(given)
    said = given.stype, given.dtype, tuple(given.shape)
    if said != (STYPE, str(array.dtype), array.shape):
        raise ValueError(STYPE)
    return np.asarray(array)


def _read(given: FlowerArray) -> NDArray[Any]:
    return read_array(BytesIO(given.data), allow_pickle=False)


def _viewed(given: FlowerArray) -> NDArray[Any]:
    """Return a large array as a view of what came in: there is no second one of it.

    One that is not row by row in memory is copied, as is one whose numbers would begin
    between two words.
    """
    head = BytesIO(given.data[:HEAD])
    version = read_magic(head)
    header = read_array_header_1_0 if version == (1, 0) else read_array_header_2_0
    shape, by_column, kind = header(head)
    if by_column or kind.hasobject or head.tell() % kind.alignment:
        return _read(given)
    count = math.prod(shape)
    if len(given.data) != head.tell() + count * kind.itemsize:
        raise ValueError(STYPE)
    array = np.frombuffer(given.data, kind, count, head.tell()).reshape(shape)
    array.flags.writeable = False
    return array


def packed(array: NDArray[Any]) -> FlowerArray:
    """Return *array* as it travels: what ``numpy.save`` writes, without its copies."""
    rows = np.ascontiguousarray(array).reshape(array.shape)
    head = BytesIO()
    write_array_header_1_0(head, header_data_from_array_1_0(rows))
    data = large_arrays.joined(_pieces(head.getvalue(), rows))
    return holding(str(rows.dtype), tuple(rows.shape), STYPE, data)


def holding(dtype: str, shape: tuple[int, ...], stype: str, data: Data) -> FlowerArray:
    """Return Flower's array of *data*: only to make one it must be bytes."""
    array = FlowerArray(dtype, shape, stype, b"")
    array.data = data  # type: ignore[assignment]
    return array


def record(arrays: Mapping[str, FlowerArray]) -> ArrayRecord:
    """Return Flower's record of *arrays*, which are not made anew."""
    found = ArrayRecord()
    for name, array in arrays.items():
        found[name] = array
    return found


def _pieces(head: bytes, rows: NDArray[Any]) -> Iterator[Data]:
    yield head
    yield from large_arrays.bytes_of(rows)
