"""A model card for readers (Mitchell et al. 2019): what it is, for whom, how good."""

from collections.abc import Mapping
from typing import Any

import click

from common import personal
from common.learned.model_file import Learned
from common.study import Study
from common.tasks.evaluation import left_out
from common.tasks.linear import svm
from common.told import manifest

MEASURES = {
    "records": "test records",
    "positives": "test records with the outcome",
    "auc": "AUC, area under the ROC curve",
    "auc_error_bound": "AUC is exact to",
    "accuracy": "accuracy",
    "sensitivity": "sensitivity: of those with the outcome, found",
    "specificity": "specificity: of those without it, let go",
    "ppv": "PPV: of those said to have it, that do",
    "npv": "NPV: of those said not to, that do not",
    "f1": "F1",
    "brier": "Brier score",
    "calibration_error": "average error of a chance",
    "expected": "outcomes expected per outcome seen",
    "log_loss": "log loss",
    "rmse": "RMSE",
    "r_squared": "R²",
    "c_index": "c-index",
    "pairs": "pairs of people compared",
}
"""What a reader calls a measure; another is called by its name."""
OF_GROUPS = {
    "binary": {
        "records": "records",
        "auc": "AUC",
        "sensitivity": "sensitivity",
        "specificity": "specificity",
    },
    "number": {"records": "records", "rmse": "RMSE", "bias": "bias", "r_squared": "R²"},
}
"""What is told of each group, by the kind of outcome."""


def of(learned: Learned) -> bytes:
    """Return the card of *learned*, as Markdown."""
    study, about = learned.study, learned.about
    said = study.study
    by = f"learned by {len(about['sites'])} hospitals without sharing a record"
    head = [
        f"# {said.title}",
        "",
        f"A {study.kind} model of `{study.outcome.name}`, {by}.",
        "",
        f"- **Study** {said.name}, digest `{study.digest()}`",
        f"- **Made** {about['created']}, by {', '.join(about['sites'])}",
        *_trained(about),
        f"- **Contact** {said.contact}",
        f"- **Intended use** {said.purpose}",
        f"- **Privacy** {click.unstyle(manifest.privacy(study))}",
        "- **Not for** people outside the cohort and the declared ranges below",
        *(f"- **Personal** {told}" for told in [personal.told(study)] if told),
    ]
    return "\n".join([*head, *_inputs(study), *_measures(learned), ""]).encode()


def _trained(about: Mapping[str, Any]) -> list[str]:
    """Return how many records it learned from, where the model says so."""
    records = about.get("records")
    return [] if records is None else [f"- **Learned from** {records:,} records"]


def _inputs(study: Study) -> list[str]:
    """Return what the model is given, and whom it learned from."""
    rows = ["", "## What it is given", "", "| variable | declared |", "|---|---|"]
    for each in study.variables:
        low_high = getattr(each, "range", None)
        levels = ", ".join(getattr(each, "levels", ()))
        unit = getattr(each, "unit", "1")
        told = f"{low_high[0]:g} to {low_high[1]:g}" if low_high else levels
        rows.append(f"| {each.name} | {told}{'' if unit == '1' else f' {unit}'} |")
    for rule in study.cohort:
        kept = rule.model_dump(exclude_none=True, exclude={"variable"})
        words = ", ".join(f"{key.replace('_', ' ')} {val}" for key, val in kept.items())
        rows.append(f"| only people with {rule.variable} | {words} |")
    return rows


def _measures(learned: Learned) -> list[str]:
    """Return how good it is, for everybody and by group, and its limits."""
    found = learned.about["measures"]
    rows = ["", "## How good it is", "", "On people who did not train it.", ""]
    rows += ["| measure | value | 95 % interval |", "|---|---|---|"]
    rows += [_row(found, name) for name in _ordered(found)]
    if learned.study.kind in {"svm", "rbf_svm"}:
        rows += ["", svm.UNCALIBRATED]
    rows += _elsewhere(learned)
    if groups := found.get("subgroups"):
        named = OF_GROUPS[learned.study.outcome.kind]
        rows += ["", f"| group | {' | '.join(named.values())} |"]
        rows += ["|---" * (len(named) + 1) + "|"]
        for each in groups:
            cells = " | ".join(_cell(each.get(key)) for key in named)
            rows.append(f"| {each['name']} | {cells} |")
    limits = [f"- {limit}" for limit in learned.about["limits"]]
    return [*rows, "", "## Limits", "", *limits]


def _ordered(found: Mapping[str, Any]) -> list[str]:
    """Return the names of what is a number, those of MEASURES first and as there."""
    numbers = [name for name, each in found.items() if isinstance(each, int | float)]
    return sorted(numbers, key=lambda name: [*MEASURES, name].index(name))


def _row(found: Mapping[str, Any], name: str) -> str:
    words, value = MEASURES.get(name, name.replace("_", " ")), found[name]
    ends = found.get(f"{name}_interval")
    sure = f"{ends[0]:.4g} to {ends[1]:.4g}" if ends else ""
    return f"| {words} | {value:.4g} | {sure} |"


def _elsewhere(learned: Learned) -> list[str]:
    """Return how good it may be at hospitals that it has not learned from."""
    found = learned.about.get("unseen", {})
    known = {n: v for n, v in found.items() if n in left_out.MEASURES and v is not None}
    if not known:
        return []
    rows = ["", "For people of hospitals left out of the fit:", ""]
    rows += ["| measure | value |", "|---|---|"]
    told = (f"| {left_out.MEASURES[name]} | {v:.4g} |" for name, v in known.items())
    return [*rows, *told]


def _cell(value: object) -> str:
    if value is None:
        return "not told"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
