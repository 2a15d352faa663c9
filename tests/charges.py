"""A tiny private study at one site, asked as an aggregator asks, and killed."""

import hashlib
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Message

import client.app
from client.books import ledger
from common import plan
from common.release import Field
from common.study import Study
from common.task import Noisy, State, Task, fingerprint
from common.travel import wire
from simulations.engines import engine
from simulations.engines.engine import InProcess
from tests import clinics

SITES = ("north", "south")
ROUNDS = 5
PRIVACY = {"epsilon": 1.0, "delta": 1e-5, "noise": "site"}
COUNT = Task(
    name="count",
    rows="train",
    encoded=False,
    shows=lambda _: {},
    release=lambda _: {"records": Field("records", (2,), "sum")},
    start=lambda _study, _found: State({}),
    local=lambda _study, _state, rows: {"records": np.full(2, float(len(rows.y)))},
    finish=lambda _study, _state, total: State(total, done=True),
    read=lambda _study, state: {"records": float(state.arrays["records"][0])},
    noisy=Noisy(
        each=lambda _study, _state, rows: np.ones((len(rows.y), 2)),
        clip=lambda _: 1.5,
        rounds=lambda _: ROUNDS,
        weight=1.0,
    ),
)


def study(**changes: Any) -> Study:
    """Return a study that promises privacy, and only describes."""
    return clinics.study(
        **{"privacy": PRIVACY, "model": None, "evaluation": None, **changes}
    )


def site(place: Path, *studies: Study, budget: str = "epsilon = 1.5") -> Path:
    """Write a hospital with a home that approves *studies*; return its site.toml."""
    path = clinics.folder(place, clinics.lines(60), approved="0" * 64)
    every = ", ".join(f'"{each.digest()}"' for each in studies)
    text = path.read_text().replace(f'"{"0" * 64}"', every)
    path.write_text(f'home = "state"\n{text}\n[budget]\n{budget}\n')
    return path


@contextmanager
def counting() -> Iterator[None]:
    """Let every study run COUNT and nothing else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "tasks", lambda _study: (COUNT,))
        yield


class Aggregator:
    """Asks one site, and keeps to nothing that it should keep to."""

    def __init__(self, path: Path) -> None:
        engine.become(70)
        self.path, self.grid = path, InProcess([path], 70)

    def open(self, study: Study, run: str = "run") -> Message:
        return self._send(wire.opening(study, run), wire.OPEN)

    def close(self, study: Study, run: str = "run") -> Message:
        return self._send(wire.closing(study.digest(), run), wire.CLOSE)

    def ask(
        self, study: Study, number: int, task: str = "count", **other: Any
    ) -> Message:
        """Ask round *number* of *task*, from the state and in the run of *other*."""
        sites = other.get("sites", study.study.sites)
        state = State(other.get("arrays", {}))
        place = wire.Place(
            *(study.digest(), other.get("run", "run"), task, number),
            state=other.get("hash", fingerprint(state.arrays)),
            roster=wire.roster(sites),
            sequence=other.get("sequence", number),
        )
        return self._send(wire.ask(wire.Ask(place, state, sites)), wire.ROUND)

    def restart(self) -> None:
        """Let the site forget whatever is not on its disk."""
        del self
        client.app.SHELF.held.clear()

    def _send(self, content: Any, kind: str) -> Message:
        (reply,) = self.grid.send_and_receive([Message(content, 1, kind)])
        return reply


def vector(reply: Message) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the numbers of an answer."""
    return wire.read_answer(reply.content).vector


def seal(reply: Message) -> str:
    return hashlib.sha256(vector(reply).tobytes()).hexdigest()


def answer_forever(path: str, run: int, sequence: int) -> None:
    """Answer round after round and run after run; say each question and its answer.

    Whoever was killed goes on from the question that was asked last.
    """

    def say(*words: object) -> None:
        sys.stdout.write(" ".join(map(str, words)) + "\n")
        sys.stdout.flush()

    def slowly(file: int, data: bytes) -> None:
        for place in range(0, len(data), 16):
            ledger.os.write(file, data[place : place + 16])
            time.sleep(0.0001)

    ledger.write_all = slowly
    asked, own = Aggregator(Path(path)), study()
    with counting():
        while True:
            opened = asked.open(own, f"run-{run}")
            for number in range(sequence, ROUNDS + 1):
                say(run, number, "asked", opened.has_content())
                reply = asked.ask(own, number, run=f"run-{run}")
                said = seal(reply) if reply.has_content() else "no"
                say(run, number, said, opened.has_content())
            asked.close(own, f"run-{run}")
            run, sequence = run + 1, 1
