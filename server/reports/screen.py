"""A report as a terminal shows it: what was found, what left, and what protects it.

What a report does not hold is not shown: only a simulation looks into its hospitals.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import compress, zip_longest
from textwrap import wrap

import click
from pydantic import JsonValue

from common.registry import ANALYSES
from common.sheet import WITHHELD
from common.tasks.evaluation.by_site import NOT_RELEASED
from common.tasks.selection import TRIED
from server.reports import tables
from server.reports.facts import Coefficient, Report, Score, Sheet, Totals
from server.reports.rounding import duration, figure, moved, signed

POOLED = (
    "* pooled needs all records in one place: only a simulation can; [95 % interval]"
)
WIDTH = 88
PLAIN, NOISY = 9, 15
"""Width of a number of gaps: by itself, and with how far noise moves it."""
EXACT = 'privacy = "none": no noise is added in this study; sums leave exact'


def lines(made: Report) -> list[str]:
    """Return the whole result of a study as lines of text, at most 88 wide."""
    return [
        *(_scores(made) or _totals(made)),
        *(_coefficients(made) or _variables(made)),
        *_selected(made),
        *_sheets(made),
        *_cleaning(made),
        *_summary(made),
        *_folded("what left", made.sentence),
        *_protection(made),
    ]


def _privacy(kept: str) -> list[str]:
    """Return what is promised; that nothing is, in red."""
    if kept != "none":
        return _folded("privacy", kept)
    return [click.style(line, fg="red") for line in _folded("privacy", EXACT)]


def _folded(title: str, text: str) -> list[str]:
    """Return *text* under its *title*, folded at the width of a terminal."""
    indent = " " * 10
    return wrap(text, WIDTH, initial_indent=f"{title:<10}", subsequent_indent=indent)


def _scores(made: Report) -> list[str]:
    if not made.together or not any(site.together for site in made.sites):
        return []
    tables = []
    for measure in ("auc", "accuracy"):
        title = "AUC" if measure == "auc" else measure
        tables.append(_row(title, "tested", ["alone", "together", "pooled*"]))
        for site in made.sites:
            kinds = (site.alone, site.together, site.pooled)
            cells = [_score(kind, measure) for kind in kinds]
            tested = "" if site.test is None else str(site.test)
            tables.append(_row(f"  {site.name}", tested, cells))
        whole = [_score(kind, measure) for kind in (made.together, made.pooled)]
        tested = str(made.together.records)
        tables += [_row("  all", tested, ["", *whole]), ""]
    note = [f"all: {made.together.note}"] if made.together.note else []
    return [*tables, *note, POOLED, ""]


def _row(name: str, people: str, cells: list[str]) -> str:
    return f"{name:<18}{people:>6}  " + "".join(f"{c:<19}" for c in cells).rstrip()


def _score(score: Score | Totals | None, measure: str) -> str:
    if score is None:
        return ""
    found = {
        "auc": (score.auc, score.auc_interval),
        "accuracy": (score.accuracy, score.accuracy_interval),
    }
    if isinstance(score, Score) and score.note == NOT_RELEASED:
        return NOT_RELEASED
    value, interval = found[measure]
    withheld = isinstance(score, Totals) and score.note
    return _sure(value, interval) or ("not told" if withheld else "one class only")


def _sure(value: float | None, interval: tuple[float, float] | None) -> str:
    """Return a figure with its interval, or nothing where it is not known."""
    if value is None or interval is None:
        return ""
    return f"{value:.3f} [{interval[0]:.2f}-{interval[1]:.2f}]"


def _totals(made: Report) -> list[str]:
    """Return how the joint model does on all test records, where that is all."""
    whole = made.together
    if not whole:
        return []
    numbers = {"Brier score": whole.brier, "RMSE": whole.rmse, "R²": whole.r_squared}
    known = {
        "AUC": _sure(whole.auc, whole.auc_interval),
        "accuracy": _sure(whole.accuracy, whole.accuracy_interval),
        "c-index": _sure(whole.c_index, whole.c_index_interval),
        **{name: figure(each) for name, each in numbers.items() if each is not None},
        "note": whole.note or "",
    }
    head = f"the joint model, tested on {whole.records:,} records; [95 % interval]"
    return [head, *(f"  {name:<16}{said}" for name, said in known.items() if said), ""]


def _coefficients(made: Report) -> list[str]:
    if not made.coefficients:
        return []
    places = _decimals(made.coefficients)
    rows = [_coefficient(line, places) for line in made.coefficients]
    columns = ("coefficient, per SD", "value", "std err", "95 % interval", "pooled")
    said = [any(column) for column in zip(*rows, strict=True)]
    head, *rest = (tuple(compress(row, said)) for row in (columns, *rows))
    sheet = Sheet(title="", columns=head, rows=tuple(rest))
    return tables.lines(sheet, WIDTH)[1:]


def _decimals(every: Sequence[Coefficient]) -> int:
    """Return with how many decimals all are told: three digits of the least error."""
    errors = [each.standard_error for each in every if each.standard_error]
    largest = max(abs(each.coefficient) for each in every)
    least = min(errors, default=largest / 10) or 1.0
    return min(max(2 - math.floor(math.log10(least)), 0), 9)


def _coefficient(line: Coefficient, places: int) -> tuple[str, ...]:
    told = "never varies" if line.per_unit is None else ""
    error = interval = ""
    if line.standard_error is not None and line.interval is not None:
        error = signed(line.standard_error, places)
        interval = " to ".join(signed(edge, places) for edge in line.interval)
    pooled = "" if line.pooled is None else signed(line.pooled, places)
    return line.name, signed(line.coefficient, places), error, interval or told, pooled


def _variables(made: Report) -> list[str]:
    """Return what was counted and measured, where no model followed."""
    records, noise = made.describe.records, made.describe.records_interval
    wide = NOISY if noise else PLAIN
    head = f"{'variable':<26}{'values':>9}{'missing':>{wide}}  mean (SD), or levels"
    rows = [_variable(line, wide) for line in made.describe.variables]
    said = f"{records:,} records of all hospitals together"
    if noise:
        low, high = (round(edge) for edge in noise)
        said += f", with noise: {low:,} to {high:,}; ± how far it moves a number"
    return [said, "", head, *rows, ""]


def _variable(line: Mapping[str, JsonValue], wide: int) -> str:
    missing = f"{line['missing']:,}{moved(line.get('missing_margin'))}"
    start = f"  {line['name']:<24}{line['count']:>9,}{missing:>{wide}}"
    levels, mean, spread = (line.get(name) for name in ("levels", "mean", "std"))
    if isinstance(levels, dict):
        return f"{start}  " + ", ".join(f"{k} {_told(n)}" for k, n in levels.items())
    if not isinstance(mean, float) or not isinstance(spread, float):
        return f"{start}  {WITHHELD}" if line["count"] else start
    unit = "" if line["unit"] == "1" else f" {line['unit']}"
    near = f"{figure(mean, spread)}{moved(line.get('mean_margin'), spread)}"
    return f"{start}  {near} ({figure(spread, spread)}){unit}"


def _selected(made: Report) -> list[str]:
    """Return which of the candidates was chosen, where the study let it be chosen."""
    for sheet in made.sheets:
        if sheet.task == TRIED:
            tried = ", ".join(str(row[0]) for row in sheet.rows)
            (chosen,) = (row[0] for row in sheet.rows if row[-1])
            told = f"{sheet.columns[0]} = {chosen}, of {tried}, by cross-validation"
            return [*_folded("selected", told), ""]
    return []


def _sheets(made: Report) -> list[str]:
    """Return the tables of the analyses, and what else is on the page by its title."""
    asked = [each for each in made.sheets if each.task in ANALYSES]
    rest = [each.title for each in made.sheets if each not in asked and not each.part]
    also = [*wrap(f"On the page: {'; '.join(rest)}.", WIDTH), ""] if rest else []
    return [*(line for each in asked for line in tables.lines(each, WIDTH)), *also]


def _told(count: JsonValue) -> str:
    """Return a count, or that it is withheld."""
    return "withheld" if count is None else figure(count)


def _cleaning(made: Report) -> list[str]:
    """Return how many cells or records each step of the cleaning changed, per site."""
    if not any(site.cleaning for site in made.sites):
        return []
    counts: dict[str, Counter[str]] = {}
    for site in made.sites:
        for line in site.cleaning:
            counts.setdefault(line.step, Counter())[site.name] += line.count
    names = [site.name for site in made.sites]
    done = counts.pop("done", Counter())
    counts["done"] = done  # a step that few sites needed belongs before the end
    head = f"{'cleaning':<12}" + "".join(f"{name:>15}" for name in names)
    rows = [
        f"  {step:<10}" + "".join(f"{found[name]:>15,}" for name in names)
        for step, found in counts.items()
    ]
    return [head, *rows, ""]


def _summary(made: Report) -> list[str]:
    cost = f"{duration(made.seconds)}, {made.bytes_per_site:,} bytes per hospital"
    rounds = "1 round" if made.rounds == 1 else f"{made.rounds} rounds"
    told = [f"{rounds} of {made.task}, {cost}"]
    if made.seconds_per_round is not None:
        told.append(f"a steady round took {made.seconds_per_round:.2f} s")
    if made.rejoined:
        told.append(f"cut off while it ran, and rejoined: {', '.join(made.rejoined)}")
    if made.max_abs_coefficient_difference is not None:
        told.append(
            "largest difference of a coefficient to scikit-learn on pooled rows: "
            f"{made.max_abs_coefficient_difference:.1e}"
        )
    return told


def _protection(made: Report) -> list[str]:
    """Say what protects the numbers; of a real study also who was part of it."""
    if made.simulated:
        return _privacy(made.study.privacy)
    titled = zip_longest(["limits"], made.limits, fillvalue="")
    return [line for title, limit in titled for line in _folded(title, limit)]
