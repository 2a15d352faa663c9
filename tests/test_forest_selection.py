"""The depth, columns and features that are chosen are those of pooled records."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.kernel_approximation import RBFSampler
from sklearn.svm import LinearSVC

from client.table import Table
from common import plan
from common.arithmetic.trees import draws
from common.encoding import Encoding, encode
from common.release import Array
from common.study import Study
from common.task import Rows, State, model_of
from common.tasks import selection
from common.tasks.forests import random_forest
from simulations import plain
from simulations.engines import engine
from tests import clinics
from tests.simulations.test_engine import hospitals
from tests.test_selection import NAMES, tables

FOLDS = 3
FOREST = {"kind": "random_forest", "trees": 12, "depth": 4, "min_leaf": 4}
MACHINE = {"kind": "rbf_svm", "ridge": 1.0, "features": 40, "seed": 3}
DEPTHS = {"depth": [1, 2, 4], "folds": FOLDS}
COLUMNS = {"columns": [1, 2, 4], "folds": FOLDS}
TRIED = (5, 15, 40)
FEATURES = {"features": [*TRIED], "folds": FOLDS}


def study(model: dict[str, Any], asked: dict[str, Any], **changes: Any) -> Study:
    given = {
        "study": {**clinics.ABOUT, "sites": list(NAMES)},
        "rounds": {"quorum": 3},
        "model": model,
        "selection": asked,
    }
    return clinics.study(**{**given, **changes})


def alone(asked: Study, value: float) -> Study:
    """Return the study in which somebody declares what was chosen."""
    return selection.settled(asked, value).model_copy(update={"selection": None})


def told(asked: Study, states: dict[str, State]) -> tuple[list[float], float]:
    """Return every candidate's error, and what was chosen."""
    found: dict[str, Any] = plan.find(asked, selection.TRIED).read(
        asked, states[selection.TRIED]
    )
    errors = [each["error"] for each in found["candidates"]]
    return errors, found[selection.asked(asked).key]


def rows_of(asked: Study, dealt: list[Table], states: dict[str, State]) -> Rows:
    """Return all records that train as one site's, encoded."""
    rows = plain.pooled(dealt).rows("train")
    x = encode(asked, Encoding.of(states["describe"].arrays), rows.x)
    return Rows(x, rows.y, rows.key)


def fold_of(rows: Rows) -> Array:
    (draw,) = draws(rows.key, 0, 1)
    folds: Array = np.floor(draw * FOLDS)
    return folds


def grown(asked: Study, states: dict[str, State], rows: Rows) -> dict[str, Array]:
    """Return the forest of *rows*, on the bins of everybody, without any site."""
    found, model = dict(states), model_of(asked)
    for task in (*model.before(asked)[1:], model.fit):
        state = task.start(asked, found)
        found[task.name] = task.finish(asked, state, task.local(asked, state, rows))
    return dict(found[random_forest.NAME].arrays)


def expected(asked: Study, dealt: list[Table], states: dict[str, State]) -> list[float]:
    """Return the error of each candidate, each forest grown for itself."""
    rows = rows_of(asked, dealt, states)
    fold, errors = fold_of(rows), []
    for value in selection.asked(asked).values:
        of, error = alone(asked, value), 0.0
        for each in range(FOLDS):
            arrays = grown(of, states, rows.take(fold != each))
            out = rows.take(fold == each)
            said = random_forest.predict(of, arrays, out)
            error += float(((said - out.y) ** 2).sum())
        errors.append(error / len(rows.y))
    return errors


@pytest.mark.parametrize("asked", [DEPTHS, COLUMNS], ids=["depth", "columns"])
def test_every_trial_of_a_forest_is_the_pooled_one(asked: dict[str, Any]) -> None:
    model = FOREST | ({"columns": 4} if asked is COLUMNS else {})
    wanted, dealt = study(model, asked), tables()
    states = plain.run(wanted, dealt)
    errors, chosen = told(wanted, states)
    np.testing.assert_allclose(errors, expected(wanted, dealt, states), rtol=1e-12)
    best = alone(wanted, chosen)
    assert best.model == plan.settled(wanted, states).model
    straight = plain.run(best, dealt)[random_forest.NAME].arrays
    grown_ = states[random_forest.NAME].arrays
    np.testing.assert_array_equal(grown_["importance"], straight["importance"])
    for name in ("feature", "threshold"):
        size = straight[name].shape[1]
        np.testing.assert_array_equal(grown_[name][:, :size], straight[name])
    assert (grown_["feature"][:, straight["feature"].shape[1] :] == -1).all()
    rows = rows_of(wanted, dealt, states)
    np.testing.assert_array_equal(
        random_forest.predict(wanted, grown_, rows),
        random_forest.predict(best, straight, rows),
    )


