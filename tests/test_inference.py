"""Errors, tests and the fit of a regression are those of statsmodels on pooled rows."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics
from sklearn.datasets import load_wine
from sklearn.linear_model import ElasticNet, LogisticRegression

from common import plan
from common.encoding import Encoding, encode
from common.errors import StudyError
from common.study import Study
from common.task import State
from common.tasks.linear import lasso
from simulations import plain
from simulations.worth import compare
from tests import clinics
from tests.test_tasks import study_of, table_of

FIT = ("aic", "bic", "log_likelihood")


def with_model(study: Study, **changes: object) -> Study:
    return study.model_copy(update={"model": study.model.model_copy(update=changes)})


def design_of(study: Study, state: State, rows: object) -> np.ndarray:
    return encode(study, Encoding.of(state.arrays), rows.x)


def statsmodels(kind: str, design: np.ndarray, y: np.ndarray) -> object:
    x = sm.add_constant(design, prepend=False)
    if kind == "linear":
        return sm.OLS(y, x).fit()
    family = sm.families.Binomial() if kind == "logistic" else sm.families.Poisson()
    return sm.GLM(y, x, family=family).fit(tol=1e-14, tol_criterion="params")


@pytest.mark.parametrize("kind", ["linear", "logistic", "poisson"])
def test_inference_equals_statsmodels(kind: str) -> None:
    study = with_model(study_of(kind), ridge=0.0)
    whole = table_of(kind, 400)
    places = np.arange(400) % 7
    state = plain.run(study, clinics.split(whole, places))[kind]
    rows = whole.rows("train")
    fit = statsmodels(kind, design_of(study, state, rows), rows.y)
    found = plan.find(study, kind).read(study, state)
    lines = found["coefficients"]
    for name, values in {
        "coefficient": fit.params,
        "standard_error": fit.bse,
        "statistic": fit.tvalues,
        "p": fit.pvalues,
        "interval": fit.conf_int(),
    }.items():
        said = np.array([line[name] for line in lines])
        np.testing.assert_allclose(said, values, rtol=1e-8, atol=1e-10)
    bic = "bic" if kind == "linear" else "bic_llf"
    names = {"log_likelihood": "llf", "aic": "aic", "bic": bic}
    if kind == "linear":
        names |= {"r_squared": "rsquared", "adjusted_r_squared": "rsquared_adj"}
        names |= {"f": "fvalue", "f_p": "f_pvalue"}
    else:
        names["log_likelihood_null"] = "llnull"
    for name, theirs in names.items():
        assert found["fit"][name] == pytest.approx(getattr(fit, theirs), rel=1e-8)
    assert plan.find(study, kind).show(study, state)[0].rows


def test_linear_takes_one_round_after_describe() -> None:
    study = study_of("linear")
    told = {"quorum": 1, "maximum": 1}
    study = study.model_copy(update={"rounds": study.rounds.model_copy(update=told)})
    assert plain.run(study, [table_of("linear")])["linear"].done


@pytest.mark.parametrize("kind", ["linear", "logistic"])
@pytest.mark.parametrize("share", [0.5, 1.0])
def test_an_elastic_net_is_that_of_scikit_learn(kind: str, share: float) -> None:
    ridge = 20.0
    study = with_model(study_of(kind), ridge=ridge, l1_share=share)
    whole = table_of(kind, 400)
    state = plain.run(study, clinics.split(whole, np.arange(400) % 3))[kind]
    rows = whole.rows("train")
    x = design_of(study, state, rows)
    if kind == "linear":
        own = ElasticNet(ridge / len(x), l1_ratio=share, tol=1e-14, max_iter=10**6)
    else:
        own = LogisticRegression(
            C=1 / ridge, l1_ratio=share, solver="saga", tol=1e-10, max_iter=10**5
        )
    own.fit(x, rows.y)
    found = state.arrays["weights"]
    np.testing.assert_allclose(found[:-1], own.coef_.ravel(), atol=1e-6)
    assert found[-1] == pytest.approx(np.ravel(own.intercept_)[0], abs=1e-6)
    assert (found[:-1] == 0.0).any()
    lines = plan.find(study, kind).read(study, state)["coefficients"]
    assert all(line["p"] is None for line in lines)


@pytest.mark.parametrize("kind", ["linear", "logistic"])
def test_an_intercept_for_each_site_is_a_dummy_for_each_site(kind: str) -> None:
    study = with_model(study_of(kind), ridge=0.0, site_intercepts=True)
    tables = clinics.dealt(table_of(kind, 400), np.arange(400) // 150 % 2)
    states = plain.run(study, tables)
    state = states[kind]
    rows = [table.rows("train") for table in tables]
    x = np.vstack([design_of(study, state, each) for each in rows])
    site = np.concatenate([each.site for each in rows])
    y = np.concatenate([each.y for each in rows])
    dummies = np.eye(2)[site]
    own = (
        sm.OLS(y, np.hstack([x, dummies])).fit()
        if kind == "linear"
        else sm.GLM(y, np.hstack([x, dummies]), family=sm.families.Binomial()).fit(
            tol=1e-14, tol_criterion="params"
        )
    )
    lines = plan.find(study, kind).read(study, state)["coefficients"]
    for name, values in {"coefficient": own.params, "standard_error": own.bse}.items():
        said = [line[name] for line in lines]
        np.testing.assert_allclose(said, values, rtol=1e-8, atol=1e-9)
    assert lines[-1]["name"] == "(intercept of south)"


def test_a_site_that_never_trains_gets_the_mean_intercept() -> None:
    study = with_model(study_of("logistic"), site_intercepts=True)
    sites = ("north", "south", "west")
    study = study.model_copy(
        update={"study": study.study.model_copy(update={"sites": sites})}
    )
    tables = clinics.dealt(table_of("logistic", 300), np.arange(300) % 2)
    weights = plain.run(study, tables)["logistic"].arrays["weights"][-3:]
    assert weights[2] == pytest.approx(weights[:2].mean(), abs=1e-8)
    assert abs(weights[0] - weights[1]) > 1e-3


def test_multinomial_inference_equals_statsmodels() -> None:
    study = with_model(study_of("multinomial"), ridge=0.0)
    whole = table_of("multinomial", 400)
    state = plain.run(study, clinics.split(whole, np.arange(400) % 5))["multinomial"]
    rows = whole.rows("train")
    x = sm.add_constant(design_of(study, state, rows), prepend=False)
    own = sm.MNLogit(rows.y, x).fit(method="newton", tol=1e-14, disp=0)
    found = plan.find(study, "multinomial").read(study, state)
    for name, values in {
        "coefficient": own.params,
        "standard_error": own.bse,
        "p": own.pvalues,
    }.items():
        said = [line[name] for line in found["coefficients"]]
        np.testing.assert_allclose(said, np.ravel(values, order="F"), rtol=1e-8)
    fit = found["fit"]
    assert fit["log_likelihood"] == pytest.approx(own.llf, rel=1e-10)
    assert fit["pseudo_r_squared"] == pytest.approx(own.prsquared, rel=1e-8)
    assert fit["aic"] == pytest.approx(own.aic, rel=1e-8)


@pytest.mark.parametrize("sites", [1, 2, 4, 10])
def test_errors_on_wine_equal_statsmodels(sites: int) -> None:
    """Of three measurements of each wine: by all thirteen the levels are separable."""
    x, y = load_wine(return_X_y=True)
    x = x[:, [1, 2, 4]]  # malic acid, ash, magnesium
    variables = [
        {"kind": "number", "name": f"x{i}", "unit": "1", "range": [0, 200]}
        for i in range(3)
    ]
    model = {"kind": "multinomial", "ridge": 0.0}
    study = clinics.study(variables=variables, outcome=clinics.STAGE, model=model)
    whole = clinics.rows(x, y.astype(float), np.arange(len(y)) % 10 < 8)
    places = np.minimum(np.arange(len(y)) ** 2 * sites // len(y) ** 2, sites - 1)
    state = plain.run(study, clinics.split(whole, places))["multinomial"]
    rows = whole.rows("train")
    design = sm.add_constant(design_of(study, state, rows), prepend=False)
    own = sm.MNLogit(rows.y, design).fit(method="newton", tol=1e-14, disp=0)
    found = plan.find(study, "multinomial").read(study, state)["coefficients"]
    for name, values in {"coefficient": own.params, "standard_error": own.bse}.items():
        said = [line[name] for line in found]
        np.testing.assert_allclose(said, np.ravel(values, order="F"), rtol=1e-8)


def test_several_levels_are_evaluated_as_scikit_learn_does() -> None:
    study, whole = study_of("multinomial"), table_of("multinomial", 600)
    states = plain.run(study, clinics.split(whole, np.arange(600) % 3))
    found = plan.find(study, "evaluate").read(study, states["evaluate"])
    rows = whole.rows("test")
    chance = compare.fitted(study, states).predict(rows)
    said = chance.argmax(axis=1)
    np.testing.assert_allclose(chance.sum(axis=1), 1.0)
    assert found["confusion"] == metrics.confusion_matrix(rows.y, said).tolist()
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(rows.y, said))
    assert found["log_loss"] == pytest.approx(metrics.log_loss(rows.y, chance))
    for level, line in enumerate(found["levels"]):
        exact = metrics.roc_auc_score(rows.y == level, chance[:, level])
        assert abs(line["auc"] - exact) <= line["auc_error_bound"] < 0.04
    report = metrics.classification_report(rows.y, said, output_dict=True)
    assert found["levels"][2]["f1"] == pytest.approx(report["2.0"]["f1-score"])


def test_a_level_of_nobody_is_an_error_that_names_it() -> None:
    whole = table_of("multinomial", 100)
    two = clinics.rows(whole.values, whole.outcome.clip(0, 1), whole.train)
    with pytest.raises(StudyError, match="stage = late"):
        plain.run(study_of("multinomial"), [two])


@settings(max_examples=50)
@given(seed=st.integers(0, 10_000), size=st.integers(1, 8))
def test_the_lowest_point_under_an_l1_penalty_is_one(seed: int, size: int) -> None:
    draw = np.random.default_rng(seed)
    root = draw.normal(size=(size + 3, size))
    matrix, slope = root.T @ root, draw.normal(size=size) * 3
    weights, l1 = draw.normal(size=size), draw.uniform(0, 2, size)
    found = lasso.lowest(matrix, slope, weights, l1)
    gradient = slope + matrix @ (found - weights)
    at_zero = found == 0.0
    assert (np.abs(gradient[at_zero]) <= l1[at_zero] + 1e-7).all()
    np.testing.assert_allclose(
        gradient[~at_zero], -l1[~at_zero] * np.sign(found[~at_zero]), atol=1e-6
    )


@pytest.mark.parametrize("kind", ["cox", "multinomial", "logistic"])
def test_what_separates_is_an_error_without_ridge_and_finite_with_it(kind: str) -> None:
    x = np.linspace(20, 90, 90)[:, None]
    y = {
        "cox": np.r_[np.full(84, 12.0), 11, 9, 7, 5, 3, 1],  # the oldest go first
        "multinomial": np.repeat([0.0, 1.0, 2.0], 30),
        "logistic": np.repeat([0.0, 1.0], 45),
    }[kind]
    one = clinics.rows(x, y, np.arange(90) % 9 > 0)
    study = study_of(kind, variables=[clinics.VARIABLES[0]])
    assert np.isfinite(plain.run(study, [one])[kind].arrays["weights"]).all()
    with pytest.raises(StudyError, match=r"did not settle|no unique solution"):
        plain.run(with_model(study, ridge=0.0), [one])
