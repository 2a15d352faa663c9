"""Was joining worth it? Alone, together, pooled, on each hospital's own test people.

Alone and pooled models are scikit-learn's, so that they share no arithmetic with ours.
Pooled needs every record in one place: possible only because sites are simulated.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression, PoissonRegressor
from sklearn.metrics import roc_auc_score

from client.table import Table
from common import intervals
from common.encoding import Encoding, encode
from common.errors import StudyError
from common.release import Array, Summands
from common.study import Study
from common.task import Rows, State, model_of
from common.tasks.describe import DESCRIBE
from common.tasks.evaluate import EVALUATE
from common.tasks.linear_models import ridge_of
from simulations import plain

THRESHOLD = 0.5
"""Who is at least this likely to have the outcome is said to have it."""

CERTAIN = 40.0
"""Log-odds of a model that has seen one class only: 1 - 4e-18."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A model with the constants that its inputs were standardised by."""

    encoding: Encoding
    weights: Array
    note: str = ""


def fitted(study: Study, states: dict[str, State]) -> Fitted:
    """Return the model that the federation learned."""
    arrays = states[model_of(study).fit.name].arrays
    return Fitted(Encoding.of(arrays), arrays["weights"])


def reference(study: Study, tables: Sequence[Table]) -> Fitted:
    """Return scikit-learn's model of all training rows of *tables* in one place."""
    rows = plain.pooled(tables).rows("train")
    begin = DESCRIBE.start(study, {})
    sums = DESCRIBE.local(study, begin, rows)
    encoding = Encoding.of(DESCRIBE.finish(study, begin, sums).arrays)
    design = Rows(encode(study, encoding, rows.x), rows.y)
    if study.outcome.kind == "number":
        return Fitted(encoding, _reference(study)(study, design))
    if len(np.unique(rows.y)) == 1:
        only = np.zeros(design.x.shape[1] + 1)
        only[-1] = CERTAIN if rows.y[0] else -CERTAIN
        return Fitted(encoding, only, "trains on one class only: always predicts it")
    return Fitted(encoding, _reference(study)(study, design))


def score(study: Study, model: Fitted, table: Table) -> dict[str, object]:
    """Return AUC and accuracy of *model* on the test records of *table*."""
    rows = table.rows("test")
    predicted = predict(study, model, rows)
    right = int(((predicted >= THRESHOLD) == (rows.y == 1)).sum())
    people, having = len(rows.y), int(rows.y.sum())
    area = _auc(rows.y, predicted)
    without = people - having
    return {
        "auc": area,
        "auc_interval": None if area is None else intervals.auc(area, having, without),
        "accuracy": right / people if people else None,
        "accuracy_interval": intervals.share(right, people),
        "note": model.note or None,
    }


def totals(study: Study, model: Fitted, tables: Sequence[Table]) -> dict[str, object]:
    """Return the federated evaluation of *model*, as if it were done on pooled rows."""
    rows = plain.pooled(tables).rows("test")
    design = Rows(encode(study, model.encoding, rows.x), rows.y)
    begin = State({**model.encoding.arrays(), "weights": model.weights})
    sums: Summands = EVALUATE.local(study, begin, design)
    return EVALUATE.read(study, EVALUATE.finish(study, begin, sums))


def predict(study: Study, model: Fitted, rows: Rows) -> Array:
    """Return the expected outcome of each person in clean *rows*."""
    design = encode(study, model.encoding, rows.x)
    return model_of(study).predict(model.weights, design)


def _auc(outcome: Array, predicted: Array) -> float | None:
    if not 0 < outcome.sum() < len(outcome):
        return None
    return float(roc_auc_score(outcome, predicted))


def _logistic(study: Study, rows: Rows) -> Array:
    ridge = ridge_of(study)
    model = LogisticRegression(
        C=1.0 / ridge if ridge else np.inf,
        solver="newton-cholesky",
        tol=1e-12,
        max_iter=1000,
    ).fit(rows.x, rows.y)
    weights: Array = np.r_[model.coef_[0], model.intercept_]
    return weights


def _poisson(study: Study, rows: Rows) -> Array:
    model = PoissonRegressor(
        alpha=ridge_of(study) / len(rows.y),
        solver="newton-cholesky",
        tol=1e-12,
        max_iter=1000,
    ).fit(rows.x, rows.y)
    weights: Array = np.r_[model.coef_, model.intercept_]
    return weights


REFERENCES: dict[str, Callable[[Study, Rows], Array]] = {
    "logistic": _logistic,
    "poisson": _poisson,
}
"""The same model elsewhere, by kind: what a new model is held to."""


def _reference(study: Study) -> Callable[[Study, Rows], Array]:
    kind = study.model.kind if study.model else ""
    if kind not in REFERENCES:
        raise StudyError(
            f"there is no reference to compare {kind} with",
            fix="add one to REFERENCES in simulations/compare.py",
        )
    return REFERENCES[kind]
