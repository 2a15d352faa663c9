"""SuperLink, gateway and two hospitals as real processes: the same, to the bit."""

import io
import ssl
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import numpy as np
import pytest
from flwr.app import Message
from flwr.proto.runtime_pb2 import PushAppMessagesRequest

from common import parcels, tls, wire
from common.task import State
from common.tls import Files
from server import executor, superlink
from server.door import peer
from server.rounds import Outcome
from simulations import engine, processes
from simulations.processes import Federation, Hospital
from tests import clinics
from tests.certificates import SERVER, Consortium

NAMES = ("north", "south")
STUDY = clinics.study(rounds={"quorum": 2, "deadline_seconds": 40})


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("federation")


@pytest.fixture(scope="module")
def consortium(place: Path) -> Consortium:
    made = Consortium(place / "papers")
    made.issue("gateway", use=SERVER)
    for name in NAMES:
        made.issue(name)
    return made


@pytest.fixture(scope="module")
def sites(place: Path) -> list[Path]:
    paths = []
    for seed, name in enumerate(NAMES):
        records = clinics.lines(60, seed)
        path = clinics.folder(place / name, records, approved=STUDY.digest())
        path.write_text(path.read_text().replace('"north"', f'"{name}"'))
        paths.append(path)
    return paths


@pytest.fixture(scope="module")
def running(
    place: Path, consortium: Consortium, sites: list[Path]
) -> Iterator[Federation]:
    hospitals = {
        path.parent.name: Hospital(path, consortium.files(path.parent.name))
        for path in sites
    }
    with processes.federation(place, consortium.files("gateway"), hospitals) as made:
        yield made


def same(one: Outcome, other: Outcome) -> None:
    assert one.roster == other.roster == NAMES
    assert one.rounds == other.rounds
    for task, state in other.states.items():
        for key, array in state.arrays.items():
            assert np.array_equal(one.states[task].arrays[key], array), (task, key)


def test_the_study_equals_the_in_process_one(
    running: Federation, sites: list[Path]
) -> None:
    same(processes.run(STUDY, running), engine.run(STUDY, sites))


def key_of(files: Files) -> str:
    return peer(ssl.PEM_cert_to_DER_cert(files.certificate.read_text())).key


def caller(files: Files) -> httpx.Client:
    return httpx.Client(
        verify=tls.client_context(files),
        trust_env=False,
        headers={"flwr-public-key": key_of(files)},
        timeout=30,
    )


@pytest.mark.parametrize(
    "path",
    [
        "/docs",
        "/openapi.json",
        "/health",
        "/v1/control/start-run",
        "/v1/control/list-nodes",
        "/v1/control/register-node",
        "/v1/runtime/acquire-task",
        "/v1/runtime/push-messages",
        "/v1/fleet/get-fab",
        "/v1/fleet/get-run",
        "/v1/fleet/register-node",
        "/v1/fleet/unregister-node",
        "/v1/fleet/../control/start-run",
        "/v1/fleet/pull-messages/",
        "/V1/fleet/pull-messages",
        "//v1/fleet/pull-messages",
    ],
)
def test_only_the_fleet_has_a_way_in(
    running: Federation, consortium: Consortium, path: str
) -> None:
    with caller(consortium.files("north")) as http:
        for method in ("POST", "GET"):
            url = httpx.URL(f"https://127.0.0.1:{running.port}")
            url = url.copy_with(raw_path=path.encode())
            assert http.request(method, url).status_code == 403


def test_a_hospital_cannot_speak_as_another(
    running: Federation, consortium: Consortium
) -> None:
    with caller(consortium.files("north")) as http:
        http.headers["flwr-public-key"] = key_of(consortium.files("south"))
        url = f"https://127.0.0.1:{running.port}/v1/fleet/pull-messages"
        assert http.post(url).status_code == 403


