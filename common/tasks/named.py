"""Variables by their names, in a study and among the clean rows of a site."""

from collections.abc import Sequence

import numpy as np

from common.release import Array
from common.schema import Binary, Category, Number, Survival
from common.study import Study
from common.task import Rows

Pair = tuple[str, str]


def declared(study: Study, name: str) -> Number | Category | Binary:
    """Return the declaration of *name*, which the study was checked to have."""
    found = next(each for each in study.everything if each.name == name)
    if isinstance(found, Survival):
        raise TypeError(f"{name} is a time until an event")
    return found


def number(study: Study, name: str) -> Number:
    """Return the declaration of the number *name*; raise TypeError for another."""
    found = declared(study, name)
    if not isinstance(found, Number):
        raise TypeError(f"{name} is not a number")
    return found


def values(study: Study, rows: Rows, names: Sequence[str]) -> Array:
    """Return the clean values [records, names], a gap as NaN."""
    every = np.column_stack([rows.x, rows.y])
    places = {each.name: index for index, each in enumerate(study.everything)}
    return every[:, [places[name] for name in names]]


def distances(study: Study, rows: Rows, names: Sequence[str]) -> Array:
    """Return each number's distance from mid-range, in units of half the range."""
    ranges = np.array([number(study, name).range for name in names]).reshape(-1, 2)
    middle, half = ranges.mean(axis=1), np.ptp(ranges, axis=1) / 2
    scaled: Array = (values(study, rows, names) - middle) / half
    return scaled


def codes(study: Study, rows: Rows, name: str) -> Array:
    """Return the code of the level [records] of a category, or of what cuts part."""
    found = values(study, rows, [name])[:, 0]
    variable = declared(study, name)
    if not isinstance(variable, Number):
        return found
    parts = np.searchsorted(variable.cuts or (), found, side="right")
    return np.where(np.isnan(found), np.nan, parts)


def coarse(study: Study, name: str, records: float) -> bool:
    """Return whether cuts part a number into no more bins than a tenth of *records*."""
    variable = declared(study, name)
    return not isinstance(variable, Number) or 10 * len(variable.coded) <= records
