"""A hospital that is revoked in the middle of a study: nothing more of it counts."""

import os
import signal
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flwr.app import Message
from flwr.proto.node_pb2 import NodeInfo

import client.app
from client import site
from client.books import home
from common.errors import QuorumError, UsageError
from common.travel import wire
from server.conduct import retry, rounds, sealed, studies
from server.conduct.studies import Submitted
from server.members import consortium, enrolment
from simulations.engines import engine, processes
from simulations.engines.engine import InProcess
from simulations.engines.processes import Federation
from tests import clinics, residents

NAMES = ("north", "south", "west")
RULES = {"quorum": 2, "deadline_seconds": 8, "secure_aggregation": False}
ASKED = clinics.study(
    study={**clinics.ABOUT, "name": "held-up", "sites": list(NAMES)}, rounds=RULES
)
AFTER = clinics.study(
    study={**clinics.ABOUT, "name": "goes-on", "sites": list(NAMES[:2])}, rounds=RULES
)


def revoke(running: Federation, site: str) -> None:
    """Do what ``consilium server revoke`` does."""
    opened = consortium.load(running.aggregator)
    secret = (running.folder / "passphrase").read_bytes()
    root = consortium.unlock(opened, opened.folder / "ca.key", secret)
    enrolment.revoke(opened, root, site, datetime.now(UTC))


def recorded(given: Submitted) -> int:
    return len(list(given.journal.glob(f"*{sealed.ENDING}")))


def test_who_is_revoked_in_mid_study_holds_it_up_by_name(tmp_path: Path) -> None:
    paths = clinics.hospitals(tmp_path / "real", ASKED)
    for path in paths:
        both = f'{ASKED.digest()}", "{AFTER.digest()}'
        path.write_text(path.read_text().replace(ASKED.digest(), both))
    with processes.federation(tmp_path / "net", ASKED, paths) as running:
        seen: list[int] = []

        def once(given: Submitted) -> None:
            if not seen and recorded(given) > 2:
                runner = int(
                    (running.aggregator / "run" / given.folder.name).read_text()
                )
                os.kill(runner, signal.SIGSTOP)  # no round ends while it is revoked
                seen.append(recorded(given))
                revoke(running, "west")
                os.kill(runner, signal.SIGCONT)

        with pytest.raises(QuorumError) as told:
            processes.run(ASKED, running, once)
        given = studies.find(running.aggregator, ASKED.digest())
        assert "west" in str(told.value)
        assert seen[0] <= recorded(given) <= seen[0] + 1  # an answer may have been here
        assert studies.needing(running.aggregator, "west") == ()
        with pytest.raises(UsageError, match="exact, and its sites were asked already"):
            retry.retry(given, ["west"])
        assert processes.run(AFTER, running).roster == ("north", "south")
        until, log = time.monotonic() + 20, running.folder / "west.log"
        while "this side's certificate was revoked" not in log.read_text("utf-8"):
            assert time.monotonic() < until
            time.sleep(0.1)


def test_an_approval_that_ends_in_mid_study_ends_the_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The day after its last is in the third round: that one is not answered."""
    told, today = list[str](), datetime.now(UTC)
    paths = [_until(residents.found(tmp_path, AFTER), today)]
    paths.append(paths[0].parents[1] / "south" / "site.toml")
    _until(paths[1], today + timedelta(days=9))

    class Days(InProcess):
        def get_nodes(self) -> list[NodeInfo]:
            return [NodeInfo(node_id=n + 1, name=NAMES[n]) for n in range(2)]

        def _answer(self, message: Message) -> str:
            told.append(message.metadata.message_type)
            if told.count(wire.ROUND) > 4:
                monkeypatch.setattr(client.app, "_now", lambda: today + timedelta(1))
            return super()._answer(message)

    grid = Days(paths, 91)
    engine.become(91)
    with pytest.raises(
        QuorumError, match="missing since the study opened: north"
    ) as said:
        rounds.run(AFTER, grid)
    assert "; north: approval expired, id " in said.value.hints["likely"]
    client.app.SHELF.held.clear()
    released = [e for e in site.read(paths[0]).entries() if e.kind == "released"]
    assert len(released) == 2


def _until(path: Path, last: datetime) -> Path:
    """Let the steward at *path* approve the study until the day *last*, and no more."""
    lines = [x for x in path.read_text().splitlines() if not x.startswith("approved")]
    path.write_text("\n".join(lines))
    note = home.about("approved", AFTER, by="ada", until=f"{last:%Y-%m-%d}")
    home.note(site.read(path).home, note, lambda: last)
    return path
