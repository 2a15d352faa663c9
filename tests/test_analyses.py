"""Each analysis of ``[analysis]``: any split equals pooled, and equals scipy."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA

from client import site
from client.door.opened import open_study
from client.learning import training
from client.learning.training import Design
from client.table import Table
from common import plan
from common.encoding import Encoding, encode
from common.errors import StudyError
from common.registry import ANALYSES
from common.release import check
from common.sections.disclosure import Disclosure
from common.study import Study
from common.task import Findings, Rows, State, Task
from simulations import plain
from simulations.engines import engine
from tests import clinics
from tests.test_tasks import odd_tables

CHANGED = {"age": {"cuts": [40, 60]}, "sex": {"missing": "exclude"}}
VARIABLES = [each | CHANGED.get(each["name"], {}) for each in clinics.VARIABLES]
ASKED: dict[str, object] = {
    "quantiles": [0.1, 0.25, 0.5, 0.75],
    "chi_square": [["sex", "ill"], ["pain", "sex"], ["age", "ill"]],
    "correlation": ["age", "chol"],
    "compare": [["age", "ill"], ["chol", "pain"]],
    "association": True,
    "pca": 3,
    "clusters": {"groups": 3},
    "survival": ["sex", "pain"],
    "treatment_effect": {"treatment": "sex", "subgroups": ["pain"], "ridge": 1.0},
}
NAMES = ["age", "chol", "pain", "sex"]


def study(**asked: object) -> Study:
    if not asked:
        asked = {name: each for name, each in ASKED.items() if name != "survival"}
    told = {"outcome": clinics.DEATH} if "survival" in asked else {}
    return clinics.study(
        model=None, evaluation=None, variables=VARIABLES, analysis=asked, **told
    )


PROMISED = sorted(name for name, entry in ANALYSES.items() if entry.private)
"""The analyses that have a form for studies that promise privacy."""


def promised(name: str, privacy: object, **changes: object) -> Study:
    """Return a study of one analysis that promises *privacy*."""
    told = {"outcome": clinics.DEATH} if name == "survival" else {}
    given: dict[str, object] = {
        "model": None,
        "evaluation": None,
        "variables": VARIABLES,
        "analysis": {name: ASKED[name]},
        "privacy": privacy,
    }
    return clinics.study(**{**given, **told, **changes})


def table_of(name: str, people: int, seed: int = 0) -> Table:
    return clinics.table(people, seed, "survival" if name == "survival" else "binary")


def found(asked: Study, tables: list[Table], name: str) -> Findings:
    state = plain.run(asked, tables)[name]
    return plan.find(asked, name).read(asked, state)


def frame(whole: Table, names: list[str] = NAMES) -> pd.DataFrame:
    rows = whole.rows("train")
    return pd.DataFrame(rows.x, columns=names).assign(ill=rows.y)


@pytest.mark.parametrize("name", sorted(ANALYSES))
@settings(max_examples=8)
@given(seed=st.integers(0, 10_000), sites=st.integers(1, 7))
def test_any_split_equals_pooled(name: str, seed: int, sites: int) -> None:
    asked, whole = study(**{name: ASKED[name]}), table_of(name, 200, seed)
    places = np.random.default_rng(seed).integers(0, sites, len(whole.outcome))
    dealt = plain.run(asked, clinics.split(whole, places))[name]
    pooled = plain.run(asked, [whole])[name]
    for key, array in pooled.arrays.items():
        np.testing.assert_allclose(dealt.arrays[key], array, rtol=1e-9, atol=1e-9)
    task = plan.find(asked, name)
    json.dumps(task.read(asked, dealt), allow_nan=False)
    assert task.show(asked, dealt)


def refused(task: Task, tables: list[Table]) -> bool:
    """Return whether there are fewer than three records for each of seven columns.

    Or for each weight in an arm, or no two outcomes to compare.
    """
    if task.name != "treatment_effect":
        return task.encoded and sum(table.train.sum() for table in tables) < 21
    sexes = np.concatenate([table.rows("train").x[:, 3] for table in tables])
    alike = len(np.unique(np.concatenate([t.rows("train").y for t in tables]))) < 2
    return alike or any(np.sum(sexes == level) < 21 for level in (0, 1))


@pytest.mark.parametrize("odd", sorted(odd_tables("logistic")))
@pytest.mark.parametrize("name", sorted(ANALYSES))
def test_odd_sites_release_what_is_declared_and_are_read(name: str, odd: str) -> None:
    asked, strange = study(**{name: ASKED[name]}), odd_tables("logistic")[odd]
    for tables in ([strange], [strange, clinics.table(120)], [strange] * 3):
        task = plan.find(asked, name)
        if refused(task, tables):
            with pytest.raises(StudyError, match=r"too few .* of all|has the same ill"):
                plain.run(asked, tables)
            continue
        states = plain.run(asked, tables)
        state = task.start(asked, states)
        summands = training.run(task, asked, state, Design(strange))
        check(task.release(asked), summands)
        json.dumps(task.read(asked, states[name]), allow_nan=False)
        assert task.show(asked, states[name])


@pytest.mark.parametrize("name", sorted({*ANALYSES} - {"treatment_effect"}))
def test_nothing_is_told_of_a_group_below_the_floor(name: str) -> None:
    asked = study(**{name: ASKED[name]})
    asked = asked.model_copy(
        update={"disclosure": asked.disclosure.model_copy(update={"min_cell": 1000})}
    )
    said = found(asked, [table_of(name, 300)], name)
    told = [cell for line in _cells(said) for cell in line]
    assert all(cell in {None, 0} for cell in told)


def _cells(said: object) -> list[list[object]]:
    """Return every list of counts, means and extremes in what was found."""
    if isinstance(said, list):
        return [cell for each in said for cell in _cells(each)]
    if not isinstance(said, dict):
        return []
    inner = [cell for each in said.values() for cell in _cells(each)]
    kept = [[said[key]] for key in ("low", "high", "mean", "std") if key in said]
    quantiles = [[*said["quantiles"].values()]] if "quantiles" in said else []
    return [*inner, *kept, *quantiles, *said.get("counts", [])]


def test_describe_equals_pandas() -> None:
    asked, whole = study(), clinics.table(400)
    lines = found(asked, [whole], "describe")["variables"]
    rows = frame(whole)
    labels = {2: ["none", "mild", "severe"], 3: ["female", "male"], 4: ["no", "yes"]}
    for index, levels in labels.items():
        column = rows.iloc[:, index]
        rows[rows.columns[index]] = column.map(dict(enumerate(levels)))
    reference = rows.describe(include="all")
    for line in lines:
        column = reference[line["name"]]
        assert line["count"] == column["count"]
        if "levels" in line:
            assert line["unique"] == column["unique"]
            assert (line["top"], line["freq"]) == (column["top"], column["freq"])
        else:
            assert line["mean"] == pytest.approx(column["mean"], rel=1e-12)
            assert line["std"] == pytest.approx(column["std"], rel=1e-12)


@pytest.mark.parametrize("step", [1.0, 0.5, 0.013])
def test_quantiles_are_exact_to_the_declared_step(step: float) -> None:
    variables = [{**VARIABLES[0], "resolution": step}, *VARIABLES[1:]]
    shares = [0.05, 0.25, 0.5, 0.75, 0.9]
    asked = clinics.study(
        model=None,
        evaluation=None,
        variables=variables,
        analysis={"quantiles": shares},
        disclosure={"min_people": 5},
    )
    whole = clinics.table(300)
    whole.values[:, 0] = np.rint(whole.values[:, 0])
    line, other = found(asked, [whole], "quantiles")["variables"]
    ages = frame(whole)["age"].dropna()
    near = 1e-9 if step <= 1.0 and 1 / step == round(1 / step) else step / 2
    for share, value in zip(shares, line["quantiles"].values(), strict=True):
        assert value == pytest.approx(ages.quantile(share), abs=near)
    assert line["low"] == pytest.approx(ages.nsmallest(5).iloc[-1], abs=near)
    assert line["high"] == pytest.approx(ages.nlargest(5).iloc[-1], abs=near)
    median = frame(whole)["chol"].quantile(0.5)
    assert other["quantiles"]["50%"] == pytest.approx(median, abs=0.325)


def test_quantiles_take_two_rounds_for_a_thousand_steps() -> None:
    asked, whole = study(quantiles=[0.5]), clinics.table(200)
    task, states = plan.find(asked, "quantiles"), plain.run(asked, [whole])
    state, rounds = task.start(asked, states), 0
    while not state.done:
        rounds += 1
        state = task.finish(asked, state, task.local(asked, state, whole.rows("train")))
    assert rounds == 2


def test_no_window_shows_finer_steps_than_are_declared() -> None:
    asked, whole = study(quantiles=[0.5]), clinics.table(200)
    task = plan.find(asked, "quantiles")
    shape = task.shows(asked)["first"]
    ages = frame(whole)["age"].dropna().to_numpy()
    fine = State({"first": np.full(shape, 333.0), "width": np.full(shape, 1e-6)})
    counts = task.local(asked, fine, whole.rows("train"))["bins"][0, 0]
    assert counts[0] == np.sum(np.rint(ages / 0.12) == 333)
    assert not counts[1:].any()


def test_chi_square_equals_scipy_on_pooled_records() -> None:
    whole = clinics.table(400)
    first, _, third = found(study(), [whole], "chi_square")["tests"]
    rows = frame(whole)
    cross = pd.crosstab(rows["sex"], rows["ill"])
    expected = stats.chi2_contingency(cross)
    assert first["p"] == expected.pvalue
    assert first["statistic"] == expected.statistic
    assert first["records"] == cross.to_numpy().sum()
    assert first["least_expected"] == expected.expected_freq.min()
    assert first["cramers_v"] == pytest.approx(
        stats.contingency.association(cross.to_numpy()), rel=1e-12
    )
    assert first["table"]["counts"] == cross.to_numpy().tolist()
    np.testing.assert_allclose(first["table"]["expected"], expected.expected_freq)
    parted = pd.cut(rows["age"], [0, 40, 60, 121], right=False)
    assert third["p"] == stats.chi2_contingency(pd.crosstab(parted, rows["ill"])).pvalue
    assert third["table"]["rows"] == ["< 40", "40 to 60", "≥ 60"]


def test_many_pairs_are_corrected_for_their_number() -> None:
    tests = found(study(), [clinics.table(400)], "chi_square")["tests"]
    values = [test["p"] for test in tests]
    q = stats.false_discovery_control(values)
    assert [test["q"] for test in tests] == pytest.approx(q, rel=1e-12)
    assert all(test["p"] <= test["q"] <= test["p_holm"] for test in tests)


def test_few_expected_records_are_warned_of() -> None:
    asked = study(chi_square=[["pain", "sex"]])
    state = plain.run(asked, [clinics.table(30)])["chi_square"]
    first, *_ = plan.find(asked, "chi_square").show(asked, state)
    (note,) = first.notes
    assert note.startswith("Fewer than 5 records are expected in a cell")
    assert note.endswith("pain and sex.")


def test_the_correction_of_two_levels_each_is_told() -> None:
    asked, whole = study(), clinics.table(400)
    tests = found(asked, [whole], "chi_square")["tests"]
    assert [test["correction"] for test in tests] == ["yates", None, None]
    state = plain.run(asked, [whole])["chi_square"]
    first, *_ = plan.find(asked, "chi_square").show(asked, state)
    (note,) = first.notes
    assert note.startswith("Yates")
    assert note.endswith(" sex and ill.")


def test_a_wider_table_has_no_test_where_a_cell_is_withheld() -> None:
    """30 4, 25 18, 3 40: of all tables of these totals one has this statistic."""
    asked, counts = study(chi_square=[["pain", "ill"]]), [[30, 4], [25, 18], [3, 40]]
    strict = asked.disclosure.model_copy(update={"min_cell": 10})
    asked = asked.model_copy(update={"disclosure": strict})
    sums = {"pain x ill": counts, "describe: records": [120]}
    sums["describe: present"] = [120] * 5
    sums["describe: levels"] = [34, 43, 43, 60, 60, 58, 62]  # of pain, sex and ill
    state = State({name: np.array(each, dtype=float) for name, each in sums.items()})
    task = plan.find(asked, "chi_square")
    (test,) = task.read(asked, state)["tests"]
    assert test["statistic"] is test["p"] is test["cramers_v"] is None
    assert test["withheld"] == "cells"
    assert any(None in line for line in test["table"]["counts"])
    first, second = task.show(asked, state)
    assert first.notes[0].startswith("Not told, for with the totals")
    assert second.notes


@pytest.mark.parametrize("name", ["chi_square", "compare"])
def test_a_withheld_count_is_not_told_by_its_test(name: str) -> None:
    """A 2 x 2 statistic gives its table; Welch's gives size, mean and deviation."""
    pairs = {"chi_square": [["sex", "ill"]], "compare": [["chol", "sex"]]}
    whole = clinics.table(200)
    whole.values[:, 3] = np.arange(200) < 100 if name == "chi_square" else 1.0
    few = np.flatnonzero(whole.train & ~np.isnan(whole.values[:, 1]))[:3]
    if name == "chi_square":
        whole.outcome[:] = np.where(np.arange(200) < 100, 0.0, np.arange(200) % 2)
        whole.outcome[few] = 1.0
    else:
        whole.values[few, 3] = 0.0
    asked = study(**{name: pairs[name]})
    strict = asked.disclosure.model_copy(update={"min_cell": 10})
    asked = asked.model_copy(update={"disclosure": strict})
    test = found(asked, [whole], name)["tests"][0]
    assert all(test[key] is None for key in ("p", "statistic", "t", "f") if key in test)
    if name == "chi_square":
        assert None in test["table"]["counts"][0]
    else:
        assert [group["count"] for group in test["groups"]] == [None, None]


