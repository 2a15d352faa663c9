"""The real apps on the in-process Grid: the plain loop's result, refusals, and bits."""

import logging
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Message, RecordDict

import client.app
from client import site
from client.door.opened import open_study
from client.learning.training import Design
from common import plan
from common.errors import IntegrityError, QuorumError, StudyError
from common.study import Study
from common.task import fingerprint
from common.travel import wire
from server.conduct.line import POLL_LAST, Line, exchange
from simulations import plain
from simulations.engines import engine
from simulations.engines.engine import InProcess
from tests import clinics

SITES = ("north", "south")


def hospitals(place: Path, study: Study, sites: Iterable[str] = SITES) -> list[Path]:
    paths = []
    for seed, name in enumerate(sites):
        records = clinics.lines(60, seed)
        path = clinics.folder(place / name, records, approved=study.digest())
        path.write_text(path.read_text().replace('"north"', f'"{name}"'))
        paths.append(path)
    return paths


def test_the_apps_equal_the_plain_loop(tmp_path: Path) -> None:
    study = clinics.study()
    paths = hospitals(tmp_path, study)
    outcome = engine.run(study, paths)
    tables = [open_study(site.read(path), study, clinics.TODAY).table for path in paths]
    expected = plain.run(study, tables)
    assert outcome.roster == SITES
    assert list(outcome.rounds) == list(expected)
    for name, state in expected.items():
        for key, array in state.arrays.items():
            np.testing.assert_array_equal(outcome.states[name].arrays[key], array)


def test_two_runs_give_the_same_bits(tmp_path: Path) -> None:
    study = clinics.study()
    paths = hospitals(tmp_path, study)
    one, two = engine.run(study, paths), engine.run(study, reversed(paths))
    for name in one.states:
        for key, array in one.states[name].arrays.items():
            assert array.tobytes() == two.states[name].arrays[key].tobytes()


def test_nothing_stays_open_when_a_study_is_over(tmp_path: Path) -> None:
    study = clinics.study()
    engine.run(study, hospitals(tmp_path, study))
    assert client.app.SHELF.held == {}


def test_bytes_are_counted_both_ways(tmp_path: Path) -> None:
    study = clinics.study()
    outcome = engine.run(study, hospitals(tmp_path, study))
    width = sum(f.size for f in _release(study, "describe").values())
    assert outcome.received["north"] > 8 * width
    assert outcome.sent["north"] > len(study.canonical())


def _release(study: Study, task: str) -> dict[str, object]:
    return dict(plan.find(study, task).release(study))


