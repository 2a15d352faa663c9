"""Hospitals as actors of Ray: the same bits, private, and back after a death.

What needs Ray is skipped where it is not installed; `make test-all` installs it.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from flwr.app import Message

from common.errors import MachineError, QuorumError
from common.study import Study
from common.travel import wire
from simulations.engines import actors, cluster, engine
from simulations.engines.actors import OnRay
from tests import clinics, outcomes, rays

NAMES = ("east", "north", "south", "west")


def study_of(**rounds: Any) -> Study:
    about = {**clinics.ABOUT, "sites": list(NAMES)}
    terms = {"quorum": 4, "deadline_seconds": 120, **rounds}
    made = clinics.study(study=about, rounds=terms)
    assert made.masked
    return made


ray = rays.ray


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, list[Path]]:
    study = study_of()
    return study, clinics.hospitals(tmp_path_factory.mktemp("world"), study)


def conducted(grid: OnRay, study: Study) -> Any:
    return engine.conduct(grid, grid.keys, study)


def test_ray_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*cluster.QUIET, *cluster.ALONE, cluster.TOKEN):
        monkeypatch.setenv(name, "as it was")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MachineError, match="needs the package ray") as caught:
        actors.on_ray(kill_one=False)
    assert caught.value.hints["fix"] == "pip install 'consilium[ray]'"


def test_a_long_name_of_the_temporary_folder_is_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/a/name/in/which/no/socket/would/fit")
    assert cluster._short() == "/tmp"  # noqa: S108 - the name alone
    monkeypatch.setattr(tempfile, "tempdir", "/tmp")  # noqa: S108
    assert cluster._short() is None


def test_nobody_loads_ray_who_did_not_choose_it() -> None:
    code = "import sys, simulations.engines.actors; sys.exit('ray' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603 - ours


@pytest.mark.slow
def test_the_study_equals_the_in_process_one(
    ray: Any, world: tuple[Study, list[Path]]
) -> None:
    study, sites = world
    grid = OnRay(ray, sites, study)
    outcomes.same(conducted(grid, study), engine.run(study, sites))
    assert grid.rejoined == ()


@pytest.mark.slow
def test_a_hospital_that_is_killed_comes_back_to_the_same_bits(
    ray: Any, world: tuple[Study, list[Path]]
) -> None:
    study, sites = world
    grid = OnRay(ray, sites, study, kill_one=True)
    outcomes.same(conducted(grid, study), engine.run(study, sites))
    assert grid.rejoined == ("east",)


class Burnt(OnRay):
    """A grid on which a hospital is gone for good from its first upload on."""

    node = 3

    def _call(self, message: Message) -> str:
        about = message.metadata
        if about.message_type == wire.ROUND and about.dst_node_id == self.node:
            self._ray.kill(self._hospitals[self.node])
        return super()._call(message)


@pytest.mark.slow
def test_a_hospital_that_is_gone_for_good_ends_the_run_by_name(
    ray: Any, tmp_path: Path
) -> None:
    study = study_of(deadline_seconds=10)
    grid = Burnt(ray, clinics.hospitals(tmp_path, study), study)
    with pytest.raises(QuorumError, match="south"):
        conducted(grid, study)


@pytest.mark.slow
def test_a_hospital_that_refuses_is_counted_out(ray: Any, tmp_path: Path) -> None:
    study = study_of(quorum=3, deadline_seconds=20)
    sites = clinics.hospitals(tmp_path, study)
    (sites[1].parent / "export.csv").unlink()
    found = conducted(OnRay(ray, sites, study), study)
    assert found.roster == ("east", "south", "west")
    assert found.refusals[0].startswith("node 2: refused, id ")
    outcomes.same(found, engine.run(study, sites))


@pytest.mark.slow
def test_ray_listens_on_loopback_and_its_files_are_this_users(ray: Any) -> None:
    (node,) = ray.nodes()
    assert node["NodeManagerAddress"] == "127.0.0.1"
    session = Path(node["RayletSocketName"]).parents[1]
    assert session.parents[1].stat().st_mode & 0o077 == 0
    ours = {pid for pid in processes() if str(session) in command(pid)}
    assert len(ours) > 3
    opened = {each for pid in ours for each in listening(pid)}
    assert opened
    assert all(is_loopback(each) for each in opened), opened


def processes() -> list[int]:
    return [int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit()]


def command(pid: int) -> str:
    try:
        return (Path("/proc") / str(pid) / "cmdline").read_text(encoding="utf-8")
    except OSError:
        return ""


def listening(pid: int) -> list[str]:
    """Return the local addresses, in hexadecimal, at which a process listens."""
    sockets = set()
    for each in (Path("/proc") / str(pid) / "fd").iterdir():
        try:
            sockets.add(each.readlink().name)
        except OSError:
            continue
    rows = [
        line.split()
        for name in ("tcp", "tcp6")
        for line in (Path("/proc/net") / name).read_text().splitlines()[1:]
    ]
    listens = [row for row in rows if row[3] == "0A"]
    return [row[1] for row in listens if f"socket:[{row[9]}]" in sockets]


def is_loopback(address: str) -> bool:
    """Say whether 127.0.0.1 or its IPv6 spelling, in /proc's order of bytes."""
    host = address.partition(":")[0]
    return host in {"0100007F", "0000000000000000FFFF00000100007F"}


@pytest.mark.slow
def test_whoever_has_no_token_runs_no_code(ray: Any) -> None:
    address = ray.get_runtime_context().gcs_address
    kept = {k: v for k, v in os.environ.items() if k != cluster.TOKEN}
    code = "import ray; ray.init(); print('in')"
    tried = subprocess.run(  # noqa: S603 - ours
        [sys.executable, "-c", code],
        env=kept | {cluster.ADDRESS: address, cluster.TOKEN: "0" * 64},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert tried.returncode != 0
    assert "in" not in tried.stdout
    assert "uthentication" in tried.stderr


@pytest.mark.slow
def test_the_demo_is_whole_on_ray_and_leaves_nothing_behind(tmp_path: Path) -> None:
    rays.loaded()
    with tempfile.TemporaryDirectory(prefix="c-") as place:
        code = "import sys; from common.cli import main; sys.exit(main())"
        options = ["demo", "--engine", "ray", "--kill-one", "--json", "--out"]
        ran = subprocess.run(  # noqa: S603 - ours
            [sys.executable, "-c", code, *options, str(tmp_path / "out")],
            env=os.environ | {"TMPDIR": place},
            capture_output=True,
            check=True,
            timeout=300,
        )
        assert not list(Path(place).iterdir())
    told = json.loads(ran.stdout)
    assert told["engine"] == "ray"
    assert told["rejoined"] == ["birkental"]
    assert told["max_abs_coefficient_difference"] < 1e-9
