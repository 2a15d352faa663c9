"""A hospital that is revoked in the middle of a study: nothing more of it counts."""

import os
import signal
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from common.errors import QuorumError, UsageError
from server import consortium, enrolment, retry, sealed, studies
from server.studies import Submitted
from simulations import processes
from simulations.processes import Federation
from tests import clinics

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


def rounds(given: Submitted) -> int:
    return len(list(given.journal.glob(f"*{sealed.ENDING}")))


def test_who_is_revoked_in_mid_study_holds_it_up_by_name(tmp_path: Path) -> None:
    paths = clinics.hospitals(tmp_path / "real", ASKED)
    for path in paths:
        both = f'{ASKED.digest()}", "{AFTER.digest()}'
        path.write_text(path.read_text().replace(ASKED.digest(), both))
    with processes.federation(tmp_path / "net", ASKED, paths) as running:
        seen: list[int] = []

        def once(given: Submitted) -> None:
            if not seen and rounds(given) > 2:
                runner = int(
                    (running.aggregator / "run" / given.folder.name).read_text()
                )
                os.kill(runner, signal.SIGSTOP)  # no round ends while it is revoked
                seen.append(rounds(given))
                revoke(running, "west")
                os.kill(runner, signal.SIGCONT)

        with pytest.raises(QuorumError) as told:
            processes.run(ASKED, running, once)
        given = studies.find(running.aggregator, ASKED.digest())
        assert "west" in str(told.value)
        assert seen[0] <= rounds(given) <= seen[0] + 1  # an answer may have been here
        assert studies.needing(running.aggregator, "west") == ()
        with pytest.raises(UsageError, match="exact, and its sites were asked already"):
            retry.retry(given, ["west"])
        assert processes.run(AFTER, running).roster == ("north", "south")
        until, log = time.monotonic() + 20, running.folder / "west.log"
        while "this side's certificate was revoked" not in log.read_text("utf-8"):
            assert time.monotonic() < until
            time.sleep(0.1)
