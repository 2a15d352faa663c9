"""How good the model is on records it has not seen: from histograms and sums, once.

For a binary outcome each site counts its test records by score and class. The area
under the ROC curve of the summed histogram is exact but for ties inside a bin, and that
error has a bound (Hanley & McNeil 1982 for the statistic). For a number: mean squared
error.
"""

import numpy as np
from scipy.special import expit

from common import intervals
from common.errors import StudyError
from common.release import Array, Field, Release, Summands
from common.study import Evaluation, Study
from common.task import Findings, Found, Rows, Shapes, State, Task, model_of

LOG_ODDS = 8.0
"""Scores beyond these log-odds (0.9997 and above) share a bin."""


def release(study: Study) -> Release:
    """Declare score histograms by class, or the sums of a squared error."""
    if study.outcome.kind == "binary":
        bins = (_evaluation(study).bins,)
        return {
            "negatives": Field(
                "test records without the outcome, by score", bins, "count"
            ),
            "positives": Field(
                "test records with the outcome, by score", bins, "count"
            ),
            "brier": Field("sum of squared errors of the score", (1,), "sum"),
        }
    return {
        "records": Field("test records", (1,), "count"),
        "error": Field("sum of squared errors of the prediction", (1,), "sum"),
        "total": Field("sum of the outcome", (1,), "sum"),
        "square": Field("sum of the squared outcome", (1,), "sum"),
    }


def shows(study: Study) -> Shapes:
    """Show the sites what the model needs to predict."""
    return model_of(study).carries(study)


def start(study: Study, found: Found) -> State:
    """Show the sites the model that was learned."""
    fitted = found[model_of(study).fit.name].arrays
    return State({name: fitted[name] for name in shows(study)})


def local(study: Study, state: State, rows: Rows) -> Summands:
    """Score this site's test records and count them."""
    return counted(study, model_of(study).predict(study, state.arrays, rows), rows.y)


def counted(study: Study, score: Array, outcome: Array) -> Summands:
    """Return what leaves of test records with this *score* and *outcome* [records]."""
    error = np.array([np.sum((score - outcome) ** 2)])
    if study.outcome.kind == "binary":
        bins = _evaluation(study).bins
        return {
            "negatives": _histogram(score[outcome == 0], bins),
            "positives": _histogram(score[outcome == 1], bins),
            "brier": error,
        }
    return {
        "records": np.array([len(outcome)], dtype=np.float64),
        "error": error,
        "total": np.array([outcome.sum()]),
        "square": np.array([outcome @ outcome]),
    }


def finish(study: Study, state: State, total: Summands) -> State:
    """Keep the sums: one round is enough."""
    del study, state
    return State(dict(total), done=True)


def read(study: Study, state: State) -> Findings:
    """Return discrimination, calibration error and counts, with 95 % intervals."""
    if study.outcome.kind == "binary":
        arrays = state.arrays
        return _binary(arrays["negatives"], arrays["positives"], arrays["brier"][0])
    return _number(state.arrays)


def _histogram(score: Array, bins: int) -> Array:
    """Count scores in bins of equal log-odds, where a model tells people apart.

    The outermost bins are open and 0.5 opens the upper half. Equal bins of probability
    would put most records of an easy or a rare outcome into the first and the last.
    """
    inner = expit(np.linspace(-LOG_ODDS, LOG_ODDS, bins - 1))
    inner[bins // 2 - 1] = 0.5
    index = np.searchsorted(inner, score, side="right")
    return np.bincount(index, minlength=bins).astype(np.float64)


def _binary(negatives: Array, positives: Array, brier: float) -> Findings:
    without, having = float(negatives.sum()), float(positives.sum())
    records, half = without + having, len(negatives) // 2
    right = float(negatives[:half].sum() + positives[half:].sum())
    found: Findings = {
        "records": int(records),
        "positives": int(having),
        "accuracy": right / records if records else None,
        "accuracy_interval": intervals.share(right, records),
        "brier": float(brier / records) if records else None,
        "auc": None,
        "auc_error_bound": None,
        "auc_interval": None,
    }
    if without and having:
        below = np.cumsum(negatives) - negatives
        pairs = without * having
        area = float(positives @ (below + negatives / 2) / pairs)
        found["auc"] = area
        found["auc_error_bound"] = float(positives @ negatives / 2 / pairs)
        found["auc_interval"] = intervals.auc(area, having, without)
    return found


def _number(arrays: Summands) -> Findings:
    records, error = float(arrays["records"][0]), float(arrays["error"][0])
    total, square = float(arrays["total"][0]), float(arrays["square"][0])
    spread = square - total * total / records if records else 0.0
    return {
        "records": int(records),
        "rmse": float(np.sqrt(error / records)) if records else None,
        "r_squared": 1.0 - error / spread if spread > 0.0 else None,
    }


def _evaluation(study: Study) -> Evaluation:
    if study.evaluation is None:
        raise StudyError("this study has no [evaluation]")
    return study.evaluation


EVALUATE = Task(
    name="evaluate",
    rows="test",
    encoded=True,
    shows=shows,
    release=release,
    start=start,
    local=local,
    finish=finish,
    read=read,
)
