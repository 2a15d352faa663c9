"""Repeats a study on other splits and unseen hospitals: one number is worth little.

Each method trains on tables in memory and predicts for their test people. ``apart`` and
``majority`` are the two that the federation has to beat.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import fmean

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

from client.table import Table
from common.encoding import Encoding, encode
from common.release import Array
from common.study import Study
from common.tasks.describe import DESCRIBE
from common.tasks.evaluation.cells import at_home
from common.tasks.linear.linear_models import ridge_of
from simulations import plain
from simulations.worth import compare

TRAIN = 0.66
FEW = 2
"""A class of so few people cannot be dealt to both sides in proportion."""

Method = Callable[[Study, Sequence[Table]], list[Array]]
"""Trains on the tables; returns what it predicts for the test people of each."""


def trains(outcome: Array, seed: int) -> NDArray[np.bool_]:
    """Return who of one hospital's complete records trains, by FLamby's rule.

    66 % train, each class in proportion, unless one class has two people or fewer: then
    chance alone decides, and a hospital may train on a single class.
    """
    _, counts = np.unique(outcome, return_counts=True)
    everyone = np.arange(len(outcome))
    chosen, _ = train_test_split(
        everyone,
        train_size=TRAIN,
        test_size=1.0 - TRAIN,
        random_state=seed,
        stratify=outcome if len(counts) > 1 and counts.min() > FEW else None,
    )
    return np.isin(everyone, chosen)


def split(tables: Sequence[Table], seed: int) -> list[Table]:
    """Return *tables* with other people training, by the same rule."""
    return [mark(table, trains(table.outcome, seed)) for table in tables]


def newcomer(tables: Sequence[Table], index: int) -> list[Table]:
    """Return *tables* where one hospital only tests, and all others only train."""
    return [
        mark(table, np.full(len(table.train), place != index))
        for place, table in enumerate(tables)
    ]


def together(study: Study, tables: Sequence[Table]) -> list[Array]:
    """Predict with the federation's model: one standardisation for all hospitals."""
    model = compare.fitted(study, plain.run(study, tables))
    return [model.predict(table.rows("test")) for table in tables]


def apart(study: Study, tables: Sequence[Table]) -> list[Array]:
    """Predict with the same model, but each hospital standardised by its own rows."""
    own = [_constants(study, table) for table in tables]
    rows = [table.rows("train") for table in tables]
    pairs = zip(own, rows, strict=True)
    design = np.concatenate([encode(study, by, each.x) for by, each in pairs])
    ridge = ridge_of(study)
    found = LogisticRegression(C=1.0 / ridge, solver="newton-cholesky")
    found.fit(design, np.concatenate([each.y for each in rows]))
    weights = np.r_[found.coef_[0], found.intercept_]
    return [
        compare.linear(study, by, weights).predict(table.rows("test"))
        for by, table in zip(own, tables, strict=True)
    ]


def majority(study: Study, tables: Sequence[Table]) -> list[Array]:
    """Predict for everyone what most training people of the same hospital have."""
    del study
    shares = [table.rows("train").y.mean() for table in tables]
    people = [np.count_nonzero(~table.train) for table in tables]
    return [np.full(n, share) for n, share in zip(people, shares, strict=True)]


def accuracy(tables: Sequence[Table], predicted: Sequence[Array]) -> tuple[float, ...]:
    """Return the share right at 0.5: per hospital, their plain average, of everyone."""
    pairs = zip(tables, predicted, strict=True)
    right = [
        (said >= compare.THRESHOLD) == (table.rows("test").y == 1)
        for table, said in pairs
    ]
    shares = [float(each.mean()) for each in right]
    return (*shares, fmean(shares), float(np.concatenate(right).mean()))


def area(tables: Sequence[Table], predicted: Sequence[Array]) -> tuple[float, ...]:
    """Return the area under the ROC curve: per hospital, and their plain average."""
    pairs = zip(tables, predicted, strict=True)
    areas = [float(roc_auc_score(table.rows("test").y, said)) for table, said in pairs]
    return (*areas, fmean(areas))


def left_out(
    study: Study, tables: Sequence[Table], method: Method
) -> tuple[list[Table], list[Array]]:
    """Return each hospital as a newcomer, and what the model of the others predicts."""
    casts = [newcomer(tables, index) for index in range(len(tables))]
    new = [cast[index] for index, cast in enumerate(casts)]
    return new, [method(study, cast)[index] for index, cast in enumerate(casts)]


def _constants(study: Study, table: Table) -> Encoding:
    """Return what a hospital by itself would standardise by; a newcomer only tests."""
    rows, study = table.rows("train" if table.train.any() else "test"), at_home(study)
    begin = DESCRIBE.start(study, {})
    sums = DESCRIBE.local(study, begin, rows)
    return Encoding.of(DESCRIBE.finish(study, begin, sums).arrays)


def mark(table: Table, train: NDArray[np.bool_]) -> Table:
    """Return *table* with *train* training, where every record is another person."""
    count = int(train.sum())
    return replace(
        table, train=train, people={"train": count, "test": len(train) - count}
    )
