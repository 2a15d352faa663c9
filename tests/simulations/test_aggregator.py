"""The operator's commands, a real aggregator and two hospitals, to the same bits."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from common.study import Study
from server.conduct import sealed, studies
from server.conduct.rounds import Outcome
from server.conduct.studies import Submitted
from simulations.engines import engine, processes
from simulations.engines.processes import AGGREGATOR, Federation
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
        assert twice.returncode == 4
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


def test_stewards_and_an_operator_who_does_not_wait(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Approved while it waits, begun below its quorum, stopped and begun anew."""
    about = {**clinics.ABOUT, "name": "slow", "sites": [*NAMES, "west"]}
    rules = {"quorum": 2, "deadline_seconds": 120, "secure_aggregation": False}
    asked = clinics.study(study=about, rounds=rules)
    desk, paths = Desk(tmp_path, capsys), clinics.hospitals(tmp_path / "real", asked)
    for path in paths:
        path.write_text(path.read_text().replace(asked.digest(), "0" * 64))
    (tmp_path / "slow.toml").write_text(toml(asked))
    with processes.federation(tmp_path / "net", asked, paths) as running:
        where = ("--dir", running.aggregator)

        def seen(words: str) -> str:
            """Return the status once it says *words*."""
            until = time.monotonic() + 90
            while words not in (text := desk.run("server", "status", *where)[1]):
                assert time.monotonic() < until, text
                time.sleep(0.1)
            return text

        def ledger(path: Path) -> str:
            return (path.parent / "state" / "ledger.jsonl").read_text()

        desk.facts("server", "submit", tmp_path / "slow.toml", *where)
        north, south, west = running.sites
        first = seen("north (not approved yet, id ").partition("north (")[2]
        number = first.partition("id ")[2][:8]
        assert f'"id":"{number}"' in ledger(north)
        yes = ("--i-am-approving", "slow")
        desk.facts("client", "approve", "slow", "--site", north, *yes)
        seen("waiting for south (not approved yet")
        desk.facts("client", "deny", "slow", "--site", west, "--reason", "no")
        seen("west (denied, id ")

        desk.facts("server", "stop", "slow", *where)
        seen(f"slow ({asked.digest()[:12]}) stopped")
        assert '"kind":"closed"' in ledger(north)

        desk.facts("server", "submit", "slow", *where)
        desk.facts("server", "begin", "slow", *where)
        seen("told to begin, as soon as 2 of its 3 sites are in: 1 now")
        desk.facts("client", "approve", "slow", "--site", south, *yes)
        seen(f"slow ({asked.digest()[:12]}) finished")
        outcome = studies.outcome(studies.find(running.aggregator, "slow"))
        assert outcome.roster == NAMES
        assert [each.partition(",")[0] for each in outcome.refusals] == ["west: denied"]


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


@pytest.mark.slow
def test_a_hospital_that_is_gone_is_left_out_by_one_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Killed in a masked study that promises privacy; three of four go on, anew."""
    about = {**clinics.ABOUT, "name": "fewer", "sites": [*NAMES, "east", "west"]}
    asked = clinics.study(
        study=about,
        rounds={"quorum": 3, "deadline_seconds": 8},
        privacy={"epsilon": 1.0, "delta": 1e-5, "noise": "site"},
    )
    desk, paths = Desk(tmp_path, capsys), clinics.hospitals(tmp_path / "real", asked)
    for path in paths:
        path.write_text(f"{path.read_text()}\n[budget]\nepsilon = 3.0\n")
    (tmp_path / "fewer.toml").write_text(toml(asked))
    with processes.federation(tmp_path / "net", asked, paths) as running:
        where, stopped = ("--dir", running.aggregator), list[str]()

        def until(phase: str) -> Submitted:
            """Tend everything until the study is in *phase*."""
            end = time.monotonic() + 240
            given = studies.find(running.aggregator, "fewer")
            while (now := studies.progress(given)).phase != phase:
                assert time.monotonic() < end, now
                running.crew.tend()
                if len(studies.written(given)) > 1 and not stopped:
                    stopped.append("west")
                    running.crew.stop("west")
                time.sleep(0.05)
            return given

        desk.facts("server", "submit", tmp_path / "fewer.toml", *where)
        error = studies.progress(until("failed")).error or {}
        fix = str(error["fix"])
        command = fix.partition("; or   ")[2].split()
        assert command[-2:] == ["--without", "west"]
        desk.facts(*command[1:])
        outcome = studies.outcome(until("finished"))
    assert outcome.roster == ("east", "north", "south")
    assert "west: left out by the aggregator's operator" in outcome.refusals
