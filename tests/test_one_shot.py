"""Logistic regression from one release: what it solves, and where it is the better."""

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from common.encoding import columns
from common.study import Study
from common.task import State
from common.tasks.private import private_linear
from common.tasks.private.noisy_descent import shortened
from simulations import plain, private
from tests import clinics

PROMISE = {"epsilon": 1.0, "delta": 1e-5, "noise": "site"}


def asked(study: Study, **more: object) -> Study:
    """Return *study* with a promise, its model from one release."""
    known = study.model_dump(exclude_none=True)
    model = {"kind": "logistic", "ridge": 1.0, "one_shot": True, **more}
    return Study.model_validate(known | {"privacy": PROMISE, "model": model})


def test_without_noise_it_is_the_least_of_the_square() -> None:
    """(Gram/4 + ridge) w = sum x (y - 1/2), of the features as they are shortened."""
    study, tables = asked(clinics.study()), [clinics.table(400, 1)]
    states = plain.run(study, tables)
    state = states["logistic"]
    design = plain.training.Design(tables[0])
    fit = plain.plan.find(study, "logistic")
    rows = design.rows(study, fit, fit.start(study, states))
    z = np.column_stack([shortened(rows.x), np.ones(len(rows.y))])
    penalty = np.full(z.shape[1], 1.0 + float(state.arrays["added"][0]))
    penalty[-1] = float(state.arrays["added"][0])
    left = (z.T @ z / 4 + np.diag(penalty)) @ state.arrays["weights"]
    np.testing.assert_allclose(left, z.T @ (rows.y - 0.5), rtol=1e-6, atol=1e-6)


def test_no_record_is_longer_than_it_pays_for() -> None:
    study, draw = asked(clinics.study()), np.random.default_rng(1)
    x, y = draw.normal(0, 9, (500, len(columns(study)))), draw.random(500) < 0.5
    rows = plain.pooled([clinics.table(9, 1)]).rows("train")
    rows = type(rows)(x, y.astype(float))
    shown = State({"outcome": np.array([0.5, 0.5])})
    each = private_linear.each(study, shown, rows)
    assert np.linalg.norm(each, axis=1).max() <= 1.0 + 1e-12


def test_with_much_noise_it_is_better_than_many_steps() -> None:
    """On breast cancer at epsilon 0.1; at 4 it is not."""
    steps = private.opened(None)
    once = replace(steps, study=asked(steps.study))
    found = {
        name: [each.accuracy for each in private.curve(who, "site", 6, (0.1, 4.0))]
        for name, who in (("steps", steps), ("once", once))
    }
    assert found["once"][0] > found["steps"][0] + 0.05
    assert found["once"][1] < found["steps"][1]


def test_it_is_refused_where_nothing_reads_it() -> None:
    with pytest.raises(ValidationError, match="one_shot is for noisy sums"):
        clinics.study(model={"kind": "logistic", "ridge": 1.0, "one_shot": True})
