"""Reads one source part by part into numbers: who, when, and what was measured.

Text lives as long as a part of it. What stays of a person is a pseudonym, of an event a
number that tells it from others, and of a date the day, until the table is made.
"""

from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from client import columns, dates, persons, texts
from client.columns import Flags, Said
from client.lines import line_of
from client.mapping import Fhir, Sql
from client.persons import Numbers, Persons
from client.raw import PERSON, SPLIT, TIME, Arrays, Place, Raw
from client.site import Site
from client.sources import opening
from client.tally import Tally
from client.ways import Way
from common.errors import DataError
from common.release import Array
from common.study import Study


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """Of every record: who, which event, when (in days since 1970), and on which side.

    ``folded`` is the person as others may have typed it: without case and zeros.
    ``person`` is NOBODY, ``event`` 0 and ``when`` NaN where the record does not say;
    ``key`` is what draws go by.
    """

    person: Persons
    folded: Persons
    event: NDArray[np.int64]
    when: Array
    trains: Flags
    key: NDArray[np.uint64]

    def __len__(self) -> int:
        """Return the number of records."""
        return len(self.person)


@dataclass(frozen=True, slots=True, repr=False)
class Read:
    """All that one source says of the wanted variables.

    ``said`` holds only who says something: a source of one value a row says little of
    much. ``arrays`` holds what is no number, for every record.
    """

    keys: Keys
    said: Mapping[str, Said]
    arrays: Arrays
    tallies: Mapping[str, Tally]

    def __repr__(self) -> str:
        """Return a count only: what was read may end up in a log line."""
        return f"<Read of {len(self.keys)} records>"

    def known(self, name: str) -> tuple[NDArray[np.int64], Array]:
        """Return which records say *name*, and what: no gaps, and no nobody."""
        said = self.said.get(name, Said(None, np.full(len(self.keys), np.nan)))
        rows = np.arange(len(self.keys)) if said.rows is None else said.rows
        chosen = ~np.isnan(said.numbers) & (self.keys.person[rows] != persons.NOBODY)
        return rows[chosen], said.numbers[chosen]

    def every(self, name: str) -> Array:
        """Return *name* of every record, NaN where it says nothing."""
        said = self.said.get(name)
        if said is not None and said.rows is None:
            return said.numbers
        whole = np.full(len(self.keys), np.nan)
        if said is not None:
            whole[said.rows] = said.numbers
        return whole


@dataclass(frozen=True, slots=True)
class Task:
    """What to read of one source; *timed* where it counts when things happened."""

    place: Place
    study: Study
    ways: tuple[Way, ...]
    event: str | None
    timed: bool


def read(task: Task, secret: bytes) -> Read:
    """Return what the source says; *secret* is the key of the site's pseudonyms.

    Raises DataError for a part that cannot be read; columns are judged by nobody yet.
    """
    wanted = {way.read: way.column for way in task.ways}
    names = [way.name for way in task.ways]
    if task.event:
        names.append(task.event)
        wanted[task.event] = task.place.site.mapping.columns[task.event]
    with closing(opening.read(task.place, wanted)) as found:
        parts = [_part(task, secret, raw) for raw in found]
    tallies, lengths = _added([part.tallies for part in parts]), [*map(_long, parts)]
    keys = [_plain(part.keys) for part in parts]
    said = [{**part.said} for part in parts]
    arrays = [{**part.arrays} for part in parts]
    del parts  # a column is made while the pieces of it are let go: none is held twice
    return Read(
        Keys(*(np.concatenate([each.pop(0) for each in keys]) for _ in fields(Keys))),
        {name: _said(said, lengths, name) for name in names},
        _arrays(arrays),
        tallies,
    )


def names(site: Site, number: str) -> bool:
    """Tell whether a record of any source is of *number*; nobody else is looked at.

    A source that cannot be read now names nobody.
    """
    mapping = site.mapping
    for name, source in mapping.named.items():
        asks = isinstance(source, Sql | Fhir)  # each variable is a question of its own
        wanted = {
            variable: column
            for variable, column in mapping.columns.items()
            if asks and column.found and mapping.source_of(column) == name
        }
        with (
            suppress(DataError),
            closing(opening.read(Place(site, name), wanted)) as parts,
        ):
            if any((_stripped(each) == number).any() for each in parts):
                return True
    return False


def _stripped(raw: Raw) -> "pd.Series[str]":
    return raw.cells[PERSON].fillna("").str.strip()


def _plain(keys: Keys) -> list[NDArray[np.generic]]:
    return [getattr(keys, each.name) for each in fields(keys)]


def _long(part: Read) -> int:
    return len(part.keys)


def _said(parts: list[dict[str, Said]], lengths: list[int], name: str) -> Said:
    """Take what all parts say of *name*; a part may say nothing of it."""
    taken = [part.pop(name, None) for part in parts]
    whole = all(said is not None and said.rows is None for said in taken)
    numbers, rows, first = [np.empty(0)], [np.empty(0, dtype=np.int64)], 0
    for said, length in zip(taken, lengths, strict=True):
        if said is not None:
            numbers.append(said.numbers)
            here = np.arange(length) if said.rows is None else said.rows
            rows += [] if whole else [here + first]
        first += length
    return Said(None if whole else np.concatenate(rows), np.concatenate(numbers))


