"""From a hospital's sources to one record for each row, event or person, all counted.

Whatever was read, the result is the same: numbers under the names of the study. What
did not map is counted by person, so that a steward sees where a mapping leaks.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from client.formats import filed
from client.formats.raw import Arrays, Place
from client.numbers import columns, persons, picking, reading, tally, ways
from client.numbers.persons import Persons
from client.numbers.reading import Read, Task
from client.numbers.tally import Tally
from client.numbers.ways import Way, pictures
from client.site import CHECK, Site
from client.table import Count, Table
from client.tables import cleaning, doubts, withdrawals
from client.tables.records import Records, choose, frame, joins, looks, taken
from client.tables.work import Work
from common.errors import DataError
from common.release import Array
from common.schema import Image, Number
from common.study import Study


def table(site: Site, study: Study, gone: Persons | None = None) -> Table:
    """Read, join and clean what *study* declares of the records at *site*.

    Who has *gone* is left out: those who withdrew, unless it says who else.
    Raises DataError, without a value in it, for whatever the mapping does not explain.
    """
    return cleaning.clean(site, study, gather(site, study, gone))


def gather(site: Site, study: Study, gone: Persons | None = None) -> Work:
    """Return the records at *site* as numbers under the names of *study*, uncleaned."""
    work = _gathered(site, study)
    return _willing(work, withdrawals.read(site.home) if gone is None else gone)


def _gathered(site: Site, study: Study) -> Work:
    """Return the records of everybody."""
    declared = (*pictures(study), *study.measured)
    every = tuple(ways.way(site, study, each) for each in declared)
    wholes = _wholes(site, study, every)
    records = choose(site, wholes, every)
    if not len(records.keys):
        raise _empty(site)
    values: dict[str, Array] = {}
    arrays: dict[str, NDArray[np.generic]] = {}
    report = [*_read_counts(wholes), *_unread(site, wholes), *_ignored(site, study)]
    for way in every:
        found = _found(way, records, wholes)
        values[way.name] = found.numbers
        arrays |= found.arrays
        report.extend(found.report)
    clean = pd.DataFrame(values, copy=False)
    return Work(clean, frame(records.keys), arrays, tuple(report))


def _willing(work: Work, gone: Persons) -> Work:
    """Leave out who withdrew, before anything else is done with the records."""
    there = ~work.keys["person"].isin(gone).to_numpy()
    return work.keep(there, "withdrawn", "", "records of people who withdrew")


@dataclass(frozen=True, slots=True, repr=False)
class Found:
    """One variable of every record."""

    numbers: Array
    arrays: Arrays
    report: tuple[Count, ...]


def _wholes(site: Site, study: Study, every: tuple[Way, ...]) -> dict[str, Read]:
    """Read every source that the study needs, each once."""
    mapping = site.mapping
    needed: dict[str, list[Way]] = {}
    for way in every:
        if not way.column.absent:
            needed.setdefault(mapping.source_of(way.column), []).append(way)
    events: dict[str, str] = {}
    if mapping.index and mapping.index.event:
        event = mapping.index.event
        events[mapping.source_of(mapping.columns[event])] = event
    first = mapping.index.source if mapping.index else None
    names = dict.fromkeys([*([first] if first else []), *events, *needed])
    timed = _timed(site, study, every)
    secret = persons.key(site.home)
    return {
        name: reading.read(
            Task(
                Place(site, name, study.image, ways.bounds(every)),
                study,
                tuple(needed.get(name, ())),
                events.get(name),
                timed,
            ),
            secret,
        )
        for name in names or [next(iter(mapping.named))]
    }


def _timed(site: Site, study: Study, every: tuple[Way, ...]) -> bool:
    """Tell whether the day of an event counts, or only whether two are the same."""
    elapsed = any(way.column.elapsed for way in every)
    return elapsed or bool(study.cleaning.carry) or joins(site, every)


def _found(way: Way, records: Records, wholes: Mapping[str, Read]) -> Found:
    """Return one variable of every record, from its own row or picked from events."""
    count = len(records.keys)
    if way.column.absent:
        never = Count("columns", way.read, "records: never measured here", count)
        once = () if _again(way) else (never,)
        return Found(np.full(count, np.nan), {}, once)
    source = way.site.mapping.source_of(way.column)
    whole = wholes[source]
    change = whole.tallies.get(way.name, Tally())
    if source == records.source and not looks(way):
        values = _own(whole.every(way.name), records.rows)
        arrays = _arrays(way, whole, records.rows)
        joined: tuple[Count, ...] = ()
    else:
        values, arrays, joined = _picked(way, records, whole)
    if way.column.elapsed:
        values, more = columns.since(way, values, records.keys.when)
        change += more
    elif way.column.pick == "count":
        values, more = columns.bounded(way, values)
        change += more
    counted = (*tally.judge(way, change), *(() if _again(way) else joined))
    return Found(values, arrays, counted)


def _again(way: Way) -> bool:
    """Tell whether this is another bucket of a text that is counted already."""
    return way.bucket is not None and way.bucket.place > 0


def _picked(
    way: Way, records: Records, whole: Read
) -> tuple[Array, Arrays, tuple[Count, ...]]:
    """Pick one value for each record from the events of its person."""
    wish, count = picking.wish(way.column), len(records.keys)
    places, given = whole.known(way.name)
    events = taken(whole.keys, places)
    pairs = picking.pairs(wish, records.keys, events)
    values = picking.pick(wish, pairs, count, given)
    if wish.pick == "any":
        values = _said(way, values)
    chosen = picking.places(pairs, count, first=wish.pick == "first")
    rows = np.append(places, picking.NONE)[chosen]
    missed = doubts.outside(way, wish, pairs, count)
    counts = (*doubts.joined(way, records.keys, events), *missed)
    return values, _arrays(way, whole, rows), counts


def _own(numbers: Array, rows: NDArray[np.int64]) -> Array:
    """Return the numbers at *rows*, without a copy where these are all of them."""
    return numbers if len(rows) == len(numbers) else numbers[rows]


def _said(way: Way, happened: Array) -> Array:
    """Return the levels that stand for something that happened, or did not."""
    if isinstance(way.variable, Number | Image):
        return happened
    codes = way.variable.coded
    present, otherwise = way.column.present, way.column.otherwise
    return np.where(happened > 0, codes.index(present), codes.index(otherwise)).astype(
        np.float64
    )


def _arrays(way: Way, whole: Read, rows: NDArray[np.int64]) -> Arrays:
    """Return the array of a variable that is no number, zeros where there is none."""
    if way.name not in whole.arrays:
        return {}
    array = whole.arrays[way.name]
    nothing = np.zeros((1, *array.shape[1:]), dtype=array.dtype)
    return {way.name: np.concatenate([array, nothing])[rows]}


def _read_counts(wholes: Mapping[str, Read]) -> list[Count]:
    if len(wholes) == 1:
        whole = next(iter(wholes.values()))
        return [Count("read", "", "records read", len(whole.keys))]
    return [
        Count("read", "", f"records read of {name}", len(whole.keys))
        for name, whole in wholes.items()
    ]


def _unread(site: Site, names: Iterable[str]) -> Iterator[Count]:
    """Yield how many files of a source are not named as it says."""
    for name in names:
        place, pattern = (
            Place(site, name),
            getattr(site.mapping.named[name], "files", ""),
        )
        if count := filed.others(place, pattern):
            what = f"files of {name} that are not called {pattern}: not read"
            fix = f"rename them, or correct `files` of {place.table}"
            yield Count("read", "", what, count, fix)


def _ignored(site: Site, study: Study) -> list[Count]:
    mapping = site.mapping
    used = {each.name for each in (*pictures(study), *study.declared)}
    used |= {each.name for each in study.measured}
    used |= {mapping.index.event} if mapping.index and mapping.index.event else set()
    undeclared = sorted(set(mapping.columns) - used)
    what = f"mapped but not declared by the study, ignored: {', '.join(undeclared)}"
    return [Count("columns", "", what, len(undeclared))] if undeclared else []


def _empty(site: Site) -> DataError:
    header = "has a header and no records" if site.mapping.data else "holds no records"
    key = ("data", "file") if site.mapping.data else ("sources",)
    return DataError(
        f"{site.name}: {site.asset} {header}",
        where=site.where(*key),
        fix="export it again, with its records",
        then=f"{CHECK}{site.path}",
    )
