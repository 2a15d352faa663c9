"""The tables of a treatment's effect, with what they cannot know beside them."""

from common.schema import Number
from common.sheet import Cell, Sheet, between, probability
from common.study import Study
from common.task import Findings
from common.tasks import named

USUAL = 0.1
"""Below so much a standardised mean difference is called balanced."""
MANY = 0.05
"""From so large a share outside of the overlap a reader is warned."""
CAUTION = (
    "An effect as far as the covariates above explain who is treated. An E-value says "
    "how strongly something unmeasured would have to go with treatment and outcome, as "
    "a ratio of risks, to explain the effect away; the second is for the interval."
)


def sheets(study: Study, found: Findings) -> tuple[Sheet, ...]:
    """Return the effects, and how alike the arms are."""
    return _effects(study, found), _balance(found)


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
        "effect (95 %)",
        "p",
        "crude",
        "E-value",
    )
    effects = found["effects"]
    rows = [_row(each) for each in effects] if isinstance(effects, list) else []
    differing = found["differences"] if isinstance(found["differences"], list) else []
    notes = [_overlap(found), CAUTION, *(_differs(each) for each in differing)]
    title = f"What {name} = {high} changes in {study.outcome.name}"
    return Sheet(title, columns, tuple(rows), tuple(filter(None, notes)))


def _row(found: Findings) -> tuple[Cell, ...]:
    effect, interval, value = (found.get(k) for k in ("effect", "interval", "e_value"))
    records = found.get("records")
    few, many = records if isinstance(records, list) else (None, None)
    shown: Cell = None
    if isinstance(effect, float) and isinstance(interval, list):
        shown = f"{effect:.3g} ({between((interval[0], interval[1]))})"
    return (
        str(found["group"]),
        few,
        many,
        *(_figure(found.get(key)) for key in ("untreated", "treated")),
        shown,
        probability(p if isinstance(p := found.get("p"), float) else None),
        _figure(found.get("crude")),
        f"{value[0]:.2f}; {value[1]:.2f}" if isinstance(value, list) else None,
    )


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
    return f"Effects by {found['variable']}: p = {probability(p)} that they are equal."


def _balance(found: Findings) -> Sheet:
    lines = found["balance"] if isinstance(found["balance"], list) else []
    rows = tuple(
        (each["name"], _figure(each["before"]), _figure(each["after"]))
        for each in lines
    )
    left = [
        str(each["name"])
        for each in lines
        if isinstance(each["after"], float) and abs(each["after"]) > USUAL
    ]
    note = f"Still apart by more than {USUAL} after weighting: {', '.join(left)}."
    columns = ("covariate", "before weighting", "after weighting")
    title = "Standardised mean differences between the arms"
    return Sheet(title, columns, rows, (note,) if left else ())


def _figure(found: object) -> Cell:
    return f"{found:.3g}" if isinstance(found, float) else None
