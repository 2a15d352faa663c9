"""Networks on every engine, masked: the same bits, whoever drops out or is killed."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Message

from common.study import Study
from common.travel import wire
from server.conduct import question, sealed, studies
from server.conduct.rounds import Outcome
from server.conduct.studies import Submitted
from simulations.engines import engine, processes
from simulations.engines.actors import OnRay
from simulations.engines.engine import InProcess
from tests import clinics, outcomes, rays

ray = rays.ray
NAMES = ("east", "north", "south", "west")
TRAINING = {"steps": 6, "rate": 0.05}
MODELS: dict[str, dict[str, Any]] = {
    "tabular_network": {"dense": [4], "dropout": 0.3, "training": TRAINING},
    "image_network": {"blocks": [4], "groups": 2, "training": TRAINING},
}
FILMS = """\
[sources.films]
kind = "images"
file = "export.csv"
pixels = "films.npz"
person = "patient"
event_time = "visit"
missing = ["NA", "-9"]

[columns.film]
column = "place"
"""
RECORDS = 60
GONE = 3
"""The node that drops out for good."""
EARLY = 4
"""Rounds that are over before a process is killed."""

pytestmark = pytest.mark.slow


def film(place: Path, seed: int) -> None:
    """Let the hospital in a folder have a picture of each of its records."""
    draw = np.random.default_rng(seed)
    pixels = draw.integers(0, 256, (RECORDS, 4, 4), dtype=np.uint8)
    np.savez(place / "films.npz", images=pixels)
    head, *lines = (place / "export.csv").read_text().splitlines()
    listed = [f"{line},{number}" for number, line in enumerate(lines)]
    (place / "export.csv").write_text("\n".join([f"{head},place", *listed]) + "\n")
    text = (place / "site.toml").read_text()
    rest = text.partition("[columns.age]")
    (place / "site.toml").write_text(
        text.partition("[data]")[0] + FILMS + "\n" + rest[1] + rest[2]
    )


def world(kind: str, place: Path, dropouts: int) -> tuple[Study, list[Path]]:
    """Return a study of a network, and its hospitals in a folder."""
    needs = clinics.NEEDS.get(kind, {})
    study = clinics.study(
        study={**clinics.ABOUT, "sites": list(NAMES)},
        model={"kind": kind, **MODELS[kind]},
        rounds={"quorum": 4, "dropouts": dropouts, "deadline_seconds": 120},
        **needs,
    )
    assert study.masked
    sites = clinics.hospitals(place, study, RECORDS)
    if needs:
        for seed, site in enumerate(sites):
            film(site.parent, seed)
    return study, sites


Round = tuple[str, int]
"""A task, and which round of it."""


def of(message: Message) -> Round | None:
    """Return the round for which a message asks, if it asks for an upload."""
    if message.metadata.message_type != wire.ROUND:
        return None
    place = wire.read_place(message.content)
    return place.task, place.round


class Leaving(InProcess):
    """A grid on which a hospital is silent from one round on."""

    def __init__(self, sites: Iterable[Path], last: Round) -> None:
        super().__init__(sites, next(engine.RUN))
        self.last, self.gone = last, False

    def _answer(self, message: Message) -> str:
        if message.metadata.dst_node_id != GONE:
            return super()._answer(message)
        self.gone |= of(message) == self.last
        number = super()._answer(message)
        if self.gone:
            self._replies.pop(number, None)
        return number


class Burnt(OnRay):
    """A grid on which a hospital's process dies at one round, and no other begins."""

    last: Round

    def _call(self, message: Message) -> str:
        if message.metadata.dst_node_id == GONE and of(message) == self.last:
            self._ray.kill(self._hospitals[GONE])
        return super()._call(message)


def without(study: Study, sites: list[Path], last: Round) -> Outcome:
    """Run in one process, with a hospital that drops out."""
    return engine.on(Leaving(sites, last), study)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(question, "GRACE", 1.0)  # in this process


@pytest.mark.parametrize("kind", MODELS)
def test_on_ray_after_a_kill(ray: Any, kind: str, tmp_path: Path) -> None:
    study, sites = world(kind, tmp_path, dropouts=0)
    grid = OnRay(ray, sites, study, kill_one=True)
    outcomes.same(engine.conduct(grid, grid.keys, study), engine.run(study, sites))
    assert grid.rejoined == NAMES[:1]


@pytest.mark.parametrize("kind", MODELS)
def test_on_ray_with_a_dropout(ray: Any, kind: str, tmp_path: Path) -> None:
    study, sites = world(kind, tmp_path, dropouts=1)
    grid = Burnt(ray, sites, study)
    grid.last = (kind, EARLY)
    found = engine.conduct(grid, grid.keys, study)
    outcomes.same(found, without(study, sites, grid.last))


@pytest.mark.parametrize("kind", MODELS)
def test_in_processes_after_a_kill(kind: str, tmp_path: Path) -> None:
    study, sites = world(kind, tmp_path, dropouts=0)
    ran = processes.engine(kill_one=True)(study, sites)
    assert ran.rejoined == NAMES[:1]
    outcomes.same(ran.outcome, engine.run(study, sites))


@pytest.mark.parametrize("kind", MODELS)
def test_in_processes_with_a_dropout(kind: str, tmp_path: Path) -> None:
    study, sites = world(kind, tmp_path, dropouts=1)
    left: list[str] = []
    with processes.federation(tmp_path / "net", study, sites) as running:

        def meanwhile(given: Submitted) -> None:
            if not left and len(studies.written(given)) >= EARLY:
                left.append(NAMES[GONE - 1])
                running.crew.kill(left[0])
                running.crew.stop(left[0])

        found = processes.run(study, running, meanwhile)
        journal = studies.find(running.aggregator, study.digest()).journal
        last = lost(journal, left[0])
    outcomes.same(found, without(study, sites, last))


def lost(journal: Path, name: str) -> Round:
    """Return the first round to which a hospital did not contribute."""
    facts = [record.facts for record, _ in sealed.read(journal)]
    rounds = [each for each in facts if "task" in each]
    return next((e["task"], e["round"]) for e in rounds if name not in e["answers"])
