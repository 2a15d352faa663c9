"""Personal layers over real processes, a hospital killed in the middle: same bits."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from server.reports import report
from simulations.engines import engine, processes
from simulations.worth import result
from tests import clinics

NAMES = ("east", "north", "south")
PERSONAL = {"by": "weights", "batch": 16, "personal": "head"}


@pytest.mark.slow
def test_a_hospital_goes_on_with_its_own_layers_after_a_kill(tmp_path: Path) -> None:
    training = {"steps": 8, "rate": 0.05, **PERSONAL}
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
    assert all(each.together is None for each in made.sites)
    assert made.sites[0].name in report.page(made)
    whole = engine.run(study, sites)
    for name, state in whole.states.items():
        for key, array in state.arrays.items():
            np.testing.assert_array_equal(ran.outcome.states[name].arrays[key], array)
