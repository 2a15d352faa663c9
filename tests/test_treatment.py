"""The effect of a treatment: as the same estimator on pooled rows, and as the truth."""

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LinearRegression, LogisticRegression

from client.table import Table
from common import plan
from common.encoding import Encoding, encode
from common.errors import StudyError
from common.study import Study
from common.task import Findings
from common.tasks.treatment import effects_shown
from simulations import plain
from tests import clinics

MINUS = "\N{MINUS SIGN}"

VARIABLES = [
    *clinics.VARIABLES[:3],
    {**clinics.VARIABLES[3], "missing": "exclude"},
]
CUT = [{**VARIABLES[0], "cuts": [50]}, *VARIABLES[1:]]
KINDS = ("binary", "number")


def study(kind: str = "binary", **asked: Any) -> Study:
    wanted = {"treatment": "sex", "subgroups": ["pain", "age"], "ridge": 0.0}
    return clinics.study(
        model=None,
        evaluation=None,
        variables=CUT,
        outcome=clinics.OUTCOMES[kind],
        analysis={"treatment_effect": {**wanted, **asked}},
    )


def table(kind: str = "binary", people: int = 600, effect: float = 0.0) -> Table:
    """Return people of whom the older are treated more often; *effect* on the odds."""
    draw, x = np.random.default_rng(3), clinics.values(people, 7)
    age = np.nan_to_num((x[:, 0] - 55) / 20)
    x[:, 3] = draw.random(people) < 1 / (1 + np.exp(-age))
    at = 0.6 * age + effect * x[:, 3] - 0.2 * np.nan_to_num(x[:, 2])
    y = (
        draw.random(people) < 1 / (1 + np.exp(-at))
        if kind == "binary"
        else draw.poisson(np.exp(at / 2 + 1)).clip(0, 50)
    )
    return clinics.rows(x, y.astype(float), np.ones(people, bool))


def found(asked: Study, tables: list[Table]) -> Findings:
    state = plain.run(asked, tables)["treatment_effect"]
    return plan.find(asked, "treatment_effect").read(asked, state)


