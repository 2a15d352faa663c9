"""Writes records the way a hospital would, and the site.toml that explains that way."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal

import numpy as np

from common.schema import Number
from simulations.dealt.breast_study import plain
from simulations.dealt.dialects import Declared, Dialect
from simulations.dealt.truth import Planted

HEAD = """\
# How {site} writes its records: private to the hospital.
# {site} does not exist. Measures and diagnoses are those of real people in the
# Wisconsin Diagnostic Breast Cancer data; everything else in the export is made up.

site = "{site}"

"""
Choose = Callable[[Sequence[str]], str]
"""Picks one of several ways of writing the same thing."""


def table(hospital: Planted, rng: np.random.Generator) -> bytes:
    """Return the export, its columns in an order of the hospital's own."""
    columns = _columns(hospital, lambda ways: ways[int(rng.integers(len(ways)))])
    header = [str(each) for each in rng.permutation(list(columns))]
    rows = zip(*(columns[each] for each in header), strict=True)
    text = io.StringIO(newline="")
    style = hospital.dialect.format
    lines = csv.writer(text, delimiter=style.separator, lineterminator=style.newline)
    lines.writerows([header, *rows])
    return text.getvalue().encode(style.encoding)


def site_text(dialect: Dialect, declared: Iterable[Declared]) -> str:
    """Return ``site.toml``, without an approval: that is for a steward to give."""
    style, headers = dialect.format, dialect.headers
    data = {
        "file": style.file,
        "person": headers.person,
        "event_time": headers.visit,
        "separator": style.separator,
        "decimal": style.decimal,
        "encoding": style.said,
        "missing": dialect.gaps.everywhere,
    }
    columns = {variable.name: _column(dialect, variable) for variable in declared}
    tables = _lines("data", data), _lines("columns", columns)
    return HEAD.format(site=dialect.site) + "\n".join(tables)


def tables_text(tables: Mapping[str, Mapping[str, object]]) -> str:
    """Return TOML *tables*, each under its own name."""
    return "".join("\n" + _lines(name, pairs) for name, pairs in tables.items())


def _columns(hospital: Planted, choose: Choose) -> dict[str, list[str]]:
    """Return the cells under each header, the undeclared columns among them."""
    dialect, records = hospital.dialect, hospital.records
    headers, names = dialect.headers, dialect.full_names
    made_up = {
        headers.person: [record.person for record in records],
        headers.full_name: [
            names[r.number % len(names)].format(r.number) for r in records
        ],
        headers.note: [choose(["", "", dialect.note]) for _ in records],
    }
    if headers.visit:
        made_up[headers.visit] = [f"{record.visit:{dialect.day}}" for record in records]
    measured = {
        dialect.header(variable): [
            _cell(dialect, variable, record.shown(variable.name), choose)
            for record in records
        ]
        for variable in hospital.declared
        if variable.name != dialect.absent
    }
    return made_up | measured


def _cell(
    dialect: Dialect, variable: Declared, shown: float | str | None, choose: Choose
) -> str:
    """Return what *dialect* writes where *variable* shows a value, a level or none."""
    if shown is None:
        return choose(_gaps(dialect, variable))
    if isinstance(variable, Number):
        factor, _ = variable.conversion(dialect.unit(variable))
        exact = Decimal(str(shown)) / Decimal(str(factor))
        return plain(exact).replace(".", dialect.format.decimal)
    spellings = dialect.spellings(variable)
    return choose([said for said, level in spellings.items() if level == shown])


def _gaps(dialect: Dialect, variable: Declared) -> list[str]:
    """Return every way of leaving a cell of *variable* out."""
    codes = ["", *dialect.gaps.everywhere]
    if isinstance(variable, Number):
        own = dialect.own_gap(variable)
        codes += [*dialect.gaps.also, *([own] if own else [])]
    return codes


def _column(dialect: Dialect, variable: Declared) -> dict[str, object]:
    """Return where *variable* is found, and how this hospital writes it."""
    if variable.name == dialect.absent:
        return {"absent": True}
    found: dict[str, object] = {"column": dialect.header(variable)}
    if not isinstance(variable, Number):
        return found | {"levels": dialect.spellings(variable)}
    if dialect.unit(variable) != variable.unit:
        found["unit"] = dialect.unit(variable)
    if own := dialect.own_gap(variable):
        found["missing"] = [own]
    return found


def _lines(name: str, pairs: Mapping[str, object]) -> str:
    """Return a TOML table, a line for each of *pairs* that says something."""
    lines = [f"{key} = {_toml(value)}\n" for key, value in pairs.items() if value]
    return f"[{name}]\n" + "".join(lines)


def _toml(value: object) -> str:
    """Return *value* as TOML on one line; but for tables, JSON is written alike."""
    if not isinstance(value, Mapping):
        return json.dumps(value, ensure_ascii=False)
    pairs = [f"{_key(key)} = {_toml(each)}" for key, each in value.items()]
    return f"{{ {', '.join(pairs)} }}"


def _key(key: str) -> str:
    return key if key.isascii() and key.isalnum() else _toml(key)
