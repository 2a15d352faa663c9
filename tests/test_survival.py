"""Times until an event: hazards, risks and curves are those of pooled records."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.duration.hazard_regression import PHReg
from statsmodels.duration.survfunc import SurvfuncRight, survdiff

from client import site
from client.table import Table
from client.tables import integration
from common import plan
from common.arithmetic import follow_up
from common.encoding import Encoding, encode
from common.errors import StudyError
from common.schema import Survival
from common.study import Study
from common.task import Rows, State
from common.tasks.analyses import survival
from common.tasks.evaluation import evaluate
from common.tasks.evaluation.evaluate import EVALUATE
from simulations import plain
from simulations.worth import compare
from tests import charges, clinics
from tests.test_inference import with_model
from tests.test_tasks import study_of, table_of

DEATH = Survival.model_validate(clinics.DEATH)


def hospitals(people: int = 500, sites: int = 2) -> list[Table]:
    whole = table_of("cox", people)
    return clinics.dealt(whole, np.arange(people) * 7 % 10 * sites // 10)


def told(tables: list[Table], split: str) -> tuple[Rows, np.ndarray, np.ndarray]:
    """Return pooled rows, the end of each one's interval, and who had the event."""
    rows = plain.pooled(tables).rows(split)
    time = np.asarray(DEATH.grid)[follow_up.interval(rows.y)]
    return rows, time, follow_up.came(rows.y)


def test_a_code_is_an_interval_and_what_happened() -> None:
    grid = clinics.DEATH | {"grid": [30, 60, 365]}
    outcome = Survival.model_validate(grid)
    time = np.array([30.0, 40, 40, 900, 900, 0, np.nan, 40])
    event = np.array([1.0, 1, 0, 1, 0, 0, 1, np.nan])
    codes = follow_up.coded(outcome, time, event)
    np.testing.assert_array_equal(codes, [1, 3, 2, 4, 4, 0, np.nan, np.nan])
    assert outcome.coded[3] == "event by 60 d"


@pytest.mark.parametrize("sites", [1, 2, 4, 10])
def test_hazards_equal_statsmodels_on_pooled_rows(sites: int) -> None:
    study = with_model(study_of("cox"), ridge=0.0)
    tables = hospitals(sites=sites)
    state = plain.run(study, tables)["cox"]
    rows, time, came = told(tables, "train")
    x = encode(study, Encoding.of(state.arrays), rows.x)
    own = PHReg(time, x, status=came.astype(int), strata=rows.site, ties="efron").fit()
    exact = compare.reference(study, tables).weights
    found = plan.find(study, "cox").read(study, state)
    assert np.abs(state.arrays["weights"] - exact).max() < 1e-8
    lines = found["coefficients"]
    for name, values in {"standard_error": own.bse, "p": own.pvalues}.items():
        said = [line[name] for line in lines]
        np.testing.assert_allclose(said, values, rtol=1e-4, atol=1e-12)
    inverse = np.linalg.inv(-own.model.hessian(exact))
    errors = [line["standard_error"] for line in lines]
    np.testing.assert_allclose(errors, np.sqrt(np.diag(inverse)), rtol=1e-8)
    log = own.model.loglike(exact)
    assert found["fit"]["log_likelihood"] == pytest.approx(log, rel=1e-12)
    null = own.model.loglike(np.zeros_like(exact))
    assert found["fit"]["log_likelihood_null"] == pytest.approx(null, rel=1e-12)


def test_hazards_with_ridge_equal_the_reference() -> None:
    study, tables = study_of("cox"), hospitals()
    found = plain.run(study, tables)["cox"].arrays["weights"]
    exact = compare.reference(study, tables).weights
    assert np.abs(found - exact).max() < 1e-8


def index_of(hazard: np.ndarray, time: np.ndarray, came: np.ndarray) -> list[float]:
    """Return all pairs and the right ones, one by one."""
    pairs = right = 0.0
    for one, other in product(range(len(time)), repeat=2):
        tied = time[one] == time[other] and not came[other]
        if came[one] and (time[one] < time[other] or tied):
            pairs += 1
            right += (hazard[one] > hazard[other]) + (hazard[one] == hazard[other]) / 2
    return [pairs, right]