def reference(asked: Study, whole: Table) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return both estimates, and the weights, of everybody: from rows, by sklearn."""
    arrays = plain.run(asked, [whole])["describe"].arrays
    rows = whole.rows("train")
    x = encode(asked, Encoding.of(arrays), rows.x)[:, :-1]
    treated = rows.x[:, 3] == 1
    exact: dict[str, Any] = {"C": np.inf, "tol": 1e-12, "solver": "newton-cholesky"}
    chance = LogisticRegression(**exact).fit(x, treated).predict_proba(x)[:, 1]
    chance = chance.clip(0.01, 0.99)
    weights = np.where(treated, 1 / chance, 1 / (1 - chance))
    scores = []
    for arm in (~treated, treated):
        if asked.outcome.kind == "binary":
            fit = LogisticRegression(**exact).fit(x[arm], rows.y[arm])
            guess = fit.predict_proba(x)[:, 1]
        else:
            guess = LinearRegression().fit(x[arm], rows.y[arm]).predict(x)
        scores.append(guess + arm * weights * (rows.y - guess))
    return np.column_stack(scores), weights, x


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sites", [1, 4])
def test_equals_the_same_estimator_on_pooled_rows(kind: str, sites: int) -> None:
    asked, whole = study(kind), table(kind, effect=0.8)
    places = np.random.default_rng(1).integers(0, sites, 600)
    said = found(asked, clinics.split(whole, places))
    scores, weights, x = reference(asked, whole)
    treated = whole.values[:, 3] == 1
    groups = [np.ones(600, bool)]
    groups += [whole.values[:, 2] == level for level in range(3)]
    groups += [whole.values[:, 0] < 50, whole.values[:, 0] >= 50]
    for each, inside in zip(said["effects"], groups, strict=True):
        difference = (scores[:, 1] - scores[:, 0])[inside]
        error = difference.std(ddof=1) / math.sqrt(inside.sum())
        assert each["effect"] == pytest.approx(difference.mean(), abs=1e-8)
        assert each["standard_error"] == pytest.approx(error, abs=1e-8)
        assert each["treated"] == pytest.approx(scores[inside, 1].mean(), abs=1e-8)
    for line, column in zip(said["balance"], x.T, strict=True):
        arms = [column[~treated], column[treated]]
        by = math.sqrt((arms[0].var() + arms[1].var()) / 2)
        before = (arms[1].mean() - arms[0].mean()) / by
        means = [
            np.average(column[arm], weights=weights[arm]) for arm in (~treated, treated)
        ]
        assert line["before"] == pytest.approx(before, abs=1e-8)
        assert line["after"] == pytest.approx((means[1] - means[0]) / by, abs=1e-8)
    arms = (weights[~treated], weights[treated])
    kish = [arm.sum() ** 2 / (arm**2).sum() for arm in arms]
    assert said["overlap"]["effective"] == pytest.approx(kish, rel=1e-8)


def test_the_ratio_of_risks_and_its_e_value() -> None:
    asked, whole = study(), table(effect=0.8)
    first = found(asked, [whole])["effects"][0]
    scores, _, _ = reference(asked, whole)
    low, high = scores.mean(axis=0)
    ratio = high / low
    assert first["ratio"][0] == pytest.approx(ratio, rel=1e-8)
    assert first["e_value"][0] == pytest.approx(ratio + math.sqrt(ratio * (ratio - 1)))
    influence = scores[:, 1] / high - scores[:, 0] / low
    half = stats.norm.ppf(0.975) * influence.std(ddof=1) / math.sqrt(600)
    assert first["ratio"][1] == pytest.approx(ratio * math.exp(-half), rel=1e-8)
    edge = first["ratio"][1]
    assert first["e_value"][1] == pytest.approx(edge + math.sqrt(edge * (edge - 1)))


def test_a_risk_is_shown_where_a_risk_can_be_and_its_effect_as_it_is() -> None:
    asked = study()
    said = found(asked, [table(effect=0.8)])
    first = said["effects"][0]
    first |= {"untreated": -0.002, "treated": 0.031, "effect": 0.033}
    first |= {"interval": [-1.2, 0.071]}
    sheet = effects_shown.sheets(asked, said)[0]
    assert sheet.rows[0][3:6] == ("0.000", "0.031", f"0.0 ({MINUS}1.0 to 0.1)")
    assert effects_shown.BEYOND in sheet.notes
    numbers = effects_shown.sheets(study("number"), said)[0]
    assert numbers.rows[0][3] == f"{MINUS}0.002"
    assert effects_shown.BEYOND not in numbers.notes


def test_what_the_covariates_explain_is_not_an_effect() -> None:
    first = found(study(), [table(people=8000)])["effects"][0]
    assert first["crude"] > 0.08
    low, high = first["interval"]
    assert low < 0.0 < high
    assert first["e_value"][1] == 1.0
    true = found(study(), [table(people=8000, effect=1.0)])["effects"][0]
    assert true["interval"][0] > 0.15
    assert true["interval"][1] < true["crude"]


def test_weighting_makes_the_arms_alike() -> None:
    asked = study()
    whole = table(people=4000)
    said = found(asked, [whole])
    age = said["balance"][0]
    assert age["before"] > 0.5
    assert abs(age["after"]) < 0.1
    effect, balance = plan.find(asked, "treatment_effect").show(
        asked, plain.run(asked, [whole])["treatment_effect"]
    )
    assert effect.title == "What sex = male changes in ill"
    assert not balance.notes


def test_a_subgroup_with_few_in_an_arm_is_withheld_and_another_with_it() -> None:
    asked, whole = study(), table()
    asked = asked.model_copy(
        update={"disclosure": asked.disclosure.model_copy(update={"min_cell": 8})}
    )
    whole.values[:, 2] = np.nan_to_num(whole.values[:, 2])
    male = np.flatnonzero((whole.values[:, 2] == 2) & (whole.values[:, 3] == 1))
    whole.values[male[5:], 2] = 0.0
    told = {each["group"]: each for each in found(asked, [whole])["effects"]}
    assert told["pain = severe"] == {"group": "pain = severe", "withheld": True}
    assert sum("withheld" in each for each in told.values()) == 2
    assert "effect" in told["everybody"]


def test_a_few_of_unknown_level_do_not_follow_from_the_subgroups() -> None:
    """Everybody's sum less those of all subgroups would be that of five people."""
    asked, whole = strict(), table()
    whole.values[:, 2] = np.nan_to_num(whole.values[:, 2])
    whole.values[:5, 2] = np.nan
    effects = found(asked, [whole])["effects"]
    assert sum("withheld" in each for each in effects) == 1
    whole.values[:5, 2] = 1.0
    assert not any("withheld" in each for each in found(asked, [whole])["effects"])