def _arrays(
    parts: list[dict[str, NDArray[np.generic]]],
) -> dict[str, NDArray[np.generic]]:
    """Take every array of all parts, which have the same names."""
    names = [*parts[0]] if parts else []
    return {name: np.concatenate([part.pop(name) for part in parts]) for name in names}


def _added(parts: list[Mapping[str, Tally]]) -> dict[str, Tally]:
    total: dict[str, Tally] = {}
    for part in parts:
        for name, tally in part.items():
            total[name] = total.get(name, Tally()) + tally
    return total


def _part(task: Task, secret: bytes, raw: Raw) -> Read:
    """Return one part of the source as numbers."""
    said, tallies = texts.part(task.ways, raw)
    for way in task.ways:
        if way.bucket is None and way.name in raw.cells:
            said[way.name], tallies[way.name] = columns.part(way, raw)
    if task.event and task.event in raw.cells:
        text = raw.cells[task.event]
        happened = (text.notna() & ~text.isin(["", *_codes(task)])).to_numpy()
        rows = np.flatnonzero(happened)
        said[task.event] = Said(rows, np.ones(len(rows)))
    return Read(_keys(task, secret, raw), said, raw.arrays, tallies)


def _codes(task: Task) -> tuple[str, ...]:
    return task.place.site.mapping.named[task.place.name].missing


def _keys(task: Task, secret: bytes, raw: Raw) -> Keys:
    number = _text(task, raw, PERSON)
    plain = persons.folded(number)
    other = (plain != number).to_numpy(dtype=np.bool_)
    numbers = persons.numbers(number)
    who = persons.pseudonyms(secret, numbers)
    alike = who.copy()
    alike[other] = persons.pseudonyms(secret, persons.numbers(plain[other]))
    event, when = _events(task, raw)
    sides = _trains(task, raw, numbers)
    return Keys(who, alike, event, when, sides, persons.keys(numbers))


def _text(task: Task, raw: Raw, key: str) -> "pd.Series[str]":
    """Return who, when or which side, as text; empty where it is not said."""
    text = raw.cells[key].fillna("").str.strip()
    return text.mask(text.isin(_codes(task)), "")


def _events(task: Task, raw: Raw) -> tuple[NDArray[np.int64], Array]:
    """Return which event and which day each record is of."""
    if TIME not in raw.cells:
        return np.ones(len(raw.cells), dtype=np.int64), np.full(len(raw.cells), np.nan)
    time = _text(task, raw, TIME)
    hashed = pd.util.hash_array(time.to_numpy(dtype=object)).astype(np.int64)
    event = np.where(time == "", 0, np.where(hashed == 0, 1, hashed))
    return event, _days(task, raw, time)


def _days(task: Task, raw: Raw, time: "pd.Series[str]") -> Array:
    """Return the days of *time*; where they count, raise DataError for what is none."""
    if not task.timed:
        return np.full(len(time), np.nan)
    source = task.place.site.mapping.named[task.place.name]
    days = columns.days_of(time, source.dates)
    said = (time != "").to_numpy()
    odd = pd.Series(np.isnan(days) & said, index=time.index)
    if odd.any():
        raise _undated(task, raw, time, odd)
    return days


def _undated(
    task: Task, raw: Raw, time: "pd.Series[str]", odd: "pd.Series[bool]"
) -> DataError:
    """Say which times are no dates; where most are, how they may be written."""
    source, place = task.place.site.mapping.named[task.place.name], task.place
    count, said = int(odd.sum()), int((time != "").sum())
    fix = f"in {place.table} say   {dates.setting(time, '%d.%m.%Y')}"
    if count <= said / 2:
        fix = f"correct them, or list what is no date under `missing` of {place.table}"
    keys = ("event_time",) if "event_time" in type(source).model_fields else ()
    what = (
        f"{count:,} of {said:,} event times cannot be read as {source.dates}; the "
        f"first is in {raw.counted} {line_of(odd)}"
    )
    return place.told(what, (*keys, "dates")[:1], fix)


def _trains(task: Task, raw: Raw, of: Numbers) -> Flags:
    """Return who trains: everyone, whom the source names, or by a hash of who."""
    evaluation = task.study.evaluation
    if evaluation is None:
        return np.ones(len(of.codes), dtype=np.bool_)
    if evaluation.test != "declared":
        return persons.draws(evaluation.seed, of) >= evaluation.test
    if SPLIT not in raw.cells:
        return np.ones(len(of.codes), dtype=np.bool_)
    said = _text(task, raw, SPLIT)
    other = ~said.isin(["train", "test"])
    if other.any():
        raise task.place.told(
            f"{int(other.sum())} cells of the split column are not train or test; "
            f"the first is in {raw.counted} {line_of(other)}",
            ("split",),
            "write train or test in each cell",
        )
    return (said == "train").to_numpy(dtype=np.bool_)
