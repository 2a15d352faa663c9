"""A learned model for others: scikit-learn, ONNX, Keras, and a card for readers.

Nothing of it can be executed by reading it; ``sklearn-json`` holds numbers under the
names that scikit-learn gives them.
"""

import json
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np

from common import keras_file, manifest, personal
from common.encoding import columns
from common.errors import StudyError
from common.model_file import MODEL, Learned
from common.release import Array
from common.study import Study
from common.tasks import intercepts, left_out

SKLEARN = {
    "logistic": "sklearn.linear_model.LogisticRegression",
    "multinomial": "sklearn.linear_model.LogisticRegression",
    "poisson": "sklearn.linear_model.PoissonRegressor",
    "linear": "sklearn.linear_model.Ridge",
    "svm": "sklearn.svm.LinearSVC",
}
PAIR = 2
"""So many classes are one row of coefficients."""


def sklearn_json(learned: Learned) -> bytes:
    """Return the fitted attributes of the same model in scikit-learn, as JSON.

    ``columns`` says how each column of its design is made from a variable of the study:
    a value, a level or a gap; filled, less its centre, divided by its scale.
    """
    study, arrays = learned.study, learned.arrays
    kind = study.kind
    if kind not in SKLEARN:
        able = ", ".join(SKLEARN)
        raise StudyError(f"{kind} has no like in scikit-learn; {able} have")
    made = [
        {
            "name": column.name,
            "variable": study.variables[column.variable].name,
            "kind": column.kind,
            "level": column.level,
            "fill": float(arrays["fill"][index]),
            "centre": float(arrays["centre"][index]),
            "scale": float(arrays["scale"][index]),
        }
        for index, column in enumerate(columns(study))
    ]
    facts = {"class": SKLEARN[kind], "digest": study.digest(), "columns": made}
    fitted = _fitted(study, arrays["weights"])
    return json.dumps({**facts, "attributes": fitted}, indent=2).encode()


def _fitted(study: Study, weights: Array) -> dict[str, object]:
    """Return coefficients and intercepts: a row for each class where there are any.

    Of two classes scikit-learn holds one row, of the second against the first.
    """
    if study.kind in {"linear", "poisson"}:
        own = intercepts.elsewhere(study, weights)
        return {"coef_": own[:-1].tolist(), "intercept_": float(own[-1])}
    if study.kind == "multinomial":
        table = weights.reshape(-1, len(columns(study)) + 1)
    else:
        own = intercepts.elsewhere(study, weights)
        table = np.stack([np.zeros_like(own), own])
    count = len(table)
    told = table[1:] - table[:1] if count == PAIR else table
    return {
        "coef_": told[:, :-1].tolist(),
        "intercept_": told[:, -1].tolist(),
        "classes_": list(range(count)),
    }


def onnx(learned: Learned) -> bytes:
    """Return the model as an ONNX graph; raise StudyError without the package."""
    try:
        from common import onnx_graph  # noqa: PLC0415 - an extra: onnx
    except ImportError:
        raise StudyError(
            "the package onnx is not installed", fix="pip install 'consilium[onnx]'"
        ) from None
    return onnx_graph.of(learned)


def card(learned: Learned) -> bytes:
    """Return the model card (Mitchell et al. 2019): what it is, for whom, how good."""
    study, about = learned.study, learned.about
    said = study.study
    kind = study.kind
    by = f"learned by {len(about['sites'])} hospitals without sharing a record"
    head = [
        f"# {said.title}",
        "",
        f"A {kind} model of `{study.outcome.name}`, {by}.",
        "",
        f"- **Study** {said.name}, digest `{study.digest()}`",
        f"- **Made** {about['created']}, by {', '.join(about['sites'])}",
        f"- **Contact** {said.contact}",
        f"- **Intended use** {said.purpose}",
        f"- **Privacy** {click.unstyle(manifest.privacy(study))}",
        "- **Not for** people outside the cohort and the declared ranges below",
    ]
    if told := personal.told(study):
        head.append(f"- **Personal** {told}")
    return "\n".join([*head, *_inputs(learned), *_measures(learned), ""]).encode()


def _inputs(learned: Learned) -> list[str]:
    """Return what the model is given, and whom it learned from."""
    study = learned.study
    rows = ["", "## What it is given", "", "| variable | declared |", "|---|---|"]
    for each in study.variables:
        low_high = getattr(each, "range", None)
        levels = ", ".join(getattr(each, "levels", ()))
        unit = getattr(each, "unit", "")
        told = f"{low_high[0]:g} to {low_high[1]:g} {unit}" if low_high else levels
        rows.append(f"| {each.name} | {told} |")
    for rule in study.cohort:
        kept = rule.model_dump(exclude_none=True, exclude={"variable"})
        words = ", ".join(f"{key.replace('_', ' ')} {val}" for key, val in kept.items())
        rows.append(f"| only people with {rule.variable} | {words} |")
    return rows


def _measures(learned: Learned) -> list[str]:
    """Return how good it is, for everybody and by group, and its limits."""
    found = learned.about["measures"]
    numbers = {k: v for k, v in found.items() if isinstance(v, int | float)}
    rows = ["", "## How good it is", "", "On people who did not train it.", ""]
    rows += ["| measure | value |", "|---|---|"]
    rows += [f"| {name.replace('_', ' ')} | {v:.4g} |" for name, v in numbers.items()]
    rows += _elsewhere(learned)
    if groups := found.get("subgroups"):
        rows += ["", "| group | records | AUC | sensitivity | specificity |"]
        rows += ["|---|---|---|---|---|"]
        keys = ("records", "auc", "sensitivity", "specificity")
        for each in groups:
            cells = " | ".join(_cell(each.get(key)) for key in keys)
            rows.append(f"| {each['name']} | {cells} |")
    limits = [f"- {limit}" for limit in learned.about["limits"]]
    return [*rows, "", "## Limits", "", *limits]


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


FORMS: dict[str, tuple[str, Callable[[Learned], bytes]]] = {
    "sklearn-json": ("model.sklearn.json", sklearn_json),
    "onnx": ("model.onnx", onnx),
    "keras": ("model.keras", keras_file.of),
    "card": ("MODEL-CARD.md", card),
}
"""File name and maker of each form."""


def write(learned: Learned, form: str, folder: Path) -> Path:
    """Write *learned* in *form* into *folder*; return the path.

    Raises StudyError for the models of a treatment's effect: they have no such form.
    """
    if learned.part != MODEL:
        raise StudyError(
            "the models of a treatment's effect have no other form",
            fix="read treatments.json itself, or   consilium client predict",
        )
    name, make = FORMS[form]
    made = make(learned)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(made)
    return folder / name