def test_however_the_people_are_dealt_the_same_is_chosen() -> None:
    wanted, dealt = study(FOREST, DEPTHS), tables()
    (whole,) = (plain.run(wanted, [plain.pooled(dealt)]),)
    apart = plain.run(wanted, dealt)
    for name in (selection.TRIED, random_forest.NAME):
        for key, array in whole[name].arrays.items():
            np.testing.assert_allclose(apart[name].arrays[key], array, rtol=1e-9)


def machine(x: Array, y: Array, features: int) -> tuple[Any, Any]:
    """Return scikit-learn's machine on the first of the most features."""
    most = RBFSampler(gamma=1 / x.shape[1], n_components=40, random_state=3).fit(x)

    def design(rows: Array) -> Array:
        first: Array = most.transform(rows)[:, :features] * np.sqrt(40 / features)
        return first

    fit = LinearSVC(C=1.0, dual=False, tol=1e-12, max_iter=10_000)
    return fit.fit(design(x), y), design


def test_every_trial_of_random_features_is_the_pooled_one() -> None:
    wanted, dealt = study(MACHINE, FEATURES), tables()
    states = plain.run(wanted, dealt)
    rows = rows_of(wanted, dealt, states)
    fold, pooled = fold_of(rows), []
    for features in TRIED:
        error = 0.0
        for each in range(FOLDS):
            inside, out = rows.take(fold != each), rows.take(fold == each)
            fit, design = machine(inside.x, inside.y, features)
            said = 1 / (1 + np.exp(-fit.decision_function(design(out.x))))
            error += float(((said - out.y) ** 2).sum())
        pooled.append(error / len(rows.y))
    errors, chosen = told(wanted, states)
    np.testing.assert_allclose(errors, pooled, atol=1e-5)
    best = int(chosen)
    assert best == TRIED[int(np.argmin(pooled))]
    fit, design = machine(rows.x, rows.y, best)
    arrays = states["rbf_svm"].arrays
    assert not arrays["weights"][best:-1].any()
    said = model_of(wanted).predict(wanted, arrays, rows)
    straight = 1 / (1 + np.exp(-fit.decision_function(design(rows.x))))
    np.testing.assert_allclose(said, straight, atol=1e-5)


def test_the_same_over_flower_with_masks(tmp_path: Path) -> None:
    rounds = {"quorum": 3, "deadline_seconds": 20}
    wanted = study({**FOREST, "trees": 5, "depth": 3}, {"depth": [1, 3], "folds": 2})
    wanted = wanted.model_validate(wanted.model_dump() | {"rounds": rounds})
    assert wanted.masked
    outcome = engine.run(wanted, hospitals(tmp_path, wanted, list(NAMES)))
    states = dict(outcome.states)
    assert told(wanted, states)[1] in (1.0, 3.0)
    (sheet,) = plan.find(wanted, selection.TRIED).show(
        wanted, outcome.states[selection.TRIED]
    )
    assert sheet.title == "Which depth of the trees predicts best"
    assert [row[-1] for row in sheet.rows].count("chosen") == 1


@pytest.mark.parametrize(
    ("model", "asked", "said"),
    [
        (FOREST, {"depth": [2, 3]}, "that of .model., 4, among them"),
        (FOREST, {"depth": [4, 5]}, "the largest depth in .model., 5, not 4"),
        (FOREST, {"columns": [2, 3]}, "one in .model. among them"),
        (FOREST, {"features": [2, 3]}, "of features is for rbf_svm, not"),
        (FOREST, {"folds": 3}, "takes one of ridge, depth, columns, features"),
        (MACHINE, {"features": [5, 40], "ridge": [1, 2]}, "takes one of ridge"),
        (MACHINE, {"depth": [5, 40]}, "of depth is for random_forest, not rbf_svm"),
    ],
)
def test_what_cannot_be_selected_is_refused_at_once(
    model: dict[str, Any], asked: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValidationError, match=said):
        study(model, asked)
