"""What of a mapping did not fit, as counts, and what a steward should look at twice.

A code that nobody has, numbers that two sources write differently, or a window that
ends before the laboratory answers leave gaps and no error. A count says so, with a fix.
"""

from collections.abc import Iterator

import numpy as np

from client.formats.raw import Place
from client.numbers import persons
from client.numbers.picking import Pairs, Wish
from client.numbers.reading import Keys
from client.numbers.ways import Way
from client.table import Count
from common.release import Array

REACHES = (1, 2, 7, 14, 30, 90, 365)
"""Days by which a window is said to be too short: never a person's own."""
MOST = 0.9


def joined(way: Way, records: Keys, events: Keys) -> Iterator[Count]:
    """Yield the people on either side of a join who have nobody on the other."""
    people = np.unique(records.person[records.person != persons.NOBODY])
    having = np.unique(events.person)
    lacking = len(np.setdiff1d(people, having, assume_unique=True))
    beyond = len(np.setdiff1d(having, people, assume_unique=True))
    place = Place(way.site, way.site.mapping.source_of(way.column))
    nobody = len(people) > 0 and lacking == len(people)
    if lacking:
        fix = _nowhere(way) if nobody and not beyond else ""
        yield Count("join", way.read, _none(way, place.name), lacking, fix)
    if beyond:
        what = f"people of {place.name} without a record"
        fix = _strangers(place) if nobody else ""
        yield Count("join", way.read, what, beyond, fix)


def outside(way: Way, wish: Wish, pairs: Pairs, records: int) -> Iterator[Count]:
    """Yield how many of the *records* have values, and none of them in the window."""
    if wish.pick in ("any", "count") or not len(pairs.beyond):
        return
    many = len(pairs.beyond) > records / 2
    fix = _wider(way, wish, pairs.beyond) if many else ""
    what = "records whose values all lie outside the window"
    yield Count("window", way.read, what, len(pairs.beyond), fix)


def _none(way: Way, source: str) -> str:
    """Return what it means that *source* has nothing of a person: a no may be one."""
    if way.column.pick == "any":
        return f"people without such an event in {source}: {way.column.otherwise}"
    if way.column.pick == "count":
        return f"people without such an event in {source}: 0"
    return f"people without a value in {source}"


def _nowhere(way: Way) -> str:
    return (
        f"nobody has it: correct [columns.{way.read}], "
        "or, if it was never measured:   absent = true"
    )


def _strangers(place: Place) -> str:
    return (
        "none of them has one: do both sources write the same numbers?   "
        f"correct `person` of {place.table}"
    )


def _wider(way: Way, wish: Wish, beyond: Array) -> str:
    """Return the setting under which most of the values outside would be inside."""
    later = float(np.mean(beyond > 0)) >= 1 / 2
    away = np.abs(beyond[(beyond > 0) == later])
    days = next((d for d in REACHES if np.mean(away <= d) >= MOST), None)
    key, edge = ("to_days", wish.latest) if later else ("from_days", wish.earliest)
    if days is None:
        said = f"most are over a year away: correct `{key}`"
    else:
        said = f"{key} = {edge + (days if later else -days):g}"
    return f"if those should count, in [columns.{way.read}]:   {said}"
