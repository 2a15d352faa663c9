"""What an evaluation says is what scikit-learn says of the same records."""

import numpy as np
import pytest
from sklearn import metrics

from client.table import Table
from common import plan
from common.study import Study
from common.task import Findings, Rows
from simulations import compare, plain
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
    found, rows, score = evaluated(STUDY, clinics.table(900))
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


def test_acting_on_a_chance_is_worth_what_it_finds_less_what_it_alarms() -> None:
    found, rows, score = evaluated(STUDY, clinics.table(900))
    for line in found["net_benefit"]:
        odds, yes = line["chance"] / (1 - line["chance"]), score >= line["chance"]
        worth = np.mean(yes & (rows.y == 1)) - odds * np.mean(yes & (rows.y == 0))
        assert line["model"] == pytest.approx(worth, abs=0.02)
        everyone = rows.y.mean() - odds * (1 - rows.y.mean())
        assert line["everyone"] == pytest.approx(everyone)


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