def test_a_site_that_refuses_is_counted_out_and_told_only_an_id(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    study = clinics.study()
    paths = hospitals(tmp_path, study)
    text = paths[1].read_text().replace(study.digest(), "0" * 64)
    paths[1].write_text(text)
    with caplog.at_level(logging.WARNING, "consilium.client"):
        outcome = engine.run(study, paths)
    assert outcome.roster == ("north",)
    (reason,) = outcome.refusals
    assert reason.startswith("node 2: not approved yet, id ")
    number = reason.removeprefix("node 2: not approved yet, id ")
    assert f"refused (id {number})" in caplog.text
    assert "has not approved this version" in caplog.text


def test_nothing_stays_open_when_a_run_fails(tmp_path: Path) -> None:
    study = clinics.study(rounds={"quorum": 1, "maximum": 1, "deadline_seconds": 2})
    with pytest.raises(StudyError, match="did not settle in 1 rounds"):
        engine.run(study, hospitals(tmp_path, study))
    assert client.app.SHELF.held == {}


def test_too_few_sites_end_the_run_by_name(tmp_path: Path) -> None:
    study = clinics.study(rounds={"quorum": 2})
    paths = hospitals(tmp_path, study)
    (paths[1].parent / "export.csv").unlink()
    with pytest.raises(QuorumError, match="1 of 2 needed sites") as caught:
        engine.run(study, paths)
    assert "refused, id" in caught.value.hints["likely"]


def test_a_small_hospital_does_not_answer(tmp_path: Path) -> None:
    study = clinics.study(disclosure={"min_people": 43})
    with pytest.raises(QuorumError):
        engine.run(study, hospitals(tmp_path, study))


def test_the_stricter_floor_is_kept(tmp_path: Path) -> None:
    study = clinics.study(rounds={"quorum": 2})
    paths = hospitals(tmp_path, study)
    text = paths[0].read_text().replace('"north"', '"north"\nmin_people = 60', 1)
    paths[0].write_text(text)
    with pytest.raises(QuorumError, match="1 of 2"):
        engine.run(study, paths)


def test_two_nodes_under_one_name_count_once(tmp_path: Path) -> None:
    study = clinics.study(rounds={"quorum": 2})
    paths = hospitals(tmp_path, study, ["north"])
    with pytest.raises(IntegrityError, match="two nodes say that they are north"):
        engine.run(study, [*paths, *paths])


class Deaf(InProcess):
    """A grid on which one site falls silent after it has opened the study."""

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        replies = super().pull_messages(message_ids)
        return [
            reply
            for reply in replies
            if reply.metadata.src_node_id == 1
            or reply.metadata.message_type == wire.OPEN
        ]


def test_a_silent_site_is_named_and_not_waited_for_forever(tmp_path: Path) -> None:
    study = clinics.study(rounds={"quorum": 1, "deadline_seconds": 1})
    paths = hospitals(tmp_path, study)
    with pytest.raises(QuorumError, match="round 1 of describe is incomplete") as error:
        engine.on(Deaf(paths, 1), study)
    assert "no answer from south within 1 s" in error.value.hints["likely"]


def test_a_fault_at_a_site_travels_as_an_id_without_its_text(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    study = clinics.study()
    (path,) = hospitals(tmp_path, study, ["north"])
    opened = open_study(site.read(path), study, clinics.TODAY)
    narrow = clinics.rows(
        opened.table.values[:, :1], opened.table.outcome, opened.table.train
    )
    client.app.SHELF.hold(replace(opened, design=Design(narrow)))
    grid = InProcess([path], 7)
    engine.become(7)
    opened.memory.begin("run")
    fit = plan.find(study, "logistic")
    state = fit.start(study, plain.run(study, [opened.table]))
    who, state_ = wire.roster(("north",)), fingerprint(state.arrays)
    place = wire.Place(study.digest(), "run", "logistic", 1, state_, who, 1)
    question = wire.ask(wire.Ask(place, state, ("north",)))
    message = Message(question, dst_node_id=1, message_type=wire.ROUND)
    (reply,) = grid.send_and_receive([message])
    client.app.SHELF.drop(str(path), study.digest())
    assert reply.has_error()
    assert "index" not in reply.error.reason
    assert "IndexError" in caplog.text
    assert "out of bounds" not in caplog.text


def test_a_round_without_an_open_study_is_refused(tmp_path: Path) -> None:
    study = clinics.study()
    grid = InProcess(hospitals(tmp_path, study, ["north"]), 8)
    engine.become(8)
    message = Message(wire.closing(study.digest(), "run"), 1, wire.CLOSE)
    (reply,) = grid.send_and_receive([message])
    assert reply.has_error()


def test_the_protocol_version_is_checked(tmp_path: Path) -> None:
    study = clinics.study()
    grid = InProcess(hospitals(tmp_path, study, ["north"]), 9)
    record = wire.opening(study, "run")
    record["about"]["protocol"] = 2
    engine.become(9)
    (reply,) = grid.send_and_receive([Message(record, 1, wire.OPEN)])
    assert reply.has_error()


def test_the_poll_is_patient_but_bounded(tmp_path: Path) -> None:
    study = clinics.study()
    naps: list[float] = []
    ticks = iter(range(100))
    one = Line(
        Deaf(hospitals(tmp_path, study), 1),
        10,
        clock=lambda: float(next(ticks)),
        sleep=naps.append,
    )
    exchange(one, RecordDict(), wire.CLOSE, {2: "south"}, one.until())
    assert naps[0] < 0.05
    assert max(naps) <= POLL_LAST
