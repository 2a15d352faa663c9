"""Guesses how a hospital writes its dates, so that an error can say so.

A guess fits every cell that was looked at, and no other way of writing does.
"""

import pandas as pd

DAYS = (
    *("%d.%m.%Y", "%d.%m.%y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d"),
    *("%d-%m-%Y", "%m-%d-%Y", "%Y%m%d", "%d %b %Y", "%d-%b-%Y"),
)
TIMES = ("", " %H:%M", " %H:%M:%S", "T%H%M", "T%H:%M")
LOOKED_AT = 200


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
    return bool(pd.to_datetime(some, format=form, errors="coerce").notna().all())