def test_the_c_index_counts_pairs_of_one_hospital() -> None:
    study, tables = study_of("cox"), hospitals()
    states = plain.run(study, tables)
    found = plan.find(study, "evaluate").read(study, states["evaluate"])
    model, counts = compare.fitted(study, states), np.zeros(2)
    for table in tables:
        rows, time, came = told([table], "test")
        hazard = model.predict(rows).round(1)
        counts += index_of(model.predict(rows), time, came)
        assert len(np.unique(hazard)) < len(hazard)
    assert found["pairs"] == counts[0]
    assert found["c_index"] == pytest.approx(counts[1] / counts[0])
    low, high = found["c_index_interval"]
    assert 0.5 < low < found["c_index"] < high < 1.0


def test_the_error_of_the_c_index_is_that_of_many_samples() -> None:
    study = study_of("cox")
    seen, halves = [], []
    for seed in range(40):
        whole = table_of("cox", 300, seed)
        rows = clinics.rows(whole.values, whole.outcome, np.zeros(300)).rows("test")
        hazard = np.nan_to_num(rows.x[:, 0])
        sums = EVALUATE.release(study)
        counted = EVALUATE.finish(
            study, State({}), evaluate.counted(study, hazard, rows)
        )
        assert set(counted.arrays) == set(sums)
        found = EVALUATE.read(study, counted)
        seen.append(found["c_index"])
        halves.append((found["c_index_interval"][1] - found["c_index"]) / 1.96)
    assert np.mean(halves) == pytest.approx(np.std(seen), rel=0.35)


