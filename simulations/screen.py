"""A report as a terminal shows it: scores, coefficients, cleaning, and what left."""

from collections import Counter
from textwrap import wrap

import click

from server.facts import Coefficient, Report, Score, Totals

POOLED = (
    "* pooled needs all records in one place: only a simulation can; [95 % interval]"
)
WIDTH = 88
EXACT = 'privacy = "none": no noise is added in this study; sums leave exact'


def lines(made: Report) -> list[str]:
    """Return the whole result of a study as lines of text, at most 88 wide."""
    return [
        *_scores(made),
        *_coefficients(made),
        *_cleaning(made),
        *_summary(made),
        *_folded("what left", made.sentence),
        *_privacy(made.study.privacy),
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
    if not any(site.together for site in made.sites):
        return []
    tested = sum(site.test for site in made.sites)
    tables = []
    for measure in ("auc", "accuracy"):
        title = "AUC" if measure == "auc" else measure
        tables.append(_row(title, "tested", ["alone", "together", "pooled*"]))
        for site in made.sites:
            kinds = (site.alone, site.together, site.pooled)
            cells = [_score(kind, measure) for kind in kinds]
            tables.append(_row(f"  {site.name}", str(site.test), cells))
        whole = [_score(kind, measure) for kind in (made.together, made.pooled)]
        tables += [_row("  all", str(tested), ["", *whole]), ""]
    return [*tables, POOLED, ""]


def _row(name: str, people: str, cells: list[str]) -> str:
    return f"{name:<18}{people:>6}  " + "".join(f"{c:<19}" for c in cells).rstrip()


def _score(score: Score | Totals | None, measure: str) -> str:
    if score is None:
        return ""
    found = {
        "auc": (score.auc, score.auc_interval),
        "accuracy": (score.accuracy, score.accuracy_interval),
    }
    value, interval = found[measure]
    if value is None or interval is None:
        return "one class only"
    return f"{value:.3f} [{interval[0]:.2f}-{interval[1]:.2f}]"


def _coefficients(made: Report) -> list[str]:
    if not made.coefficients:
        return []
    head = f"{'coefficient, per SD':<30}{'value':>8}{'std err':>9}{'95 % interval':>18}"
    rows = [_coefficient(line) for line in made.coefficients]
    return [f"{head}{'pooled':>9}", *rows, ""]


def _coefficient(line: Coefficient) -> str:
    start = f"  {line.name:<28}{line.coefficient:>8.3f}"
    if line.per_unit is None:
        return f"{start}   never varies"
    error, interval = "", ""
    if line.standard_error is not None and line.interval is not None:
        error = f"{line.standard_error:.3f}"
        interval = f"{line.interval[0]:.3f} to {line.interval[1]:.3f}"
    pooled = "" if line.pooled is None else f"{line.pooled:>9.3f}"
    return f"{start}{error:>9}{interval:>18}{pooled}"


def _cleaning(made: Report) -> list[str]:
    """Return how many cells or records each step of the cleaning changed, per site."""
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
    cost = f"{made.seconds:.1f} s, {made.bytes_per_site:,} bytes per hospital"
    told = [f"{made.rounds} rounds of {made.task}, {cost}"]
    if made.max_abs_coefficient_difference is not None:
        told.append(
            "largest difference of a coefficient to scikit-learn on pooled rows: "
            f"{made.max_abs_coefficient_difference:.1e}"
        )
    return told
