"""Reads the samples of bedside monitors from a CSV, through windows of hours.

What leaves the reader is a few numbers for each recording: no sample does. The file is
read as any other export is, so that a wrong line is found in the same way.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from client.documents.mapping import Column, Csv
from client.documents.media import Signals
from client.formats import bounds, dates, windows
from client.formats.bounds import Seen
from client.formats.lines import line_of
from client.formats.raw import PERSON, TIME, Parts, Place, Raw, Wanted, frame
from client.formats.windows import Sums
from client.sources import csv
from common.release import Array

AT, CHANNEL, VALUE = "@at", "@channel", "@value"
HOUR = 3_600_000.0
NO_NUMBER = "sample is not a number", "samples are not numbers"


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

    Samples are forgotten part by part. Without an event the file is read twice: the
    first time for when each recording begins.

    Raises DataError for a line that does not fit, a time or a sample that is none.
    """
    for name, column in wanted.items():
        windows.require_taken(place, name, column)
    known = Recordings({}, [], [])
    if not source.event_time:
        _begin(source, place, known)
    sums, seen = _sums(source, wanted, place, known)
    cells = {PERSON: [person for person, _ in known.numbers]}
    if source.event_time:
        cells[TIME] = [event for _, event in known.numbers]
    for name, column in wanted.items():
        cells[name] = windows.cells(windows.result(column, sums[name]))
    counted = f"{place.path(source.file).name} line"
    yield Raw(frame(cells, known.lines), counted, seen=seen)


def _begin(source: Signals, place: Place, known: Recordings) -> None:
    """Note when the first sample of each recording was taken."""
    for part in _parts(source, {}, place, known):
        begun = np.array(known.begun)
        np.fmin.at(begun, part.recording, part.at)
        known.begun[:] = begun.tolist()


def _sums(
    source: Signals, wanted: Wanted, place: Place, known: Recordings
) -> tuple[dict[str, Sums], dict[str, Seen]]:
    """Return what has to be known of every window, over all parts, and the counts."""
    sums: dict[str, Sums] = {}
    seen: dict[str, Seen] = {}
    sampled: set[str] = set()
    for part in _parts(source, wanted, place, known):
        count = len(known.numbers)
        hours = (part.at - np.array(known.begun)[part.recording]) / HOUR
        for channel, values in part.channels.items():
            found = windows.samples(part.recording, hours, values)
            sampled |= {channel} if len(found.values) else set()
            for name in (name for name, of in wanted.items() if of.column == channel):
                kept, more = windows.plausible(place, name, wanted[name], found)
                seen[name] = seen.get(name, Seen()) + more
                new = windows.part(wanted[name], kept, count)
                old = sums.get(name)
                sums[name] = windows.merged(wanted[name], old, new) if old else new
    _require_sampled(source, place, wanted, sampled)
    return sums, seen


def _require_sampled(
    source: Signals, place: Place, wanted: Wanted, sampled: set[str]
) -> None:
    for column in wanted.values():
        if column.column not in sampled:
            file = place.path(source.file).name
            what = f"{column.column!r} has no sample in {file}"
            raise place.told(what, ("channel",), "correct `column` where it is mapped")


def probe(source: Signals, wanted: Wanted, place: Place) -> int:
    """Return how many columns are mapped, once the header has each."""
    for name, column in wanted.items():
        windows.require_taken(place, name, column)
    return csv.probe(_table(source), _columns(source, wanted), place)


def names(source: Signals, place: Place) -> list[str]:
    """Return the channels; of a line for each sample all that some line names."""
    if not source.channel:
        keys = {source.person, source.time, source.event_time}
        return [n for n in csv.names(_table(source), place) if n not in keys]
    found: set[str] = set()
    wanted = {CHANNEL: Column(column=source.channel)}
    for raw in csv.read(_table(source), wanted, place):
        found |= {*raw.cells[CHANNEL].str.strip().unique()}
    return sorted(found - {""})


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
    missing = (*source.missing, *chain(*(each.missing for each in wanted.values())))
    for raw in csv.read(_table(source), _columns(source, wanted), place):
        cells = raw.cells
        at = _times(source, place, raw, cells[AT])
        recording = _recording(source, place, raw, known)
        if source.channel:
            said = cells[CHANNEL].str.strip()
            values = (
                _numbers(source, place, raw, cells[VALUE], missing) if channels else at
            )
            by = {each: np.where(said == each, values, np.nan) for each in channels}
        else:
            by = {
                each: _numbers(source, place, raw, cells[each], missing)
                for each in channels
            }
        yield Part(recording, at, by)