def test_arms_as_they_are_do_not_tell_of_a_rare_outcome() -> None:
    """Their difference and sizes would give how many of each had it."""
    asked, whole = strict(), table()
    mild = np.flatnonzero((whole.values[:, 2] == 1) & (whole.outcome == 0))
    whole.outcome[mild[3:]] = 1.0
    effects: Any = found(asked, [whole])["effects"]
    told = {each["group"]: each["crude"] for each in effects}
    assert {group for group, crude in told.items() if crude is None} == {
        "pain = none",
        "pain = mild",
        "pain = severe",
    }
    assert all(each["effect"] is not None for each in effects)


def test_of_a_number_the_arms_are_told_as_they_are() -> None:
    effects: Any = found(strict("number"), [table("number")])["effects"]
    assert all(each["crude"] is not None for each in effects)


def strict(kind: str = "binary") -> Study:
    """Return the study with nothing told of fewer than ten."""
    asked = study(kind, ridge=1.0)
    few = asked.disclosure.model_copy(update={"min_cell": 10})
    return asked.model_copy(update={"disclosure": few})


def test_a_rare_treatment_is_an_error_that_says_so() -> None:
    whole = table()
    whole.values[:, 3] = np.arange(600) < 15
    with pytest.raises(StudyError, match="too few records of all sites have one level"):
        plain.run(study(), [whole])


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"treatment": "pain"}, "takes a category of two levels, not pain"),
        ({"treatment": "age"}, "takes a category of two levels, not age"),
        ({"covariates": ["ill"]}, "takes ill for something else"),
        ({"subgroups": ["sex"]}, "takes sex for something else"),
        ({"subgroups": ["chol"]}, "chol is a number without cuts"),
        ({"covariates": ["no"]}, "names no, which is not declared"),
    ],
)
def test_what_does_not_fit_is_said_at_once(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        study(**asked)


def test_a_treatment_is_never_guessed() -> None:
    with pytest.raises(ValueError, match='sex needs missing = "exclude"'):
        clinics.study(
            model=None,
            evaluation=None,
            analysis={"treatment_effect": {"treatment": "sex"}},
        )


@pytest.mark.parametrize("kind", KINDS)
def test_balance_does_not_count_a_level_of_few_in_an_arm(kind: str) -> None:
    """A difference and the sizes of the arms fit one pair of counts only."""
    asked, whole = strict(kind), table(kind)
    whole.values[:, 2] = np.nan_to_num(whole.values[:, 2])
    male = np.flatnonzero((whole.values[:, 2] == 2) & (whole.values[:, 3] == 1))
    whole.values[male[5:], 2] = 0.0
    states = plain.run(asked, [whole])
    said: Any = plan.find(asked, "treatment_effect").read(
        asked, states["treatment_effect"]
    )
    told = {line["name"]: line["before"] for line in said["balance"]}
    assert told["pain = severe"] is None
    assert told["age"] is not None
    assert None in (told["pain = mild"], told["pain = severe"])
    sheets = plan.find(asked, "treatment_effect").show(
        asked, states["treatment_effect"]
    )
    assert "too few in an arm" in sheets[1].notes[-1]
    whole.values[male, 2] = 2.0
    again: Any = found(asked, [whole])["balance"]
    assert not any("withheld" in line for line in again if "pain =" in line["name"])
