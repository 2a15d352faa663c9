"""The resident process at a real gateway and SuperLink: back at once, and silent."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from client.trust import credentials
from client.trust import enrolment as hospital
from common import terminal
from common.cli import build
from common.errors import QuorumError
from server.members import consortium as consortia
from server.members import enrolment
from server.members.authority import Authority
from server.members.consortium import Consortium
from server.running import superlink
from simulations.engines import processes
from simulations.engines.processes import Federation
from tests import clinics

STUDY, OTHER = (
    clinics.study(
        study={**clinics.ABOUT, "name": name, "sites": ["north"]},
        rounds={"quorum": 1, "deadline_seconds": 20},
    )
    for name in ("small", "other")
)
CANARY = "Kanarienvogel"
BROKEN = f"""
import logging, sys, warnings
from client.learning import training

def broken(*_):
    logging.getLogger("pandas").error("{CANARY}")
    warnings.warn("{CANARY}")
    raise ValueError("could not convert string to float: '{CANARY}'")

training.run = broken
sys.argv[0] = "consilium"
from common.cli import main
main()
"""
CONSILIUM = Path(sys.executable).with_name("consilium")
CONNECTED = "INFO connected to"


@dataclass(frozen=True)
class Place:
    """A federation of one hospital, and the key of its authority."""

    running: Federation
    made: Consortium
    root: Authority

    @property
    def site(self) -> Path:
        return self.running.sites[0]

    @property
    def home(self) -> Path:
        return self.site.parent / "state"

    @property
    def log(self) -> Path:
        return self.running.folder / "north.log"

    def connects(self) -> int:
        return self.log.read_text().count(CONNECTED)

    def await_(self, times: int, seconds: float = 40) -> float:
        """Wait until it has connected so many *times*; return the seconds it took."""
        begun = time.monotonic()
        while self.connects() < times:
            assert time.monotonic() - begun < seconds, self.log.read_text()
            time.sleep(0.02)
        return time.monotonic() - begun


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("net")
    real = clinics.folder(folder / "real", clinics.lines(60))
    with processes.federation(folder / "net", STUDY, [real]) as running:
        made = consortia.load(running.aggregator)
        words = (running.folder / "passphrase").read_bytes().strip()
        root = consortia.unlock(made, made.folder / "ca.key", words)
        found = Place(running, made, root)
        found.await_(1)
        yield found


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def facts(
    capsys: pytest.CaptureFixture[str], *arguments: str | Path, code: int = 0
) -> dict[str, object]:
    command = ["client", *map(str, arguments), "--json"]
    assert terminal.run(build(), command) == code
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def test_after_a_kill_it_is_back_at_once(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    crew, before = place.running.crew, place.connects()
    told = len(place.log.read_text())
    crew.kill("north")
    killed = facts(capsys, "status", "--site", place.site)
    assert killed["running"] is False
    crew.start("north")
    took = place.await_(before + 1)
    said = place.log.read_text()[told:]
    assert took < 12, "Flower alone would let it wait for about 20 s"
    assert "does not take this hospital in" not in said
    again = facts(capsys, "status", "--site", place.site)
    assert again["pid"] == crew.pid("north")


def test_a_second_one_is_refused_and_the_first_stays(place: Place) -> None:
    ended = subprocess.run(  # noqa: S603 - our own command
        [CONSILIUM, "client", "start", "--site", place.site],
        env=superlink.settings(),
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert ended.returncode == 4
    number = place.running.crew.pid("north")
    assert f"runs already: process {number}" in ended.stderr
    assert f"kill {number}" in ended.stderr


def test_all_is_well_and_the_doctor_says_so(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    told = facts(capsys, "doctor", "--site", place.site)
    checks = {each["check"]: each for each in told["checks"]}  # type: ignore[attr-defined]
    assert {each["state"] for each in checks.values()} == {"ok"}
    authority = credentials.load(place.home).invite.ca_fingerprint
    assert authority in checks["tls"]["text"]


def test_a_renewed_certificate_is_picked_up_while_it_runs(place: Place) -> None:
    before, number = place.connects(), place.running.crew.pid("north")
    first = json.loads((place.home / "node.json").read_text())
    asked = hospital.renew(place.home, _now())
    answer = enrolment.admit(place.made, place.root, asked.request(), _now())
    hospital.admitted(answer, place.home, _now())
    assert place.await_(before + 1, 60) < 60
    assert place.running.crew.pid("north") == number
    second = json.loads((place.home / "node.json").read_text())
    assert first["node"] != second["node"]
    seen = place.log.read_text()  # the home or, at worst, the door was quicker
    words = ("the certificate in the home was renewed", "keeps the newer one")
    assert any(each in seen for each in words)
    assert processes.run(STUDY, place.running).roster == ("north",)


def test_what_an_exception_says_stays_in_nobodys_hands(place: Place) -> None:
    place.running.crew.stop("north")
    both = f'approved = ["{STUDY.digest()}", "{OTHER.digest()}"]'
    one = f'approved = ["{STUDY.digest()}"]'
    place.site.write_text(place.site.read_text().replace(one, both))
    log = place.running.folder / "broken.log"
    with log.open("wb") as out:
        process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-c", BROKEN, "client", "start", "--site", place.site],
            env={**superlink.settings(), "PYTHONWARNINGS": "always"},
            stdout=out,
            stderr=out,
            cwd=place.home,
        )
    try:
        with pytest.raises(QuorumError) as caught:
            processes.run(OTHER, place.running)
    finally:
        process.terminate()
        process.wait(10)
        place.running.crew.start("north")
    assert CANARY not in str(caught.value)
    assert "refused, id " in str(caught.value)
    said = log.read_text()
    assert "ValueError" in said
    assert said.count("said something (withheld)") >= 2
    number = str(caught.value).partition("refused, id ")[2][:8]
    assert f"(id {number})" in said
    assert '"reason":"ValueError"' in (place.home / "ledger.jsonl").read_text()
    left = [each for each in place.running.folder.rglob("*") if each.is_file()]
    assert any(each.name == "state.db" for each in left)
    for each in left:
        with suppress(FileNotFoundError):  # they still run, and lay files aside
            assert CANARY.encode() not in each.read_bytes(), each