def _recording(
    source: Signals, place: Place, raw: Raw, known: Recordings
) -> NDArray[np.int64]:
    """Return which recording each line belongs to; note those that are new."""
    whose, people = _named(raw.cells[PERSON])
    which, events = np.zeros(len(whose), dtype=np.int64), [""]
    if source.event_time:
        which, events = _named(raw.cells[TIME])
    codes, pairs = pd.factorize(whose * len(events) + which)
    first = np.unique(codes, return_index=True)[1]
    begun = np.full(len(first), np.nan)
    if source.event_time:
        begun = _times(source, place, raw, raw.cells[TIME].iloc[first])
    places = []
    for number, (row, pair) in enumerate(
        zip(first.tolist(), pairs.tolist(), strict=True)
    ):
        key = people[pair // len(events)], events[pair % len(events)]
        if key not in known.numbers:
            known.numbers[key] = len(known.numbers)
            known.begun.append(float(begun[number]))
            known.lines.append(int(raw.cells.index[row]))
        places.append(known.numbers[key])
    return np.array(places, dtype=np.int64)[codes]


def _named(said: "pd.Series[str]") -> tuple[NDArray[np.intp], list[str]]:
    codes, names = pd.factorize(said.str.strip())
    return codes, [*map(str, names)]


def _times(source: Signals, place: Place, raw: Raw, said: "pd.Series[str]") -> Array:
    """Return times as milliseconds since 1970; raise DataError for one that is none."""
    codes, text = _spelled(said)
    times = pd.to_datetime(text, format=source.dates, errors="coerce", utc=True)
    odd = times.isna() & (text != "")
    if odd.any():
        first = odd.to_numpy()[codes]
        form = source.dates
        words = f"time is no date as {form}", f"times are no dates as {form}"
        raise place.told(
            _first(said, first, raw.counted, words),
            ("dates",),
            f"in {place.table} say   {dates.setting(text, '%d.%m.%Y %H:%M')}",
        )
    found = times.to_numpy(dtype="datetime64[ms]")
    return np.where(np.isnat(found), np.nan, found.astype(np.float64))[codes]


def _numbers(
    source: Signals,
    place: Place,
    raw: Raw,
    said: "pd.Series[str]",
    missing: Sequence[str],
) -> Array:
    """Return samples as numbers, NaN for a lost one; raise DataError for a word.

    A number that is *missing* stays one here: it is counted with the window it is in.
    """
    codes, text = _spelled(said)
    lost = text.isin(["", *bounds.codes(missing)[1]])
    if source.decimal == ",":
        pointed = text.str.contains(".", regex=False) & ~text.isin(missing)
        text = text.mask(pointed, "?")
        text = text.str.replace(",", ".", regex=False)
    numbers = pd.to_numeric(text.mask(lost), errors="coerce")
    odd = (numbers.isna() | numbers.isin([np.inf, -np.inf])) & ~lost
    if odd.any():
        first = odd.to_numpy()[codes]
        raise place.told(
            _first(said, first, raw.counted, NO_NUMBER),
            ("missing",),
            f"list what stands for a lost sample:   missing = […]   in {place.table}",
        )
    return numbers.to_numpy(dtype=np.float64)[codes]


def _first(
    said: "pd.Series[str]", odd: NDArray[np.bool_], counted: str, many: tuple[str, str]
) -> str:
    """Say how many cells are *odd*, in the words for one or for *many*, and where."""
    count, line = int(odd.sum()), line_of(pd.Series(odd, index=said.index))
    if count == 1:
        return f"1 {many[0]}: in {counted} {line}"
    return f"{count:,} {many[1]}; the first is in {counted} {line}"


def _spelled(said: "pd.Series[str]") -> "tuple[NDArray[np.intp], pd.Series[str]]":
    """Return which spelling each cell has, and the few that there are: read once."""
    codes, spellings = pd.factorize(said)
    return codes, pd.Series(spellings, dtype="str").str.strip()
