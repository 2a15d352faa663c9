"""Support vector machines as sums: no support vector, which is a person, is ever sent.

The squared hinge has slopes and curvatures, so Newton's method on sums solves it (a
generalised one: Mangasarian 2002). The penalty is on the intercept too, as liblinear's:
lambda = 1/C of scikit-learn's LinearSVC. An RBF kernel becomes the same problem over
random Fourier features (Rahimi & Recht 2007) that everybody draws from a public seed.

A margin is no probability. What a model predicts is 1/(1 + e^-margin): at least 0.5
where the margin says so, in the order of the margins, and not calibrated.
"""

import math
from typing import cast

import numpy as np
from scipy.special import expit

from common.encoding import columns
from common.errors import StudyError
from common.release import Array
from common.sections.models import RbfSvm
from common.sheet import Cell, Sheet
from common.study import Study
from common.task import Findings, Found, Model, Rows, State
from common.tasks.linear import intercepts, linear_models, newton
from common.tasks.linear.linear_models import Family
from common.tasks.linear.newton import Arrays, Penalty, Problem, Terms


def _squared_hinge(eta: Array, y: Array) -> tuple[Array, Array, Array]:
    side = 2.0 * y - 1.0
    short = np.maximum(1.0 - side * eta, 0.0)
    active = (short > 0.0).astype(np.float64)
    return short * short, -2.0 * side * short, 2.0 * active


UNCALIBRATED = (
    "A score is 1/(1 + e^-margin): in the right order, and no chance. What is said "
    "here of chances (Brier score, calibration, net benefit) does not hold."
)
HINGE = Family(
    name="svm",
    mean=expit,
    loss=_squared_hinge,
    link=lambda _share: 0.0,
    scale="margin",
    likelihood=False,
    shrunk=True,
)


def settings(study: Study) -> RbfSvm:
    """Return the study's settings; raise StudyError where it asks for another model."""
    if not isinstance(study.model, RbfSvm):
        raise StudyError("random features were asked of a study without rbf_svm")
    return study.model


def gamma(study: Study) -> float:
    """Return gamma of exp(-gamma |x - z|^2): 1/columns where none is declared."""
    declared = settings(study).gamma
    return 1.0 / len(columns(study)) if declared is None else declared


def features(study: Study, x: Array) -> Array:
    """Return cos(x.W + b) * sqrt(2/features): scikit-learn's RBFSampler of that seed.

    The product of two such rows is about the kernel of their records.
    """
    weights, offset = drawn(study)
    found: Array = np.cos(x @ weights + offset)
    found *= math.sqrt(2.0 / most(study))
    found[:, settings(study).features :] = 0.0
    return found


def most(study: Study) -> int:
    """Return how many features are drawn: a smaller number that is tried is the first.

    The others are 0 then, and so are their weights.
    """
    tried = study.selection.features if study.selection else None
    return max(tried) if tried else settings(study).features


def drawn(study: Study) -> tuple[Array, Array]:
    """Return W [columns, features] and b [features], by the study's public seed."""
    asked, width, size = settings(study), len(columns(study)), most(study)
    # The old generator is the one whose draws numpy promises never to change.
    draw = np.random.RandomState(asked.seed)
    spread = math.sqrt(2.0 * gamma(study))
    weights = spread * draw.normal(size=(width, size))
    return weights, draw.uniform(0.0, 2.0 * math.pi, size=size)


def _terms(study: Study, arrays: Arrays, rows: Rows) -> Terms:
    design, ones = features(study, rows.x), np.ones((len(rows.y), 1))
    at = intercepts.eta(design, ones, arrays["weights"])
    return linear_models.combine(design, ones, _squared_hinge(at, rows.y))


def _begin(study: Study, found: Found) -> Array:
    linear_models.varied(study, found["describe"])
    return np.zeros(_width(study))


def _width(study: Study) -> int:
    return most(study) + 1


def _penalty(study: Study, _arrays: Arrays) -> Penalty:
    """Return the ridge: of fewer features less, for they are as small as of the most.

    So lambda means what it does where no other number is tried.
    """
    width, share = _width(study), settings(study).features / most(study)
    each = np.full(width, settings(study).ridge * share)
    each[-1] = settings(study).ridge
    return Penalty(np.diag(each), np.zeros(width))


def made(study: Study, state: State) -> Findings:
    """Return by what the model was made: the weights of random features say nothing."""
    del state
    asked = settings(study)
    return {
        "ridge": asked.ridge,
        "features": asked.features,
        "gamma": gamma(study),
        "seed": asked.seed,
    }


def _warning(study: Study, _state: State) -> tuple[Sheet, ...]:
    """Show what the score is not."""
    rows = (("ridge", linear_models.ridge_of(study)),)
    title = "How the machine was made"
    return (Sheet(title, ("setting", "value"), rows, (UNCALIBRATED,)),)


def told(study: Study, state: State) -> tuple[Sheet, ...]:
    """Show by what the model was made, and what its score is not."""
    found = made(study, state)
    rows = cast("tuple[tuple[Cell, ...], ...]", tuple(found.items()))
    title = "How the machine was made"
    return (Sheet(title, ("setting", "value"), rows, (UNCALIBRATED,)),)


def _predict(study: Study, arrays: Arrays, rows: Rows) -> Array:
    weights = arrays["weights"]
    margin = features(study, rows.x) @ weights[:-1] + weights[-1]
    return np.asarray(expit(margin), dtype=np.float64)


SVM = linear_models.model(HINGE, _warning)
RBF_SVM = Model(
    fit=newton.task(
        Problem(
            name="rbf_svm",
            width=_width,
            terms=_terms,
            penalty=_penalty,
            begin=_begin,
        ),
        made,
        told,
    ),
    carries=lambda study: newton.shown(_width(study), study),
    predict=_predict,
)
