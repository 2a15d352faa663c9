"""Noisy k-means: groups near the exact ones, in a fixed number of steps."""

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.metrics import adjusted_rand_score

from client.table import Table
from common import costs, plan
from common.encoding import Encoding, encode
from common.study import Study
from common.task import State
from common.tasks.private import private_clusters
from simulations import plain
from tests import promising

ASKED = {"analysis": {"clusters": {"groups": 2}}}


def study(epsilon: float | None, dealt: list[Table], **changes: Any) -> Study:
    """Return a study of the breast cancer data with typical figures to one digit."""
    values, typical = plain.pooled(dealt).values, []
    for variable, column in zip(
        promising.variables("breast_cancer"), values.T, strict=True
    ):
        figures = [float(f"{x:.1g}") for x in (column.mean(), column.std())]
        typical.append({**variable, "typical": figures})
    return promising.study(
        "breast_cancer", epsilon, **{**ASKED, "variables": typical, **changes}
    )


def labels(asked: Study, state: State, dealt: list[Table], unit: float) -> np.ndarray:
    encoding = Encoding.of(state.arrays)
    x = encode(asked, encoding, plain.pooled(dealt).values) / unit
    far = ((x[:, None] - state.arrays["centres"][None]) ** 2).sum(axis=2)
    return far.argmin(axis=1)


@pytest.mark.parametrize(("epsilon", "least"), [(1.0, 0.75), (3.0, 0.85), (8.0, 0.85)])
def test_groups_of_real_people_are_the_exact_ones(epsilon: float, least: float) -> None:
    dealt = promising.tables("breast_cancer")
    exact, asked = study(None, dealt), study(epsilon, dealt)
    true = plain.run(exact, dealt)["clusters"]
    usual = labels(exact, true, dealt, 1.0)
    whole = 1.0 - true.arrays["spread"][0] / true.arrays["spread"][1]
    task, alike, explained = plan.find(asked, "clusters"), [], []
    for state in promising.states(asked, dealt, 6):
        found = task.read(asked, state)
        told = labels(asked, state, dealt, np.sqrt(private_clusters.REACH))
        alike.append(adjusted_rand_score(usual, told))
        explained.append(found["explained"])
        sizes = [group["records"] for group in found["groups"]]
        assert sum(sizes) == pytest.approx(569, abs=4 * found["records_margin"])
    assert np.mean(alike) > least
    assert np.mean(explained) == pytest.approx(whole, abs=0.12)


def test_margins_hold_the_means_before_noise() -> None:
    dealt = promising.tables("breast_cancer")
    asked = study(3.0, dealt)
    task, still = plan.find(asked, "clusters"), study(100.0, dealt)
    (true,) = promising.states(still, dealt, 1)
    state = task.start(asked, plain.run(asked, dealt))
    shown = State(
        {**state.arrays, "centres": true.arrays["centres"]}, kept={**state.kept}
    )
    shown.kept["rounds"][:] = private_clusters.rounds(asked) - 1
    rows = plain.pooled(dealt)
    each = encode(asked, Encoding.of(shown.arrays), rows.values)
    sums = private_clusters.each(
        asked, shown, type(rows.rows("train"))(each, rows.outcome)
    )
    draw, held, noise = np.random.default_rng(0), [], costs.deviation(asked, task) * 2
    clean = ended(asked, shown, sums.sum(axis=0))
    for _ in range(80):
        noisy = ended(
            asked, shown, sums.sum(axis=0) + draw.normal(0, noise, sums.shape[1])
        )
        for one, other in zip(clean["groups"], noisy["groups"], strict=True):
            held += [
                abs(one["centre"][name] - mean) <= other["margin"][name]
                for name, mean in other["centre"].items()
            ]
    assert 0.92 < np.mean(held) < 0.98


def ended(asked: Study, shown: State, vector: np.ndarray) -> dict[str, Any]:
    groups, width = shown.arrays["centres"].shape
    total = {
        "nearest": vector[:groups],
        "total": vector[groups:-1].reshape(groups, width),
        "spread": vector[-1:],
    }
    state = private_clusters.finish(asked, shown, total)
    return private_clusters.read(asked, state)


def test_steps_are_paid_for_and_seeds_are_nobodys() -> None:
    dealt = promising.tables("breast_cancer")
    asked = study(1.0, dealt)
    task = plan.find(asked, "clusters")
    assert plan.rounds(asked, task) == private_clusters.ROUNDS
    once = study(1.0, dealt, rounds={"quorum": 4, "maximum": 1})
    assert plan.rounds(once, plan.find(once, "clusters")) == 1
    ratio = costs.deviation(asked, task) / costs.deviation(once, task)
    assert ratio == pytest.approx(np.sqrt(private_clusters.ROUNDS))
    found = plain.run(asked, [dealt[0].__class__(**_empty(dealt[0]))] * 4)
    first, second = (
        task.start(asked, each).arrays["centres"]
        for each in (found, plain.run(asked, dealt))
    )
    assert np.array_equal(first, second)


def _empty(table: Table) -> dict[str, Any]:
    none = np.zeros(len(table.outcome), dtype=bool)
    return {
        "values": table.values[none],
        "outcome": table.outcome[none],
        "train": table.train[none],
        "person": table.person[none],
        "key": table.key[none],
        "people": {"train": 0, "test": 0},
        "report": (),
        "images": table.images[none],
    }


def test_of_noise_alone_no_group_is_told() -> None:
    dealt = promising.tables("breast_cancer")
    asked = study(0.1, dealt)
    task = plan.find(asked, "clusters")
    for state in promising.states(asked, dealt, 4):
        told = [
            g for g in task.read(asked, state)["groups"] if g["records"] is not None
        ]
        assert len(told) < 2
        (sheet,) = task.show(asked, state)
        assert "Withheld" in sheet.notes[-1]


def test_more_starts_are_for_exact_studies() -> None:
    more = {"analysis": {"clusters": {"groups": 2, "starts": 3}}}
    assert promising.study("wine", **more).analysis.clusters
    with pytest.raises(ValidationError, match="starts has no private form"):
        promising.study("wine", 1.0, **more)


def test_no_share_is_beyond_none_and_all() -> None:
    people = promising.tables("heart")
    asked = promising.study("heart", 2.0, **ASKED)
    task = plan.find(asked, "clusters")
    for state in promising.states(asked, people, 3):
        for group in task.read(asked, state)["groups"]:
            centre = group["centre"] or {}
            shares = [mean for name, mean in centre.items() if " = " in name]
            assert all(0.0 <= share <= 1.0 for share in shares)
