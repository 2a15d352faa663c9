"""Reads one source part by part into numbers: who, when, and what was measured.

Text lives as long as a part of it. What stays of a person is a pseudonym, of an event a
number that tells it from others, and of a date the day, until the table is made.
"""

from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field, fields

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from client.documents.mapping import Fhir, Sql
from client.formats import dates
from client.formats.bounds import Seen
from client.formats.lines import line_of
from client.formats.raw import PERSON, SPLIT, TIME, Arrays, Place, Raw
from client.numbers import columns, persons, texts
from client.numbers.columns import Flags, Said
from client.numbers.growing import Growing
from client.numbers.persons import Numbers, Persons
from client.numbers.tally import Tally
from client.numbers.ways import Way
from client.site import Site
from client.sources import opening
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


KEYS = tuple(each.name for each in fields(Keys))


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
    whole = _Whole({name: _Column() for name in names})
    with closing(opening.read(task.place, wanted)) as found:
        for raw in found:
            whole.add(_part(task, secret, raw))
    return whole.read()


@dataclass(slots=True, repr=False)
class _Column:
    """What was said of one variable so far; no ``rows`` where all say something."""

    numbers: Growing = field(default_factory=Growing)
    rows: Growing | None = None

    def add(self, said: Said, first: int, length: int) -> None:
        """Add what *length* records say, of which the first is the one at *first*."""
        if said.rows is not None and self.rows is None:
            self.rows = Growing()
            self.rows.add(np.arange(first))
        if self.rows is not None:
            here = np.arange(length) if said.rows is None else said.rows
            self.rows.add(here + first)
        self.numbers.add(said.numbers)

    def said(self) -> Said:
        """Return all of it."""
        rows = self.rows.whole().astype(np.int64, copy=False) if self.rows else None
        return Said(rows, self.numbers.whole().astype(np.float64, copy=False))


@dataclass(slots=True, repr=False)
class _Whole:
    """What one source says, so far: columns that grow with each part of it."""

    said: dict[str, _Column]
    keys: list[Growing] = field(default_factory=lambda: [Growing() for _ in KEYS])
    arrays: dict[str, Growing] = field(default_factory=dict)
    tallies: dict[str, Tally] = field(default_factory=dict)
    length: int = 0

    def add(self, part: Read) -> None:
        """Add one part; what it does not say of a variable is nobody's."""
        for growing, name in zip(self.keys, KEYS, strict=True):
            growing.add(getattr(part.keys, name))
        nothing = Said(np.empty(0, dtype=np.int64), np.empty(0))
        for name, column in self.said.items():
            column.add(part.said.get(name, nothing), self.length, len(part.keys))
        for name, array in part.arrays.items():
            self.arrays.setdefault(name, Growing()).add(array)
        for name, tally in part.tallies.items():
            self.tallies[name] = self.tallies.get(name, Tally()) + tally
        self.length += len(part.keys)

    def read(self) -> Read:
        """Return all of it, and let go of what grew."""
        return Read(
            Keys(*(each.whole() for each in self.keys)),  # type: ignore[arg-type]
            {name: column.said() for name, column in self.said.items()},
            {name: array.whole() for name, array in self.arrays.items()},
            self.tallies,
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


def _part(task: Task, secret: bytes, raw: Raw) -> Read:
    """Return one part of the source as numbers."""
    said, tallies = texts.part(task.ways, raw)
    for way in task.ways:
        if way.bucket is None and way.name in raw.cells:
            said[way.name], tally = columns.part(way, raw)
            tallies[way.name] = tally + Tally(samples=raw.seen.get(way.name, Seen()))
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
