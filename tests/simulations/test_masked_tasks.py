"""Every task runs under masks, and comes to the same: each model, each analysis."""

from collections.abc import Sequence

import numpy as np
import pytest

from client.table import Table
from common.registry import ANALYSES, MODELS
from common.study import Study
from simulations import plain
from simulations.benches import mask_bench
from simulations.engines import engine
from tests import clinics, test_analyses

NAMES = ("east", "north", "south", "west")
ABOUT = {**clinics.ABOUT, "sites": list(NAMES)}
PEOPLE = 240
SELECTED = {"ridge": [0.1, 1.0, 10.0], "folds": 3}


SLOW = {"image_network"}
"""TensorFlow is loaded for it; the other network loads PyTorch."""


def models() -> list[object]:
    pairs = [(kind, each) for kind, m in MODELS.items() for each in m.outcomes]
    return [
        pytest.param(*each, marks=[pytest.mark.slow] * (each[0] in SLOW))
        for each in sorted(pairs)
    ]


def table_of(outcome: str) -> list[Table]:
    places = np.random.default_rng(1).integers(0, len(NAMES), PEOPLE)
    return clinics.dealt(clinics.table(PEOPLE, 1, outcome), places)


def same_under_masks(study: Study, tables: Sequence[Table]) -> None:
    """Assert that the apps, masked, come to what the plain loop comes to."""
    assert study.masked
    with mask_bench.opened(study, tables) as paths:
        found = engine.run(study, paths)
    expected = plain.run(study, tables)
    assert set(found.states) == set(expected)
    for name, state in expected.items():
        for key, array in state.arrays.items():
            error = np.abs(found.states[name].arrays[key] - array)
            assert (error <= 1e-9 * np.maximum(1.0, np.abs(array))).all(), (name, key)


@pytest.mark.parametrize(("kind", "outcome"), models())
def test_every_model_of_every_outcome(kind: str, outcome: str) -> None:
    study = clinics.study(
        study=ABOUT,
        rounds={"quorum": 4},
        outcome=clinics.OUTCOMES[outcome],
        model={"kind": kind, **clinics.MODELS[kind]},
        **clinics.NEEDS.get(kind, {}),
    )
    same_under_masks(study, table_of(outcome))


@pytest.mark.parametrize("name", sorted(ANALYSES))
def test_every_analysis(name: str) -> None:
    asked = test_analyses.study(**{name: test_analyses.ASKED[name]}).model_dump(
        exclude={"study", "rounds"}, exclude_none=True
    )
    study = Study.model_validate(asked | {"study": ABOUT, "rounds": {"quorum": 4}})
    same_under_masks(study, table_of("survival" if name == "survival" else "binary"))


def test_selection_and_explanations() -> None:
    explained = {"test": 0.3, "bins": 200, "explain": True}
    study = clinics.study(
        study=ABOUT,
        rounds={"quorum": 4, "maximum": 200},
        selection=SELECTED,
        evaluation=explained,
    )
    same_under_masks(study, table_of("binary"))
