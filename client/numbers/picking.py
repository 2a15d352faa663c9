"""One value for each record out of many that a person has: by a window and a rule.

    picked = pick(Wish("last", -30, 0), records, events, values)

Records and events are joined by person. A window counts days from the record's index
event; what the future holds is not seen unless a window says so.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from client.documents.mapping import Column, Pick
from client.numbers.reading import Keys
from common.release import Array

NONE = -1
"""Stands for no event in what was picked."""


@dataclass(frozen=True, slots=True)
class Wish:
    """Which events count, in days after the index event, and what becomes of them."""

    pick: Pick
    earliest: float
    latest: float


@dataclass(frozen=True, slots=True, repr=False)
class Pairs:
    """Every (record, event) of one person within a window, in order of time.

    A record has its pairs side by side; ``record`` and ``event`` are places in the two.
    ``beyond`` is of each record that has events, and none within: how many days the
    nearest is after the window, or before it if negative.
    """

    record: NDArray[np.int64]
    event: NDArray[np.int64]
    beyond: Array


def wish(column: Column) -> Wish:
    """Return what *column* asks for; by default the last value before the index."""
    earliest = -np.inf if column.from_days is None else column.from_days
    latest = 0.0 if column.to_days is None else column.to_days
    return Wish(column.pick or "last", earliest, latest)


def pairs(wish: Wish, records: Keys, events: Keys) -> Pairs:
    """Return the events within the window of each record.

    Events or records without a time are in every window: a birth date has none.
    """
    left = pd.DataFrame({"person": records.person, "at": records.when})
    left["record"] = np.arange(len(left))
    right = pd.DataFrame({"person": events.person, "when": events.when})
    right["event"] = np.arange(len(right))
    both = left.merge(right, on="person", sort=False)
    offset = (both["when"] - both["at"]).to_numpy()
    timeless = np.isnan(offset)
    inside = timeless | ((offset >= wish.earliest) & (offset <= wish.latest))
    chosen = both[inside].sort_values(["record", "when", "event"], kind="stable")
    beyond = _beyond(wish, both["record"].to_numpy(), offset, inside)
    return Pairs(chosen["record"].to_numpy(), chosen["event"].to_numpy(), beyond)


def _beyond(
    wish: Wish, record: NDArray[np.int64], offset: Array, inside: NDArray[np.bool_]
) -> Array:
    """Return how far the nearest event is, for records with none in the window."""
    served = np.zeros(int(record.max(initial=-1)) + 1, dtype=np.bool_)
    served[record[inside]] = True
    lone = ~served[record]
    off, whose = offset[lone], record[lone]
    away = off - np.where(off > wish.latest, wish.latest, wish.earliest)
    order = np.lexsort((np.abs(away), whose))
    _, nearest = np.unique(whose[order], return_index=True)
    return np.asarray(away[order][nearest], dtype=np.float64)


def places(found: Pairs, count: int, *, first: bool) -> NDArray[np.int64]:
    """Return the first or last event of each of *count* records, NONE where none is."""
    chosen = np.full(count, NONE, dtype=np.int64)
    if first:
        chosen[found.record[::-1]] = found.event[::-1]
    else:
        chosen[found.record] = found.event
    return chosen


def pick(wish: Wish, found: Pairs, count: int, values: Array) -> Array:
    """Return one number for each of *count* records, NaN where no event is.

    Where events are counted, or any is looked for, no event is 0.
    """
    if wish.pick in ("first", "last"):
        chosen = places(found, count, first=wish.pick == "first")
        return np.append(values, np.nan)[chosen]  # NONE is the place of the gap
    numbers = np.bincount(found.record, minlength=count)
    if wish.pick in ("count", "any"):
        return np.minimum(numbers, 1.0) if wish.pick == "any" else numbers.astype(float)
    grouped = pd.Series(values[found.event]).groupby(found.record)
    result = np.full(count, np.nan)
    folded = grouped.agg(wish.pick)
    result[folded.index.to_numpy(dtype=np.int64)] = folded.to_numpy()
    return result
