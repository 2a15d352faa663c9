"""The resident node without a network: what it says, whom it obeys, what it answers."""

import json
import logging
import shutil
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import numpy as np
import pytest
from flwr.app import ConfigRecord, Message, MetricRecord, RecordDict
from flwr.proto import message_pb2 as proto
from flwr.proto.fleet_pb2 import (
    ActivateNodeRequest,
    ActivateNodeResponse,
    PullMessagesResponse,
)
from flwr.supernode.fleet_http_client import FleetHttpClient

import client.app
from client.line import answering, node, presence
from client.line.answering import Said
from client.line.node import Resident, Shift, Wait
from client.line.presence import Board
from common import talk
from common.errors import IdentityError, IntegrityError, MachineError, NetworkError
from common.task import State, fingerprint
from common.travel import direct, seal, wire
from common.travel.direct import Direct
from common.trust import identity, tls
from common.trust.identity import SigningKey
from server.members import consortium as consortia
from simulations.engines import engine
from tests import clinics, residents
from tests.residents import MEMBERS

AGGREGATOR = "https://aggregator.example"
STUDY = clinics.study()
CANARY = "Kanarienvogel"


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def board(tmp_path: Path) -> Board:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    return Board(home, AGGREGATOR, now)


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the settings of north, which has real papers, at an aggregator nowhere."""
    return residents.found(tmp_path_factory.mktemp("papers"), STUDY)


@pytest.fixture
def here(founded: Path) -> Iterator[Resident]:
    yield node.resident(founded)
    client.app.SHELF.held.clear()


def test_it_says_once_for_whom_it_waits_and_since_when(
    caplog: pytest.LogCaptureFixture, board: Board
) -> None:
    caplog.set_level(logging.INFO)
    wait = Wait(AGGREGATOR, board)
    for _ in range(5):
        wait.note(NetworkError("the other side cannot be reached"))
    assert caplog.text.count(f"waiting for {AGGREGATOR} since 20") == 1
    wait.note(IdentityError("this side's certificate was revoked"))
    assert "was revoked" in caplog.text
    assert wait.pause > node.RETRY_FIRST
    wait.over()
    wait.over()
    assert caplog.text.count(f"connected to {AGGREGATOR}") == 1
    assert wait.pause == node.RETRY_FIRST


def test_its_page_says_the_same_to_others(board: Board, tmp_path: Path) -> None:
    wait, home = Wait(AGGREGATOR, board), tmp_path / "home"
    wait.note(NetworkError("the line broke"))
    page = presence.read(home)
    assert page
    assert (page.state, page.why, page.whom) == (
        "waiting",
        "the line broke",
        AGGREGATOR,
    )
    wait.note(NetworkError("the line broke again"))
    later = presence.read(home)
    assert later
    assert later.since == page.since, "it waits since it began to wait"
    wait.over()
    up = presence.read(home)
    assert up
    assert (up.state, up.why) == ("connected", "")
    assert up.since > page.since
    assert presence.page(home).stat().st_mode & 0o777 == 0o600


def test_a_page_that_cannot_be_written_stops_nothing(
    board: Board, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "home").rename(tmp_path / "gone")
    board.put(state="connected")
    assert "others cannot see how this process is" in caplog.text
    assert presence.read(tmp_path / "home") is None


def test_it_stops_when_told_to_though_nobody_is_there(
    here: Resident, caplog: pytest.LogCaptureFixture
) -> None:
    stop = threading.Event()
    threading.Timer(0.7, stop.set).start()
    node.serve(here, stop, now)
    assert "cannot be reached" in caplog.text
    page = presence.read(here.post.home)
    assert page
    assert page.state == "stopped"


@pytest.mark.parametrize("status", [401, 403, 412, 500, 503])
def test_a_refusal_is_told_in_words(here: Resident, status: int) -> None:
    answer = httpx.Response(status, request=httpx.Request("POST", here.post.url))
    failure = httpx.HTTPStatusError("", request=answer.request, response=answer)
    told = str(node.why(failure, here.post))
    assert node.REFUSALS.get(status, f"answers with {status}") in told


@pytest.mark.parametrize(
    ("status", "body", "over"),
    [
        (403, b'{"code": 2007, "public_message": "."}', True),
        (403, b'{"code": 2001}', False),
        (403, b"revoked", False),
        (403, b"[2007]", False),
    ],
)
def test_what_a_run_that_ended_leaves_behind_sends_nobody_away(
    here: Resident, status: int, body: bytes, *, over: bool
) -> None:
    request = httpx.Request("POST", here.post.url)
    answer = httpx.Response(status, request=request, content=body)
    failure = httpx.HTTPStatusError("", request=request, response=answer)
    assert node._run_over(failure) is over
    assert not node._run_over(ValueError())


def test_at_its_start_it_says_what_would_stop_every_answer(
    here: Resident, board: Board, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = shutil.copytree(here.site.parent, tmp_path / "north", symlinks=True)
    there = replace(here, site=place / "site.toml")
    shift = Shift(there, Wait(AGGREGATOR, board), threading.Event())
    (place / "export.csv").unlink()
    (place / "state" / "ledger.jsonl").write_text("{}\n")
    shift.look()
    assert "line 1 of the ledger is not what was written" in caplog.text
    assert "export.csv" in caplog.text
    assert caplog.text.count("nothing can be answered") == 2
    shift.look()
    assert caplog.text.count("nothing can be answered") == 2


def test_of_a_foreign_exception_only_its_type_is_told(here: Resident) -> None:
    told = str(node.why(ValueError(f"cannot convert {CANARY}"), here.post))
    assert "ValueError" in told
    assert CANARY not in told


@pytest.mark.parametrize(
    ("left", "says"),
    [
        (60, ""),
        (29, "expires soon"),
        (6, "expires this week"),
        (0.5, "expires today or tomorrow"),
        (-1, "expired on"),
    ],
)
def test_it_says_once_a_day_that_the_certificate_ends(
    here: Resident,
    board: Board,
    caplog: pytest.LogCaptureFixture,
    left: float,
    says: str,
) -> None:
    ends = here.papers.certificate().not_valid_after_utc
    shift = Shift(here, Wait(AGGREGATOR, board), threading.Event())
    for day in range(3):
        today = ends - timedelta(days=left - day)
        board.clock = lambda today=today: today
        shift.remind()
        shift.remind()
        told = caplog.text.count(f"consilium client renew --home {here.post.home}")
        assert told == (day + 1 if says else 0)
    assert says in caplog.text


def test_two_residents_on_one_home_are_one_too_many(tmp_path: Path) -> None:
    with (
        presence.alone(tmp_path),
        pytest.raises(MachineError, match=r"runs already: process \d+"),
        presence.alone(tmp_path),
    ):
        pass
    assert presence.running(tmp_path) == 0
    with presence.alone(tmp_path):
        assert presence.running(tmp_path) > 1


def question(content: RecordDict, kind: str) -> Message:
    engine.become(1)
    message = Message(content, dst_node_id=1, message_type=kind)
    message.metadata.__dict__["_message_id"] = "1"
    return message


@dataclass(frozen=True)
class Aggregator:
    """Whoever asks north: the real one, or one with another key."""

    here: Resident
    members: str
    key: SigningKey

    def says(self, content: RecordDict, kind: str) -> RecordDict:
        return seal.sign(content, kind, seal.AGGREGATOR, self.key)

    def asks(self, content: RecordDict, kind: str) -> Said:
        return answering.answer(
            question(content, kind), self.here.site, self.here.papers
        )

    def opening(self) -> RecordDict:
        return self.says(wire.opening(STUDY, "run", self.members), wire.OPEN)

    def round(self, **changes: object) -> RecordDict:
        arrays = {"x": np.zeros(3)} if changes.get("task") else {}
        place = wire.Place(
            *(STUDY.digest(), "run", "describe", 1),
            state=fingerprint(arrays),
            roster=wire.roster(MEMBERS),
            sequence=1,
        )
        return self.says(wire.ask(wire.Ask(place, State(arrays), MEMBERS)), wire.ROUND)


@pytest.fixture
def aggregator(here: Resident, founded: Path) -> Aggregator:
    made = consortia.load(founded.parents[1] / "aggregator")
    return Aggregator(here, made.sealed_roster().decode(), made.signing_key)


def test_the_aggregators_questions_are_answered_and_signed(
    aggregator: Aggregator,
) -> None:
    opened = aggregator.asks(aggregator.opening(), wire.OPEN)
    assert opened.heard.kind == "open"
    assert answering.studies() == (STUDY.digest(),)
    said = aggregator.asks(aggregator.round(), wire.ROUND)
    assert (said.heard.task, said.heard.round, said.refused) == ("describe", 1, False)
    assert said.reply
    key = aggregator.here.papers.signing_key.public_key()
    seal.verify(said.reply.content, wire.ROUND, "north", key)


Change = Callable[[Aggregator, RecordDict], RecordDict]


def unsigned(_: Aggregator, content: RecordDict) -> RecordDict:
    del content["seal"]
    return content


def of_another(who: Aggregator, _: RecordDict) -> RecordDict:
    return Aggregator(who.here, who.members, identity.new_signing_key()).round()


def word_flipped(_: Aggregator, content: RecordDict) -> RecordDict:
    words = content.config_records["about"]
    words["run"] = chr(ord(str(words["run"])[0]) ^ 1) + str(words["run"])[1:]
    return content


def array_flipped(who: Aggregator, _: RecordDict) -> RecordDict:
    content = who.round(task="describe")
    array = content.array_records["arrays"]["x"]
    array.data = array.data[:-1] + bytes([array.data[-1] ^ 1])
    return content


def surplus(_: Aggregator, content: RecordDict) -> RecordDict:
    content["metrics"] = MetricRecord({"rows": 1.0})
    return content


def surplus_and_signed(who: Aggregator, content: RecordDict) -> RecordDict:
    signed = content["seal"]
    del content["seal"]
    content["more"] = ConfigRecord({"rows": 1})
    with pytest.raises(IntegrityError, match="more than words and arrays"):
        who.says(content, wire.ROUND)
    return RecordDict({**content, "seal": signed})


def nothing(_: Aggregator, __: RecordDict) -> RecordDict:
    return RecordDict()


@pytest.mark.parametrize(
    ("change", "kind", "says"),
    [
        (unsigned, wire.ROUND, "carries no signature"),
        (of_another, wire.ROUND, "IdentityError|signature|signed"),
        (word_flipped, wire.ROUND, "something else than what was signed"),
        (array_flipped, wire.ROUND, "something else than what was signed"),
        (surplus, wire.ROUND, "more than words and arrays"),
        (surplus_and_signed, wire.ROUND, "more than words and arrays"),
        (nothing, wire.ROUND, "carries no signature"),
        (lambda _, content: content, wire.CLOSE, "something else than what was signed"),
        (lambda _, content: content, "train", "something else than what was signed"),
        (lambda _, content: content, "query.other", "something else than what was"),
    ],
    ids=lambda each: getattr(each, "__name__", str(each)),
)
def test_what_is_not_the_aggregators_word_is_refused_and_nothing_is_computed(
    aggregator: Aggregator,
    caplog: pytest.LogCaptureFixture,
    change: Change,
    kind: str,
    says: str,
) -> None:
    aggregator.asks(aggregator.opening(), wire.OPEN)
    ledger = aggregator.here.post.home / "ledger.jsonl"
    before = ledger.read_text().count('"kind":"released"')
    said = aggregator.asks(change(aggregator, aggregator.round()), kind)
    assert said.refused
    assert said.heard == answering.NOTHING
    assert said.reply
    assert said.reply.error.reason.startswith("refused, id ")
    assert said.reply.error.reason.partition("id ")[2] in caplog.text
    assert any(each in caplog.text for each in says.split("|"))
    assert ledger.read_text().count('"kind":"released"') == before
    held = next(iter(client.app.SHELF.held.values()))
    assert held.memory.last == {"run": None}, "no turn was taken"
    assert not aggregator.asks(aggregator.round(), wire.ROUND).refused


@pytest.mark.parametrize("kind", ["train", "query.other"])
def test_a_signed_message_that_is_no_question_is_refused(
    aggregator: Aggregator, kind: str
) -> None:
    content = aggregator.says(wire.closing(STUDY.digest(), "run"), kind)
    said = aggregator.asks(content, kind)
    assert said.refused
    assert said.heard.kind == "unknown"


class Elsewhere(BaseHTTPRequestHandler):
    """Sends whoever asks to another place, or answers without end."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        seen.append(self.path)
        if self.server.server_name == "endless":
            self.send_response(200)
            self.end_headers()
            try:
                while True:
                    self.wfile.write(bytes(2**14))
                    time.sleep(0.01)
            except OSError:  # nobody reads any more
                return
        port = self.server.server_address[1]
        self.send_response(307)
        self.send_header("location", f"http://127.0.0.1:{port}/elsewhere")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


