"""Proportional hazards under a promise: the same hazard ratios, person by person."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.learning import training
from client.learning.training import Design
from client.table import Table
from common import costs, encoding, plan
from common.arithmetic import follow_up
from common.encoding import Encoding
from common.learned import exporting, model_file
from common.privacy import epsilon_of
from common.release import Array, unflatten
from common.schema import Survival
from common.study import Study
from common.task import Rows, State, model_of
from common.tasks.evaluation import evaluate_survival
from common.tasks.private import private_concordance, private_cox
from common.told import statement
from simulations import plain
from simulations.attacks import audit
from simulations.benches import wide
from simulations.worth import compare
from tests import clinics
from tests.test_private_forest import FILE

FOUR = clinics.ABOUT | {"sites": ["a", "b", "c", "d"]}
ROUNDS = {"quorum": 4, "deadline_seconds": 2}
TRUE = np.array([0.5, -0.4, 0.3, 0.0])
"""Log hazard ratios of the people that are made up here."""
GRID = [150 * place for place in range(1, 13)]
DEATH = {**clinics.DEATH, "grid": GRID}
COX = {"kind": "cox", "ridge": 1.0}


def promised(epsilon: float, people: int | None = None, **changes: object) -> Study:
    """Return a study of four numbers that are -1 or 1 of everybody."""
    number = {"kind": "number", "unit": "1", "range": (-2, 2), "typical": (0.0, 1.0)}
    kept = {"epsilon": epsilon, "delta": 1e-5, "noise": "shared"}
    given: dict[str, Any] = {
        "privacy": kept | {"expected_people": people},
        "study": FOUR,
        "rounds": ROUNDS,
        "variables": [{**number, "name": f"x_{i}"} for i in range(len(TRUE))],
        "outcome": DEATH,
        "model": COX,
    }
    return clinics.study(**(given | changes))


def watched(people: int, seed: int = 0) -> list[Table]:
    """Return people at four sites; their hazards are proportional."""
    draw = np.random.default_rng(seed)
    x = draw.choice([-1.0, 1.0], (people, len(TRUE)))
    time = draw.exponential(1000 * np.exp(-x @ TRUE))
    last = draw.uniform(100, 2500, people)
    outcome = Survival.model_validate(DEATH)
    known = np.minimum(time, last), (time <= last).astype(float)
    code = follow_up.coded(outcome, *known)
    return wide.dealt(x, code, draw.random(people) < 0.7, 4)


def drawn(seed: int = 0) -> plain.Noise:
    """Return noise that can be repeated."""
    return plain.gaussian(np.random.default_rng(seed))


def index(study: Study, states: dict[str, Any], tables: list[Table]) -> float:
    """Return the exact c-index of test people."""
    rows = plain.pooled(tables).rows("test")
    found = evaluate_survival.counted(compare.fitted(study, states).predict(rows), rows)
    return float(found["right"][0] / found["pairs"][0])


@pytest.mark.parametrize(("epsilon", "off"), [(1.0, 0.08), (8.0, 0.04)])
def test_its_hazard_ratios_become_those_of_cox(epsilon: float, off: float) -> None:
    tables, study = watched(20_000), promised(epsilon, 14_000)
    exact = study.model_copy(update={"privacy": "none"})
    usual = plain.run(exact, tables)["cox"].arrays["weights"]
    found = plain.run(study, tables, drawn())["cox"].arrays["weights"]
    assert np.abs(found - usual).max() < off
    assert np.abs(found - TRUE).max() < off


def test_without_noise_it_is_the_pooled_model_of_hazards_by_interval() -> None:
    """By statsmodels: a complementary log-log model of every interval of everybody."""
    models = pytest.importorskip("statsmodels.api")
    tables, study = watched(6000), promised(100.0, 4000)
    states = plain.run(study, tables)
    rows = plain.pooled(tables).rows("train")
    x = encoding.encode(study, Encoding.of(states["cox"].arrays), rows.x)
    last, came = follow_up.interval(rows.y), follow_up.came(rows.y)
    who, when = np.nonzero(np.arange(len(GRID)) <= last[:, None])
    hit = (when == last[who]) & came[who]
    design = np.column_stack([x[who], np.eye(len(GRID))[when]])
    link = models.families.links.CLogLog()
    family = models.families.Binomial(link=link)
    pooled = models.GLM(hit.astype(float), design, family=family).fit().params
    found = states["cox"].arrays
    assert np.abs(found["weights"] - pooled[: len(TRUE)]).max() < 0.03
    assert np.abs(np.exp(found["baseline"]) - np.exp(pooled[4:])).max() < 0.03
    site_by_site = plain.run(study, [plain.pooled(tables)])["cox"].arrays
    np.testing.assert_allclose(found["weights"], site_by_site["weights"], atol=1e-9)


@pytest.mark.parametrize(("epsilon", "lost"), [(1.0, 0.03), (3.0, 0.015), (8.0, 0.01)])
def test_people_are_put_in_order_nearly_as_well(epsilon: float, lost: float) -> None:
    tables, study = watched(1000), promised(epsilon, 700)
    exact = study.model_copy(update={"privacy": "none"})
    usual = index(exact, plain.run(exact, tables), tables)
    found = [
        index(study, plain.run(study, tables, drawn(seed)), tables) for seed in range(4)
    ]
    assert np.mean(found) > usual - lost


def _loss(weights: Array, x: Array, outcome: Array) -> Array:
    """Return minus the log likelihood of each record, as its definition reads."""
    last, came = follow_up.interval(outcome), follow_up.came(outcome)
    found = []
    for row, place, event in zip(x, last, came, strict=True):
        rate = np.exp(weights[4:] + row @ weights[:4])
        through = rate[: place + 1 - event].sum()
        found.append(through - (math.log(-math.expm1(-rate[place])) if event else 0.0))
    return np.array(found)


def test_slopes_are_those_of_the_likelihood() -> None:
    study, draw = promised(1.0), np.random.default_rng(0)
    weights = np.r_[draw.normal(0, 0.2, 4), draw.normal(-3, 0.3, len(GRID))]
    x, outcome = draw.normal(0, 0.5, (50, 4)), draw.integers(0, 24, 50).astype(float)
    slope = private_cox.FAR * private_cox.slopes(study, weights, x, outcome)
    given = np.column_stack([x * slope.sum(axis=1)[:, None], slope])
    step = 1e-6
    for place in range(len(weights)):
        moved = np.eye(len(weights))[place] * step
        ends = [_loss(weights + side * moved, x, outcome) for side in (1, -1)]
        rise = (ends[0] - ends[1]) / (2 * step)
        np.testing.assert_allclose(given[:, place], rise, atol=1e-6)


@given(seed=st.integers(0, 2**31), far=st.floats(0.1, 1e6))
@settings(max_examples=40, deadline=None)
def test_no_person_moves_the_sum_by_more_than_is_paid_for(
    seed: int, far: float
) -> None:
    study = clinics.study(
        privacy={"epsilon": 1.0, "delta": 1e-5, "noise": "shared"},
        study=FOUR,
        rounds=ROUNDS,
        outcome=clinics.DEATH,
        model=COX,
    )
    task, draw = plan.find(study, "cox"), np.random.default_rng(seed)
    described = plain.run(study, [clinics.table(30, 0, "survival")] * 4)
    state = task.start(study, described)
    state.arrays["weights"][:] = draw.normal(0, far, len(state.arrays["weights"]))
    rows = plain.pooled([clinics.table(60, seed, "survival")]).rows("train")
    rows = type(rows)(draw.normal(0, far, (len(rows.y), 7)), rows.y, rows.key)
    noisy = costs.noisy(task)
    assert noisy.each is not None
    each = noisy.each(study, state, rows)
    assert np.isfinite(each).all()
    assert np.linalg.norm(each, axis=1).max() <= noisy.clip(study) + 1e-9
    alone = noisy.each(study, state, rows.take(np.array([7])))
    assert np.array_equal(alone[0], each[7])


def test_a_tested_person_is_in_the_same_cell_whoever_is_beside() -> None:
    """Thirty columns, and hazards that lie on the edge between two cells."""
    draw = np.random.default_rng(0)
    number = {"kind": "number", "unit": "1", "range": (-6, 6), "typical": (0.0, 1.0)}
    names = [f"x_{i}" for i in range(30)]
    study = promised(1.0, variables=[{**number, "name": name} for name in names])
    task, weights = plan.find(study, "evaluate"), draw.normal(size=30)
    ends = {name: np.zeros(shape) for name, shape in task.shows(study).items()}
    state = State({**ends, "weights": weights})
    x = draw.normal(size=(200, 30))
    x -= np.outer(x @ weights, weights) / (weights @ weights)
    rows = Rows(np.asarray(x, order="F"), draw.integers(0, 24, 200).astype(float))
    noisy = costs.noisy(task)
    assert noisy.each is not None
    every = noisy.each(study, state, rows)
    assert np.linalg.norm(every, axis=1).max() <= noisy.clip(study)
    for at in range(200):
        alone = noisy.each(study, state, rows.take(np.array([at])))
        assert np.array_equal(alone[0], every[at])


def test_it_spends_what_it_promises_and_no_more() -> None:
    study = promised(1.0)
    charged, steps = costs.charges(study), plan.rounds(study, plan.find(study, "cox"))
    events = [charged["describe"], *[charged["cox"]] * steps]
    assert epsilon_of(events, 1e-5) == pytest.approx(1.0, abs=1e-6)
    assert epsilon_of([charged["evaluate"]], 1e-5) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("epsilon", [1.0, 3.0, 8.0])
def test_the_interval_of_the_c_index_holds_the_truth(epsilon: float) -> None:
    tables, study = watched(3000), promised(epsilon, 2000)
    states = plain.run(study, tables, drawn())
    truth, task = index(study, states, tables), plan.find(study, "evaluate")
    state, designs = task.start(study, states), [Design(table) for table in tables]
    answers = [training.run(task, study, state, each) for each in designs]
    summed, draw = plain.total(task, study, answers), np.random.default_rng(2)
    spread, held = 2 * costs.deviation(study, task), []
    for _ in range(100):
        noise = draw.normal(0, spread, summed["told"].size)
        moved = unflatten(task.release(study), summed["told"].ravel() + noise)
        found = task.read(study, task.finish(study, state, moved))
        low, high = found["c_index_interval"] or (0.0, 1.0)  # type: ignore[misc]
        held.append(low <= truth <= high)
    assert np.mean(held) >= 0.95


def test_a_table_of_time_and_hazard_gives_the_c_index_of_its_people() -> None:
    draw = np.random.default_rng(3)
    told = draw.integers(0, 9, (4, 2, 4)).astype(float)
    people = [
        (part, event, place)
        for part, event, place in np.ndindex(told.shape)
        for _ in range(int(told[part, event, place]))
    ]
    pairs = right = 0.0
    for part, event, place in people:
        for later, _, other in people:
            if event and later > part:
                pairs += 1
                right += (other < place) + (other == place) / 2
    assert private_concordance._pairs(told)[:2] == (pairs, right)
    first, _, _ = private_concordance._pairs(told)
    influence = private_concordance._influence(told, right / pairs)
    for cell in ((0, 1, 2), (3, 0, 1), (1, 0, 3), (2, 1, 0)):
        more = told.copy()
        more[cell] += 1
        changed = private_concordance._pairs(more)
        gained = changed[1] - right - right / pairs * (changed[0] - first)
        assert influence[cell] == pytest.approx(gained)


def test_few_people_are_told_no_c_index_that_is_noise_alone() -> None:
    tables, study = watched(60), promised(0.5)
    for seed in range(5):
        states = plain.run(study, tables, drawn(seed))
        task = plan.find(study, "evaluate")
        found = task.read(study, states["evaluate"])
        assert found["c_index"] is None
        json.dumps(found, allow_nan=False)
        task.show(study, states["evaluate"])


def test_the_model_is_told_and_leaves_as_that_of_an_exact_study(tmp_path: Path) -> None:
    tables, study = watched(2000), promised(8.0, 1400)
    states = plain.run(study, tables, drawn())
    fit = plan.find(study, "cox")
    found = fit.read(study, states["cox"])
    json.dumps(found, allow_nan=False)
    assert [line["name"] for line in found["coefficients"]] == [  # type: ignore[attr-defined]
        f"x_{i}" for i in range(4)
    ]
    assert all(line["interval"] is None for line in found["coefficients"])  # type: ignore[attr-defined]
    assert [line["until"] for line in found["baseline"]] == GRID  # type: ignore[attr-defined]
    (sheet,) = fit.show(study, states["cox"])
    assert "one baseline for all hospitals" in sheet.notes[0]
    made = model_file.of(study, states, FILE)
    path, rows = exporting.write(made, "onnx", tmp_path), tables[0].rows("test")
    (said,) = onnxruntime.InferenceSession(path).run(None, {"values": rows.x})
    mine = compare.fitted(study, states).predict(rows)
    np.testing.assert_allclose(np.log(said.ravel()), mine, atol=1e-5)
    model, arrays = model_of(study), states["cox"].arrays
    seen = encoding.seen(study, model.fit, arrays, rows)
    assert model.explain is not None
    parts = model.explain(study, arrays, seen)
    np.testing.assert_allclose(parts.sum(axis=1), mine, atol=1e-12)


def test_the_statement_names_it() -> None:
    assert "How is cox released?" in statement.text(promised(1.0), "en")
    assert "cox" in statement.text(promised(1.0), "zh")


def test_a_private_cox_model_keeps_its_promise() -> None:
    found = audit.audit(promised(1.0), 2000)
    assert found.holds
    assert 0.1 < found.lower <= 1.0
