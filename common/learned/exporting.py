"""A learned model for others: scikit-learn, ONNX, Keras, and a card for readers.

Nothing of it can be executed by reading it; ``sklearn-json`` holds numbers under the
names that scikit-learn gives them.
"""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from common.encoding import columns
from common.errors import StudyError
from common.learned import card, keras_file
from common.learned.model_file import MODEL, Learned
from common.release import Array
from common.study import Study
from common.tasks.linear import intercepts

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
        raise StudyError(
            f"{kind} has no like in scikit-learn; {able} have",
            fix="add --to onnx to the command, or --to card",
        )
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
        from common.learned import onnx_graph  # noqa: PLC0415 - an extra: onnx
    except ImportError:
        raise StudyError(
            "the package onnx is not installed", fix="pip install 'consilium[onnx]'"
        ) from None
    return onnx_graph.of(learned)


FORMS: dict[str, tuple[str, Callable[[Learned], bytes]]] = {
    "sklearn-json": ("model.sklearn.json", sklearn_json),
    "onnx": ("model.onnx", onnx),
    "keras": ("model.keras", keras_file.of),
    "card": ("MODEL-CARD.md", card.of),
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