def test_more_bins_than_a_tenth_of_the_records_are_not_told() -> None:
    asked = study(chi_square=[["age", "ill"]])
    test = found(asked, [clinics.table(30)], "chi_square")["tests"][0]
    assert test["withheld"]
    assert test["p"] is None
    assert "table" not in test


def test_a_table_with_one_level_only_has_no_test() -> None:
    asked, whole = study(chi_square=[["sex", "ill"]]), clinics.table(60)
    whole.values[:, 3] = 1.0
    assert found(asked, [whole], "chi_square")["tests"][0]["p"] is None


def test_correlation_equals_scipy_and_pandas() -> None:
    whole = clinics.table(400)
    test = found(study(), [whole], "correlation")["tests"][0]
    rows = frame(whole)[["age", "chol"]]
    both = rows.dropna()
    expected = stats.pearsonr(both["age"], both["chol"])
    low, high = expected.confidence_interval()
    assert test["r"] == pytest.approx(rows.corr().iloc[0, 1], rel=1e-10)
    assert test["p"] == pytest.approx(expected.pvalue, rel=1e-9)
    assert test["interval"] == pytest.approx([low, high], rel=1e-9)


def test_comparisons_equal_scipy() -> None:
    whole = clinics.table(400)
    two, three = found(study(), [whole], "compare")["tests"]
    rows = frame(whole)
    ages = [each["age"].dropna() for _, each in rows.groupby("ill")]
    expected = stats.ttest_ind(ages[1], ages[0], equal_var=False)
    assert two["p"] == pytest.approx(expected.pvalue, rel=1e-9)
    assert two["t"] == pytest.approx(expected.statistic, rel=1e-10)
    low, high = expected.confidence_interval()
    assert two["interval"] == pytest.approx([low, high], rel=1e-9)
    means = [group["mean"] for group in two["groups"]]
    assert means == pytest.approx([each.mean() for each in ages], rel=1e-12)
    chol = [each["chol"].dropna() for _, each in rows.groupby("pain")]
    anova = stats.f_oneway(*chol)
    assert three["f"] == pytest.approx(anova.statistic, rel=1e-9)
    assert three["p"] == pytest.approx(anova.pvalue, rel=1e-9)
    deviations = [group["std"] for group in three["groups"]]
    assert deviations == pytest.approx([each.std() for each in chol], rel=1e-12)