seen: list[str] = []


@pytest.fixture
def elsewhere(request: pytest.FixtureRequest) -> Iterator[int]:
    seen.clear()
    server = HTTPServer(("127.0.0.1", 0), Elsewhere)
    server.server_name = getattr(request, "param", "")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


def test_no_redirect_is_followed_and_no_proxy_obeyed(
    elsewhere: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    straight = Direct(ssl.create_default_context())
    url = f"http://127.0.0.1:{elsewhere}"
    with (
        FleetHttpClient(url, interceptors=[straight]) as line,
        pytest.raises(httpx.HTTPStatusError, match="307"),
    ):
        line.ActivateNode(ActivateNodeRequest(public_key=b"k"))
    straight.close()
    assert seen == ["/v1/fleet/activate-node"]


@pytest.mark.parametrize("elsewhere", ["endless"], indirect=True)
@pytest.mark.parametrize("limit", ["ANSWER", "ANSWER_SECONDS"])
def test_an_answer_without_end_is_let_go(
    elsewhere: int, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(direct, limit, 2**20 if limit == "ANSWER" else 0.2)
    straight = Direct(ssl.create_default_context())
    url = f"http://127.0.0.1:{elsewhere}"
    told = IntegrityError if limit == "ANSWER" else httpx.ReadTimeout
    with FleetHttpClient(url, interceptors=[straight]) as line, pytest.raises(told):
        line.ActivateNode(ActivateNodeRequest(public_key=b"k"))
    straight.close()


def announced(*trees: proto.ObjectTree) -> bytes:
    return PullMessagesResponse(
        messages_list=[proto.Message()], message_object_trees=trees
    ).SerializeToString()


TORN = proto.ObjectTree(object_id="a", children=[proto.ObjectTree(object_id="b")])
UNREADABLE = [
    bytes([255] * 50),
    announced(),
    announced(proto.ObjectTree(object_id="x")),
    announced(TORN),
    bytes(2**21),
]
pulled: list[bytes] = []


class Hostile(BaseHTTPRequestHandler):
    """Takes everybody in, and says what nobody can read; at last nothing."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        said = b""
        if self.path.endswith("activate-node"):
            said = ActivateNodeResponse(node_id=7).SerializeToString()
        if self.path.endswith("pull-messages"):
            number = len(pulled)
            said = UNREADABLE[number] if number < len(UNREADABLE) else b""
            pulled.append(said)
        self.send_response(200)
        self.send_header("content-length", str(len(said)))
        self.end_headers()
        with suppress(OSError):  # it may have hung up
            self.wfile.write(said)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_nothing_that_it_is_sent_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(direct, "ANSWER", 2**20)
    monkeypatch.setattr(node, "RETRY_LAST", 0.05)
    monkeypatch.setattr("common.travel.arrivals.PULL_SECONDS", 0.3)
    server = HTTPServer(("127.0.0.1", 0), Hostile)
    here = node.resident(residents.found(tmp_path, STUDY, server.server_address[1]))
    papers = tmp_path / "net" / "aggregator"
    files = (papers / name for name in ("tls.pem", "ca.pem", "crl.pem"))
    context = tls.aggregator_context(*files)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    stop = threading.Event()
    threads = [
        threading.Thread(target=server.serve_forever),
        threading.Thread(target=node.serve, args=(here, stop, now)),
    ]
    for each in threads:
        each.start()
    until = time.monotonic() + 20
    while len(pulled) < len(UNREADABLE) + 2 and time.monotonic() < until:
        time.sleep(0.05)
    page = presence.read(here.post.home)
    stop.set()
    threads[1].join()
    server.shutdown()
    threads[0].join()
    server.server_close()
    assert page
    assert page.state == "connected"
    assert len(pulled) >= len(UNREADABLE) + 2
    assert "an answer is larger than 1 MiB" in caplog.text
    assert caplog.text.count("a message could not be read") >= 2
    assert presence.read(here.post.home).state == "stopped"  # type: ignore[union-attr]


@pytest.fixture
def quiet_logging() -> Iterator[None]:
    root, flower = logging.getLogger(), logging.getLogger("flwr")
    kept = root.handlers[:], flower.handlers[:], root.level, flower.propagate
    hook, ours = threading.excepthook, logging.getLogger("consilium").level
    yield
    root.handlers[:], flower.handlers[:] = kept[0], kept[1]
    root.setLevel(kept[2])
    flower.propagate = kept[3]
    threading.excepthook = hook
    logging.getLogger("consilium").setLevel(ours)
    logging.captureWarnings(capture=False)


@pytest.mark.usefixtures("quiet_logging")
@pytest.mark.parametrize("as_json", [False, True])
def test_of_others_no_more_is_said_than_who_spoke(
    capsys: pytest.CaptureFixture[str], *, as_json: bool
) -> None:
    talk.begin("INFO", as_json=as_json)
    for name in ("flwr", "pandas.io", "consilium.client.node"):
        try:
            int(CANARY)
        except ValueError:
            text = CANARY if name[0] != "c" else "our own words"
            logging.getLogger(name).exception(text)
    thread = threading.Thread(target=lambda: int(CANARY))
    thread.start()
    thread.join()
    facts = {"waiting_for": AGGREGATOR}
    logging.getLogger("consilium").warning("it waits", extra={"facts": facts})
    shown = capsys.readouterr()
    lines = (shown.out if as_json else shown.err).splitlines()
    assert not (shown.err if as_json else shown.out)
    assert CANARY not in "".join(lines)
    texts = [json.loads(each)["text"] if as_json else each for each in lines]
    assert len(texts) == 5
    assert "pandas.io said something (withheld)" in texts[1]
    assert "our own words" in texts[2]
    assert "a thread ended by ValueError" in texts[3]
    if as_json:
        assert json.loads(lines[4])["waiting_for"] == AGGREGATOR
