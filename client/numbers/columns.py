"""One column's way from text to numbers: codes, numbers, units, spellings, range.

numbers, tally = columns.part(way, raw)         # for every part of the source
counts = tally.judge(way, total)                # refuses what is too wrong
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from client.documents.mapping import Csv
from client.formats import dates
from client.formats.lines import line_of
from client.formats.raw import Raw, unit_of
from client.numbers.tally import Tally
from client.numbers.ways import Way, conversion
from common.release import Array
from common.schema import Binary, Category, Image, Number

Flags = NDArray[np.bool_]
DAY = 86_400.0
THOUSANDS = r"[+-]?\d{1,3}(,\d{3})+"


@dataclass(frozen=True, slots=True, repr=False)
class Said:
    """What some records say of one variable: their places, and NaN for a gap.

    ``rows`` is None where every record says something.
    """

    rows: NDArray[np.int64] | None
    numbers: Array


def part(way: Way, raw: Raw) -> tuple[Said, Tally]:
    """Return the numbers in some records, and what was changed.

    A cell that is not text says nothing: it is no gap, and is not counted. Where what
    counts is that something happened, or when, the number is 1, or a day.
    """
    cells = raw.cells[way.name]
    said = cells.notna().to_numpy()
    whole = bool(said.all())
    text = (cells if whole else cells[said]).str.strip()
    numbers, tally = _read(way, raw, text)
    return Said(None if whole else np.flatnonzero(said), numbers), tally


def _read(way: Way, raw: Raw, text: "pd.Series[str]") -> tuple[Array, Tally]:
    if isinstance(way.variable, Image) or way.column.pick in ("any", "count"):
        return _events(way, text)
    if way.column.elapsed:
        return _days(way, text, raw.counted)
    if isinstance(way.variable, Number):
        return _numbers(way, raw, text)
    return _levels(way, way.variable, text, raw.counted)


def bounded(way: Way, values: Array) -> tuple[Array, Tally]:
    """Return *values* with gaps outside the range, and the oldest people as one."""
    if not isinstance(way.variable, Number):
        return values, Tally()
    low, high = way.variable.range
    below, above = values < low, values > high
    oldest = way.site.mapping.oldest
    old = (values > oldest) & ~above & (way.variable.unit == "a")
    inside = np.where(below | above, np.nan, values)
    kept = np.where(old, float(min(oldest + 1, high)), inside) if old.any() else inside
    known = int((~np.isnan(values)).sum())
    sums = int(below.sum()), int(above.sum()), int(old.sum())
    return kept, Tally(known=known, below=sums[0], above=sums[1], old=sums[2])


def since(way: Way, days: Array, index: Array) -> tuple[Array, Tally]:
    """Return the time from *days* to the day of the index event, both in days."""
    passed, whole = index - days, way.column.elapsed == "years"
    return bounded(way, dates.years(days, index) if whole else passed)


def days_of(text: "pd.Series[str]", written: str) -> Array:
    """Return the days since 1970 that *text* means, NaN where it is no date."""
    times = dates.read(text, written)
    seconds = times.to_numpy(dtype="datetime64[s]")
    days = seconds.astype(np.int64) / DAY
    return np.where(np.isnat(seconds), np.nan, days)


def _events(way: Way, text: "pd.Series[str]") -> tuple[Array, Tally]:
    """Return 1 for every cell that says something: that it happened is what counts."""
    gaps = _gaps(way, text)
    values = np.where(gaps, np.nan, 1.0)
    return values, Tally(cells=len(text), missing=int(gaps.sum()))


def _days(way: Way, text: "pd.Series[str]", counted: str) -> tuple[Array, Tally]:
    """Return dates as days since 1970."""
    gaps = _gaps(way, text)
    days = days_of(text.mask(gaps), way.dates)
    unreadable = np.isnan(days) & ~gaps
    first = _first(text, unreadable, counted)
    return days, Tally(
        cells=len(text),
        missing=int(gaps.sum()),
        unreadable=int(unreadable.sum()),
        first=first,
        dates=dates.written(text[unreadable]) if first else "",
    )


def _numbers(way: Way, raw: Raw, text: "pd.Series[str]") -> tuple[Array, Tally]:
    """Read numbers, convert the unit, and turn what is outside the range into gaps."""
    gaps = _gaps(way, text)
    parsed = _parse(way, text.mask(gaps) if gaps.any() else text)
    units = _units(way, raw)
    unreadable = np.isnan(parsed) & ~gaps
    coded = np.isin(parsed, _numeric_codes(way))
    given = np.where(coded, np.nan, parsed)
    converted, used, foreign = _converted(way, given, units)
    values, tally = bounded(way, converted)
    odd = unreadable | foreign
    return values, tally + Tally(
        cells=len(text),
        missing=int(gaps.sum() + coded.sum()),
        unreadable=int(odd.sum()),
        foreign=int(foreign.sum()),
        commas=_commas(way, text[unreadable]),
        first=_first(text, odd, raw.counted),
        units=used,
        fits=_fits(way, given) if units is None else {},
    )


def _gaps(way: Way, text: "pd.Series[str]") -> Flags:
    """Return where *text* is empty, or a code that means missing."""
    return text.isin(["", *way.codes]).to_numpy(dtype=np.bool_)


def _parse(way: Way, text: "pd.Series[str]") -> Array:
    """Return the numbers in *text*, NaN where there is none.

    With a decimal comma a point could only separate thousands: 1.234 would be read as
    a thousandth of what was meant, so it is no number at all.
    """
    source = way.source
    if isinstance(source, Csv) and source.decimal == ",":
        pointed = text.str.contains(".", regex=False, na=False)
        text = text.mask(pointed).str.replace(",", ".", regex=False)
    numbers = pd.to_numeric(text, errors="coerce").to_numpy(dtype=np.float64)
    return np.where(np.isinf(numbers), np.nan, numbers)


def _commas(way: Way, odd: "pd.Series[str]") -> int:
    """Return how many cells would be numbers, were a comma a point: not 1,234."""
    source = way.source
    if not len(odd) or not isinstance(source, Csv) or source.decimal == ",":
        return 0
    plain = odd.mask(odd.str.fullmatch(THOUSANDS)).str.replace(",", ".", regex=False)
    return int(pd.to_numeric(plain, errors="coerce").notna().sum())


def _numeric_codes(way: Way) -> list[float]:
    """Return the missing codes that are numbers: -9 also means -9.0."""
    codes = _parse(way, pd.Series(way.codes, dtype="str"))
    return [float(number) for number in codes if not np.isnan(number)]


def _units(way: Way, raw: Raw) -> "pd.Series[str] | None":
    """Return the declared name of each cell's unit, if cells say their own."""
    own = unit_of(way.name)
    if own not in raw.cells:
        return None
    units = raw.cells[own][raw.cells[way.name].notna()].fillna("").str.strip()
    names = {"": way.unit, **way.column.unit_names}
    return units.map(lambda unit: names.get(unit, unit))