@pytest.mark.parametrize("kind", ["binary", "number"])
def test_every_variable_is_associated_with_the_outcome(kind: str) -> None:
    asked = clinics.study(
        model=None,
        evaluation=None,
        outcome=clinics.OUTCOMES[kind],
        analysis={"association": True},
    )
    whole = clinics.table(400, outcome=kind)
    tests = found(asked, [whole], "association")["tests"]
    by_name = {test["variable"]: test for test in tests}
    assert sorted(by_name) == sorted(NAMES)
    assert [test["p"] for test in tests] == sorted(test["p"] for test in tests)
    rows = frame(whole)
    if kind == "binary":
        one, other = (each["age"].dropna() for _, each in rows.groupby("ill"))
        expected = stats.ttest_ind(one, other, equal_var=False).pvalue
        cross = stats.chi2_contingency(pd.crosstab(rows["pain"], rows["ill"]))
        assert by_name["pain"]["p"] == cross.pvalue
    else:
        both = rows[["age", "ill"]].dropna()
        expected = stats.pearsonr(both["age"], both["ill"]).pvalue
        groups = [each["ill"] for _, each in rows.groupby("pain")]
        p = stats.f_oneway(*groups).pvalue
        assert by_name["pain"]["p"] == pytest.approx(p, rel=1e-9)
    assert by_name["age"]["p"] == pytest.approx(expected, rel=1e-9)


