"""No model file counts few people: not by the errors of its weights."""

from typing import Any

import numpy as np
import pytest

from client.table import Table
from common.encoding import Encoding, columns, encode
from common.learned import model_file
from common.study import Study
from common.task import model_of
from common.tasks.linear import curvature, newton
from simulations import plain
from tests import clinics
from tests.test_private_forest import FILE

KINDS = {"linear": "number", "logistic": "binary", "poisson": "number"}
PAIN, SEX = 2, 3


def asked(kind: str, cell: int) -> Study:
    return clinics.study(
        model={"kind": kind, **clinics.MODELS[kind]},
        outcome=clinics.OUTCOMES[KINDS.get(kind, "survival")],
        disclosure={"min_people": 1, "min_cell": cell, "min_sites": 1},
    )


def table(kind: str, few: int) -> Table:
    """Return 400 people without gaps, of whom *few* are in severe pain and male."""
    whole = clinics.table(400, 5, KINDS.get(kind, "survival"))
    whole.train[:] = True
    whole.train[::5] = False
    gaps = np.isnan(whole.values)
    whole.values[gaps] = np.broadcast_to([50.0, 200.0, 1.0, 0.0], gaps.shape)[gaps]
    severe = (whole.values[:, PAIN] == 2.0) & whole.train
    places = np.flatnonzero(severe)
    whole.values[places, SEX] = 0.0
    whole.values[places[:few], SEX] = 1.0
    return whole


def learned(kind: str, cell: int, few: int) -> model_file.Learned:
    study = asked(kind, cell)
    return model_file.of(study, plain.run(study, [table(kind, few)]), {**FILE})


def test_a_curvature_counts_who_has_two_levels() -> None:
    """So a file with it is a table of all pairs of levels, exactly."""
    found = learned("linear", 1, 3).arrays
    gram = newton.symmetric(found["curvature"], len(found["weights"]))
    names = [each.name for each in columns(asked("linear", 1))]
    one, other = names.index("pain = severe"), names.index("sex = male")
    scale, centre = found["scale"], found["centre"]
    count = scale[one] * scale[other] * gram[one, other]
    count += centre[one] * centre[other] * gram[-1, -1]
    assert count == pytest.approx(3.0, abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("few", "given"), [(0, 2), (3, 0), (40, 2)])
def test_errors_of_weights_are_given_away_where_no_pair_is_rare(
    kind: str, few: int, given: int
) -> None:
    found = learned(kind, 10, few)
    assert len({"curvature", "square"} & set(found.arrays)) == given
    assert set(model_of(found.study).carries(found.study)) <= set(found.arrays)


@pytest.mark.parametrize("kind", [*KINDS, "cox"])
def test_a_level_of_few_takes_the_errors_with_it(kind: str) -> None:
    study, whole = asked(kind, 10), table(kind, 0)
    severe = np.flatnonzero(whole.values[:, PAIN] == 2.0)
    whole.values[severe[4:], PAIN] = 0.0
    states = plain.run(study, [whole])
    made = model_file.of(study, states, {**FILE})
    assert not set(curvature.ERRORS) & set(made.arrays)
    rows: Any = whole.rows("test")
    x = encode(study, Encoding.of(dict(made.arrays)), rows.x)
    interval = made.model.interval
    assert interval is not None
    encoded = type(rows)(x, rows.y, rows.key, rows.values, rows.site)
    assert np.isnan(interval(study, made.arrays, encoded)).all()
