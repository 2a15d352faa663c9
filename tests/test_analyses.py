"""Each analysis of ``[analysis]``: any split equals pooled, and equals scipy."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from common import plan
from common.registry import ANALYSES
from common.study import Study
from simulations import plain
from tests import clinics

ASKED = {"chi_square": [["sex", "ill"], ["pain", "sex"]]}


def study(**asked: object) -> Study:
    return clinics.study(model=None, evaluation=None, analysis=asked or ASKED)


@pytest.mark.parametrize("name", sorted(ANALYSES))
@settings(max_examples=20)
@given(seed=st.integers(0, 10_000), sites=st.integers(1, 7))
def test_any_split_equals_pooled(name: str, seed: int, sites: int) -> None:
    asked, whole = study(**{name: ASKED[name]}), clinics.table(200, seed)
    places = np.random.default_rng(seed).integers(0, sites, len(whole.outcome))
    dealt = plain.run(asked, clinics.split(whole, places))[name]
    pooled = plain.run(asked, [whole])[name]
    for key, array in pooled.arrays.items():
        np.testing.assert_allclose(dealt.arrays[key], array, rtol=1e-9)
    task = plan.find(asked, name)
    json.dumps(task.read(asked, dealt))
    assert task.show(asked, dealt)


def test_chi_square_equals_scipy_on_pooled_records() -> None:
    asked, whole = study(), clinics.table(400)
    state = plain.run(asked, [whole])["chi_square"]
    first = plan.find(asked, "chi_square").read(asked, state)["tests"][0]
    rows = whole.rows("train")
    cross = pd.crosstab(rows.x[:, 3], rows.y)
    expected = stats.chi2_contingency(cross)
    assert first["p"] == expected.pvalue
    assert first["statistic"] == expected.statistic
    assert first["records"] == cross.to_numpy().sum()


def test_a_table_with_one_level_only_has_no_test() -> None:
    asked, whole = study(chi_square=[["sex", "ill"]]), clinics.table(60)
    whole.values[:, 3] = 1.0
    state = plain.run(asked, [whole])["chi_square"]
    assert plan.find(asked, "chi_square").read(asked, state)["tests"][0]["p"] is None


@pytest.mark.parametrize(
    ("pair", "said"),
    [(["age", "ill"], "age is a number"), (["no", "ill"], "no is not")],
)
def test_only_declared_categories_are_compared(pair: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        study(chi_square=[pair])