def peak(pid: int) -> int:
    """Return the most memory a process has held, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "not declared"])
def test_an_oversized_body_is_refused_unread(
    running: Federation, consortium: Consortium, *, declared: bool
) -> None:
    pids = [running.crew.pid(name) for name in ("gateway", "superlink")]
    before = [peak(pid) for pid in pids]
    total, piece = 600 * 2**20, bytes(2**16)
    sent = (piece for _ in range(total // len(piece)))
    headers = {"content-length": str(total)} if declared else {}
    url = f"https://127.0.0.1:{running.port}/v1/fleet/push-object"
    hanging_up = suppress(httpx.TransportError)  # it may, while we are sending
    with caller(consortium.files("north")) as http, hanging_up:
        assert http.post(url, content=sent, headers=headers).status_code == 413
    grown = [peak(pid) - was for pid, was in zip(pids, before, strict=True)]
    assert grown[0] < 10 * 2**20
    assert grown[1] < 20 * 2**20


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
    running: Federation,
    sites: list[Path],
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trace, log = place / "ran", place / "gateway.log"
    asked = log.read_text().count("get-fab")
    monkeypatch.setattr(executor, "bundle", lambda: hostile(trace))
    same(processes.run(STUDY, running), engine.run(STUDY, sites))
    assert not trace.exists()
    assert not list(place.rglob("apps"))
    assert log.read_text().count("get-fab") == asked


def test_a_large_message_goes_part_by_part(
    running: Federation, sites: list[Path], place: Path
) -> None:
    question = wire.ask(
        wire.Ask(
            wire.Place(STUDY.digest(), "describe", 1),
            State({"x": np.zeros(parcels.INLINE // 8 + 1)}),
        )
    )
    assert len(sites) == len(NAMES)
    run = superlink.begin(running.link, superlink.bundle())
    with executor.acquired(running.link, run) as grid:
        asked = [Message(question, node, wire.ROUND) for node in grid.get_node_ids()]
        first = parcels.pack(asked[0])  # announced, and then the line broke
        grid._runtime.PushMessages(
            PushAppMessagesRequest(
                messages_list=[first.head], message_object_trees=[first.tree]
            )
        )
        replies = list(grid.send_and_receive(asked, timeout=20))
    assert len(replies) == len(NAMES)  # no study is open: refused, but read
    assert all(reply.error.reason.startswith("refused, id ") for reply in replies)
    assert "pull-object" in (place / "gateway.log").read_text()


@contextmanager
def tended(running: Federation) -> Iterator[None]:
    """Keep the crew alive while something else is done."""
    done = threading.Event()

    def tend() -> None:
        while not done.wait(0.1):
            running.crew.tend()

    thread = threading.Thread(target=tend)
    thread.start()
    yield
    done.set()
    thread.join()


@pytest.mark.slow
@pytest.mark.parametrize("after", [0.4, 0.9, 1.6])
def test_a_study_survives_the_death_of_the_gateway(
    running: Federation, sites: list[Path], after: float
) -> None:
    killer = threading.Timer(after, running.crew.kill, ["gateway"])
    with tended(running):
        killer.start()
        outcome = processes.run(STUDY, running)
        killer.join()
    same(outcome, engine.run(STUDY, sites))


@pytest.mark.slow
def test_the_next_study_survives_the_death_of_the_superlink(
    running: Federation, sites: list[Path]
) -> None:
    running.crew.kill("superlink")
    with tended(running):
        while not superlink.healthy(running.link):
            time.sleep(0.1)
        same(processes.run(STUDY, running), engine.run(STUDY, sites))


@pytest.mark.slow
def test_a_hospital_that_died_is_back_for_the_next_study(
    running: Federation, sites: list[Path], place: Path
) -> None:
    log, connected = place / "north.log", "INFO connected"
    before = log.read_text().count(connected)
    running.crew.kill("north")
    with tended(running):
        while log.read_text().count(connected) == before:
            time.sleep(0.1)
        same(processes.run(STUDY, running), engine.run(STUDY, sites))
    assert "still counts this hospital as present" in log.read_text()
