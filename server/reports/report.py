"""The end of a study, for a program and for a reader: ``report.json``, ``report.html``.

Numbers stay exact in the first. The second rounds them to what their intervals support,
loads nothing, and says what the numbers do not protect:

    page = report.write(Report.model_validate(facts), Path("results"))
"""

from collections import Counter
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from common.arithmetic.intervals import Interval
from common.sheet import WITHHELD
from common.tasks.treatment.effects_shown import OF_EFFECT
from common.tasks.treatment.treatments import EFFECT
from server.reports import charts
from server.reports.charts import SERIES, Mark, Row
from server.reports.facts import Coefficient, Report, Score, Site, Totals
from server.reports.rounding import decimal, duration, figure, moved, ratio, span

__all__ = ["Report", "Score", "Site", "Totals", "headline", "page", "verdict", "write"]

Estimate = tuple[float, Interval | None]

MEASURES = {
    "auc": "an AUC",
    "c_index": "a c-index",
    "accuracy": "an accuracy",
    "r_squared": "an R²",
}
"""How good a model is, the best measure first; in each of them more is better."""

AXES = {"auc": "AUC", "c_index": "c-index", "accuracy": "accuracy", "r_squared": "R²"}
SCALES = {
    "logistic": "log odds",
    "poisson": "log rate",
    "linear": "outcome",
    "cox": "log hazard",
}
"""What a coefficient changes, by model."""

INTERCEPT = "(intercept"
"""How the name of an intercept begins, also where each site has its own."""
LONG = 40
"""Letters of a cell from which on it is a sentence."""
MOST_DRAWN = 40
"""So many coefficients are drawn, the largest first; the table holds them all."""

WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def write(report: Report, folder: Path) -> Path:
    """Write both files into *folder*; return the path of the page."""
    folder.mkdir(parents=True, exist_ok=True)
    facts = report.model_dump_json(indent=2) + "\n"
    (folder / "report.json").write_text(facts, encoding="utf-8")
    (folder / "report.html").write_text(page(report), encoding="utf-8")
    return folder / "report.html"


def page(report: Report) -> str:
    """Return *report* as one HTML page that needs nothing but itself."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    shown = (decimal, duration, span, figure, moved, ratio)
    environment.filters |= {each.__name__: each for each in shown}
    text = (
        files("server.reports")
        .joinpath("report.html.jinja")
        .read_text(encoding="utf-8")
    )
    filled = environment.from_string(text).render(
        report=report,
        headline=headline(report),
        verdict=verdict(report),
        measure=_measure(report),
        estimate=_estimate,
        sentence=_is_sentence,
        compared=_compared(report),
        sized=any(site.rows is not None for site in report.sites),
        cleaned=any(site.cleaning for site in report.sites),
        scores=_scores(report),
        coefficients=_coefficients(report),
        names=AXES,
        intercept=INTERCEPT,
        most=MOST_DRAWN,
    )
    return filled.strip() + "\n"


def headline(report: Report) -> str:
    """Answer the study's question in a sentence, from its numbers."""
    count = len(report.sites)
    hospitals = f"the {_word(count)} hospitals" if count > 1 else "one hospital"
    measure = _measure(report)
    reached = _estimate(report.together, measure)
    if reached is None:
        records = f"{report.describe.records:,} records"
        if report.together and report.together.records:
            tested = f"tested a model on {report.together.records:,} records"
            few = "too few of them, or of one outcome, to tell how good it is"
            return f"Together, {hospitals} {tested}: {few}."
        if changed := _effect(report):
            return f"{changed}, of {records} of {hospitals}."
        return f"Together, {hospitals} counted {records}; no model was tested."
    joint = f"{MEASURES[measure]} of {decimal(*reached)}"
    return f"Together, {hospitals} reach {joint}{_alone(report, measure)}."


def _effect(report: Report) -> str:
    """Return what a treatment changes for everybody; nothing where it is not told."""
    told = [sheet for sheet in report.sheets if sheet.task == EFFECT and not sheet.part]
    if not told:
        return ""
    effect = dict(zip(told[0].columns, told[0].rows[0], strict=True))[OF_EFFECT]
    return "" if effect in {None, WITHHELD} else f"{told[0].title}: {effect}"


