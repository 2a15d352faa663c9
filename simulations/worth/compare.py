"""Was joining worth it? Alone, together, pooled, on each hospital's own test people.

Alone and pooled models are scikit-learn's, so that they share no arithmetic with ours.
Pooled needs every record in one place: possible only because sites are simulated.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version

import numpy as np
from scipy.linalg import LinAlgWarning
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.kernel_approximation import RBFSampler
from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge
from sklearn.metrics import roc_auc_score
from sklearn.neural_network import MLPClassifier
from sklearn.svm import LinearSVC

from client.table import Table
from common import personal
from common.arithmetic import follow_up, intervals
from common.encoding import Encoding, encode, seen
from common.errors import StudyError
from common.release import Array
from common.schema import Survival
from common.study import Study
from common.task import Rows, State, model_of
from common.tasks.describe import DESCRIBE
from common.tasks.evaluation.evaluate import EVALUATE, counted
from common.tasks.forests.forest_bins import asked
from common.tasks.linear import svm
from common.tasks.linear.linear_models import ridge_of
from common.tasks.networks import image_network, tabular_network
from simulations import plain

EPOCHS = 100
"""How often scikit-learn sees everyone; Keras needs fewer."""

THRESHOLD = 0.5
"""Who is at least this likely to have the outcome is said to have it."""

REPEATS, SETTLED = 50, 1e-12
"""Most Newton steps of a reference that has no such rule itself, and when to stop."""

Predict = Callable[[Rows], Array]
"""Returns the expected outcome of each of a table's clean rows."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A model as what it predicts, with its weights where it has any."""

    predict: Predict
    weights: Array | None = None
    note: str = ""


def fitted(
    study: Study, states: Mapping[str, State], own: Array | None = None
) -> Fitted:
    """Return the model that the federation learned, with a site's *own* layers."""
    model = model_of(study)
    arrays = personal.applied(study, states[model.fit.name].arrays, own)

    def predict(rows: Rows) -> Array:
        return model.predict(study, arrays, seen(study, model.fit, arrays, rows))

    return Fitted(predict, arrays.get("weights"))


def linear(study: Study, encoding: Encoding, weights: Array) -> Fitted:
    """Return the linear model of *study* with these weights, intercept last."""
    name = model_of(study).fit.name
    arrays = {**encoding.arrays(), "weights": weights}
    return fitted(study, {name: State(arrays)})


def reference(study: Study, tables: Sequence[Table]) -> Fitted:
    """Return scikit-learn's model of all training rows of *tables* in one place."""
    rows = plain.pooled(tables).rows("train")
    begin = DESCRIBE.start(study, {})
    sums = DESCRIBE.local(study, begin, rows)
    encoding = Encoding.of(DESCRIBE.finish(study, begin, sums).arrays)
    design = replace(rows, x=encode(study, encoding, rows.x))
    if study.outcome.kind == "binary" and len(np.unique(rows.y)) == 1:
        only, note = rows.y[0], "trains on one class only: always predicts it"
        return Fitted(lambda others: np.full(len(others.y), only), note=note)
    found = _reference(study)(study, design)
    if isinstance(found, np.ndarray):
        return linear(study, encoding, found)
    return Fitted(
        lambda others: found(replace(others, x=encode(study, encoding, others.x)))
    )


def gap(one: Fitted, other: Fitted) -> float | None:
    """Return how far the weights of two models differ at most, where both have any."""
    if one.weights is None or other.weights is None:
        return None
    return float(np.abs(one.weights - other.weights).max())


def score(model: Fitted, table: Table) -> dict[str, object]:
    """Return AUC and accuracy of *model* on the test records of *table*."""
    rows = table.rows("test")
    predicted = model.predict(rows)
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
    sums = counted(study, model.predict(rows), rows)
    return EVALUATE.read(study, EVALUATE.finish(study, State({}), sums))


def _auc(outcome: Array, predicted: Array) -> float | None:
    if not 0 < outcome.sum() < len(outcome):
        return None
    return float(roc_auc_score(outcome, predicted))


def _likely(study: Study, rows: Rows) -> LogisticRegression:
    """Fit by Newton; a column that never varies makes scikit-learn take another way."""
    ridge = ridge_of(study)
    model = LogisticRegression(
        C=1.0 / ridge if ridge else np.inf,
        solver="newton-cholesky",
        tol=1e-12,
        max_iter=1000,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LinAlgWarning)
        return model.fit(rows.x, rows.y)


def _logistic(study: Study, rows: Rows) -> Array:
    model = _likely(study, rows)
    weights: Array = np.r_[model.coef_[0], model.intercept_]
    return weights


def _multinomial(study: Study, rows: Rows) -> Array:
    """Fit every level's weights, intercept last, one level after the other."""
    model = _likely(study, rows)
    weights: Array = np.column_stack([model.coef_, model.intercept_]).ravel()
    return weights


