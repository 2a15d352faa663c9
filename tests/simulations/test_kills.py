"""Any process may be killed at any moment: every study ends with the same bits."""

import logging
import os
import secrets
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

import client.app
from common.study import Study
from server.conduct import sealed, studies
from server.conduct.rounds import Outcome
from server.conduct.studies import Submitted
from simulations.engines import engine, processes
from simulations.engines.processes import AGGREGATOR, Federation
from tests import clinics, outcomes

LOG = logging.getLogger("consilium.tests")
NAMES = ("east", "north", "south")
KINDS = ("aggregator", "inside", "hospital", "all")
INSIDE = ("superlink", "gateway", "runner")
"""What the aggregator's process looks after."""
OF_EACH = int(os.environ.get("CONSILIUM_KILLS", "50"))
"""How often the long test kills each kind: half an hour of two idle processors."""
SETTLE = 1.0
"""Seconds within which the next one is killed, once a round was recorded again."""


def study(number: int) -> Study:
    about = {**clinics.ABOUT, "name": f"small-{number}", "sites": list(NAMES)}
    return clinics.study(study=about, rounds={"quorum": 3, "deadline_seconds": 120})


@dataclass
class Killer:
    """Kills processes in the order given, each after a round has got through."""

    running: Federation
    left: list[str]
    draw: np.random.Generator
    due: float = field(default_factory=lambda: time.monotonic() + SETTLE)
    seen: int = -1
    done: list[str] = field(default_factory=list)

    def look(self, given: Submitted) -> None:
        rounds = len(list(given.journal.glob(f"*{sealed.ENDING}")))
        if rounds == self.seen or not self.left or time.monotonic() < self.due:
            return
        kind = self.left.pop()
        self.kill(kind)
        self.done.append(kind)
        self.seen = rounds
        self.due = time.monotonic() + self.draw.uniform(0, SETTLE)

    def kill(self, kind: str) -> None:
        chosen = {
            "aggregator": (AGGREGATOR,),
            "inside": (str(self.draw.choice(INSIDE)),),
            "hospital": (str(self.draw.choice(NAMES)),),
            "all": (AGGREGATOR, *INSIDE, *NAMES),
        }[kind]
        for name in {AGGREGATOR, *NAMES} & set(chosen):
            self.running.crew.kill(name)
        for lock in (self.running.aggregator / "run").iterdir():
            if (lock.name if lock.name in INSIDE else "runner") in chosen:
                with suppress(ProcessLookupError, ValueError):  # it may be dead
                    os.kill(int(lock.read_text()), signal.SIGKILL)


@pytest.fixture
def hospitals(tmp_path: Path) -> list[Path]:
    paths = []
    for seed, name in enumerate(NAMES):
        lines = clinics.lines(60, seed)
        path = clinics.folder(tmp_path / "real" / name, lines, approved="0" * 64)
        every = ", ".join(f'"{study(number).digest()}"' for number in range(100))
        text = path.read_text().replace('"north"', f'"{name}"')
        path.write_text(text.replace(f'"{"0" * 64}"', every))
        paths.append(path)
    return paths


@pytest.fixture(autouse=True)
def _nothing_open() -> Iterator[None]:
    yield
    client.app.SHELF.held.clear()


def same(one: Outcome, other: Outcome) -> None:
    assert one.roster == NAMES
    outcomes.same(one, other)


def once_each(given: Submitted, outcome: Outcome) -> None:
    """Assert that every round is recorded once, in its order, with who contributed."""
    facts = [record.facts for record, _ in sealed.read(given.journal)]
    rounds = [each for each in facts if "task" in each]
    expected = [(t, n + 1) for t, count in outcome.rounds.items() for n in range(count)]
    assert [(each["task"], each["round"]) for each in rounds] == expected
    assert all(tuple(sorted(each["answers"])) == NAMES for each in rounds)


def survive(tmp_path: Path, hospitals: list[Path], times: int) -> None:
    seed = secrets.randbits(32)
    draw = np.random.default_rng(seed)
    order = [str(kind) for kind in draw.permutation(KINDS * times)]
    LOG.info("seed %d: %s", seed, order[::-1])
    with processes.federation(tmp_path / "f", study(0), hospitals) as running:
        killer, number = Killer(running, order, draw), 0
        while killer.left:
            killer.seen = -1
            asked = study(number)
            outcome = processes.run(asked, running, killer.look)
            same(outcome, engine.run(asked, hospitals))
            once_each(studies.find(running.aggregator, asked.digest()), outcome)
            number += 1
    assert len(killer.done) == times * len(KINDS)


def test_three_kills_of_each_kind(tmp_path: Path, hospitals: list[Path]) -> None:
    survive(tmp_path, hospitals, 3)


@pytest.mark.slow
def test_fifty_kills_of_each_kind(tmp_path: Path, hospitals: list[Path]) -> None:
    survive(tmp_path, hospitals, OF_EACH)
