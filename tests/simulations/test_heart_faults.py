"""Steps of a naive pipeline, taken on the four real hospitals beside ours.

Those that need no more than the benchmark's own tables are in ``test_heart.py``; the
same faults on made-up records are in ``tests/client/test_faults.py``.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from common import plan
from common.encoding import columns
from common.study import Study
from simulations import plain
from simulations.dealt import heart_richer
from simulations.dealt.heart_richer import Hospitals
from simulations.worth import compare
from tests import clinics
from tests.simulations.test_heart import DATA, RECORDS, SITES, needs_data, published


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory: pytest.TempPathFactory) -> Hospitals:
    """Return thirteen variables of all people, with their gaps."""
    return heart_richer.opened(DATA, tmp_path_factory.mktemp("faults"))


def gaps(frame: pd.DataFrame) -> int:
    return int(frame.isna().sum().sum())


@needs_data
def test_filling_forward_at_each_hospital_copies_1517_cells() -> None:
    """Each person has one record: whatever is filled is another person's."""
    frames = [published(name).replace("?", np.nan) for name in SITES]
    assert sum(gaps(frame) for frame in frames) == 1759
    assert sum(gaps(frame) - gaps(frame.ffill()) for frame in frames) == 1517


@needs_data
def test_whole_numbers_are_not_to_be_had_of_these_columns() -> None:
    frames = [published(name).replace("?", np.nan) for name in SITES]
    numbers = pd.concat(frames).apply(pd.to_numeric)
    with pytest.raises(ValueError, match="non-finite"):
        numbers.astype(int)
    oldpeak = numbers["oldpeak"].dropna()
    assert (oldpeak.astype(int) != oldpeak).sum() == 289, "each would lose its part"


@needs_data
def test_a_test_of_counts_says_nothing_and_one_of_a_table_does(
    hospitals: Hospitals,
) -> None:
    """Chest pain and disease: the naive statistic is 0 with p 1 whatever they are."""
    tables, outcome = hospitals.tables, hospitals.study.outcome.name
    document = hospitals.study.model_dump(
        mode="json", exclude_none=True, exclude={"model", "evaluation"}
    )
    asked = Study.model_validate(
        {**document, "analysis": {"chi_square": [["cp", outcome]]}}
    )
    places = [each.name for each in asked.variables]
    values = np.concatenate([table.values[:, places.index("cp")] for table in tables])
    ill = np.concatenate([table.outcome for table in tables])
    naive = stats.chi2_contingency(pd.Series(values).value_counts())
    assert (naive.statistic, naive.pvalue, naive.dof) == (0.0, 1.0, 0)
    nobody_tests = [
        clinics.rows(each.values, each.outcome, np.ones(len(each.outcome)))
        for each in tables
    ]
    states = plain.run(asked, nobody_tests)
    (task,) = [each for each in plan.tasks(asked) if each.name == "chi_square"]
    told: Any = task.read(asked, states["chi_square"])
    test = told["tests"][0]
    expected = stats.chi2_contingency(pd.crosstab(values, ill))
    assert test["statistic"] == pytest.approx(expected.statistic, rel=1e-12)
    assert test["statistic"] == pytest.approx(268, abs=1)
    assert test["p"] == pytest.approx(7e-58, rel=0.1)


@needs_data
def test_variables_that_hardly_anybody_measured_stay_and_so_do_all_people(
    hospitals: Hospitals,
) -> None:
    """Dropping slope, ca and thal would drop the strongest; so would their gaps."""
    names = [each.name for each in hospitals.study.variables]
    sparse = [names.index(name) for name in ("slope", "ca", "thal")]
    gaps = np.isnan(np.concatenate([t.values for t in hospitals.tables]))[:, sparse]
    assert (gaps.mean(axis=0) > 0.3).all()
    assert {
        name: len(table.outcome)
        for name, table in zip(SITES, hospitals.tables, strict=True)
    } == RECORDS
    states = plain.run(hospitals.study, hospitals.tables)
    fitted = compare.fitted(hospitals.study, states)
    assert fitted.weights is not None
    said = [each.name for each in columns(hospitals.study)]
    assert abs(fitted.weights[said.index("thal missing")]) > 0.1
    assert states["describe"].arrays["records"] == 666, "all who do not test"


@needs_data
def test_the_order_of_the_columns_means_nothing(hospitals: Hospitals) -> None:
    """A network that looks for neighbours in a table would see others each time."""
    order = np.random.default_rng(3).permutation(len(hospitals.study.variables))
    variables = tuple(hospitals.study.variables[place] for place in order)
    mixed = hospitals.study.model_copy(update={"declared": variables})
    tables = [replace(t, values=t.values[:, order]) for t in hospitals.tables]
    one = compare.fitted(hospitals.study, plain.run(hospitals.study, hospitals.tables))
    other = compare.fitted(mixed, plain.run(mixed, tables))
    for table, again in zip(hospitals.tables, tables, strict=True):
        np.testing.assert_allclose(
            other.predict(again.rows("test")),
            one.predict(table.rows("test")),
            atol=1e-8,
        )


@needs_data
def test_who_tests_changes_no_bit_of_what_is_learned(hospitals: Hospitals) -> None:
    """Also of means and deviations: nothing is fitted before people are split."""
    others = [
        replace(
            table,
            values=np.where(table.train[:, None], table.values, np.nan),
            outcome=np.where(table.train, table.outcome, 1 - table.outcome),
        )
        for table in hospitals.tables
    ]
    learned = plain.run(hospitals.study, hospitals.tables)
    again = plain.run(hospitals.study, others)
    for name in ("describe", "logistic"):
        for key, array in learned[name].arrays.items():
            np.testing.assert_array_equal(again[name].arrays[key], array)
