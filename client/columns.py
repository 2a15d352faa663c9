"""One column's way from text to numbers: codes, numbers, units, spellings, range."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from client.lines import line_of
from client.mapping import Column
from client.site import CHECK, Site
from client.table import Count
from common.errors import DataError, StudyError
from common.release import Array
from common.schema import Binary, Category, Number
from common.study import Study


@dataclass(frozen=True, slots=True, repr=False)
class Clean:
    """Numbers [records], NaN where there is none; and what was changed, as counts."""

    numbers: Array
    report: tuple[Count, ...]


def clean(
    site: Site, study: Study, variable: Number | Category | Binary, raw: pd.DataFrame
) -> Clean:
    """Return one declared variable of *raw*, cleaned as the site's mapping says.

    Raises StudyError when the mapping lacks it, DataError when its cells do not fit.
    """
    mapped = _mapped(site, variable)
    if mapped.absent or mapped.column is None:
        never = "records: never measured here"
        count = Count("columns", variable.name, never, len(raw))
        return Clean(np.full(len(raw), np.nan), (count,))
    _require_fitting(site, variable, mapped)
    text = raw[mapped.column].str.strip()
    if isinstance(variable, Number):
        cleaned = _number(site, study, variable, text)
    else:
        cleaned = _category(site, study, variable, text)
    counted = tuple(line for line in cleaned.report if line.count)
    return Clean(cleaned.numbers, counted)


def _missing_codes(site: Site, variable: Number | Category | Binary) -> tuple[str, ...]:
    return (*site.mapping.data.missing, *site.mapping.columns[variable.name].missing)


def _mapped(site: Site, variable: Number | Category | Binary) -> Column:
    name = variable.name
    mapped = site.mapping.columns.get(name)
    if mapped is None or (mapped.column is None and not mapped.absent):
        raise StudyError(
            f"{site.name}: nothing is mapped to the declared variable {name}",
            where=site.where("columns", name),
            fix=f'[columns.{name}]\ncolumn = "…"        # or:  absent = true',
            then=f"{CHECK}{site.path}",
        )
    return mapped


def _require_fitting(
    site: Site, variable: Number | Category | Binary, mapped: Column
) -> None:
    """Raise StudyError for a mapping that would do nothing, or turn a level around."""
    number = isinstance(variable, Number)
    levels = () if isinstance(variable, Number) else variable.coded
    turned = [
        said
        for said, level in mapped.levels.items()
        if said in levels and level != said
    ]
    if number and mapped.levels:
        what, key = "is a number, and has no levels", "levels"
    elif not number and mapped.unit:
        what, key = "is a category, and has no unit", "unit"
    elif turned:
        what, key = f"has a level {turned[0]!r} that is mapped to another", "levels"
    elif set(levels) & {*site.mapping.data.missing, *mapped.missing}:
        what, key = "has a declared level among its missing codes", "missing"
    else:
        return
    raise StudyError(
        f"{site.name}: {variable.name} {what}",
        where=site.where("columns", variable.name, key),
        fix=f"correct `{key}` of [columns.{variable.name}]",
        then=f"{CHECK}{site.path}",
    )


def _number(site: Site, study: Study, variable: Number, text: pd.Series) -> Clean:
    """Read numbers, convert the unit, and turn what is outside the range into gaps."""
    gaps = text.isin(["", *_missing_codes(site, variable)])
    parsed = _parse(site, text.mask(gaps))
    unreadable = parsed.isna() & ~gaps
    _refuse_unreadable(site, study, variable.name, unreadable, "not numbers")
    coded = parsed.isin(_numeric_codes(site, variable))
    missing = int(gaps.sum() + coded.sum())
    given = parsed.mask(coded).to_numpy(dtype=np.float64)
    factor, offset = _conversion(site, variable)
    values = given * factor + offset
    low, high = variable.range
    outside = ~np.isnan(values) & ~((values >= low) & (values <= high))
    known = int((~np.isnan(values)).sum())
    if outside.sum() > study.quality.out_of_range * known:
        raise _outside(site, study, variable, given)
    unit = site.mapping.columns[variable.name].unit or variable.unit
    converted = known if unit != variable.unit else 0
    counts = (
        Count("missing", variable.name, "cells with a missing code", missing),
        Count("codes", variable.name, "cells not readable", int(unreadable.sum())),
        Count(
            "units", variable.name, f"cells from {unit} to {variable.unit}", converted
        ),
        Count("ranges", variable.name, "cells outside the range", int(outside.sum())),
    )
    values[outside] = np.nan
    return Clean(np.asarray(values, dtype=np.float64), counts)


def _parse(site: Site, text: pd.Series) -> pd.Series:
    """Return the numbers in *text*, NaN where there is none.

    With a decimal comma a point could only separate thousands: 1.234 would be read as
    a thousandth of what was meant, so it is no number at all.
    """
    if site.mapping.data.decimal == ",":
        pointed = text.str.contains(".", regex=False, na=False)
        text = text.mask(pointed).str.replace(",", ".")
    numbers = pd.to_numeric(text, errors="coerce")
    return numbers.mask(numbers.isin([np.inf, -np.inf]))


def _numeric_codes(site: Site, variable: Number) -> list[float]:
    """Return the missing codes that are numbers: -9 also means -9.0."""
    codes = pd.Series(_missing_codes(site, variable), dtype=str)
    return [float(number) for number in _parse(site, codes).dropna()]


def _conversion(site: Site, variable: Number) -> tuple[float, float]:
    unit = site.mapping.columns[variable.name].unit or variable.unit
    try:
        return variable.conversion(unit)
    except KeyError:
        known = ", ".join([variable.unit, *variable.units])
        raise StudyError(
            f"{site.name}: no conversion of {variable.name} from {unit!r} is declared",
            where=site.where("columns", variable.name, "unit"),
            fix=f"use one of: {known}; or ask for a conversion in the study",
            then=f"{CHECK}{site.path}",
        ) from None


def _category(
    site: Site, study: Study, variable: Category | Binary, text: pd.Series
) -> Clean:
    """Turn spellings into the index of the declared level."""
    spellings = site.mapping.columns[variable.name].levels
    unknown = sorted(set(spellings.values()) - set(variable.coded))
    if unknown:
        raise StudyError(
            f"{site.name}: {unknown[0]!r} is not a declared level of {variable.name}",
            where=site.where("columns", variable.name, "levels"),
            fix=f"use: {', '.join(variable.coded)}",
            then=f"{CHECK}{site.path}",
        )
    codes = {level: float(code) for code, level in enumerate(variable.coded)}
    known = codes | {said: codes[level] for said, level in spellings.items()}
    gaps = text.isin(["", *_missing_codes(site, variable)])
    values = text.mask(gaps).map(known)
    unreadable = values.isna() & ~gaps
    _refuse_unreadable(site, study, variable.name, unreadable, "no declared level")
    coded, odd = int(gaps.sum()), int(unreadable.sum())
    counts = (
        Count("missing", variable.name, "cells with a missing code", coded),
        Count("codes", variable.name, "cells not readable", odd),
    )
    numbers = np.asarray(values.to_numpy(dtype=np.float64), dtype=np.float64)
    return Clean(numbers, counts)


def _refuse_unreadable(
    site: Site, study: Study, name: str, unreadable: pd.Series, problem: str
) -> None:
    count = int(unreadable.sum())
    if count <= study.quality.unreadable * len(unreadable):
        return
    line = line_of(unreadable)
    word = "levels" if problem == "no declared level" else "missing"
    raise DataError(
        f"{site.name}: {count} of {len(unreadable)} cells of {name} are {problem}",
        where=f"{site.data_file.name} line {line} is the first; "
        f"mapped in {site.where('columns', name)}",
        likely="a spelling or a code for missing that site.toml does not list",
        fix=f"correct the cell, or list its text under `{word}` of [columns.{name}]",
        then=f"{CHECK}{site.path}",
    )


def _outside(site: Site, study: Study, variable: Number, given: Array) -> DataError:
    """Say that the unit is probably wrong, and which one would fit."""
    low, high = variable.range
    unit = site.mapping.columns[variable.name].unit or variable.unit
    known = given[~np.isnan(given)]
    fitting = [
        other
        for other in (variable.unit, *variable.units)
        if other != unit
        and _share_inside(variable, other, known) >= 1 - study.quality.out_of_range
    ]
    factor, offset = variable.conversion(unit)
    share = 1 - _share_inside(variable, unit, known)
    likely = (
        f"the values are in {fitting[0]}: then they fit"
        if fitting
        else ("another unit, an undeclared missing code, or a shifted column")
    )
    fix = (
        f'unit = "{fitting[0]}"'
        if fitting
        else "correct `unit`, or list the code under `missing`"
    )
    side = "above" if np.median(known * factor + offset) > (low + high) / 2 else "below"
    return DataError(
        f"{site.name}: {share:.0%} of {variable.name} lie outside {low:g} to {high:g} "
        f"{variable.unit}, most of them {side}",
        where=site.where("columns", variable.name),
        likely=likely,
        fix=f"in [columns.{variable.name}]:   {fix}",
        then=f"{CHECK}{site.path}",
    )


def _share_inside(variable: Number, unit: str, given: Array) -> float:
    factor, offset = variable.conversion(unit)
    values = given * factor + offset
    low, high = variable.range
    return float(((values >= low) & (values <= high)).mean()) if len(values) else 1.0
