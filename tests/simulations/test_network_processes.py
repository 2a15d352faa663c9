"""A network over real processes, masked, a hospital killed in the middle: same bits."""

from pathlib import Path

import numpy as np
import pytest

from simulations import engine, processes
from tests import clinics

NAMES = ("east", "north", "south")


@pytest.mark.slow
def test_a_network_goes_on_after_a_kill_to_the_same_bits(tmp_path: Path) -> None:
    training = {"steps": 8, "rate": 0.05}
    study = clinics.study(
        study={**clinics.ABOUT, "sites": list(NAMES)},
        model={"kind": "tabular_network", "dense": [4], "training": training},
        rounds={"quorum": 3, "deadline_seconds": 120},
    )
    assert study.masked
    sites = clinics.hospitals(tmp_path, study)
    ran = processes.engine(kill_one=True)(study, sites)
    assert len(ran.rejoined) == 1
    whole = engine.run(study, sites)
    for name, state in whole.states.items():
        for key, array in state.arrays.items():
            np.testing.assert_array_equal(ran.outcome.states[name].arrays[key], array)
