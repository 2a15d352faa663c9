"""Reads the samples of bedside monitors from a CSV, through windows of hours.

What leaves the reader is a few numbers for each recording: no sample does. The file is
read as any other export is, so that a wrong line is found in the same way.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from client import windows
from client.lines import line_of
from client.mapping import Column, Csv
from client.media import Signals
from client.raw import PERSON, TIME, Parts, Place, Raw, Wanted, frame
from client.sources import csv
from client.windows import Samples
from common.release import Array

AT, CHANNEL, VALUE = "@at", "@channel", "@value"
HOUR = 3_600_000.0


@dataclass(frozen=True, slots=True, repr=False)
class Part:
    """Some lines of the file: which recording, when, and a value by channel.

    Times are milliseconds since 1970, which are exact: a sample on the border of a
    window is on one side of it.
    """

    recording: NDArray[np.int64]
    at: Array
    channels: Mapping[str, Array]


@dataclass(frozen=True, slots=True, repr=False)
class Recordings:
    """The recordings so far: whose each is, when it began, and its first line."""

    numbers: dict[tuple[str, str], int]
    begun: list[float]
    lines: list[int]


def read(source: Signals, wanted: Wanted, place: Place) -> Parts:
    """Yield one record for each recording: what is taken of its windows.

    Raises DataError for a line that does not fit, a time or a sample that is none.
    """
    for name, column in wanted.items():
        windows.require_taken(place, name, column)
    known = Recordings({}, [], [])
    parts = [*_parts(source, wanted, place, known)]
    cells = {PERSON: [person for person, _ in known.numbers]}
    if source.event_time:
        cells[TIME] = [event for _, event in known.numbers]
    count = len(known.numbers)
    found: dict[str, Samples] = {}
    for name, column in wanted.items():
        channel = column.column or ""
        if channel not in found:
            found[channel] = _samples(source, place, parts, channel, known)
        cells[name] = windows.cells(windows.taken(column, found[channel], count))
    yield Raw(frame(cells, known.lines), f"{place.path(source.file).name} line")


def probe(source: Signals, wanted: Wanted, place: Place) -> int:
    """Return how many columns are mapped, once the header has each."""
    for name, column in wanted.items():
        windows.require_taken(place, name, column)
    return csv.probe(_table(source), _columns(source, wanted), place)


def _table(source: Signals) -> Csv:
    """Return how the file reads as a table of lines."""
    return Csv(
        file=source.file,
        person=source.person,
        event_time=source.event_time,
        separator=source.separator,
        encoding=source.encoding,
    )


def _columns(source: Signals, wanted: Wanted) -> dict[str, Column]:
    """Return the columns of the file that are needed, under names of our own."""
    named = {AT: Column(column=source.time)}
    if source.channel:
        named[CHANNEL] = Column(column=source.channel)
        named[VALUE] = Column(column=source.value)
        return named
    return named | {each.column: each for each in wanted.values() if each.column}


def _parts(
    source: Signals, wanted: Wanted, place: Place, known: Recordings
) -> Iterator[Part]:
    channels = sorted({each.column for each in wanted.values() if each.column})
    for raw in csv.read(_table(source), _columns(source, wanted), place):
        cells = raw.cells
        at = _times(source, place, raw, cells[AT])
        recording = _recording(source, place, raw, known)
        if source.channel:
            said = cells[CHANNEL].str.strip()
            values = _numbers(source, place, raw, cells[VALUE])
            by = {each: np.where(said == each, values, np.nan) for each in channels}
        else:
            by = {each: _numbers(source, place, raw, cells[each]) for each in channels}
        yield Part(recording, at, by)


def _recording(
    source: Signals, place: Place, raw: Raw, known: Recordings
) -> NDArray[np.int64]:
    """Return which recording each line belongs to; note those that are new."""
    whose, people = pd.factorize(raw.cells[PERSON].str.strip())
    which, events = np.zeros(len(whose), dtype=np.int64), pd.Index([""])
    if source.event_time:
        which, events = pd.factorize(raw.cells[TIME].str.strip())
    codes, pairs = pd.factorize(whose * len(events) + which)
    first = np.unique(codes, return_index=True)[1]
    begun = np.full(len(first), np.nan)
    if source.event_time:
        begun = _times(source, place, raw, raw.cells[TIME].iloc[first])
    places = []
    for number, (row, pair) in enumerate(
        zip(first.tolist(), pairs.tolist(), strict=True)
    ):
        key = str(people[pair // len(events)]), str(events[pair % len(events)])
        if key not in known.numbers:
            known.numbers[key] = len(known.numbers)
            known.begun.append(float(begun[number]))
            known.lines.append(int(raw.cells.index[row]))
        places.append(known.numbers[key])
    return np.array(places, dtype=np.int64)[codes]


def _samples(
    source: Signals, place: Place, parts: list[Part], channel: str, known: Recordings
) -> Samples:
    """Return one channel of everything, hours counted from where each began."""
    recording = np.concatenate([part.recording for part in parts])
    if all(np.isnan(part.channels[channel]).all() for part in parts):
        what = f"{channel!r} has no sample in {place.path(source.file).name}"
        raise place.told(what, ("channel",), "correct `column` where it is mapped")
    at = np.concatenate([part.at for part in parts])
    values = np.concatenate([part.channels[channel] for part in parts])
    begun = np.array(known.begun, dtype=np.float64)
    if np.isnan(begun).all():
        begun = np.full(len(begun), np.inf)
        np.fmin.at(begun, recording, at)
    return windows.samples(recording, (at - begun[recording]) / HOUR, values)


def _times(source: Signals, place: Place, raw: Raw, said: "pd.Series[str]") -> Array:
    """Return times as milliseconds since 1970; raise DataError for one that is none."""
    text = said.str.strip()
    times = pd.to_datetime(text, format=source.dates, errors="coerce", utc=True)
    odd = times.isna() & (text != "")
    if odd.any():
        raise place.told(
            f"{int(odd.sum())} times are no dates as {source.dates}; the first is in "
            f"{raw.counted} {line_of(odd)}",
            ("dates",),
            'say how dates are written, e.g.   dates = "%d.%m.%Y %H:%M"   '
            f"in {place.table}",
        )
    found = times.to_numpy(dtype="datetime64[ms]")
    return np.where(np.isnat(found), np.nan, found.astype(np.float64))


def _numbers(source: Signals, place: Place, raw: Raw, said: "pd.Series[str]") -> Array:
    """Return samples as numbers, NaN for a lost one; raise DataError for a word."""
    text = said.str.strip()
    lost = text.isin(["", *source.missing])
    if source.decimal == ",":
        text = text.mask(text.str.contains(".", regex=False), "?")
        text = text.str.replace(",", ".", regex=False)
    numbers = pd.to_numeric(text.mask(lost), errors="coerce")
    odd = (numbers.isna() | numbers.isin([np.inf, -np.inf])) & ~lost
    if odd.any():
        raise place.told(
            f"{int(odd.sum())} samples are not numbers; the first is in "
            f"{raw.counted} {line_of(odd)}",
            ("missing",),
            f"list what stands for a lost sample:   missing = […]   in {place.table}",
        )
    return numbers.to_numpy(dtype=np.float64)
