"""What an evaluation says is what scikit-learn says of the same records."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics
from statsmodels.stats.proportion import proportion_confint

from client.table import Table
from common import plan
from common.arithmetic import intervals
from common.arithmetic.intervals import Z
from common.release import check
from common.study import Study
from common.task import Findings, Rows, State
from common.tasks.evaluation import evaluate, number_groups, subgroups
from simulations import plain
from simulations.worth import compare
from tests import clinics

TESTED = {"test": 0.3, "bins": 200, "subgroups": ["sex", "pain"]}
STUDY = clinics.study(evaluation=TESTED, disclosure={"min_people": 12})


def evaluated(study: Study, whole: Table) -> tuple[Findings, Rows, np.ndarray]:
    """Return what was found, the test records, and the score of each."""
    dealt = clinics.split(whole, np.arange(len(whole.outcome)) % 3)
    states = plain.run(study, dealt)
    found = plan.find(study, "evaluate").read(study, states["evaluate"])
    rows = whole.rows("test")
    return found, rows, compare.fitted(study, states).predict(rows)


def test_shares_and_errors_equal_scikit_learn() -> None:
    found, rows, score = evaluated(STUDY, clinics.table(600))
    said = score >= 0.5
    expected = {
        "accuracy": metrics.accuracy_score(rows.y, said),
        "sensitivity": metrics.recall_score(rows.y, said),
        "specificity": metrics.recall_score(rows.y, said, pos_label=0),
        "ppv": metrics.precision_score(rows.y, said),
        "npv": metrics.precision_score(rows.y, said, pos_label=0),
        "f1": metrics.f1_score(rows.y, said),
        "brier": metrics.brier_score_loss(rows.y, score),
        "expected": score.sum() / rows.y.sum(),
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value), name
    counts = metrics.confusion_matrix(rows.y, said).ravel()
    assert list(found["confusion"].values()) == [*counts[[3, 2, 1, 0]]]
    assert 0.0 <= found["calibration_error"] < 0.6


def test_each_group_is_told_by_itself() -> None:
    found, rows, score = evaluated(STUDY, clinics.table(6000))
    female = rows.x[:, 3] == 0
    group = found["subgroups"][3]
    assert group["name"] == "sex = female"
    assert group["records"] == female.sum()
    assert group["said_yes"] == pytest.approx(np.mean(score[female] >= 0.5))
    exact = metrics.roc_auc_score(rows.y[female], score[female])
    assert group["auc"] == pytest.approx(exact, abs=0.01)
    gaps = {gap["variable"]: gap for gap in found["fairness"]}
    shares = [np.mean(score[rows.x[:, 3] == sex] >= 0.5) for sex in (0, 1)]
    assert gaps["sex"]["demographic_parity"] == pytest.approx(abs(np.subtract(*shares)))
    hits = [
        metrics.recall_score(rows.y[who], score[who] >= 0.5)
        for who in (rows.x[:, 2] == level for level in range(3))
    ]
    assert gaps["pain"]["equal_opportunity"] == pytest.approx(max(hits) - min(hits))


def test_a_small_group_is_not_told_and_neither_is_what_gives_it_away() -> None:
    whole = clinics.table(900)
    test = np.flatnonzero(~whole.train)
    whole.values[:, 3] = 1.0
    whole.values[test[:11], 3] = 0.0
    found, _, _ = evaluated(STUDY, whole)
    sexes = [each for each in found["subgroups"] if "sex" in each["name"]]
    assert [each["records"] for each in sexes] == [None, None]
    assert all("auc" not in each for each in sexes)
    assert found["fairness"][1]["demographic_parity"] is None


FEW = st.integers(0, 30)


@given(st.lists(st.tuples(FEW, FEW), min_size=6, max_size=6))
def test_no_group_told_nor_what_is_left_of_all_has_few_of_a_kind(
    counts: list[tuple[int, int]],
) -> None:
    """The first place is records with a gap, the others are the levels of a group."""
    every = np.array(counts, dtype=np.float64)
    named = subgroups.groups(STUDY)
    place = {each[2]: 1 + number for number, each in enumerate(named)}
    pain = [name for _, _, name in named if name.startswith("pain")]
    inside = np.zeros((len(named), 2))
    for name in pain:
        inside[place[name] - 1] = every[place[name]]
    whole = every[0] + inside.sum(axis=0)
    shaped = np.repeat(inside[:, :, None], 2, axis=2) / 2
    arrays = {
        "negatives": whole[:1],
        "positives": whole[1:],
        "group_negatives": shaped[:, 0],
        "group_positives": shaped[:, 1],
        "group_said": np.zeros(len(named)),
    }
    found = subgroups.read(STUDY, arrays)["subgroups"]
    told = [each["name"] for each in found if each["records"] is not None]
    assert set(told) <= set(pain)
    rest = whole - sum(inside[place[name] - 1] for name in told)
    assert all(inside[place[name] - 1].min() >= 12 for name in told)
    assert not told or not rest.any() or rest.min() >= 12


def test_a_group_in_which_few_have_the_outcome_is_not_told() -> None:
    whole = clinics.table(900)
    test = np.flatnonzero(~whole.train)
    having = test[whole.outcome[test] == 1.0]
    whole.values[having, 3] = 1.0
    whole.values[having[:11], 3] = 0.0
    found, _, _ = evaluated(STUDY, whole)
    sexes = [each for each in found["subgroups"] if "sex" in each["name"]]
    assert [each["records"] for each in sexes] == [None, None]


def test_few_with_a_gap_are_not_what_is_left_of_the_groups() -> None:
    whole = clinics.table(900)
    test = np.flatnonzero(~whole.train)
    for gaps, hidden in ((0, 0), (3, 1)):
        whole.values[test, 3] = np.arange(len(test)) % 2
        whole.values[test[:gaps], 3] = np.nan
        found, _, _ = evaluated(STUDY, whole)
        sexes = [each for each in found["subgroups"] if "sex" in each["name"]]
        assert [each["records"] for each in sexes].count(None) == hidden


def test_acting_on_a_chance_is_worth_what_it_finds_less_what_it_alarms() -> None:
    every = clinics.study(
        evaluation=TESTED, disclosure={"min_people": 12, "min_cell": 1}
    )
    found, rows, score = evaluated(every, clinics.table(900))
    usual = [0.1, 0.2, 0.3, 0.5]
    chances = [line["chance"] for line in found["net_benefit"]]
    np.testing.assert_allclose(chances, usual, atol=0.02)
    for line in found["net_benefit"]:
        odds, yes = line["chance"] / (1 - line["chance"]), score >= line["chance"]
        worth = np.mean(yes & (rows.y == 1)) - odds * np.mean(yes & (rows.y == 0))
        assert line["model"] == pytest.approx(worth, abs=1e-12)
        everyone = rows.y.mean() - odds * (1 - rows.y.mean())
        assert line["everyone"] == pytest.approx(everyone)


def test_an_error_is_never_below_zero_nor_is_its_interval() -> None:
    low, high = intervals.mean(1.0, 1.0, 50) or (None, None)
    assert low == 0.0
    assert high is not None
    assert high > 1 / 50


def test_the_report_has_a_table_of_groups_and_of_their_gaps() -> None:
    states = plain.run(STUDY, [clinics.table(600)])
    sheets = plan.find(STUDY, "evaluate").show(STUDY, states["evaluate"])
    titles = [sheet.title for sheet in sheets]
    assert titles[2:] == ["By group", "How far groups are apart"]
    for sheet in sheets:
        assert {len(row) for row in sheet.rows} == {len(sheet.columns)}


def test_groups_are_declared_categories() -> None:
    with pytest.raises(ValueError, match="subgroups are declared categories: age"):
        clinics.study(evaluation={"test": 0.3, "subgroups": ["age"]})


NUMBER = clinics.study(outcome=clinics.COUNT, model={"kind": "linear", "ridge": 1.0})


def grouped(x: np.ndarray, said: np.ndarray, y: np.ndarray) -> tuple[Findings, Study]:
    """Return what is told of predictions *said* of *y*, by sex and pain in *x*."""
    study = clinics.study(
        outcome=clinics.COUNT,
        model={"kind": "linear", "ridge": 1.0},
        evaluation={"test": 0.3, "subgroups": ["sex", "pain"]},
        disclosure={"min_people": 10, "min_sites": 1},
    )
    sums = [
        evaluate.counted(study, said[each], Rows(x[each], y[each], values=x[each]))
        for each in np.array_split(np.arange(len(y)), 3)
    ]
    total = {name: np.sum([s[name] for s in sums], axis=0) for name in sums[0]}
    check(evaluate.release(study), total)
    return evaluate.read(study, State(total)), study


def test_a_number_is_told_by_group_as_scikit_learn_has_it() -> None:
    draw, x = np.random.default_rng(4), clinics.values(600, 4)
    y = draw.uniform(0, 50, 600)
    said = y + draw.normal(0.0, 3.0, 600) + 2.0 * (x[:, 3] == 1)
    found, study = grouped(x, said, y)
    names = [name for _, _, name in subgroups.groups(study)]
    assert [each["name"] for each in found["subgroups"]] == names
    for each, (index, level, _) in zip(
        found["subgroups"], subgroups.groups(study), strict=True
    ):
        own = x[:, index] == level
        off = said[own] - y[own]
        assert each["records"] == own.sum()
        assert each["rmse"] == pytest.approx(np.sqrt(np.mean(off**2)))
        assert each["bias"] == pytest.approx(off.mean())
        half = stats.norm.ppf(0.975) * off.std(ddof=1) / np.sqrt(own.sum())
        ends = [off.mean() - half, off.mean() + half]
        assert each["bias_interval"] == pytest.approx(ends)
        assert each["r_squared"] == pytest.approx(metrics.r2_score(y[own], said[own]))
    female, male = (e["bias"] for e in found["subgroups"] if "sex" in e["name"])
    (sex,) = (each for each in found["fairness"] if each["variable"] == "sex")
    assert sex["bias"] == pytest.approx(male - female)
    sheets = number_groups.show(found)
    assert sheets[0].columns == ("group", "records", "RMSE", "bias (95 %)", "R²")
    assert len(sheets[0].rows) == len(names)


@pytest.mark.parametrize("few", [3, 9])
def test_of_a_number_no_few_are_told_nor_left_over(few: int) -> None:
    x = np.zeros((200, 4))
    x[:, 2] = np.arange(200) % 3
    x[:few, 3] = 1.0
    y = np.linspace(0.0, 50.0, 200)
    found, _ = grouped(x, y + 1.0, y)
    sexes = [each for each in found["subgroups"] if "sex" in each["name"]]
    assert [each["records"] for each in sexes] == [None, None]
    assert all("rmse" not in each for each in sexes)
    pains = [each for each in found["subgroups"] if "pain" in each["name"]]
    assert sum(each["records"] for each in pains) == 200
    x[:few, 3] = np.nan  # few of whom it is not known are what is left of everybody
    unknown, _ = grouped(x, y + 1.0, y)
    (female, _) = (e for e in unknown["subgroups"] if "sex" in e["name"])
    assert female["records"] is None


def told_of(draw: np.random.Generator, people: int) -> tuple[Findings, np.ndarray]:
    """Return what is told of predictions of made-up numbers, and those of a record."""
    true = draw.gamma(4.0, 3.0, people).clip(0, 50)
    said = 0.7 * true + 3.0 + draw.normal(0.0, 3.0, people)
    sums = [
        evaluate.counted(NUMBER, said[each], Rows(true[each, None], true[each]))
        for each in np.array_split(np.arange(people), 3)
    ]
    total = {name: np.sum([s[name] for s in sums], axis=0) for name in sums[0]}
    check(evaluate.release(NUMBER), total)
    return evaluate.read(NUMBER, State(total)), np.column_stack([said, true])


def test_the_intervals_of_a_number_are_those_of_each_records_influence() -> None:
    found, both = told_of(np.random.default_rng(1), 400)
    said, true = both.T
    error, spread = (said - true) ** 2, (true - true.mean()) ** 2
    assert found["rmse"] == pytest.approx(np.sqrt(error.mean()))
    assert found["r_squared"] == pytest.approx(metrics.r2_score(true, said))
    half = Z * error.std() / 20
    ends = np.sqrt([error.mean() - half, error.mean() + half])
    assert found["rmse_interval"] == pytest.approx([*ends])
    moved = -(error - error.mean()) / spread.mean()
    moved += error.mean() * (spread - spread.mean()) / spread.mean() ** 2
    reach = Z * moved.std() / 20
    low, high = found["r_squared_interval"]
    assert high - found["r_squared"] == pytest.approx(reach, rel=1e-9)
    assert found["r_squared"] - low == pytest.approx(reach, rel=1e-9)


def test_the_intervals_of_a_number_hold_what_they_promise() -> None:
    draw = np.random.default_rng(2)
    large, _ = told_of(draw, 400_000)
    inside = {"rmse": 0, "r_squared": 0}
    for _ in range(200):
        found, _ = told_of(draw, 300)
        for name in inside:
            low, high = found[f"{name}_interval"]
            inside[name] += low <= large[name] <= high
    assert all(178 <= count <= 198 for count in inside.values()), inside


def test_chances_have_intervals_too() -> None:
    found, rows, score = evaluated(STUDY, clinics.table(900))
    error = (score - rows.y) ** 2
    half = Z * error.std() / np.sqrt(len(error))
    assert found["brier_interval"] == pytest.approx(
        (error.mean() - half, error.mean() + half)
    )
    said = score[rows.y == 1] >= 0.5
    wilson = proportion_confint(said.sum(), len(said), method="wilson")
    assert found["sensitivity_interval"] == pytest.approx(wilson)
    low, high = found["expected_interval"]
    assert low < found["expected"] < high
    assert low * high == pytest.approx(found["expected"] ** 2)


def test_an_auc_that_ties_may_move_far_is_told_so() -> None:
    """Whose chances are nearly all the same: the order is lost in the bins."""
    rows = clinics.table(600).rows("test")
    outcome = np.arange(len(rows.y)) % 2 == 0
    rows = replace(rows, y=outcome.astype(float))
    close, apart = (0.5 + outcome * far for far in (0.01, 0.3))
    words = []
    for score in (close, apart):
        sums = evaluate.counted(STUDY, score, rows)
        words.append(str(evaluate.read(STUDY, State(sums)).get("note", "")))
    assert "AUC may be 0.50 more or less" in words[0]
    assert "AUC may be" not in words[1]
