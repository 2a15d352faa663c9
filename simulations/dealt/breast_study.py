"""What four hospitals that do not exist agreed to ask of 569 people who do.

The people are the Wisconsin Diagnostic Breast Cancer records that scikit-learn carries:
one fine-needle aspirate per person, ten measures of its nuclei, each as mean, standard
error and worst. Calling the lengths micrometres, grading the texture and setting the
cohort are ours; the study file says so wherever it matters.
"""

import json
import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from statistics import fmean, pstdev
from types import MappingProxyType

from sklearn.datasets import load_breast_cancer

from common.schema import Binary, Category, Number
from common.study import Rule

Cells = Mapping[str, float | str | None]
"""One person's true values by variable; None where nothing is known."""

MEASURES = MappingProxyType(
    {
        "radius": "um",
        "texture": "grey",
        "perimeter": "um",
        "area": "um2",
        "smoothness": "1",
        "compactness": "1",
        "concavity": "1",
        "concave_points": "1",
        "symmetry": "1",
        "fractal_dimension": "1",
    }
)
STATISTICS = MappingProxyType(
    {"mean": "mean_{}", "error": "{}_error", "worst": "worst_{}"}
)
NAMES = MappingProxyType(
    {
        pattern.format(measure): (measure, statistic)
        for statistic, pattern in STATISTICS.items()
        for measure in MEASURES
    }
)
"""Measure and statistic behind each variable of the published file."""

CONVERSIONS: Mapping[str, dict[str, float]] = MappingProxyType(
    {"um": {"mm": 1e3}, "um2": {"mm2": 1e6}, "1": {"%": 0.01}, "grey": {}}
)
FILLED_BY_MEAN = ("smoothness", "symmetry")
GRADED = "mean_texture"
CUTS = (17.0, 21.0)
GRADE = Category(
    kind="category", name="texture_grade", levels=("fine", "medium", "coarse")
)
DIAGNOSIS = Binary(
    kind="binary",
    name="diagnosis",
    levels=("benign", "malignant"),
    positive="malignant",
)
COHORT = Rule(variable="mean_radius", at_least=8.0)

GROUPS = {
    "mean": "mean over the nuclei of one image",
    "error": "standard error of that mean",
    "worst": "mean of the three largest nuclei",
}
HEAD = """\
# Can the nuclei in a fine-needle aspirate tell a malignant lump from a benign one?
#
# The people are real: 569 records of the Wisconsin Diagnostic Breast Cancer data
# (Street, Wolberg and Mangasarian 1993), as scikit-learn carries them. The four
# hospitals are not: who went where, every name, number and date, and every mistake in
# the exports is ours.

format = 1

# Written out on purpose: no noise is added, the sums leave each hospital as they are.
privacy = "none"

[study]
name = "breast-cytology"
title = "Malignant or benign, from the nuclei in a fine-needle aspirate"
purpose = "Shows four hospitals learning one model. The people are real, \
the hospitals are invented."
contact = "study-office@consortium.example"
expires = 2030-12-31
sites = {sites}

# The rule is ours, to show what one looks like: it leaves out four of the 569.
[[cohort]]
variable = "{cohort}"
at_least = {bound}

[outcome]
kind = "binary"
name = "{outcome}"
levels = {levels}
positive = "{positive}"

[model]
kind = "logistic"
ridge = 1.0

[rounds]
quorum = {quorum}

# Those four are no secret: the data are published.
[disclosure]
min_outside = 0

# The seed is the first that gives every hospital at least {least} people to train and
# {least} to test, and at least {each} of either diagnosis on both sides. Nothing else
# was looked at.
[evaluation]
test = {test}
seed = {seed}
bins = 50

# What every hospital maps its columns to.
#
# units    The published file names none. Calling lengths micrometres (um) is ours; grey
#          is a step of the grey scale, 1 a ratio.
# ranges   From half the smallest to one and a half times the largest published value,
#          to two digits. A value outside is a mistake and becomes a gap.
# typical  Published mean and deviation to one digit, for a study that promises privacy:
#          it then spends nothing on learning how to standardise. Unused without.
# missing  A gap is filled with the median over all hospitals' training people, where
#          `missing` says so with the mean, in a category with the commonest level.
"""
GRADE_NOTE = f"""\
# The mean texture, graded: below {CUTS[0]:g}, from there to {CUTS[1]:g}, above.
# The cuts are ours.
"""

