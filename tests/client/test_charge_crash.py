"""Whatever dies around a charge: what was released was charged, and never twice told.

A crash is put at every write, sync and rename; what was not synced may be lost.
"""

import collections
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import client.app
from client import site
from client.books import ledger, spending
from client.door import budget
from common import privacy
from tests import charges, clinics
from tests.charges import Aggregator

STUDY = charges.study()
STEPS = 14
"""More than the writes, syncs and renames of one answer."""


class Crash(BaseException):
    """The process died: nothing that catches an error catches this."""


class Disk:
    """A disk on which the process dies at a chosen step, once."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.left, self.loses, self.part = -1, False, 0.0
        self.taken: collections.Counter[str] = collections.Counter()
        self._synced: dict[str, int] = {}
        self._fsync, self._write = os.fsync, ledger.write_all
        self._replace = Path.replace
        patch.setattr(os, "fsync", self.sync)
        patch.setattr(ledger, "write_all", self.write)
        patch.setattr(Path, "replace", self._method())

    def arm(self, step: int, part: float, *, loses: bool) -> None:
        """Die at *step*, with *part* of what is being written on the disk."""
        self.left, self.part, self.loses = step, part, loses

    def write(self, file: int, data: bytes) -> None:
        self._synced[_name(file)] = os.fstat(file).st_size
        if self._dies("write"):
            self._write(file, data[: int(self.part * len(data))])
            raise Crash
        self._write(file, data)

    def sync(self, file: int) -> None:
        if self._dies("sync"):
            if self.loses and (before := self._synced.get(_name(file))) is not None:
                os.ftruncate(file, before)
            raise Crash
        self._fsync(file)

    def replace(self, path: Path, to: Path) -> Path:
        if self._dies("rename"):
            if not self.loses:
                self._replace(path, to)
            raise Crash
        return self._replace(path, to)

    def _method(self) -> Callable[[Path, Path], Path]:
        """Return :meth:`replace` as a method of paths: a function, so that it binds."""

        def replace(path: Path, to: Path) -> Path:
            return self.replace(path, to)

        return replace

    def _dies(self, what: str) -> bool:
        self.taken[what] += 1
        self.left -= 1
        return self.left == -1


def _name(file: int) -> str:
    return str(Path(f"/proc/self/fd/{file}").readlink())


class Site(RuleBasedStateMachine):
    """One site, asked and killed; kept is all that the aggregator ever heard."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(charges.plan, "tasks", lambda _: (charges.COUNT,))
        self.folder = tempfile.TemporaryDirectory()
        path = charges.site(Path(self.folder.name) / "north", STUDY)
        self.asked, self.disk = Aggregator(path), Disk(self.patch)
        self.run, self.number, self.opened = 0, 1, False
        self.heard: dict[tuple[str, int], set[str]] = collections.defaultdict(set)

    def teardown(self) -> None:
        self.patch.undo()
        client.app.SHELF.held.clear()
        self.folder.cleanup()

    @rule(step=st.integers(0, STEPS), part=st.floats(0, 1), loses=st.booleans())
    def dies_soon(self, step: int, part: float, *, loses: bool) -> None:
        self.disk.arm(step, part, loses=loses)

    @initialize()
    def opens(self) -> None:
        reply = self._lives(lambda: self.asked.open(STUDY, f"run {self.run}"))
        self.opened = bool(reply and reply.has_content())

    @rule(again=st.booleans())
    def asks(self, *, again: bool) -> None:
        """Ask the next round, or the last one once more."""
        if not self.opened:
            self.opens()
        number = max(1, self.number - again)
        if not self.opened or number > charges.ROUNDS:
            return
        run = f"run {self.run}"
        reply = self._lives(lambda: self.asked.ask(STUDY, number, run=run))
        if reply and reply.has_content():
            self.heard[run, number].add(charges.seal(reply))
            self.number = number + 1

    @rule()
    def restarts(self) -> None:
        self.asked.restart()
        self.opened = False
        self.opens()

    @rule()
    def closes_and_runs_again(self) -> None:
        if self.opened:
            self._lives(lambda: self.asked.close(STUDY, f"run {self.run}"))
        self.opened, self.run, self.number = False, self.run + 1, 1

    @invariant()
    def every_answer_was_charged_and_told_once(self) -> None:
        charged = collections.Counter(
            (str(each.facts["run"]), int(each.facts["sequence"]))
            for each in self._entries()
            if each.kind == "released"
        )
        for place, answers in self.heard.items():
            assert len(answers) <= charged[place], place
            assert len(answers) == 1, "the same question had another answer"

    @invariant()
    def no_more_is_spent_than_was_granted(self) -> None:
        entries = self._entries()
        under = budget.granted(site.read(self.asked.path), entries)
        events = spending.spent(spending.accounts(entries, clinics.TODAY))
        assert privacy.epsilon_of(events, under.delta) <= under.epsilon + 1e-5

    def _entries(self) -> tuple[Any, ...]:
        return site.read(self.asked.path).entries()

    def _lives(self, step: Any) -> Any:
        """Return what *step* returns, or nothing when the process died in it."""
        try:
            return step()
        except Crash:
            self.asked.restart()
            self.opened = False
            return None


