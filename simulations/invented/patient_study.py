"""What the four invented hospitals agreed to ask: who comes back within 30 days?"""

import json
from collections.abc import Sequence

from common.schema import Binary, Category, Number
from simulations.dealt.breast_study import plain

YESNO = ("no", "yes")
Factors = dict[str, float | tuple[float, float]]


def _number(
    name: str, unit: str, low: float, high: float, units: Factors | None = None
) -> Number:
    return Number(
        kind="number", name=name, unit=unit, range=(low, high), units=dict(units or {})
    )


def _category(name: str, *levels: str) -> Category:
    return Category(kind="category", name=name, levels=levels)


LABORATORY = (
    _number("age", "a", 18, 120),
    _number("bmi", "kg/m2", 8, 90),
    _number("systolic", "mm[Hg]", 60, 260, {"kPa": 7.50062}),
    _number("cholesterol", "mg/dL", 50, 500, {"mmol/L": 38.67}),
    _number("glucose", "mg/dL", 30, 800, {"mmol/L": 18.016}),
    _number("hba1c", "%", 3, 20, {"mmol/mol": (0.09148, 2.152)}),
    _number("creatinine", "mg/dL", 0.1, 15, {"umol/L": 0.01131}),
)
"""Factors from molar units: cholesterol 38.67, glucose 18.016, creatinine 1/88.42;
HbA1c from IFCC to NGSP by the master equation (Hoelzel et al., Clin Chem 50, 2004)."""

CODED = (
    _category("sex", "female", "male"),
    _category("smoking", "never", "former", "current"),
    _category("diabetes", *YESNO),
    _category("statin", *YESNO),
)
OUTCOME = Binary(kind="binary", name="readmitted", levels=("no", "yes"), positive="yes")
YOUNGEST = 45


def _window(name: str, unit: str, low: float, high: float) -> Number:
    return _number(name, unit, low, high)


SIGNALS = (
    _window("heart_rate_mean", "/min", 20, 250),
    _window("heart_rate_max", "/min", 20, 250),
    _window("saturation_min", "%", 40, 100),
    _window("saturation_slope", "%/h", -5, 5),
    _window("respiration_last", "/min", 3, 70),
)
WINDOWS = {
    "heart_rate_mean": ("heart_rate", "mean", 0.0, 24.0),
    "heart_rate_max": ("heart_rate", "max", 0.0, 48.0),
    "saturation_min": ("saturation", "min", 0.0, 24.0),
    "saturation_slope": ("saturation", "slope", 0.0, 48.0),
    "respiration_last": ("respiration", "last", 24.0, 48.0),
}
"""Channel, statistic, and hours from the admission: from, up to and without."""

TEXTS = {"note": 32, "abstract": 16}
"""Buckets into which the words of a text fall."""

HEAD = """\
# Who comes back within 30 days? An invented study of invented people: it shows five
# kinds of source, and says nothing about medicine.

format = 1
privacy = "none"

[study]
name = "readmission"
title = "Readmission within 30 days, from five kinds of source"
purpose = "Shows hospitals of four technologies learning one model. \
All people are invented."
contact = "study-office@consortium.example"
expires = 2030-12-31
sites = {sites}

[[cohort]]
variable = "age"
at_least = {youngest}

[outcome]
kind = "binary"
name = "{outcome}"
levels = {levels}
positive = "{positive}"

[model]
kind = "logistic"
ridge = 10.0

[rounds]
quorum = {quorum}

[evaluation]
test = 0.3
bins = 50
"""


def text(sites: Sequence[str]) -> str:
    """Return ``study.toml`` for *sites*."""
    head = HEAD.format(
        sites=json.dumps(sites),
        youngest=YOUNGEST,
        outcome=OUTCOME.name,
        levels=json.dumps(OUTCOME.levels),
        positive=OUTCOME.positive,
        quorum=len(sites),
    )
    numbers = [_number_lines(each) for each in (*LABORATORY, *SIGNALS)]
    coded = [["category", each.name, _levels(each)] for each in CODED]
    texts = [["text", name, f"buckets = {size}"] for name, size in TEXTS.items()]
    return head + "".join(map(_table, (*numbers, *coded, *texts)))


def _levels(variable: Category) -> str:
    return f"levels = {json.dumps(variable.levels)}"


def _number_lines(variable: Number) -> list[str]:
    low, high = variable.range
    lines = [f'unit = "{variable.unit}"', f"range = [{plain(low)}, {plain(high)}]"]
    pairs = [f'"{unit}" = {_factor(each)}' for unit, each in variable.units.items()]
    return ["number", variable.name, *lines, *([_units(pairs)] if pairs else [])]


def _units(pairs: list[str]) -> str:
    return f"units = {{ {', '.join(pairs)} }}"


def _factor(given: float | tuple[float, float]) -> str:
    if isinstance(given, tuple):
        return f"[{plain(given[0])}, {plain(given[1])}]"
    return plain(given)


def _table(lines: list[str]) -> str:
    kind, name, *rest = lines
    head = ["", "[[variables]]", f'kind = "{kind}"', f'name = "{name}"']
    return "\n".join([*head, *rest]) + "\n"
