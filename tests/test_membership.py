"""Who trained a forest cannot be told from it, on data that are large enough for it."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from simulations import plain
from simulations.worth import compare
from tests import clinics, real

SEEDS = 4
CASES = [
    ("breast_cancer", "number", 10),
    ("heart", "category", 10),
    *(
        pytest.param(*case, marks=pytest.mark.slow)
        for case in (
            ("breast_cancer", "binary", 10),
            ("breast_cancer", "category", 10),
            ("heart", "binary", 10),
            ("heart", "number", 10),
            ("diabetes", "category", 40),
        )
    ),
]
"""Of 221 people whom ten measurements hardly tell apart, leaves of ten tell more."""


def area(data: str, kind: str, least: int, seed: int) -> float:
    """Return how well the error tells who trained (Yeom et al. 2018): 0.5 is a coin."""
    model = {"kind": "random_forest", "trees": 50, "min_leaf": least, "seed": seed}
    study, tables = real.study(data, kind, 4, model=model), real.tables(data, kind, 4)
    found = plain.pooled(tables)
    train = np.random.default_rng(seed).random(len(found.outcome)) < 0.5
    whole = clinics.rows(found.values, found.outcome, train)
    dealt = clinics.dealt(whole, real.places(len(train), 4))
    forest = compare.fitted(study, plain.run(study, dealt))
    right = [
        sure(kind, forest.predict(rows), rows.y)
        for rows in (whole.rows("train"), whole.rows("test"))
    ]
    member = np.repeat([1, 0], [len(each) for each in right])
    return float(roc_auc_score(member, np.concatenate(right)))


def sure(kind: str, said: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Return how sure the forest is of what is so."""
    if kind == "number":
        return -np.abs(said - true)
    if kind == "category":
        return np.asarray(said[np.arange(len(true)), true.astype(int)])
    return np.where(true == 1, said, 1 - said)


@pytest.mark.parametrize(("data", "kind", "least"), CASES)
def test_who_trained_cannot_be_told_from_the_forest(
    data: str, kind: str, least: int
) -> None:
    areas = [area(data, kind, least, seed) for seed in range(SEEDS)]
    assert np.mean(areas) <= 0.55