def test_nobody_with_the_event_is_an_error_that_says_so() -> None:
    whole = table_of("cox", 80)
    alive = clinics.rows(whole.values, whole.outcome // 2 * 2, whole.train)
    with pytest.raises(StudyError, match="event of death"):
        plain.run(study_of("cox"), [alive])


def test_a_time_and_an_event_are_two_columns_of_an_export(tmp_path: Path) -> None:
    study: Study = study_of("cox")
    header = f"{clinics.HEADER},months,status"
    lines = [
        f"{line},{1 + number % 50},{'dead' if number % 3 else 'alive'}"
        for number, line in enumerate(clinics.lines(40))
    ]
    lines[0] = lines[0].rsplit(",", 1)[0] + ","  # nobody knows what became of p0
    path = clinics.folder(tmp_path, lines, header=header)
    mapped = path.read_text().replace(
        '[columns.ill]\ncolumn = "ill"\n',
        '[columns.death_time]\ncolumn = "months"\nunit = "mo"\n\n'
        '[columns.death]\ncolumn = "status"\nlevels = { dead = "yes", alive = "no" }\n',
    )
    path.write_text(mapped)
    months = study.outcome.model_copy(update={"units": {"mo": 30.4}})
    study = study.model_copy(update={"outcome": months})
    local = site.read(path)
    table = integration.table(local, study)
    assert len(table.outcome) == 39
    number = np.array([int(line.split(",")[-2]) - 1 for line in lines[1:]])
    status = np.array([line.endswith("dead") for line in lines[1:]], dtype=float)
    expected = follow_up.coded(months, (number + 1) * 30.4, status)
    np.testing.assert_array_equal(table.outcome, expected)
    assert (table.site == 0).all()


def km_study(**changes: object) -> Study:
    return clinics.study(
        model=None,
        evaluation=None,
        outcome=clinics.DEATH,
        analysis={"survival": ["sex", "pain"]},
        **changes,
    )


def test_curves_andlog_rank_equal_statsmodels_on_pooled_rows() -> None:
    study, tables = km_study(), hospitals(sites=4)
    state = plain.run(study, tables)["survival"]
    found = plan.find(study, "survival").read(study, state)
    rows, time, came = told(tables, "train")
    known = ~np.isnan(rows.x[:, [2, 3]]).any(axis=1)
    assert 0 < known.sum() < len(known)
    time, came, levels = time[known], came[known], rows.x[known]
    whole = SurvfuncRight(time, came)
    points = {each["time"]: each for each in found["everybody"]["curve"]}
    np.testing.assert_allclose(
        [points[at]["share"] for at in whole.surv_times], whole.surv_prob, rtol=1e-12
    )
    error = (DEATH.grid[2], whole.surv_prob_se[2] / whole.surv_prob[2])
    at = points[error[0]]["share"]
    half = 1.959963984540054 * error[1] / np.log(at)
    assert points[error[0]]["low"] == pytest.approx(at ** np.exp(-half))
    assert found["everybody"]["median"] == whole.quantile(0.5)
    for index, each in zip((3, 2), found["groups"], strict=True):
        test = survdiff(time, came, levels[:, index])
        said = each["log_rank"]
        np.testing.assert_allclose([said["statistic"], said["p"]], test, rtol=1e-8)
    assert found["everybody"]["records"] == len(time)


def by(name: str, **changes: object) -> Study:
    """Return a study of curves by sex, under another *name*."""
    names = {"sex": name}
    every = [{**e, "name": names.get(e["name"], e["name"])} for e in clinics.VARIABLES]
    asked = {"variables": every, "analysis": {"survival": [name]}, **changes}
    return clinics.study(model=None, evaluation=None, outcome=clinics.DEATH, **asked)


def test_a_variable_may_be_called_everybody() -> None:
    told = []
    for study in (by("sex"), by("everybody")):
        state = plain.run(study, hospitals())["survival"]
        found = plan.find(study, "survival").read(study, state)
        told.append((found["everybody"], found["groups"][0]["levels"]))
    assert told[0] == told[1]


def test_a_variable_may_be_called_everybody_under_a_promise() -> None:
    study = by("everybody", privacy=charges.PRIVACY)
    assert len(plan.find(study, "survival").release(study)) == 2


def test_everybody_s_curve_is_told_as_the_law_of_steps_has_it() -> None:
    study = km_study(disclosure={"min_people": 10})
    state = plain.run(study, hospitals(90, sites=3))["survival"]
    found = plan.find(study, "survival").read(study, state)
    kept = survival.told(state.arrays[survival.ALL][None], 10)
    assert 0 < kept.sum() < len(kept)
    shown = [each["share"] is not None for each in found["everybody"]["curve"]]
    assert shown == kept.tolist()
    found = departures(state.arrays[survival.ALL], kept)
    assert ((found == 0) | (found >= 10)).all()


def departures(counts: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Return how many of a part left from one time told to the next, and watched."""
    steps, ends = [], [*np.flatnonzero(kept), None]
    seen, events = np.r_[0, counts[0]], np.r_[counts[1], 0]
    start = 0
    for end in ends:
        stop = None if end is None else end + 1
        steps += [seen[start:stop].sum(), events[start:stop].sum()]
        start = stop or 0
    watched = counts.sum() - np.r_[0, np.cumsum(counts.sum(axis=0))[:-1]][kept]
    return np.r_[steps, watched]


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(0, 60))
def test_no_step_of_a_curve_stands_for_few(seed: int, levels: int, size: int) -> None:
    """Of no group, nor of those that are left of everybody less the groups told."""
    drawn = np.random.default_rng(seed)
    rate = drawn.gamma(0.5, size / 4, (levels, 2, 8))
    counts = drawn.poisson(rate).astype(float)
    study = km_study()
    few = survival._few(study, counts)
    parts = np.concatenate([counts[~few], counts[few].sum(axis=0, keepdims=True)])
    kept = survival.told(parts, 10)
    for part in parts if kept.any() else ():
        found = departures(part, kept)
        assert ((found == 0) | (found >= 10)).all()


def test_a_group_s_curve_is_not_what_another_leaves_of_everybody_s() -> None:
    """Of the second group few are watched from the second interval on."""
    first = np.array([[20.0, 20, 20, 20, 20, 40], [10, 10, 12, 11, 10, 0]])
    second = np.array([[1.0, 3, 1, 1, 0, 11], [10, 0, 0, 0, 0, 0]])
    kept = survival.told(np.array([first, second]), 10)
    alone = survival.told(first[None], 10)
    assert alone.all()
    assert kept.tolist() == [True] + [False] * 5
