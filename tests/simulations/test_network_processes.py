"""A network over real processes, masked, a hospital killed in the middle: same bits."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from server import report
from simulations import engine, processes, result
from tests import clinics

NAMES = ("east", "north", "south")


PERSONAL = {"by": "weights", "batch": 16, "personal": "head"}


@pytest.mark.slow
@pytest.mark.parametrize("more", [{}, PERSONAL], ids=["common", "personal"])
def test_a_network_goes_on_after_a_kill_to_the_same_bits(
    tmp_path: Path, more: dict[str, object]
) -> None:
    training = {"steps": 8, "rate": 0.05, **more}
    study = clinics.study(
        study={**clinics.ABOUT, "sites": list(NAMES)},
        model={"kind": "tabular_network", "dense": [4], "training": training},
        rounds={"quorum": 3, "deadline_seconds": 120},
    )
    assert study.masked
    sites = clinics.hospitals(tmp_path, study)
    done = result.simulate(study, sites, processes.engine(kill_one=True))
    ran = done.ran
    assert len(ran.rejoined) == 1
    made = result.report(done, datetime.now(UTC), 1.0, "")
    assert all((each.together is None) == bool(more) for each in made.sites)
    assert made.sites[0].name in report.page(made)
    whole = engine.run(study, sites)
    for name, state in whole.states.items():
        for key, array in state.arrays.items():
            np.testing.assert_array_equal(ran.outcome.states[name].arrays[key], array)
