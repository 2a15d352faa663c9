"""The operator's commands, a real aggregator and two hospitals, to the same bits."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from common.study import Study
from server import sealed, studies
from server.rounds import Outcome
from server.studies import Submitted
from simulations import engine, processes
from simulations.processes import AGGREGATOR, Federation
from tests import clinics, outcomes
from tests.enrolling import Desk
from tests.server.test_processes import alive
from tests.tomls import toml

NAMES = ("north", "south")


def study(name: str) -> Study:
    about = {**clinics.ABOUT, "name": name, "sites": list(NAMES)}
    return clinics.study(study=about, rounds={"quorum": 2, "deadline_seconds": 120})


FIRST, SECOND = study("first"), study("second")


@pytest.fixture
def hospitals(tmp_path: Path) -> list[Path]:
    paths = clinics.hospitals(tmp_path / "real", FIRST)
    for path in paths:
        text, both = path.read_text(), f'{FIRST.digest()}", "{SECOND.digest()}'
        path.write_text(text.replace(FIRST.digest(), both))
    return paths


def same(one: Outcome, other: Outcome) -> None:
    assert one.roster == NAMES
    outcomes.same(one, other)


def orphans(running: Federation, given: Submitted) -> list[int]:
    """Return who was left behind; the runner hangs, or it would end the study alone."""
    locks = running.aggregator / "run"
    os.kill(int((locks / given.folder.name).read_text()), signal.SIGSTOP)
    found = [int(lock.read_text()) for lock in locks.iterdir()]
    return [pid for pid in found if alive(pid)]


def test_an_operators_day(
    tmp_path: Path, hospitals: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    desk = Desk(tmp_path, capsys)
    for each in (FIRST, SECOND):
        (tmp_path / f"{each.study.name}.toml").write_text(toml(each))
    with processes.federation(tmp_path / "net", FIRST, hospitals) as running:
        where = ("--dir", running.aggregator)
        facts = desk.facts("server", "submit", tmp_path / "first.toml", *where)
        assert facts["running"] is True
        same(processes.run(FIRST, running), engine.run(FIRST, hospitals))

        seen = desk.facts("server", "status", *where)
        assert [each["connected"] for each in seen["sites"]] == [True, True]
        assert seen["studies"][0]["phase"] == "finished"
        pid = seen["running"]["pid"]
        assert pid == running.crew.pid(AGGREGATOR)
        command = processes._consilium("server", "start", *map(str, where))
        twice = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        assert twice.returncode == 2
        assert f"running already: process {pid}" in twice.stderr

        out = tmp_path / "results"
        found = desk.facts("server", "report", "first", *where, "--out", out)
        assert json.loads((out / "report.json").read_text()) == found
        assert found["study"]["digest"] == FIRST.digest()
        assert {each["name"] for each in found["sites"]} == set(NAMES)
        assert 0 < found["seconds"] < 120

        desk.facts("server", "submit", tmp_path / "second.toml", *where)
        left: list[int] = []

        def kill_once(given: Submitted) -> None:
            if not left and len(list(given.journal.glob(f"*{sealed.ENDING}"))) > 2:
                running.crew.kill(AGGREGATOR)
                left.extend(orphans(running, given))

        same(processes.run(SECOND, running, kill_once), engine.run(SECOND, hospitals))
        assert len(left) >= 3  # the SuperLink, the gateway and the runner
        assert not any(alive(each) for each in left)
        private(running.aggregator)
        events(running.aggregator / "logs" / "aggregator.log")
        given = studies.find(running.aggregator, "second")
        assert studies.progress(given).error is None


def private(folder: Path) -> None:
    """Assert that no other user can read what an aggregator has written."""
    for path in folder.rglob("*"):
        if path.name != ".lock":
            assert not path.stat().st_mode & 0o077, path


def events(log: Path) -> None:
    """Assert that every line is a JSON object, and that what happened is there."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert {"time", "level", "text"} <= set.intersection(*map(set, lines))
    told = [line.get("event") for line in lines]
    assert told.count("listening") == 2
    assert {"started", "registered", "orphan", "ended"} <= set(told)
    assert {line["site"] for line in lines if "site" in line} == set(NAMES)
