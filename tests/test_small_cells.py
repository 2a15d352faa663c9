"""An evaluation tells of no few records: not in cells, and not in what shares say."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from common import plan
from common.arithmetic import scores
from common.arithmetic.intervals import share
from common.arithmetic.scores import Table
from common.learned import card, model_file
from common.release import Array
from common.study import Study
from common.task import State
from common.tasks.evaluation import cells, cells_of_levels, evaluate, evaluate_levels
from simulations import plain
from simulations.worth import compare
from tests import clinics
from tests.test_private_forest import FILE

FEWEST = 10
TESTED = {"test": 0.3, "bins": 200, "subgroups": ["sex"]}
STUDY = clinics.study(evaluation=TESTED, disclosure={"min_people": FEWEST})
SMALL = st.integers(1, FEWEST - 1)
LARGE = st.integers(FEWEST, 500)
COUNTED = ("confusion", "net_benefit", *cells.SHARES, "f1")
"""What follows from the table at one half, besides intervals."""


def binary(at: Table, study: Study = STUDY, **groups: Array) -> dict[str, Any]:
    """Return what is told of test records with one score on either side of a half."""
    bins = 200
    negatives, positives = np.zeros(bins), np.zeros(bins)
    negatives[[20, 150]] = at.rejections, at.alarms
    positives[[20, 150]] = at.misses, at.hits
    arrays = {
        "negatives": negatives,
        "positives": positives,
        "said": (negatives + positives) * np.linspace(0.01, 0.99, bins),
        "brier": np.array([0.1 * at.records, 0.02 * at.records]),
        "group_negatives": np.zeros((2, bins)),
        "group_positives": np.zeros((2, bins)),
        "group_said": np.zeros(2),
        **groups,
    }
    found = evaluate.read(study, State(arrays))
    evaluate.show(study, State(arrays))
    json.dumps(found, allow_nan=False)
    return found


def shares(found: dict[str, Any]) -> dict[str, Any]:
    """Return all that is counted at one half, with intervals."""
    own = {name: found[name] for name in COUNTED}
    return own | {
        k: found[k] for k in found if k.endswith("_interval") and k[0] not in "be"
    }


@given(
    whole=st.integers(2 * FEWEST, 400),
    rejected=LARGE,
    alarms=LARGE,
    two=st.tuples(SMALL, SMALL),
)
def test_how_small_a_cell_is_changes_nothing_that_is_told(
    whole: int, rejected: int, alarms: int, two: tuple[int, int]
) -> None:
    one, other = (
        cells.told(Table(whole - few, few, alarms, rejected), FEWEST) for few in two
    )
    assert one == other
    assert one.counts()["misses"] is None
    assert one.counts()["alarms"] == alarms


@given(alarms=st.tuples(SMALL, SMALL), misses=st.tuples(SMALL, SMALL))
def test_the_whole_evaluation_is_the_same_but_for_its_order(
    alarms: tuple[int, int], misses: tuple[int, int]
) -> None:
    one, other = (
        shares(binary(Table(80 - missed, missed, called, 120 - called)))
        for missed, called in zip(misses, alarms, strict=True)
    )
    one.pop("auc_interval"), other.pop("auc_interval")
    benefits = [each.pop("net_benefit") for each in (one, other)]
    assert one == other
    assert benefits[0][-1] == benefits[1][-1]
    for each in benefits[0]:
        off = abs(each["model"] / 0.05 - round(each["model"] / 0.05))
        assert each["chance"] == 0.5 or off < 1e-9


@given(hits=LARGE, misses=LARGE, alarms=LARGE, rejections=LARGE)
def test_where_every_cell_is_large_all_of_it_is_exact(
    hits: int, misses: int, alarms: int, rejections: int
) -> None:
    at = Table(hits, misses, alarms, rejections)
    found = binary(at)
    assert {k: found[k] for k in scores.rates(at)} == scores.rates(at)
    assert found["accuracy_interval"] == share(hits + rejections, at.records)
    assert list(found["confusion"].values()) == [hits, misses, alarms, rejections]


@given(few=SMALL, rest=st.integers(0, 300), rejections=st.integers(0, 300))
def test_intervals_hold_the_share_that_is_withheld(
    few: int, rest: int, rejections: int
) -> None:
    at = Table(rest, few, few, rejections)
    told = cells.told(at, FEWEST)
    for name, true in scores.rates(at).items():
        found = told.interval(cells.SHARES[name]) if name in cells.SHARES else None
        if found and isinstance(true, float):
            assert found[0] <= true <= found[1]


@pytest.mark.parametrize(("having", "without"), [(4, 96), (96, 4)])
def test_of_a_class_of_few_nothing_is_told_but_how_many_were_tested(
    having: int, without: int
) -> None:
    found = binary(Table(having, 0, 0, without))
    known = {name: value for name, value in found.items() if value}
    known.pop("subgroups"), known.pop("fairness")
    few = "fewer than 10 test records with the outcome, or without it"
    assert known == {"records": 100, "note": few}


def test_no_cell_is_withheld_where_one_record_may_be_told() -> None:
    study = clinics.study(evaluation=TESTED)
    found = binary(Table(57, 3, 2, 1), study)
    assert list(found["confusion"].values()) == [57, 3, 2, 1]
    assert found["sensitivity"] == 0.95


def test_an_area_tells_of_no_few_pairs() -> None:
    draw = np.random.default_rng(0)
    negatives, positives = draw.poisson(3.0, (2, 20)).astype(float)
    exact, told = (
        scores.area(negatives, positives),
        cells.area(negatives, positives, 10),
    )
    assert exact is not None
    assert told is not None
    pairs = negatives.sum() * positives.sum()
    grain = cells.step(10 / pairs)
    assert grain * pairs >= 10
    assert abs(told[0] - exact[0]) <= grain / 2 + 1e-12
    assert told[1] >= exact[1] + abs(told[0] - exact[0])


def test_a_cell_of_a_group_is_not_what_the_other_groups_leave() -> None:
    def of(*pairs: tuple[float, float]) -> Array:
        bins = np.zeros((2, 200))
        bins[:, 20], bins[:, 150] = np.array(pairs).T
        return bins

    negatives, positives = of((90.0, 30.0), (60.0, 20.0)), of((40.0, 60.0), (3.0, 50.0))
    at = Table(110.0, 43.0, 50.0, 150.0)
    groups = {"group_negatives": negatives, "group_positives": positives}
    female, male = binary(at, **groups)["subgroups"]
    assert male["sensitivity"] is female["sensitivity"] is None
    assert male["said_yes"] is female["accuracy"] is None
    assert female["specificity"] == 0.75
    assert male["records"] == 133


LEVELS = clinics.study(
    outcome=clinics.STAGE,
    model={"kind": "multinomial", "ridge": 1.0},
    disclosure={"min_people": FEWEST},
)


def levels(confusion: Array) -> dict[str, Any]:
    """Return what is told of records of three levels, by likeliest level."""
    sums = confusion.sum(axis=1)
    bins = evaluate_levels.release(LEVELS)["having"].shape[1]
    having, without = np.zeros((3, bins)), np.zeros((3, bins))
    having[:, -1], without[:, 0] = sums, sums.sum() - sums
    losses = np.array([20.0, 9.0])
    arrays = {
        "confusion": confusion,
        "having": having,
        "without": without,
        "brier": losses,
        "log_loss": losses,
    }
    found = evaluate.read(LEVELS, State(arrays))
    evaluate.show(LEVELS, State(arrays))
    json.dumps(found, allow_nan=False)
    return found


@given(first=st.tuples(SMALL, SMALL), second=st.tuples(SMALL, SMALL))
def test_who_is_taken_for_what_is_told_without_small_cells(
    first: tuple[int, int], second: tuple[int, int]
) -> None:
    one, other = (
        levels(np.array([[90.0 - a, a, 0.0], [20.0, 70.0, 0.0], [b, 12.0, 90.0 - b]]))
        for a, b in (first, second)
    )
    assert one == other
    assert one["confusion"] == [[None, None, 0], [20, 70, 0], [None, 12, None]]
    low, high = one["accuracy_interval"]
    assert low < (250 - first[0] - first[1]) / 282 < high


@given(
    st.lists(
        st.lists(st.integers(0, 40), min_size=3, max_size=3), min_size=3, max_size=3
    )
)
def test_no_small_cell_of_levels_is_left_alone_in_its_row(
    counts: list[list[int]],
) -> None:
    confusion = np.array(counts, dtype=np.float64)
    every = cells_of_levels.lines(confusion, FEWEST)
    for row, line in zip(confusion, every, strict=True):
        hidden = np.array([each is None for each in line.cells])
        assert not ((row > 0) & (row < FEWEST) & ~hidden).any()
        if hidden.any() and line.told:
            assert hidden.sum() > 1
            assert row[hidden].sum() >= FEWEST
    if sum(line.told for line in every) < 3:
        assert (
            levels(confusion)["levels"][
                next(at for at, line in enumerate(every) if not line.told)
            ]["auc"]
            is None
        )


def test_levels_of_many_are_told_as_they_are() -> None:
    confusion = np.array([[80.0, 20, 0], [10, 60, 30], [0, 15, 85]])
    found = levels(confusion)
    assert found["confusion"] == confusion.astype(int).tolist()
    assert found["accuracy"] == 225 / 300
    assert found["levels"][1]["ppv"] == 60 / 95


def test_few_events_are_told_nothing_of() -> None:
    cox = clinics.study(
        outcome=clinics.DEATH,
        model={"kind": "cox", "ridge": 1.0},
        disclosure={"min_people": FEWEST},
    )
    sums = {
        "records": np.array([300.0]),
        "events": np.array([4.0]),
        "pairs": np.array([811.0]),
        "right": np.array([700.0]),
        "squares": np.array([1e5, 9e4, 8e4]),
    }
    found = evaluate.read(cox, State(sums))
    assert {name: each for name, each in found.items() if each} == {"records": 300}
    found = evaluate.read(cox, State(sums | {"events": np.array([40.0])}))
    assert found["pairs"] == 810
    assert found["c_index"] == pytest.approx(700 / 811, abs=0.01)
    assert round(float(str(found["c_index"])) / 0.02, 6).is_integer()


def test_a_tiny_test_set_is_told_on_no_page_and_no_card() -> None:
    """Some thirty test records: nobody can count those of whom it was wrong."""
    tables = [clinics.table(25, seed) for seed in range(4)]
    study = clinics.study(disclosure={"min_people": FEWEST, "min_sites": 1})
    states = plain.run(study, tables)
    task = plan.find(study, "evaluate")
    found: dict[str, Any] = task.read(study, states["evaluate"])
    arrays = states["evaluate"].arrays
    half = len(arrays["negatives"]) // 2
    at = scores.table(arrays["negatives"], arrays["positives"], half)
    assert min(at.misses, at.alarms) < FEWEST
    assert None in found["confusion"].values()
    exact = scores.rates(at)
    assert found["accuracy"] != exact["accuracy"]
    assert found["note"] == "1 to 9 records in a cell count as 5"
    page = task.show(study, states["evaluate"])
    assert "withheld" in page[0].notes[0]
    made = model_file.of(study, states, {**FILE, "measures": found})
    told = card.of(made).decode()
    assert f"| accuracy | {exact['accuracy']:.4g} |" not in told
    assert "confusion" not in told


def test_what_is_exact_is_still_scikit_learns() -> None:
    tables = [clinics.table(4000, seed) for seed in range(4)]
    study = clinics.study(disclosure={"min_people": FEWEST, "min_sites": 1})
    states = plain.run(study, tables)
    found: dict[str, Any] = plan.find(study, "evaluate").read(study, states["evaluate"])
    rows = plain.pooled(tables).rows("test")
    score = compare.fitted(study, states).predict(rows)
    assert found["accuracy"] == metrics.accuracy_score(rows.y, score >= 0.5)
    assert found["auc"] == pytest.approx(metrics.roc_auc_score(rows.y, score), abs=1e-3)


def sure(misses: float) -> dict[str, Array]:
    """Return sums of a model whose chances are 0 or 1, wrong about so many ill."""
    bins = 200
    negatives, positives, said = np.zeros((3, bins))
    negatives[[0, -1]], positives[[0, -1]] = (150, 20), (misses, 30 - misses)
    said[-1] = 50 - misses
    return {
        "negatives": negatives,
        "positives": positives,
        "said": said,
        "brier": np.full(2, 20 + misses),
        "group_negatives": np.zeros((2, bins)),
        "group_positives": np.zeros((2, bins)),
        "group_said": np.zeros(2),
    }


@pytest.mark.parametrize("misses", [2.0, 7.0])
def test_what_sure_chances_add_up_to_is_withheld(misses: float) -> None:
    """Expected outcomes would be those said to have it: known alarms, so the hits."""
    found = evaluate.read(STUDY, State(sure(misses)))
    other = evaluate.read(STUDY, State(sure(3.0)))
    rough = dict.fromkeys(["net_benefit"])  # to so many records as a cell has
    assert found | rough == other | rough
    assert found["expected"] is found["auc"] is found["brier"] is None
    asked = clinics.study(
        evaluation={**TESTED, "explain": True}, disclosure={"min_people": FEWEST}
    )
    assert evaluate.withheld(asked, sure(misses))
    assert not evaluate.withheld(asked, sure(12.0))


@pytest.mark.parametrize("fewest", [1, FEWEST])
def test_few_different_chances_are_as_telling(fewest: int) -> None:
    said = np.zeros(200)
    said[90:99] = 50.0
    assert cells.counted(said, fewest) == (fewest > 1)
    said[70:130] = 50.0
    assert not cells.counted(said, fewest)


def test_an_explanation_tells_no_more_than_the_evaluation() -> None:
    study = clinics.study(
        evaluation={**TESTED, "explain": True},
        disclosure={"min_people": FEWEST, "min_sites": 1},
    )
    tables = [clinics.table(60, seed) for seed in range(4)]
    for few in (False, True):
        for table in tables:
            if few:
                table.values[:, :3] = 60.0, 100.0, 1.0  # a model of one category
                table.values[:, 3] = table.outcome
                table.values[::9, 3] = 1.0 - table.outcome[::9]
        states = plain.run(study, tables)
        task = plan.find(study, "explain")
        found: dict[str, Any] = task.read(study, states["explain"])
        sheets = task.show(study, states["explain"])
        assert (found["error"] is None) == few
        assert ("Withheld" in sheets[0].notes[0]) == few
        assert ("calibration" in model_file.of(study, states, FILE).about) != few
