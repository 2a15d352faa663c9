"""The tables of a treatment's effect, with what they cannot know beside them."""

from typing import cast

from common.schema import Number
from common.sheet import WITHHELD, Cell, Sheet, decimal, estimate, probability
from common.study import Study
from common.task import Findings
from common.tasks import named

OF_EFFECT = "effect (95 %)"
"""The column of what a treatment changes."""
USUAL = 0.1
"""Below so much a standardised mean difference is called balanced."""
MANY = 0.05
"""From so large a share outside of the overlap a reader is warned."""
CAUTION = (
    "An effect as far as the covariates listed below explain who is treated. An "
    "E-value says how strongly something unmeasured would have to go with treatment "
    "and outcome, as a ratio of risks, to explain the effect away; the second is for "
    "the interval."
)


def sheets(study: Study, found: Findings) -> tuple[Sheet, ...]:
    """Return the effects, and how alike the arms are."""
    return _effects(study, found), _balance(found)


BARE = (
    "Crude is the difference of the arms as they are: it is not told where it would "
    "give away how few of an arm have the outcome, or have it not."
)


BEYOND = (
    "A risk that was estimated below 0 or above 1, which doubly robust estimates of a "
    "rare outcome can be, is shown as 0 or 1; the effect is of the estimates as they "
    "are, and no E-value is told of a risk below 0."
)
RISK = (0.0, 1.0)
"""Between which a risk lies."""


def _effects(study: Study, found: Findings) -> Sheet:
    name = str(found["treatment"])
    low, high = named.declared(study, name).coded
    number = isinstance(study.outcome, Number)
    columns = (
        "group",
        f"records, {low}",
        f"records, {high}",
        f"mean, {low}" if number else f"risk, {low}",
        f"mean, {high}" if number else f"risk, {high}",
        OF_EFFECT,
        "p",
        "crude",
        "E-value",
    )
    effects = cast("list[Findings]", found["effects"])
    rows = [_row(each, number=number) for each in effects]
    differing = found["differences"] if isinstance(found["differences"], list) else []
    bare = any(_bare(each) for each in effects)
    notes = [
        _overlap(found),
        BARE if bare else "",
        BEYOND if not number and any(map(_beyond, effects)) else "",
        CAUTION,
        *(_differs(each) for each in differing),
    ]
    title = f"What {name} = {high} changes in {study.outcome.name}"
    return Sheet(title, columns, tuple(rows), tuple(filter(None, notes)))


def _row(found: Findings, *, number: bool) -> tuple[Cell, ...]:
    if "withheld" in found:
        return str(found["group"]), *[WITHHELD] * 8
    interval, value = found["interval"], found["e_value"]
    records = found["records"] if isinstance(found["records"], list) else [None] * 2
    ends = (interval[0], interval[1]) if isinstance(interval, list) else None
    means = [_float(found[key]) for key in MEANS]
    if not number:
        means = [None if each is None else _within(each) for each in means]
        ends = ends and (max(ends[0], -1.0), min(ends[1], 1.0))
    return (
        str(found["group"]),
        *records,
        *(decimal(each, 3) for each in means),
        estimate(_float(found["effect"]), ends),
        probability(_float(found["p"])),
        WITHHELD if _bare(found) else decimal(_float(found["crude"]), 3),
        f"{value[0]:.2f}; {value[1]:.2f}" if isinstance(value, list) else None,
    )


MEANS = ("untreated", "treated")


def _within(risk: float) -> float:
    return min(max(risk, RISK[0]), RISK[1])


def _beyond(found: Findings) -> bool:
    """Tell whether a risk is estimated where none can be."""
    told = [_float(found.get(key)) for key in MEANS]
    return any(each is not None and each != _within(each) for each in told)


def _bare(found: Findings) -> bool:
    """Tell whether an effect is told, and the arms as they are not."""
    return found.get("effect") is not None and found["crude"] is None


def _overlap(found: Findings) -> str:
    told = found["overlap"] if isinstance(found["overlap"], dict) else {}
    share, effective = told["outside"], told["effective"]
    said = (
        f"{100 * share:.0f} % of the records have a chance of treatment below 0.1 or "
        f"above 0.9; weighted, the arms are worth {effective[0]:.0f} and "
        f"{effective[1]:.0f} records."
    )
    if share <= MANY:
        return said
    return f"{said} The arms hardly overlap: mind what is compared."


def _differs(found: Findings) -> str:
    p = found["p"]
    if not isinstance(p, float):
        return ""
    return f"Do effects differ by {found['variable']}? p {_equals(p)} (Cochran's Q)."


def _equals(p: float) -> str:
    said = str(probability(p))
    return said if said.startswith("<") else f"= {said}"


FEW = "A level without numbers has too few in an arm, or would tell of one that has."


def _balance(found: Findings) -> Sheet:
    lines = found["balance"] if isinstance(found["balance"], list) else []
    rows = tuple(
        (each["name"], *(decimal(_float(each[key])) for key in ("before", "after")))
        for each in lines
    )
    left = [
        str(each["name"])
        for each in lines
        if isinstance(each["after"], float) and abs(each["after"]) > USUAL
    ]
    note = f"Still apart by more than {USUAL} after weighting: {', '.join(left)}."
    notes = [note] if left else []
    notes += [FEW] if any("withheld" in each for each in lines) else []
    columns = ("covariate", "before weighting", "after weighting")
    title = "Standardised mean differences between the arms"
    return Sheet(title, columns, rows, tuple(notes), part=True)


def _float(found: object) -> float | None:
    return found if isinstance(found, float) else None