def verdict(report: Report) -> str:
    """Return at how many hospitals it was worth it, also where that is none."""
    found = {name: _gains(report, name) for name in ("auc", "accuracy")}
    said = [f"{_list(gains)} by {AXES[name]}" for name, gains in found.items() if gains]
    if not said:
        return ""
    none = "" if any(gains[1] for gains in found.values()) else "No hospital gains. "
    lead = "Compared with each hospital's own model, the joint one is"
    return f"{none}{lead} {'; '.join(said)}."


def _is_sentence(cell: object) -> bool:
    """Return whether a cell is words that may break, and no figure."""
    return isinstance(cell, str) and len(cell) > LONG


def _word(number: int) -> str:
    return WORDS[number] if number < len(WORDS) else f"{number:,}"


def _estimate(score: Score | Totals | None, measure: str) -> Estimate | None:
    """Return a score's value and interval, or None where there is none."""
    value = getattr(score, measure, None)
    interval = getattr(score, f"{measure}_interval", None)
    return None if value is None else (value, interval)


def _measure(report: Report) -> str:
    """Return the best measure that this study has."""
    known = (name for name in MEASURES if _estimate(report.together, name))
    return next(known, "auc")


def _alone(report: Report, measure: str) -> str:
    """Return the clause on what the hospitals reach by themselves."""
    found = [_estimate(site.alone, measure) for site in report.sites]
    known = sorted((each for each in found if each), key=lambda each: each[0])
    if not known:
        return ""
    low, high = decimal(*known[0]), decimal(*known[-1])
    all_of_them = len(known) == len(found)
    who = "they" if all_of_them else f"{_word(len(known))} of them"
    if low == high:
        return f"; alone {who} reach{'es' * (len(known) == 1)} {low}"
    return f"; alone {who} range from {low} to {high}"


def _gains(report: Report, measure: str) -> Counter[int]:
    """Return how many hospitals win (1), stay (0) or lose (-1), to two decimals."""
    pairs = [
        (_estimate(site.together, measure), _estimate(site.alone, measure))
        for site in report.sites
    ]
    gains = [round(us[0], 2) - round(own[0], 2) for us, own in pairs if us and own]
    return Counter((gain > 0) - (gain < 0) for gain in gains)


def _list(gains: Counter[int]) -> str:
    parts = [
        (how, "all " * (gains[sign] == gains.total() > 1) + _word(gains[sign]))
        for sign, how in ((1, "better"), (0, "as good"), (-1, "worse"))
        if gains[sign]
    ]
    *most, last = (f"{how} at {where}" for how, where in parts)
    return f"{', '.join(most)} and {last}" if most else last


def _compared(report: Report) -> set[str]:
    """Return which of alone, together and pooled this study has."""
    return {
        series
        for series in SERIES
        if getattr(report, series, None)
        or any(getattr(site, series) for site in report.sites)
    }


def _scores(report: Report) -> Markup | None:
    """Return the plot of every score there is, or None without any at a hospital."""
    measure = _measure(report)
    rows = [
        Row(site.name, _marks(site, measure), _tested(site.test))
        for site in report.sites
    ]
    rows = [row for row in rows if row.marks]
    if not rows or not report.together:
        return None
    tested = _tested(report.together.records)
    whole = Row("All hospitals", _marks(report, measure), tested)
    title = f"{AXES[measure]} of each model, per hospital"
    return charts.dots([whole, *rows], title, AXES[measure])


def _tested(records: int | None) -> str:
    return "" if records is None else f"{records:,} test records"


def _marks(of: Site | Report, measure: str) -> tuple[Mark, ...]:
    found = ((name, _estimate(getattr(of, name, None), measure)) for name in SERIES)
    return tuple(Mark(name, *each) for name, each in found if each)


def _coefficients(report: Report) -> Markup | None:
    """Return the plot of the largest coefficients, or None without a model."""
    every = report.coefficients
    drawn = [each for each in every if not each.name.startswith(INTERCEPT)]
    drawn = sorted(drawn, key=lambda each: -abs(each.coefficient))[:MOST_DRAWN]
    if not drawn:
        return None
    title = "Coefficients of the model, the largest effect first"
    return charts.forest([_row(each) for each in drawn], title, _scale(report))


def _row(line: Coefficient) -> Row:
    own = Mark("together", line.coefficient, line.interval)
    pooled = () if line.pooled is None else (Mark("pooled", line.pooled),)
    return Row(line.name, (own, *pooled))


def _scale(report: Report) -> str:
    return SCALES.get(report.task, "per deviation")
