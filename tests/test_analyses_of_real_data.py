"""Analyses of published data, dealt to unequal sites, equal pandas and scipy."""

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn import datasets
from sklearn.decomposition import PCA

from client.table import Table
from common import plan
from common.encoding import Encoding, encode
from common.study import Study
from common.task import Findings
from simulations import plain
from tests import clinics, real

SHARES = [0.25, 0.5, 0.75]
MOST = 6
"""So many variables of each data set are looked at."""


def read(name: str) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the first numbers and the outcome of a data set."""
    if name == "heart":
        known = real.read(name)
        kinds = [each["kind"] == "number" for each in known.variables]
        numbers = pd.DataFrame(known.values[:, kinds])
        complete = numbers.notna().all(axis=1)
        return numbers[complete], known.target[complete]
    found = getattr(datasets, f"load_{name}")(as_frame=True)
    return found.data.iloc[:, :MOST], found.target.to_numpy(dtype=float)


def number(name: str, values: pd.Series) -> dict[str, Any]:
    """Declare a number as somebody would who knows about how large it is."""
    low, high = float(values.min()), float(values.max())
    room, middle = (high - low) / 4, float(values.mean())
    return {
        "kind": "number",
        "name": name,
        "unit": "1",
        "range": [low - room, high + room],
        "cuts": [middle],
    }


def study(data: pd.DataFrame, outcome: np.ndarray) -> Study:
    names = [f"v{place}" for place in range(data.shape[1])]
    last = number("y", pd.Series(outcome))
    if set(outcome) == {0.0, 1.0}:
        last = clinics.BINARY | {"name": "y"}
    return clinics.study(
        model=None,
        evaluation=None,
        variables=[
            number(name, data[column]) for name, column in zip(names, data, strict=True)
        ],
        outcome=last,
        analysis={
            "quantiles": SHARES,
            "correlation": names,
            "chi_square": [list(pair) for pair in combinations(names[:3], 2)],
            "compare": [[names[0], names[1]]],
            "association": True,
            "pca": 2,
        },
    )


@pytest.fixture(scope="module", params=real.NAMES)
def data(request: pytest.FixtureRequest) -> tuple[pd.DataFrame, np.ndarray]:
    return read(request.param)


@pytest.fixture(params=[1, 2, 4, 10])
def found(
    request: pytest.FixtureRequest, data: tuple[pd.DataFrame, np.ndarray]
) -> tuple[Study, dict[str, Findings], Table]:
    """Return what a study of unequal sites found, and the table of them all."""
    frame, outcome = data
    asked = study(frame, outcome)
    whole = clinics.rows(frame.to_numpy(dtype=float), outcome, np.ones(len(frame)))
    draw, count = np.random.default_rng(4), request.param
    share = draw.dirichlet(np.full(count, 0.7))
    tables = clinics.split(whole, draw.choice(count, len(frame), p=share))
    states = plain.run(asked, tables)
    told = {t.name: t.read(asked, states[t.name]) for t in plan.tasks(asked)}
    return asked, told, whole


Found = tuple[Study, dict[str, Findings], Table]


def test_describe_equals_pandas(found: Found) -> None:
    asked, told, whole = found
    reference = pd.DataFrame(whole.values).describe()
    for place, line in enumerate(told["describe"]["variables"][:-1]):
        column, (low, high) = reference[place], asked.variables[place].range
        assert line["count"] == column["count"]
        assert line["mean"] == pytest.approx(column["mean"], abs=1e-12 * (high - low))
        assert line["std"] == pytest.approx(column["std"], abs=1e-12 * (high - low))


def test_quantiles_equal_pandas_to_the_step(found: Found) -> None:
    _, told, whole = found
    reference = pd.DataFrame(whole.values).quantile(SHARES)
    lines = told["quantiles"]["variables"]
    for place in range(whole.values.shape[1]):
        off = np.abs([*lines[place]["quantiles"].values()] - reference[place])
        assert (off <= lines[place]["step"] / 2 * (1 + 1e-9)).all()


def test_tables_correlations_and_groups_equal_scipy(found: Found) -> None:
    asked, told, whole = found
    frame = pd.DataFrame(whole.values)
    for test, (one, other) in zip(
        told["correlation"]["tests"],
        combinations(range(whole.values.shape[1]), 2),
        strict=True,
    ):
        expected = stats.pearsonr(frame[one], frame[other])
        assert test["r"] == pytest.approx(expected.statistic, abs=1e-11)
        assert test["p"] == pytest.approx(expected.pvalue, rel=1e-7)
    parts = [
        np.searchsorted(asked.variables[place].cuts, frame[place], side="right")
        for place in range(3)
    ]
    for test, (one, other) in zip(
        told["chi_square"]["tests"], combinations(parts, 2), strict=True
    ):
        expected = stats.chi2_contingency(pd.crosstab(one, other))
        assert (test["statistic"], test["p"]) == (expected.statistic, expected.pvalue)
    groups = [frame[0][parts[1] == level] for level in (1, 0)]
    welch = stats.ttest_ind(*groups, equal_var=False)
    assert told["compare"]["tests"][0]["t"] == pytest.approx(welch.statistic, rel=1e-9)
    assert told["compare"]["tests"][0]["p"] == pytest.approx(welch.pvalue, rel=1e-8)
    assert len(told["association"]["tests"]) == whole.values.shape[1]


def test_components_equal_scikit_learn(found: Found) -> None:
    asked, told, whole = found
    arrays = plain.run(asked, [whole])["describe"].arrays
    design = encode(asked, Encoding.of(arrays), whole.values)
    reference = PCA(2).fit(design)
    for each, expected in zip(
        told["pca"]["components"], reference.components_, strict=True
    ):
        loadings = np.array([*each["loadings"].values()])
        sign = np.sign(loadings @ expected)
        np.testing.assert_allclose(loadings, sign * expected, atol=1e-8)


@pytest.mark.parametrize("sites", real.SITES)
def test_the_heart_hospitals_are_described_as_pandas_does(sites: int) -> None:
    """With its gaps: counts, means and deviations, and of categories the commonest."""
    asked = real.study("heart", "binary", sites, model=None, evaluation=None)
    tables = real.tables("heart", "binary", sites)
    state = plain.run(asked, tables)["describe"]
    told = plan.find(asked, "describe").read(asked, state)["variables"]
    train = pd.DataFrame(plain.pooled(tables).rows("train").values)
    for place, variable in enumerate(asked.variables):
        column, line = train[place], told[place]
        assert line["count"] == column.notna().sum()
        assert line["missing"] == column.isna().sum()
        if variable.kind == "number":
            width = variable.range[1] - variable.range[0]
            for name in ("mean", "std"):
                exact = column.describe()[name]
                assert line[name] == pytest.approx(exact, abs=1e-12 * width)
        else:
            levels = column.dropna().astype(int).map(dict(enumerate(variable.levels)))
            reference = levels.describe()
            assert line["unique"] == reference["unique"]
            assert (line["top"], line["freq"]) == (reference["top"], reference["freq"])