TestSite = Site.TestCase
TestSite.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


@pytest.mark.slow
class TestMany(Site.TestCase):  # type: ignore[misc,name-defined]
    settings = settings(max_examples=600, stateful_step_count=40, deadline=None)


@pytest.mark.parametrize("loses", [True, False])
def test_a_crash_at_every_step_of_one_answer(loses: bool) -> None:  # noqa: FBT001
    """Each step by itself: the site goes on, and pays once more at most."""
    reached, step = True, 0
    while reached:
        machine = Site()
        machine.opens()
        machine.disk.taken.clear()
        machine.disk.arm(step, 0.5, loses=loses)
        machine.asks(again=False)
        reached, step = machine.disk.left < 0, step + 1
        machine.disk.left = -1
        machine.opens()
        machine.asks(again=False)
        assert machine.heard[("run 0", 1 if reached else 2)]
        machine.asks(again=True)
        machine.every_answer_was_charged_and_told_once()
        machine.no_more_is_spent_than_was_granted()
        kinds = [each.kind for each in machine._entries()]
        assert kinds.count("released") <= 2
        if not reached:
            assert machine.disk.taken.keys() >= {"write", "sync", "rename"}
        machine.teardown()
    assert step >= 6


def test_killed_at_any_moment_what_was_sent_was_charged(tmp_path: Path) -> None:
    path = charges.site(tmp_path / "north", STUDY, budget="epsilon = 300")
    program = (
        "import sys; from tests import charges; "
        "charges.answer_forever(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))"
    )
    draw = np.random.default_rng(7)
    run, number = 0, 1
    heard: dict[tuple[str, int], set[str]] = collections.defaultdict(set)
    for _ in range(5):
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and program
            [sys.executable, "-c", program, str(path), str(run), str(number)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        assert process.stdout
        said = [process.stdout.readline()]
        time.sleep(draw.uniform(0.0, 0.4))
        process.kill()
        said += process.communicate()[0].splitlines()
        for line in filter(str.strip, said):
            if line.count(" ") != 3:
                continue  # it was killed in the middle of the line
            at, which, answer, _ = line.split()
            run, number = int(at), int(which)
            assert answer != "no", line
            if answer == "asked":
                continue
            heard[f"run-{run}", number].add(answer)
        if number == charges.ROUNDS:
            run, number = run + 1, 1
    charged = collections.Counter(
        (str(each.facts["run"]), int(each.facts["sequence"]))
        for each in site.read(path).entries()
        if each.kind == "released"
    )
    assert len(heard) > 5
    for place, answers in heard.items():
        assert len(answers) == 1 <= charged[place], place