def _converted(
    way: Way, given: Array, units: "pd.Series[str] | None"
) -> tuple[Array, dict[str, int], Flags]:
    """Return values in the declared unit, how many were converted, and from none."""
    nothing = np.zeros(len(given), dtype=bool)
    if units is None:
        factor, offset = conversion(way, way.unit)
        foreign = int((~np.isnan(given)).sum()) if way.unit != way.declared else 0
        return given * factor + offset, {way.unit: foreign} if foreign else {}, nothing
    values, used, known = given.copy(), {}, nothing.copy()
    for unit in (way.declared, *way.others):
        here = (units == unit).to_numpy(dtype=bool)
        factor, offset = conversion(way, unit)
        values[here] = given[here] * factor + offset
        known |= here
        if unit != way.declared and (count := int((~np.isnan(given[here])).sum())):
            used[unit] = count
    foreign_unit = ~known & ~np.isnan(given)
    values[foreign_unit] = np.nan
    return values, used, foreign_unit


def _fits(way: Way, given: Array) -> dict[str, int]:
    """Return how many cells each other declared unit would bring into the range."""
    units = [unit for unit in (way.declared, *way.others) if unit != way.unit]
    return {unit: _inside(way, unit, given) for unit in units}


def _inside(way: Way, unit: str, given: Array) -> int:
    if not isinstance(way.variable, Number):
        return 0
    factor, offset = way.variable.conversion(unit)
    low, high = way.variable.range
    values = given * factor + offset
    return int(((values >= low) & (values <= high)).sum())


def _levels(
    way: Way, variable: Category | Binary, text: "pd.Series[str]", counted: str
) -> tuple[Array, Tally]:
    """Turn spellings into the index of the declared level."""
    codes = {level: float(code) for code, level in enumerate(variable.coded)}
    spelled = way.column.levels.items()
    known = codes | {said: codes[level] for said, level in spelled}
    places, spellings = pd.factorize(text)  # a level is looked up once, not per cell
    numbers = np.array([*(known.get(each, np.nan) for each in spellings), np.nan])
    values = np.asarray(numbers[places], dtype=np.float64)
    gaps = _gaps(way, text)
    values[gaps] = np.nan
    unreadable = np.isnan(values) & ~gaps
    first = _first(text, unreadable, counted)
    odd, lost = int(unreadable.sum()), int(gaps.sum())
    return values, Tally(cells=len(text), missing=lost, unreadable=odd, first=first)


def _first(text: "pd.Series[str]", found: Flags, counted: str) -> str:
    """Return where the first record stands that is *found*, or nothing."""
    if not found.any():
        return ""
    return f"{counted} {line_of(pd.Series(found, index=text.index))}"