def design(asked: Study, whole: Table) -> np.ndarray:
    arrays = plain.run(asked, [whole])["describe"].arrays
    return encode(asked, Encoding.of(arrays), whole.rows("train").x)


def test_components_equal_scikit_learn_on_pooled_records() -> None:
    asked, whole = study(pca=3), clinics.table(400)
    components = found(asked, [whole], "pca")["components"]
    reference = PCA(n_components=3).fit(design(asked, whole))
    shares = [each["share"] for each in components]
    assert shares == pytest.approx(reference.explained_variance_ratio_, abs=1e-10)
    for each, expected in zip(components, reference.components_, strict=True):
        sign = np.sign(expected[np.abs(expected).argmax()])
        loadings = np.array([*each["loadings"].values()])
        np.testing.assert_allclose(loadings, sign * expected, atol=1e-8)


def test_groups_equal_scikit_learn_from_the_same_start() -> None:
    asked = study(clusters={"groups": 3, "starts": 2, "seed": 5})
    whole = clinics.table(400)
    states = plain.run(asked, [whole])
    task, x = plan.find(asked, "clusters"), design(asked, whole)
    fits = [
        KMeans(3, init=centres, n_init=1, tol=0.0, algorithm="lloyd").fit(x)
        for centres in task.start(asked, states).arrays["centres"]
    ]
    best = min(fits, key=lambda fit: fit.inertia_)
    said = task.read(asked, states["clusters"])
    assert said["settled"]
    sizes = np.bincount(best.labels_)
    order = np.argsort(-sizes, kind="stable")
    assert [each["records"] for each in said["groups"]] == sizes[order].tolist()
    arrays = states["clusters"].arrays
    centres = best.cluster_centers_[order]
    np.testing.assert_allclose(arrays["centres"], centres, atol=1e-8)
    around = ((x - x.mean(axis=0)) ** 2).sum()
    assert said["explained"] == pytest.approx(1 - best.inertia_ / around, rel=1e-9)
    age = centres[0, 0] * arrays["scale"][0] + arrays["centre"][0]
    assert said["groups"][0]["centre"]["age"] == pytest.approx(age, rel=1e-9)