def _cox(study: Study, rows: Rows) -> Array:
    """Fit by statsmodels' partial likelihood, the hospitals being strata."""
    if not isinstance(study.outcome, Survival):
        raise StudyError("cox needs a survival outcome")
    # Only those who develop have statsmodels: no study needs it.
    from statsmodels.duration.hazard_regression import PHReg  # noqa: PLC0415

    time = np.asarray(study.outcome.grid)[follow_up.interval(rows.y)]
    status = follow_up.came(rows.y).astype(int)
    model = PHReg(time, rows.x, status=status, strata=rows.site, ties="efron")
    ridge, weights = ridge_of(study), np.zeros(rows.x.shape[1])
    for _ in range(REPEATS):
        matrix = ridge * np.eye(len(weights)) - model.hessian(weights)
        slope = model.score(weights) - ridge * weights
        step = np.linalg.lstsq(matrix, slope, rcond=None)[0]
        weights = weights + step
        if np.abs(step).max() < SETTLED:
            break
    found: Array = weights
    return found


def _linear(study: Study, rows: Rows) -> Array:
    model = Ridge(alpha=ridge_of(study), solver="svd").fit(rows.x, rows.y)
    weights: Array = np.r_[model.coef_, model.intercept_]
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


def _forest(study: Study, rows: Rows) -> Predict:
    settings = asked(study)
    given = {
        "n_estimators": settings.trees,
        "min_samples_leaf": settings.min_leaf,
        "max_features": settings.columns or "sqrt",
        "random_state": settings.seed,
    }
    if study.outcome.kind == "number":
        number = RandomForestRegressor(**given).fit(rows.x, rows.y)
        return lambda others: np.asarray(number.predict(others.x))
    classes = RandomForestClassifier(**given).fit(rows.x, rows.y)
    which = 1 if study.outcome.kind == "binary" else slice(None)
    return lambda others: np.asarray(classes.predict_proba(others.x)[:, which])


def _layers(study: Study, rows: Rows) -> Predict:
    """Fit the same layers by scikit-learn's own Adam, over shuffled batches."""
    given = MLPClassifier(
        tabular_network.asked(study).dense, max_iter=EPOCHS, tol=0.0, random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted_ = given.fit(rows.x, rows.y)
    return lambda others: np.asarray(fitted_.predict_proba(others.x)[:, 1])


def _convolutions(study: Study, rows: Rows) -> Predict:
    """Fit the same layers as Keras does, over shuffled batches."""
    from simulations.worth import keras_fit  # noqa: PLC0415 - loads TensorFlow

    fitted_ = keras_fit.fit(*image_network.asked(study), rows)
    return lambda others: fitted_(others.images)


Reference = Callable[[Study, Rows], Array | Predict]
"""Fits encoded rows; returns weights, or what predicts from other encoded rows."""


def _svm(study: Study, rows: Rows) -> Array:
    return _machine(study, rows.x, rows.y)


def _rbf_svm(study: Study, rows: Rows) -> Array:
    """Fit over features of scikit-learn's own drawing."""
    asked = svm.settings(study)
    sampler = RBFSampler(
        gamma=svm.gamma(study), n_components=asked.features, random_state=asked.seed
    )
    return _machine(study, sampler.fit_transform(rows.x), rows.y)


def _machine(study: Study, x: Array, y: Array) -> Array:
    model = LinearSVC(C=1.0 / ridge_of(study), dual=False, tol=1e-12, max_iter=100_000)
    model.fit(x, y)
    weights: Array = np.r_[model.coef_[0], model.intercept_]
    return weights


REFERENCES: dict[str, Reference] = {
    "cox": _cox,
    "linear": _linear,
    "logistic": _logistic,
    "multinomial": _multinomial,
    "poisson": _poisson,
    "random_forest": _forest,
    "image_network": _convolutions,
    "tabular_network": _layers,
    "rbf_svm": _rbf_svm,
    "svm": _svm,
}
"""The same model elsewhere, by kind: what a new model is held to."""


def has(study: Study) -> bool:
    """Tell whether there is such a model elsewhere, and installed, for this study."""
    model = study.model
    own = getattr(model, "l1_share", None) or getattr(model, "site_intercepts", None)
    if model is None or own:
        return False
    return model.kind != "cox" or _installed("statsmodels")


def _installed(package: str) -> bool:
    try:
        return bool(version(package))
    except PackageNotFoundError:
        return False


def _reference(study: Study) -> Reference:
    kind = study.kind
    if kind not in REFERENCES:
        raise StudyError(
            f"there is no reference to compare {kind} with",
            fix="add one to REFERENCES in simulations/worth/compare.py",
        )
    return REFERENCES[kind]
