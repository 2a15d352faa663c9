"""A network whose arrays lie in files learns what one in memory does, to the bit."""

from pathlib import Path

import numpy as np
import pytest

import client.app
from common import large_arrays
from common.study import Study
from server import journal
from server.rounds import Outcome
from simulations import engine, hospitals, message_memory
from tests import clinics

NAMES = ["east", "north", "south"]
MEGA, MOST = 40.0, 3.5
"""MB of weights; and how many times that a process may take for them."""
SHARED = 10.0
"""The same for the SuperLink, whose requests and caches are 270 MB at any size."""


def asked(optimizer: str, **training: object) -> Study:
    """Return a masked study of a small network."""
    said = {"steps": 8, "rate": 0.05, "optimizer": optimizer, **training}
    study = clinics.study(
        study={**clinics.ABOUT, "sites": NAMES},
        model={"kind": "tabular_network", "dense": [4], "training": said},
        rounds={"quorum": 3, "deadline_seconds": 1},
    )
    assert study.masked
    return study


def same(one: Outcome, other: Outcome) -> None:
    for name, state in one.states.items():
        for key, array in state.arrays.items():
            np.testing.assert_array_equal(other.states[name].arrays[key], array)


@pytest.mark.parametrize(
    ("optimizer", "training"),
    [
        ("adam", {}),
        ("momentum", {"votes": True}),
        ("adam", {"patience": 2}),
        ("plain", {"by": "weights", "batch": 20, "local_steps": 2}),
    ],
)
def test_it_is_the_same_network_wherever_its_arrays_lie(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    optimizer: str,
    training: dict[str, object],
) -> None:
    study = asked(optimizer, **training)
    paths = clinics.hospitals(tmp_path, study)
    held = engine.run(study, paths)
    monkeypatch.setattr(large_arrays, "LARGE", 64)
    monkeypatch.setattr(large_arrays, "SOME", 5)
    same(held, engine.run(study, paths, tmp_path / "journal"))


def test_a_run_whose_records_stay_in_their_files_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(large_arrays, "LARGE", 64)
    study = asked("adam")
    paths, folder = clinics.hospitals(tmp_path, study), tmp_path / "journal"
    whole = engine.run(study, paths, folder)
    records = sorted(folder.glob("*.record"))
    for path in records[len(records) // 2 :]:
        path.unlink()
    client.app.SHELF.held.clear()
    with journal.held(folder, study.digest(), 1) as book:
        arrays = [a for e in book.last.values() for a in e.state.kept.values()]
        assert any(each.base is not None for each in arrays), "some are not read yet"
    same(whole, engine.run(study, paths, folder))


@pytest.mark.slow
def test_no_process_takes_many_times_the_network(tmp_path: Path) -> None:
    path = hospitals.write(tmp_path)
    sites = [path.parent / name / "site.toml" for name in hospitals.NAMES]
    dense = message_memory.widths(MEGA, 9)
    small, large = (
        message_memory.peaks(message_memory.asked(path, each, "adam"), sites)
        for each in ((4,), dense)
    )
    for name, most in large.items():
        bound = SHARED if name == "Flower's SuperLink" else MOST
        assert most - small[name] < bound * MEGA, name
