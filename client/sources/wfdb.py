"""Reads WFDB records of bedside monitors through windows of hours: a record a file.

As with signals in a CSV, no sample leaves the reader: a few numbers for each record do.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager

import numpy as np

from client.documents.media import Wfdb
from client.formats import filed, waveform, windows
from client.formats.bounds import Seen
from client.formats.filed import Filed
from client.formats.raw import PERSON, TIME, Parts, Place, Raw, Wanted, frame
from client.formats.waveform import Header, Malformed
from common.release import Array

AT_ONCE = 1_000
HOUR = 3_600_000.0
"""Milliseconds: a rate is written to a few digits, and 24 hours are 24 hours."""
LARGEST = 2**28
"""Bytes of one record's samples: 16 channels at 500 a second for 4 hours."""


def read(source: Wfdb, wanted: Wanted, place: Place) -> Parts:
    """Yield one line of numbers for each record, by its place in the list of files.

    Raises DataError for a record that is damaged, or lacks a mapped channel.
    """
    for name, column in wanted.items():
        windows.require_taken(place, name, column)
    found = filed.find(place, source.files)
    for start in range(0, len(found), AT_ONCE):
        some = found[start : start + AT_ONCE]
        seen: dict[str, Seen] = dict.fromkeys(wanted, Seen())
        rows = [_row(source, wanted, place, each, seen) for each in some]
        cells = {name: [row[name] for row in rows] for name in rows[0]}
        numbers = [each.number for each in some]
        yield Raw(frame(cells, numbers), filed.counted(source.files), seen=seen)


def probe(source: Wfdb, wanted: Wanted, place: Place) -> int:
    """Return how many records there are, once the first has every mapped channel."""
    for name, column in wanted.items():
        windows.require_taken(place, name, column)
    found = filed.find(place, source.files)
    if wanted:
        _row(source, wanted, place, found[0], dict.fromkeys(wanted, Seen()))
    return len(found)


def names(source: Wfdb, place: Place) -> list[str]:
    """Return the channels of the first record, by its header; read no sample."""
    head = _header(source, place, filed.find(place, source.files)[0])
    return [each.name for each in head.channels]


def _header(source: Wfdb, place: Place, file: Filed) -> Header:
    with _explained(source, place, file):
        return waveform.header(file.path.read_text(encoding="ascii"))


@contextmanager
def _explained(source: Wfdb, place: Place, file: Filed) -> Generator[None]:
    """Turn what a damaged record raises into a DataError that quotes nothing of it."""
    try:
        yield
    except (UnicodeError, OSError) as reason:
        problem = f"cannot be read ({type(reason).__name__})"
        raise filed.broken(place, source.files, file, problem) from None
    except Malformed as odd:
        raise filed.broken(place, source.files, file, str(odd)) from None
    except (ValueError, OverflowError):
        problem = "says a number that cannot be"
        raise filed.broken(place, source.files, file, problem) from None


def _row(
    source: Wfdb, wanted: Wanted, place: Place, file: Filed, seen: dict[str, Seen]
) -> dict[str, str]:
    """Return who, when and what is taken of one record; add to what was *seen*."""
    head = _header(source, place, file)
    with _explained(source, place, file):
        values = _values(file, head)
    row = {PERSON: file.person}
    if "{time}" in source.files:
        row[TIME] = file.time
    else:
        row[TIME] = head.begun.isoformat() if head.begun else ""
    for name, column in wanted.items():
        if [each.name for each in head.channels].count(column.column or "") > 1:
            problem = f"has two channels called {column.column!r}"
            raise filed.broken(place, source.files, file, problem)
        channel = values.get(column.column or "")
        if channel is None:
            problem = f"has no channel {column.column!r}"
            raise filed.broken(place, source.files, file, problem)
        hours = np.rint(np.arange(len(channel)) * 1000 / head.rate) / HOUR
        one = np.zeros(len(channel), dtype=np.int64)
        every = windows.samples(one, hours, channel)
        found, more = windows.plausible(place, name, column, every)
        seen[name] += more
        (row[name],) = windows.cells(windows.taken(column, found, 1))
    return row


def _values(file: Filed, head: Header) -> Mapping[str, Array]:
    if not head.rate:
        raise Malformed("has no rate")
    values: dict[str, Array] = {}
    for name, channels in head.files():
        path = file.path.with_name(name)
        if path.stat().st_size > LARGEST:
            raise Malformed("has a file of samples that is too large")
        values |= waveform.signals(head, path.read_bytes(), channels)
    return values
