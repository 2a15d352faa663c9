"""Makes numbers of samples: mean, min, max, last, slope, count of a window of hours.

A window is half open, ``hours = [0, 24]`` from the event up to and without 24 hours
later, so that two windows side by side share no sample. What needs more samples than
there are is a gap.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from client.documents.mapping import Column
from client.documents.media import Take
from client.formats import bounds
from client.formats.bounds import Seen
from client.formats.raw import Place
from client.site import CHECK
from common.errors import StudyError
from common.release import Array

Sums = dict[str, Array]
"""What is known of a window of each recording so far [recordings], by name."""
TAKES: Final[tuple[Take, ...]] = ("mean", "min", "max", "last", "slope", "count")
STILL: Final = 1e-18
"""A spread of squared hours that is rounding: all samples are of one moment."""


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


def plausible(
    place: Place, name: str, column: Column, found: Samples
) -> tuple[Samples, Seen]:
    """Return the samples of a window that are none of a lost sensor, and counts.

    They are neither a code of the source or of *column*, nor outside the range that
    *place* knows of *name*.
    """
    low, high = column.hours or (-np.inf, np.inf)
    found = _only(found, (found.hours >= low) & (found.hours < high))
    missing = (*place.site.mapping.named[place.name].missing, *column.missing)
    known = place.bounds.get(name, ())
    inside, seen = bounds.judge(found.values, bounds.codes(missing)[0], known)
    return _only(found, inside), seen


def _only(found: Samples, chosen: NDArray[np.bool_]) -> Samples:
    if chosen.all():
        return found
    return Samples(found.recording[chosen], found.hours[chosen], found.values[chosen])


def taken(column: Column, found: Samples, recordings: int) -> Array:
    """Return what *column* takes of each recording [recordings], NaN for a gap."""
    return result(column, part(column, found, recordings))


def part(column: Column, found: Samples, recordings: int) -> Sums:
    """Return what has to be known of some samples to go on with others later."""
    low, high = column.hours or (-np.inf, np.inf)
    kept = _only(found, (found.hours >= low) & (found.hours < high))
    count = np.bincount(kept.recording, minlength=recordings).astype(np.float64)
    if column.take == "slope":
        return _spread(kept, count)
    if column.take == "count":
        return {"count": count}
    starts = np.flatnonzero(np.diff(kept.recording, prepend=-1))
    ends = np.append(starts[1:], len(kept.recording))[: len(starts)] - 1
    whose = kept.recording[starts]
    if column.take == "last":
        last = _where(whose, kept.values[ends], recordings)
        return {"at": _where(whose, kept.hours[ends], recordings), "last": last}
    fold = {"mean": np.add, "min": np.minimum, "max": np.maximum}[column.take or ""]
    values = fold.reduceat(kept.values, starts) if len(starts) else np.empty(0)
    return {"count": count, "folded": _where(whose, values, recordings)}


def _where(whose: NDArray[np.int64], values: Array, recordings: int) -> Array:
    found = np.full(recordings, np.nan)
    found[whose] = values
    return found


def _spread(kept: Samples, count: Array) -> Sums:
    """Return means and sums of products about them: small numbers stay exact."""
    whose, many = kept.recording, len(count)
    with np.errstate(invalid="ignore", divide="ignore"):
        middle = np.bincount(whose, kept.hours, many) / count
        level = np.bincount(whose, kept.values, many) / count
    away = kept.hours - middle[whose]
    wide = np.bincount(whose, away * away, many).astype(np.float64)
    rises = np.bincount(whose, away * kept.values, many).astype(np.float64)
    return {"count": count, "hour": middle, "value": level, "hh": wide, "hv": rises}


def merged(column: Column, one: Sums, other: Sums) -> Sums:
    """Return what is known of the samples of both, *other* being the later in the file.

    *one* may know fewer recordings. Spreads add up as in Chan, Golub, LeVeque (1983).
    """
    many = len(next(iter(other.values())))
    one = {name: _padded(each, name, many) for name, each in one.items()}
    match column.take:
        case "slope":
            return _both(one, other)
        case "last":
            later = (other["at"] >= one["at"]) | np.isnan(one["at"])
            return {name: np.where(later, other[name], one[name]) for name in one}
        case "min" | "max":
            fold = np.fmin if column.take == "min" else np.fmax
            folded = fold(one["folded"], other["folded"])
        case "mean":
            folded = np.nan_to_num(one["folded"]) + np.nan_to_num(other["folded"])
        case _:
            return {"count": one["count"] + other["count"]}
    return {"count": one["count"] + other["count"], "folded": folded}


def _padded(known: Array, name: str, many: int) -> Array:
    nothing = 0.0 if name in ("count", "hh", "hv") else np.nan
    return np.append(known, np.full(many - len(known), nothing))


def _both(one: Sums, other: Sums) -> Sums:
    count = one["count"] + other["count"]
    share = np.divide(other["count"], count, out=np.zeros(len(count)), where=count > 0)
    hour, value = (
        np.nan_to_num(other[n]) - np.nan_to_num(one[n]) for n in ("hour", "value")
    )
    weight = one["count"] * share
    return {
        "count": count,
        "hour": np.nan_to_num(one["hour"]) + hour * share,
        "value": np.nan_to_num(one["value"]) + value * share,
        "hh": one["hh"] + other["hh"] + hour * hour * weight,
        "hv": one["hv"] + other["hv"] + hour * value * weight,
    }


def result(column: Column, known: Sums) -> Array:
    """Return what *column* takes, once all samples are known; NaN for a gap."""
    with np.errstate(invalid="ignore", divide="ignore"):
        match column.take:
            case "slope":
                rises = known["hh"] > STILL
                return np.where(rises, known["hv"] / known["hh"], np.nan)
            case "last":
                return known["last"]
            case "count":
                return known["count"]
            case "mean":
                return known["folded"] / known["count"]
            case _:
                return known["folded"]


def cells(numbers: Array) -> list[str]:
    """Return *numbers* as text that reads back as the same numbers; gaps are empty."""
    return ["" if np.isnan(each) else repr(each) for each in numbers.tolist()]


def require_taken(place: Place, name: str, column: Column) -> None:
    """Raise StudyError unless *column* says what to take of its samples."""
    if column.take is None:
        raise _wrong(place, name, "take", f"is one of {', '.join(TAKES)}")
    if column.hours and not column.hours[0] < column.hours[1]:
        raise _wrong(place, name, "hours", "go from the earlier to the later")


def _wrong(place: Place, name: str, key: str, what: str) -> StudyError:
    return StudyError(
        f"{place.site.name}: `{key}` of {name} {what}",
        where=place.site.where("columns", name, key),
        fix=f'in [columns.{name}], e.g.   take = "mean", hours = [0, 24]',
        then=f"{CHECK}{place.site.path}",
    )
