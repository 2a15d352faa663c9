"""A network whose arrays lie in files learns what one in memory does, to the bit."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

import client.app
from common import large_arrays
from common.study import Study
from common.tasks.networks import voting
from common.travel import wire
from common.trust.private_files import Step
from server.conduct import journal, rounds, sealed, studies
from server.conduct import voice as voices
from server.conduct.rounds import Outcome, Terms
from server.conduct.studies import Submitted
from simulations.benches import message_memory
from simulations.dealt import hospitals
from simulations.engines import engine, processes
from tests import clinics
from tests.simulations.test_kills import KINDS, Killer
from tests.simulations.test_resume import KILLED, Fuse, killed

NAMES = ["east", "north", "south"]
MEGA, MOST = 40.0, 3.5
"""MB of weights; and how many times that a process may take for them."""
SHARED = 10.0
"""The same for the SuperLink, whose requests and caches are 270 MB at any size."""
WHILE = 10.0
"""Seconds of a round within which a process is killed."""


def asked(
    optimizer: str, wait: int = 1, dense: Sequence[int] = (4,), **training: object
) -> Study:
    """Return a masked study of a network, a small one unless its layers are *dense*."""
    said = {"steps": 8, "rate": 0.05, "optimizer": optimizer, **training}
    study = clinics.study(
        study={**clinics.ABOUT, "sites": NAMES},
        model={"kind": "tabular_network", "dense": [*dense], "training": said},
        rounds={"quorum": 3, "deadline_seconds": wait},
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
    monkeypatch.setattr(voting, "EVEN", -1.0)  # these outcomes are drawn by lots
    study = asked(optimizer, **training)
    paths = clinics.hospitals(tmp_path, study)
    held = engine.run(study, paths)
    monkeypatch.setattr(large_arrays, "LARGE", 64)
    monkeypatch.setattr(large_arrays, "SOME", 5)
    same(held, engine.run(study, paths, tmp_path / "journal"))


@pytest.fixture
def filed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let arrays of a small network lie in files."""
    monkeypatch.setattr(large_arrays, "LARGE", 64)
    monkeypatch.setattr(large_arrays, "SOME", 5)


def attempt(study: Study, paths: list[Path], folder: Path, fuse: Step) -> Outcome:
    """Run *study* until the journal in *folder* burns its *fuse* down."""
    engine.become(60)
    grid = engine.InProcess(paths, 60)
    keys = (str(grid.keys[name]) for name in ("key", "pinned"))
    terms = Terms(voices.simulated(*keys))
    with journal.held(folder, study.digest(), wire.PROTOCOL, fuse) as book:
        return rounds.run(study, grid, book, terms)


def cut(study: Study, paths: list[Path], folder: Path, moment: int) -> None:
    """Kill all of a run at one *moment* of its journal."""
    fuse = Fuse(moment)
    assert killed(lambda: attempt(study, paths, folder, fuse)) == KILLED


@pytest.mark.usefixtures("filed")
def test_a_run_with_large_states_is_killed_at_any_moment(tmp_path: Path) -> None:
    study = asked("adam")
    paths, fuse = clinics.hospitals(tmp_path, study), Fuse()
    whole = attempt(study, paths, tmp_path / "whole", fuse)
    moments = fuse.passed
    ends = [n for n, moment in enumerate(moments) if moment == "drop"]
    assert len(ends) >= whole.rounds["tabular_network"] - 1, "each drops an older one"
    draw = np.random.default_rng()
    middle, last = ends[len(ends) // 2], len(moments) - 1
    inside = draw.choice(range(middle, last), 4, replace=False)
    for moment in {middle, middle + 1, last, *map(int, inside)}:
        client.app.SHELF.held.clear()
        folder = tmp_path / str(moment)
        cut(study, paths, folder, moment)
        same(whole, engine.run(study, paths, folder))


@pytest.mark.usefixtures("filed")
def test_a_run_goes_on_from_arrays_that_stay_in_their_file(tmp_path: Path) -> None:
    study = asked("adam")
    paths, fuse = clinics.hospitals(tmp_path, study), Fuse()
    attempt(study, paths, tmp_path / "whole", fuse)
    client.app.SHELF.held.clear()
    folder = tmp_path / "journal"
    cut(study, paths, folder, len(fuse.passed) // 2)
    with journal.held(folder, study.digest(), wire.PROTOCOL) as book:
        arrays = [a for e in book.last.values() for a in e.state.kept.values()]
        assert any(each.base is not None for each in arrays), "some are not read yet"


@pytest.mark.usefixtures("filed")
def test_what_a_run_keeps_does_not_grow_with_its_rounds(tmp_path: Path) -> None:
    """When it is over, the states that the result is made of are there and no other."""
    peaks = []
    for steps in (4, 12):
        place, most = tmp_path / str(steps), [0]
        place.mkdir()
        study = asked("adam", steps=steps)
        paths, folder = clinics.hospitals(place, study), place / "journal"

        def look(_: str, folder: Path = folder, most: list[int] = most) -> None:
            size = sum(each.stat().st_size for each in folder.glob("*.arrays"))
            most[0] = max(most[0], size)

        client.app.SHELF.held.clear()
        attempt(study, paths, folder, look)
        peaks.append(most[0])
        left = {each.stem for each in folder.glob("*.arrays")}
        records = [record for record, _ in sealed.read(folder)]
        lasts = {
            each.facts["task"]: n
            for n, each in enumerate(records)
            if "task" in each.facts
        }
        assert left == {f"{n:06}" for n in lasts.values()}
    assert 0 < peaks[1] < 1.5 * peaks[0]


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


def late(killer: Killer) -> Callable[[Submitted], None]:
    """Let *killer* look when a round has lasted for a while, and its parts travel."""
    begun: dict[int, float] = {}

    def look(given: Submitted) -> None:
        now, rounds = time.monotonic(), len(studies.written(given))
        due = begun.setdefault(rounds, now + killer.draw.uniform(0, WHILE))
        if now > due:
            killer.look(given)

    return look


@pytest.mark.slow
def test_a_large_network_is_killed_and_learned_to_the_same_bits(tmp_path: Path) -> None:
    study = asked("adam", 600, dense=message_memory.widths(MEGA / 2, 8), steps=6)
    sites = clinics.hospitals(tmp_path, study)
    order = ["all", "hospital", "inside", "aggregator"]
    with processes.federation(tmp_path / "f", study, sites) as running:
        killer = Killer(running, order, np.random.default_rng())
        outcome = processes.run(study, running, late(killer))
        given = studies.find(running.aggregator, study.digest())
        assert len(killer.done) == len(KINDS)
        assert len(list(given.journal.glob("*.arrays"))) == 1, "what it came to"
        assert not list(running.folder.glob("*/state/answers/*")), "of no round"
    same(engine.run(study, sites), outcome)
