"""Makes numbers of samples: mean, min, max, last, slope, count of a window of hours.

A window is half open, ``hours = [0, 24]`` from the event up to and without 24 hours
later, so that two windows side by side share no sample. What needs more samples than
there are is a gap.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from client.mapping import Column
from client.media import Take
from client.raw import Place
from common.errors import DataError
from common.release import Array

TAKES: Final[tuple[Take, ...]] = ("mean", "min", "max", "last", "slope", "count")


@dataclass(frozen=True, slots=True, repr=False)
class Samples:
    """One channel of some recordings, in order of recording and time, all [samples].

    ``recording`` counts recordings from 0, ``hours`` are from the event on. There is no
    gap in ``values``: a lost sample is none.
    """

    recording: NDArray[np.int64]
    hours: Array
    values: Array


def samples(recording: NDArray[np.int64], hours: Array, values: Array) -> Samples:
    """Return samples in order, without those that are gaps or at no time."""
    known = ~np.isnan(values) & ~np.isnan(hours)
    order = np.flatnonzero(known)[np.lexsort((hours[known], recording[known]))]
    return Samples(recording[order], hours[order], values[order])


def taken(column: Column, found: Samples, recordings: int) -> Array:
    """Return what *column* takes of each recording [recordings], NaN for a gap."""
    low, high = column.hours or (-np.inf, np.inf)
    inside = (found.hours >= low) & (found.hours < high)
    whose, hours, values = (
        found.recording[inside],
        found.hours[inside],
        found.values[inside],
    )
    numbers = np.bincount(whose, minlength=recordings).astype(np.float64)
    if column.take == "count":
        return numbers
    starts = np.flatnonzero(np.diff(whose, prepend=-1))
    result = np.full(recordings, np.nan)
    if not len(starts):
        return result
    if column.take == "slope":
        return _slope(whose, hours, values, recordings)
    if column.take == "last":
        result[whose] = values  # in order of time: the last one stays
    elif column.take == "mean":
        result[whose[starts]] = np.add.reduceat(values, starts) / numbers[whose[starts]]
    else:
        fold = np.minimum if column.take == "min" else np.maximum
        result[whose[starts]] = fold.reduceat(values, starts)
    return result


def cells(numbers: Array) -> list[str]:
    """Return *numbers* as text that reads back as the same numbers; gaps are empty."""
    return ["" if np.isnan(each) else repr(each) for each in numbers.tolist()]


def require_taken(place: Place, name: str, column: Column) -> None:
    """Raise DataError unless *column* says what to take of its samples."""
    if column.take is None:
        raise _wrong(place, name, "take", f"is one of {', '.join(TAKES)}")
    if column.hours and not column.hours[0] < column.hours[1]:
        raise _wrong(place, name, "hours", "go from the earlier to the later")


def _wrong(place: Place, name: str, key: str, what: str) -> DataError:
    return place.told(
        f"`{key}` of {name} {what}",
        ("columns", name, key),
        f'in [columns.{name}], e.g.   take = "mean", hours = [0, 24]',
    )


def _slope(
    whose: NDArray[np.int64], hours: Array, values: Array, recordings: int
) -> Array:
    """Return the least-squares slope of each recording, in values per hour."""
    numbers = np.bincount(whose, minlength=recordings)
    with np.errstate(invalid="ignore", divide="ignore"):
        middle = np.bincount(whose, hours, recordings) / numbers
        away = hours - middle[whose]
        wide = np.bincount(whose, away * away, recordings)
        rises = np.bincount(whose, away * values, recordings)
        return np.where(wide > 0, rises / wide, np.nan)
