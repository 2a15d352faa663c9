"""What goes with an outcome, by noisy sums: found where it is, and not elsewhere."""

from typing import Any

import numpy as np
import pytest

from client.table import Table
from common import plan
from common.study import Study
from simulations import plain
from tests import clinics, promising

SIZE = {"kind": "number", "name": "size", "unit": "cm", "range": [-6, 6]}
SPARE = {**SIZE, "name": "spare"}
ARM = {"kind": "category", "name": "arm", "levels": ["a", "b", "c"]}
OUTCOMES: dict[str, dict[str, Any]] = {
    "binary": dict(clinics.BINARY),
    "number": {"kind": "number", "name": "ill", "unit": "1", "range": [-9, 9]},
    "category": {"kind": "category", "name": "ill", "levels": ["x", "y", "z"]},
}


def study(kind: str, epsilon: float | None) -> Study:
    return promising.study(
        "heart",
        epsilon,
        variables=[SIZE, SPARE, ARM],
        outcome=OUTCOMES[kind],
        analysis={"association": True},
    )


def dealt(kind: str, together: float, seed: int = 0) -> list[Table]:
    """Return people whose size goes with the outcome by as much as *together* says."""
    draw = np.random.default_rng(seed)
    size, spare = draw.normal(size=(2, 1600)).clip(-6, 6)
    arm = draw.integers(0, 3, 1600).astype(float)
    y = (together * size + draw.normal(size=1600)).clip(-9, 9)
    if kind == "binary":
        y = (y > 0).astype(float)
    if kind == "category":
        y = np.searchsorted([-0.5, 0.5], y).astype(float)
    whole = clinics.rows(np.column_stack([size, spare, arm]), y, np.ones(1600))
    return clinics.dealt(whole, np.arange(1600) % 4)


@pytest.mark.parametrize("kind", sorted(OUTCOMES))
def test_what_goes_with_the_outcome_comes_first(kind: str) -> None:
    people = dealt(kind, 1.0)
    true = {
        t["variable"]: t for t in promising.exact(study(kind, None), people)["tests"]
    }
    for found in promising.told(study(kind, 1.0), people, 4):
        first, *others = found["tests"]
        assert first["variable"] == "size"
        assert first["p"] < 0.001
        assert all(each["p"] is None or each["p"] > 0.001 for each in others)
        for each in found["tests"]:
            usual = true[each["variable"]]
            assert each["test"] == usual["test"]
            if each["strength"] is not None:
                assert each["strength"] == pytest.approx(usual["strength"], abs=0.25)


@pytest.mark.parametrize("kind", sorted(OUTCOMES))
def test_where_nothing_goes_together_it_rejects_as_often_as_it_says(kind: str) -> None:
    asked, p = study(kind, 1.0), list[float]()
    task = plan.find(asked, "association")
    for seed in range(70):
        noise = plain.gaussian(np.random.default_rng(seed))
        state = plain.run(asked, dealt(kind, 0.0, seed), noise)["association"]
        p += [t["p"] for t in task.read(asked, state)["tests"] if t["p"] is not None]
    assert len(p) > 150
    assert np.mean(np.array(p) < 0.05) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / len(p))


@pytest.mark.parametrize(("epsilon", "agree"), [(1.0, 0.5), (3.0, 0.8), (8.0, 0.9)])
def test_of_real_people_the_strongest_are_found(epsilon: float, agree: float) -> None:
    """Of thirteen variables of the heart hospitals, those with p < 0.001 exactly."""
    people = promising.tables("heart")
    asked = {"analysis": {"association": True}}
    true = promising.exact(promising.study("heart", **asked), people)["tests"]
    strong = {each["variable"] for each in true if each["p"] and each["p"] < 1e-12}
    assert len(strong) >= 4
    seen = []
    for found in promising.told(promising.study("heart", epsilon, **asked), people, 6):
        sure = {t["variable"] for t in found["tests"] if t["p"] and t["p_holm"] < 0.05}
        seen.append(len(sure & strong) / len(strong))
    assert np.mean(seen) >= agree