def test_no_centre_ever_shows_the_mean_of_a_few() -> None:
    asked, whole = study(clusters={"groups": 3, "starts": 1}), clinics.table(200)
    asked = asked.model_copy(update={"disclosure": Disclosure(min_people=30)})
    whole.values[:10, 0] = 119.0  # ten people far from all others
    task, x = plan.find(asked, "clusters"), design(asked, whole)
    state = task.start(asked, plain.run(asked, [whole]))
    while not state.done:
        total = task.local(asked, state, Rows(x, x[:, 0]))
        next_state = task.finish(asked, state, total)
        if not next_state.done:
            few = total["nearest"][0] < 30
            kept = state.arrays["centres"][0][few]
            assert np.array_equal(next_state.arrays["centres"][0][few], kept)
        state = next_state


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"quantiles": [0.5, 0.5]}, "quantiles names a share twice"),
        ({"chi_square": [["chol", "ill"]]}, "chol is a number without cuts"),
        ({"chi_square": [["no", "ill"]]}, "names no, which is not declared"),
        ({"chi_square": [["ill", "ill"]]}, "names ill twice"),
        ({"correlation": ["age", "sex"]}, "sex is a category"),
        ({"correlation": ["age", "age"]}, "a number twice"),
        ({"compare": [["ill", "age"]]}, "ill is a category"),
        ({"compare": [["age", "chol"]]}, "chol is a number without cuts"),
    ],
)
def test_what_does_not_fit_is_said_at_once(asked: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        study(**asked)


def test_flower_gives_the_same_bits(tmp_path: Path) -> None:
    asked = study()
    paths = clinics.hospitals(tmp_path, asked, 200)
    outcome = engine.run(asked, paths)
    tables = [open_study(site.read(each), asked, clinics.TODAY).table for each in paths]
    for name, state in plain.run(asked, tables).items():
        for key, array in state.arrays.items():
            assert np.array_equal(outcome.states[name].arrays[key], array), (name, key)
