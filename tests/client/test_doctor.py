"""Each check of the doctor fails when it should, says what mends it, and no more."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from client.line import checks, presence
from client.line.checks import Patient
from client.office import doctor
from client.office.doctor import CHECKS, Finding
from common import terminal
from common.cli import build
from common.errors import MachineError
from tests import clinics, residents

STUDY = clinics.study()
CANARY = "Kanarienvogel"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return residents.found(tmp_path, STUDY)


def examine(path: Path, **other: Any) -> dict[str, Finding]:
    found = {each.check: each for each in doctor.examine(Patient(path, **other))}
    assert list(found) == list(CHECKS)
    return found


def states(found: dict[str, Finding], state: str) -> set[str]:
    return {name for name, each in found.items() if each.state == state}


def test_with_nobody_there_all_that_can_be_checked_is(site: Path) -> None:
    found = examine(site)
    assert states(found, "failed") == {"tcp", "process"}
    assert states(found, "skipped") == {"tls", "clock"}
    assert found["tls"].text == "needs tcp, which is not well"
    assert found["tcp"].fix.startswith("allow TCP out to 127.0.0.1 port 9")
    assert found["process"].fix == f"consilium client start --site {site}"
    assert (found["tcp"].code, found["process"].code) == (5, 4)
    assert "aggregator" in found["tcp"].fix


def test_the_exit_code_is_that_of_the_worst(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["client", "doctor", "--site", str(site)]
    assert terminal.run(build(), command) == 5
    shown = capsys.readouterr().out
    assert "failed   tcp " in shown
    assert "\n                      fix     consilium client start --site" in shown
    ledger = site.parent / "state" / "ledger.jsonl"
    ledger.touch(mode=0o600)
    ledger.write_text("no entry\n")
    assert terminal.run(build(), command) == 11


def test_without_settings_nothing_can_be_checked(tmp_path: Path) -> None:
    found = examine(tmp_path / "site.toml")
    assert states(found, "ok") == {"proxies", "versions"}
    assert states(found, "failed") == {"settings"}


def test_a_home_that_others_may_read_is_seen(site: Path) -> None:
    key = site.parent / "state" / "signing.key"
    key.chmod(0o640)
    found = examine(site)
    assert found["home"].fix == f"chmod 0600 {key}"
    assert "identity" in states(found, "skipped")
    (site.parent / "state").chmod(0o755)
    assert examine(site)["home"].fix == f"chmod 0700 {site.parent / 'state'}"


def test_a_site_that_did_not_join_is_told_how(tmp_path: Path) -> None:
    path = clinics.folder(tmp_path / "north", clinics.lines(20))
    path.write_text('home = "state"\n' + path.read_text())
    assert "consilium client join INVITE" in examine(path)["home"].fix
    (path.parent / "state").mkdir(mode=0o700)
    found = examine(path)
    assert "consilium client join INVITE" in found["identity"].fix
    assert found["identity"].state == "failed"
    assert found["data"].state == "ok"


def test_an_identity_of_another_site_is_seen(site: Path) -> None:
    site.write_text(site.read_text().replace('"north"', '"west"'))
    found = examine(site)
    assert found["identity"].text == "the identity is of north"
    assert found["identity"].fix == f'site = "north"   in {site}'


@pytest.mark.parametrize(
    ("left", "state", "says"),
    [(60, "ok", "until 20"), (6, "warning", "this week"), (-1, "failed", "expired on")],
)
def test_the_end_of_the_certificate_is_seen(
    site: Path, left: int, state: str, says: str
) -> None:
    ends = Patient(site).papers.certificate().not_valid_after_utc
    then = ends - timedelta(days=left)
    found = examine(site, clock=lambda: then)["certificate"]
    assert found.state == state
    assert says in found.text
    renew = f"consilium client renew --home {site.parent / 'state'}"
    assert found.fix == ("" if state == "ok" else renew)


def test_a_name_that_is_none_is_seen(site: Path) -> None:
    who = Patient(site)
    who.__dict__["host"] = "aggregator.invalid"
    found = {each.check: each for each in doctor.examine(who)}
    assert found["dns"].text.startswith("aggregator.invalid is no name")
    assert {"tcp", "tls", "clock"} <= states(found, "skipped")


@pytest.mark.parametrize(
    ("ahead", "state"),
    [(0, "ok"), (-1.5, "ok"), (3, "warning"), (-100, "warning"), (6, ""), (-301, "")],
)
def test_a_clock_that_goes_wrong_is_seen(ahead: float, state: str) -> None:
    if not state:
        with pytest.raises(
            MachineError, match=f"{abs(ahead)} s (ahead|behind)"
        ) as told:
            checks.compared(ahead)
        fix = told.value.hints["fix"]
        assert fix.startswith("timedatectl set-ntp true   # is this clock right")
        return
    assert bool(checks.compared(ahead).fix) == (state == "warning")


def test_proxies_are_told_and_not_obeyed(site: Path) -> None:
    found = examine(site, environment={"HTTPS_PROXY": f"http://{CANARY}", "A": "b"})
    assert found["proxies"].text == "HTTPS_PROXY: not used; the connection is direct"


def test_a_disk_that_is_full_is_seen(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "ROOM", 2**80)
    assert examine(site)["disk"].code == 4


def test_the_data_are_looked_at_and_no_value_is_told(site: Path) -> None:
    path = Patient(site).site.data_file.resolve()
    text = path.read_text().replace("chol", "cholesterol")
    path.write_text(text)
    found = examine(site)["data"]
    assert (found.code, found.state) == (9, "failed")
    assert "'chol' is not in export.csv" in found.text
    path.write_text(f"{CANARY},1,2\n" + text.partition("\n")[2])
    assert CANARY not in str(examine(site)["data"])
    path.unlink()
    assert "does not exist" in examine(site)["data"].text


def test_a_process_that_runs_is_seen(site: Path) -> None:
    with presence.alone(site.parent / "state"):
        assert "runs, starting" in examine(site)["process"].text


def test_a_check_that_breaks_does_not_hide_the_others(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Patient) -> None:
        raise ValueError(CANARY)

    monkeypatch.setitem(CHECKS, "disk", (broken, ()))
    found = examine(site)
    assert found["disk"].text == "this check broke: ValueError"
    assert found["ledger"].state == "ok"
