"""SuperLink, gateway and two hospitals as real processes: the same, to the bit."""

import io
import logging
import os
import shutil
import signal
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Message
from flwr.proto.runtime_pb2 import PushAppMessagesRequest

from client.trust import enrolment as hospital
from common.errors import StudyError
from common.task import State
from common.travel import parcels, seal, wire
from server.conduct.rounds import Outcome
from server.conduct.studies import Progress
from server.members import consortium, enrolment
from server.running import executor, superlink
from simulations.engines import engine, processes
from simulations.engines.processes import Federation
from tests import clinics, outcomes, residents
from tests.papers import now

NAMES = ("north", "south")
STUDY = clinics.study(rounds={"quorum": 2, "deadline_seconds": 40})


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return clinics.hospitals(tmp_path_factory.mktemp("real"), STUDY)


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, sites: list[Path]
) -> Iterator[Federation]:
    folder = tmp_path_factory.mktemp("federation")
    with processes.federation(folder, STUDY, sites) as made:
        for name in NAMES:  # whichever test comes first here
            while "connected to" not in (folder / f"{name}.log").read_text():
                made.crew.tend()
                time.sleep(0.05)
        yield made


def same(one: Outcome, other: Outcome) -> None:
    assert one.roster == NAMES
    outcomes.same(one, other)


def conducted(running: Federation) -> Outcome:
    """Run the study once more, with this process in the place of a runner."""
    for path in running.sites:
        residents.approve(path, STUDY)
    book = running.folder / "journal"
    shutil.rmtree(book, ignore_errors=True)
    settings = {"consortium": str(running.aggregator), "journal": str(book)}
    return executor.conduct(STUDY, running.link, settings)


def test_the_study_equals_the_in_process_one(
    running: Federation, sites: list[Path]
) -> None:
    same(processes.run(STUDY, running), engine.run(STUDY, sites))


def hostile(trace: Path) -> bytes:
    """Return a bundle whose every module would leave a trace where it is run."""
    code = f"open({str(trace)!r}, 'a').write('ran')\n"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("pyproject.toml", superlink.BUNDLE)
        for name in ("client", "server", "common"):
            archive.writestr(f"{name}/__init__.py", code)
            archive.writestr(f"{name}/app.py", code)
    return packed.getvalue()


def test_shipped_code_is_never_run(
    running: Federation, sites: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = running.folder
    trace, log = place / "ran", running.aggregator / "logs" / "gateway.log"
    asked = log.read_text().count("get-fab")
    monkeypatch.setattr(executor, "bundle", lambda: hostile(trace))
    same(conducted(running), engine.run(STUDY, sites))
    assert not trace.exists()
    assert not list(place.rglob("apps"))
    assert log.read_text().count("get-fab") == asked


def test_a_large_message_goes_part_by_part(
    running: Federation, sites: list[Path]
) -> None:
    made = consortium.load(running.folder / "aggregator")
    state = State({"x": np.zeros(parcels.INLINE // 8 + 1)})
    place = wire.Place(STUDY.digest(), "run", "describe", 1)
    plain = wire.ask(wire.Ask(place, state, NAMES))
    question = seal.sign(plain, wire.ROUND, seal.AGGREGATOR, made.signing_key)
    assert len(sites) == len(NAMES)
    _, token = executor.take(running.link)
    with executor.acquired(running.link, token) as grid:
        asked = [Message(question, node, wire.ROUND) for node in grid.get_node_ids()]
        first = parcels.pack(asked[0])  # announced, and then the line broke
        grid._runtime.PushMessages(
            PushAppMessagesRequest(
                messages_list=[first.head], message_object_trees=[first.tree]
            )
        )
        replies = list(grid.send_and_receive(asked, timeout=20))
    assert len(replies) == len(NAMES)  # no study is open: refused, but read
    reasons = [reply.error.reason for reply in replies]
    assert all(each.startswith("refused, id ") for each in reasons), reasons
    assert "pull-object" in (running.aggregator / "logs" / "gateway.log").read_text()


def test_a_certificate_is_renewed_while_a_study_runs(
    running: Federation, sites: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    """No round is lost, and from then on only the new certificate comes in."""
    caplog.set_level(logging.INFO)
    home = running.folder / "north" / "state"
    log = running.folder / "north.log"
    made = consortium.load(running.folder / "aggregator")
    secret = (running.folder / "passphrase").read_bytes()
    root = consortium.unlock(made, made.folder / "ca.key", secret)

    def renew() -> None:
        while "logistic: round 1" not in caplog.text:
            time.sleep(0.02)
        south = running.crew.pid("south")
        os.kill(south, signal.SIGSTOP)  # or the study would be over before the mail
        try:
            asked = hospital.renew(home, now()).request()
            answer = enrolment.admit(made, root, asked, now())
            while "replaced by a newer one" not in log.read_text():
                time.sleep(0.05)  # the admission is on its way, by mail
            known = log.read_text().count("connected to")
            hospital.admitted(answer, home, now())
            while log.read_text().count("connected to") == known:
                time.sleep(0.05)
        finally:
            os.kill(south, signal.SIGCONT)

    thread = threading.Thread(target=renew)
    thread.start()
    same(conducted(running), engine.run(STUDY, sites))
    thread.join()
    same(conducted(running), engine.run(STUDY, sites))
    assert "north has opened the study again" in caplog.text


def test_a_study_that_failed_at_the_aggregator_keeps_its_place_and_its_fix() -> None:
    error = StudyError("it did not settle", where="model.ridge", fix="ridge = 1.0")
    failed = processes._failed("small", Progress("failed", error=error.facts()))
    assert failed.what == "it did not settle"
    assert (failed.hints["where"], failed.hints["fix"]) == (
        "model.ridge",
        "ridge = 1.0",
    )
    assert processes._failed("small", Progress("stopped")).what == "small has stopped"
