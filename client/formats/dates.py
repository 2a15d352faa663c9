"""Dates as hospitals write them: read as declared, guessed for an error, and counted.

A guess fits every cell that was looked at, and no other way of writing does.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from common.release import Array

DAYS = (
    *("%d.%m.%Y", "%d.%m.%y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d"),
    *("%d-%m-%Y", "%m-%d-%Y", "%Y%m%d", "%d %b %Y", "%d-%b-%Y"),
)
TIMES = ("", " %H:%M", " %H:%M:%S", "T%H%M", "T%H:%M")
LOOKED_AT = 200
SHORT, WHOLE = "%Y%m%d", r"\s*\d{8}(?!\d).*"
"""Digits without anything between them: 202012 is a month, and no day of it."""

Dates = NDArray[np.datetime64]


def read(text: "pd.Series[str]", written: str) -> "pd.Series[pd.Timestamp]":
    """Return the moments that *text* means, NaT where it is not *written* so."""
    if written.startswith(SHORT):
        text = text.where(text.str.fullmatch(WHOLE, na=False))
    return pd.to_datetime(text, format=written, errors="coerce", utc=True)


def years(days: Array, index: Array) -> Array:
    """Return the whole years from *days* to *index*, both in days since 1970.

    It is one more on each birthday. Who was born on 29 February has it on 1 March.
    """
    born, now = _date(days), _date(index)
    months = now.astype("datetime64[M]") - born.astype("datetime64[M]")
    passed = months.astype(np.int64) - (_day(now) < _day(born))
    gaps = np.isnan(days) | np.isnan(index)
    return np.where(gaps, np.nan, np.floor_divide(passed, 12))


def written(cells: "pd.Series[str]") -> str:
    """Return the one format that all of the first *cells* have; empty if none does."""
    text = cells.str.strip()
    some = text[text != ""].drop_duplicates().head(LOOKED_AT)
    formats = [day + time for day in DAYS for time in TIMES]
    fits = [each for each in formats if len(some) and _fits(some, each)]
    return fits[0] if len(fits) == 1 else ""


def setting(cells: "pd.Series[str]", example: str) -> str:
    """Return the line of site.toml that says how dates are written, or an *example*."""
    found = written(cells)
    return f'dates = "{found}"' if found else f'e.g.   dates = "{example}"'


def _fits(some: "pd.Series[str]", form: str) -> bool:
    return bool(read(some, form).notna().all())


def _date(days: Array) -> Dates:
    return np.floor(np.nan_to_num(days)).astype(np.int64).astype("datetime64[D]")


def _day(dates: Dates) -> NDArray[np.int64]:
    first = dates.astype("datetime64[M]").astype("datetime64[D]")
    days: NDArray[np.int64] = (dates - first).astype(np.int64)
    return days
