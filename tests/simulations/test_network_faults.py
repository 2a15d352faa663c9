"""A network when one of four hospitals sends what it must not, or drops out."""

from pathlib import Path

import numpy as np
import pytest

from client import site
from client.door.opened import open_study
from common.errors import IntegrityError
from common.release import Summands
from common.task import State
from common.travel import wire
from server.conduct import asking
from simulations import plain, private
from simulations.private import Hospitals
from tests import clinics as small
from tests.simulations.test_engine import hospitals
from tests.simulations.test_masked_study import (
    NAMES,
    Watched,
    _soon,  # noqa: F401 - waits less than in life
    study_of,
)
from tests.simulations.test_masked_study import run as asked_over
from tests.simulations.test_tabular_network import quality
from tests.simulations.test_votes import honest, learning, run

TWICE = (4, 11)
"""Rounds in which a part is wrong: fewer than a tenth of all."""


@pytest.fixture(scope="module")
def clinics() -> Hospitals:
    return private.opened(None)


def test_a_part_a_hundred_times_too_large_is_taken_back(clinics: Hospitals) -> None:
    def multiplied(number: int, state: State, answer: Summands) -> Summands:
        del state
        return {**answer, "sum": answer["sum"] * 100} if number in TWICE else answer

    study, tables = learning(clinics), list(clinics.tables)
    states = run(study, clinics, multiplied)
    assert states["tabular_network"].kept["taken_back"] == len(TWICE)
    clean = quality(study, run(study, clinics, honest), tables)[0]
    assert quality(study, states, tables)[0] > clean - 0.03


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_what_is_no_number_is_not_added(clinics: Hospitals, number: float) -> None:
    def spoiled(_: int, state: State, answer: Summands) -> Summands:
        del state
        return {**answer, "sum": np.append(answer["sum"][1:], number)}

    with pytest.raises(IntegrityError, match="not finite"):
        run(learning(clinics), clinics, spoiled)


@pytest.mark.parametrize("window", [1, 4])
def test_a_masked_network_goes_on_over_the_survivors(
    tmp_path: Path, window: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "WINDOW", window)
    model = {"kind": "tabular_network", "dense": [4], "dropout": 0.3}
    study = study_of(
        rounds={"dropouts": 1, "deadline_seconds": 3, "maximum": 100},
        model={**model, "training": {"steps": 4}},
    )
    paths = hospitals(tmp_path, study, list(NAMES))
    found = asked_over(study, Watched(paths, {3: wire.ROUND}))
    left = [path for path in paths if path.parent.name != "south"]
    tables = [open_study(site.read(path), study, small.TODAY).table for path in left]
    expected = plain.run(study, tables)["tabular_network"].arrays["parameters"]
    given = found.states["tabular_network"].arrays["parameters"]
    np.testing.assert_allclose(given, expected, atol=1e-6)