TEST_SHARE = 0.3
LEAST_PEOPLE = 10
LEAST_OF_EACH = 2


def people() -> list[Cells]:
    """Return the 569 people as published, the mean texture graded."""
    published = load_breast_cancer()
    names = [said.replace(" ", "_") for said in published.feature_names]
    diagnoses = published.target_names[published.target]
    return [
        _graded(dict(zip(names, row, strict=True)), str(diagnosis))
        for row, diagnosis in zip(published.data.tolist(), diagnoses, strict=True)
    ]


def variables(known: Sequence[Cells]) -> tuple[Number | Category, ...]:
    """Declare every variable, with ranges wide enough for everyone *known*."""
    return tuple(
        GRADE if name == GRADED else _number(name, [cells[name] for cells in known])
        for name in NAMES
    )


def text(declared: Iterable[Number | Category], sites: Sequence[str], seed: int) -> str:
    """Return ``study.toml`` for *sites*, whose test people *seed* draws."""
    head = HEAD.format(
        sites=json.dumps(sites),
        cohort=COHORT.variable,
        bound=COHORT.at_least,
        outcome=DIAGNOSIS.name,
        levels=json.dumps(DIAGNOSIS.levels),
        positive=DIAGNOSIS.positive,
        quorum=len(sites),
        least=LEAST_PEOPLE,
        each=LEAST_OF_EACH,
        test=TEST_SHARE,
        seed=seed,
    )
    return head + "".join(_declaration(variable) for variable in declared)


def plain(value: float | Decimal) -> str:
    """Return the shortest decimal notation of *value*, without an exponent."""
    exact = value if isinstance(value, Decimal) else Decimal(repr(value))
    return format(exact.normalize(), "f")


def _graded(cells: dict[str, float], diagnosis: str) -> Cells:
    """Put the grade where the mean texture was."""
    grade = GRADE.levels[bisect_right(CUTS, cells.pop(GRADED))]
    return {**cells, GRADE.name: grade, DIAGNOSIS.name: diagnosis}


def _number(name: str, values: Iterable[float | str | None]) -> Number:
    measure, _ = NAMES[name]
    unit = MEASURES[measure]
    known = [value for value in values if isinstance(value, float)]
    low = _two_digits(min(known) / 2, ROUND_FLOOR)
    high = _two_digits(max(known) * 1.5, ROUND_CEILING)
    return Number(
        kind="number",
        name=name,
        unit=unit,
        range=(low, high),
        typical=(_one_digit(fmean(known)), _one_digit(pstdev(known))),
        units=dict(CONVERSIONS[unit]),
        missing="mean" if measure in FILLED_BY_MEAN else "median",
    )


def _two_digits(value: float, rounding: str) -> float:
    return float(Context(prec=2, rounding=rounding).create_decimal(repr(value)))


def _one_digit(value: float) -> float:
    return round(value, -math.floor(math.log10(abs(value))))


def _declaration(variable: Number | Category) -> str:
    if isinstance(variable, Category):
        lines = [f"levels = {json.dumps(variable.levels)}"]
        note = GRADE_NOTE
    else:
        lines = _number_lines(variable)
        measure, statistic = NAMES[variable.name]
        first = measure == next(iter(MEASURES))
        note = f"# --- {GROUPS[statistic]} ---\n\n" if first else ""
    head = ["[[variables]]", f'kind = "{variable.kind}"', f'name = "{variable.name}"']
    return "\n" + note + "\n".join([*head, *lines]) + "\n"


def _number_lines(variable: Number) -> list[str]:
    low, high = variable.range
    lines = [f'unit = "{variable.unit}"']
    for unit, factor in CONVERSIONS[variable.unit].items():
        key = unit if unit.isalnum() else json.dumps(unit)
        lines.append(f"units = {{ {key} = {plain(factor)} }}")
    lines.append(f"range = [{plain(low)}, {plain(high)}]")
    if variable.typical:
        mean, deviation = variable.typical
        lines.append(f"typical = [{plain(mean)}, {plain(deviation)}]")
    if variable.missing != "median":
        lines.append(f'missing = "{variable.missing}"')
    return lines
