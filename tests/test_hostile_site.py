"""A hospital that cheats, with its own true papers: named, and never counted.

South speaks Flower's protocol through the real gateway to the real SuperLink, as its
node would, and answers what it likes; north is an honest process.
"""

import json
import shutil
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.proto.fleet_pb2 import (
    PullMessagesRequest,
    PushMessagesRequest,
    PushMessagesResponse,
)
from flwr.proto.node_pb2 import Node
from flwr.supercore.inflatable.inflatable_utils import ObjectPushError

import client.app
from client.door import egress
from client.line import answering, node
from client.line.fleet import Line
from client.line.node import Resident
from client.trust.credentials import Credentials
from common.errors import ConsiliumError
from common.study import Study
from common.travel import arrivals, parcels, seal, wire
from common.travel.parcels import Parcel, Place
from common.trust import identity
from server.conduct import asking, journal
from server.conduct.rounds import Outcome
from server.gate import allowance
from server.gate.gateway import BODY, FLEET
from server.running import executor, superlink, wide
from simulations.engines import engine, processes
from simulations.engines.processes import Federation
from tests import clinics, outcomes, residents
from tests.papers import knocks_with, shown_key

STUDY = clinics.study(rounds={"quorum": 2, "deadline_seconds": 600})
HASTY = clinics.study(rounds={"quorum": 2, "deadline_seconds": 5})
"""Of this a test sees the end by its deadline; of the other nobody should."""
SLOW = pytest.mark.slow
Twist = Callable[[Message, Message], list[Message]]


def honest(_: Message, reply: Message) -> list[Message]:
    return [reply]


@dataclass
class South:
    """The hospital that cheats: everything of it is true but what it answers."""

    here: Resident
    twist: Twist = honest
    line: Line | None = None

    @property
    def home(self) -> Path:
        """The folder of its papers."""
        return self.here.papers.folder

    @property
    def number(self) -> int:
        """The number of its node, or 0 while it is not on the line."""
        return int(self.line.node.node_id) if self.line else 0

    def serve(self, stop: threading.Event) -> None:
        """Answer until told to stop, whatever is thought of the answers."""
        with Line(self.here.post) as self.line:
            while not stop.wait(0.05):
                try:
                    self.say(self.line)
                except httpx.HTTPStatusError:  # of a run that is over by now
                    self.line.forget()

    def say(self, line: Line) -> None:
        """Answer the next question, if there is one, as the twist has it."""
        if (question := line.take()) is None:
            return
        for reply in self.twist(question, replied(question, self.here)):
            with suppress(httpx.HTTPStatusError):  # what follows is sent all the same
                line.give(reply)


def replied(question: Message, here: Resident) -> Message:
    """Return what the true ClientApp says."""
    reply = answering.answer(question, here.site, here.papers).reply
    assert reply is not None
    return reply


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return clinics.hospitals(tmp_path_factory.mktemp("real"), STUDY)


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, sites: list[Path]
) -> Iterator[Federation]:
    folder = tmp_path_factory.mktemp("federation")
    with processes.federation(folder, STUDY, sites) as made:
        yield made


@pytest.fixture(scope="module")
def connected(running: Federation) -> Iterator[South]:
    """Take south's place: stop its process, and speak with its papers."""
    running.crew.stop("south")
    made, stop = South(node.resident(running.sites[1])), threading.Event()
    thread = threading.Thread(target=made.serve, args=[stop])
    thread.start()
    north = running.folder / "north.log"
    until = time.monotonic() + 20
    while not made.number or "connected to" not in north.read_text(encoding="utf-8"):
        assert time.monotonic() < until
        time.sleep(0.05)
    yield made
    stop.set()
    thread.join()
    client.app.SHELF.held.clear()


@pytest.fixture
def south(connected: South) -> Iterator[South]:
    """Return south, honest again after each test."""
    yield connected
    connected.twist = honest
    client.app.SHELF.held.clear()


def run(running: Federation, study: Study = STUDY) -> Outcome:
    """Run a study from its beginning."""
    for path in running.sites:
        residents.approve(path, study)
    book = running.folder / "journal"
    shutil.rmtree(book, ignore_errors=True)
    settings = {"consortium": str(running.aggregator), "journal": str(book)}
    return executor.conduct(study, running.link, settings)


def recorded(running: Federation, study: Study = STUDY) -> int:
    """Return how many rounds the aggregator has counted."""
    folder = running.folder / "journal"
    with journal.held(folder, study.digest(), wire.PROTOCOL) as book:
        return sum(entry.round for entry in book.last.values())


def test_an_honest_south_is_counted(
    running: Federation, south: South, sites: list[Path]
) -> None:
    assert south.twist is honest
    outcomes.same(run(running), engine.run(STUDY, sites))
    assert recorded(running) > 0


def content(reply: Message) -> RecordDict:
    """Return what a reply says, without its signature."""
    return RecordDict({n: part for n, part in reply.content.items() if n != "seal"})


def resigned(
    question: Message, said: RecordDict, home: Credentials, sender: str = "south"
) -> Message:
    """Return *said* as an answer with a signature of south's true key."""
    kind = question.metadata.message_type
    return egress.Message(
        seal.sign(said, kind, sender, home.signing_key), reply_to=question
    )


def vector(change: Callable[[np.ndarray], np.ndarray]) -> Callable[..., RecordDict]:
    """Return what changes the numbers of an answer."""

    def changed(reply: Message) -> RecordDict:
        said = content(reply)
        numbers = change(said.array_records["arrays"]["vector"].numpy().copy())
        packed = ArrayRecord({"vector": Array(numbers)})
        return RecordDict({**said, "arrays": packed})

    return changed


def about(**words: Any) -> Callable[[Message], RecordDict]:
    """Return what changes the words of an answer."""

    def changed(reply: Message) -> RecordDict:
        said = content(reply)
        told = ConfigRecord({**said.config_records["about"], **words})
        return RecordDict({**said, "about": told})

    return changed


def arrays(**packed: Array) -> Callable[[Message], RecordDict]:
    """Return what changes the arrays of an answer."""
    return lambda reply: RecordDict({**content(reply), "arrays": ArrayRecord(packed)})


def poisoned(numbers: np.ndarray) -> np.ndarray:
    numbers[0] = np.nan
    return numbers


def negative(numbers: np.ndarray) -> np.ndarray:
    numbers[0] = -1.0
    return numbers


LIES: dict[str, tuple[Callable[[Message], RecordDict], str]] = {
    "NaN": (vector(poisoned), "south: .*not finite"),
    "fewer people than none": (vector(negative), "south: .*not whole and positive"),
    "more people than there are": (
        vector(lambda v: np.where(np.arange(len(v)) == 0, 1e300, v)),
        "south: .* beyond .*, its limit",
    ),
    "part of a person": (vector(lambda v: v + 0.5), "south: .*not whole"),
    "float32": (vector(lambda v: v.astype(np.float32)), "south: .*of float32, not"),
    "too short": (vector(lambda v: v[:-1]), "south: an answer holds .* numbers"),
    "too long": (vector(lambda v: np.append(v, 0.0)), "south: an answer holds"),
    "two rows": (vector(lambda v: np.stack([v, v])), "south: an answer holds"),
    "no numbers": (arrays(), "south: an answer holds other arrays"),
    "one array more": (
        arrays(vector=Array(np.zeros(1)), more=Array(np.zeros(1))),
        "south: an answer holds other arrays",
    ),
    "nonsense": (
        arrays(vector=Array("float64", (2,), "numpy.ndarray", b"nonsense")),
        "south: a message holds arrays that cannot be read",
    ),
    "a zip": (
        arrays(vector=Array("float64", (2,), "numpy.ndarray", b"PK\x03\x04nonsense")),
        "south: a message holds arrays that cannot be read",
    ),
    "another name": (about(site="north"), "south answered in the name of north"),
    "another round": (about(round=7), "south answered another question"),
    "another sequence": (about(sequence=7), "south answered another question"),
    "another state": (about(state="0" * 64), "south answered another question"),
    "another run": (about(run="other"), "south answered another question"),
    "another study": (about(digest="0" * 64), "south answered another question"),
    "no round": (about(round="first"), "south: a message names a round that is no"),
    "another protocol": (about(protocol=9), "south: a message is not of protocol"),
}


def fails(running: Federation, told: str, study: Study = STUDY) -> None:
    """Run a study: it ends by name, and nothing was counted."""
    with pytest.raises(ConsiliumError, match=told) as ended:
        run(running, study)
    assert "south" in str(ended.value)
    assert recorded(running, study) == 0


QUICK = {
    "NaN",
    "more people than there are",
    "part of a person",
    "float32",
    "too short",
    "nonsense",
}
QUICK |= {"another name", "another round", "no round"}


@pytest.mark.parametrize(
    "lie",
    [each if each in QUICK else pytest.param(each, marks=SLOW) for each in LIES],
)
def test_an_answer_that_lies_is_never_counted(
    running: Federation, south: South, lie: str
) -> None:
    change, told = LIES[lie]

    def twist(question: Message, reply: Message) -> list[Message]:
        if question.metadata.message_type != wire.ROUND:
            return [reply]
        return [resigned(question, change(reply), south.here.papers)]

    south.twist = twist
    fails(running, told)


SIGNED: dict[str, Callable[[Message, Message, Credentials], RecordDict]] = {
    "by nobody": lambda _, reply, __: content(reply),
    "by a stranger": lambda q, reply, __: seal.sign(
        content(reply),
        q.metadata.message_type,
        "south",
        identity.new_signing_key(),
    ),
    "as another": lambda q, reply, home: seal.sign(
        content(reply), q.metadata.message_type, "north", home.signing_key
    ),
    "as another kind": lambda _, reply, home: seal.sign(
        content(reply), wire.CLOSE, "south", home.signing_key
    ),
    "before it was changed": lambda _, reply, __: RecordDict(
        {**reply.content, "arrays": vector(lambda v: v + 1.0)(reply)["arrays"]}
    ),
    "with more beside": lambda _, reply, __: RecordDict(
        {**reply.content, "more": MetricRecord({"loss": 0.0})}
    ),
    "with bytes": lambda _, reply, __: RecordDict(
        {
            **reply.content,
            "about": ConfigRecord(
                {**reply.content.config_records["about"], "more": b"x"}
            ),
        }
    ),
}


LATER = {"as another kind", "with more beside", "by a stranger"}


@pytest.mark.parametrize(
    "how",
    [pytest.param(each, marks=SLOW) if each in LATER else each for each in SIGNED],
)
def test_an_answer_that_is_signed_wrongly_is_never_counted(
    running: Federation, south: South, how: str
) -> None:
    def twist(question: Message, reply: Message) -> list[Message]:
        if question.metadata.message_type != wire.ROUND:
            return [reply]
        said = SIGNED[how](question, reply, south.here.papers)
        return [egress.Message(said, reply_to=question)]

    south.twist = twist
    fails(running, "south: ")


def test_the_answer_of_another_round_is_never_counted(
    running: Federation, south: South
) -> None:
    """South repeats its true, signed answer to the first round in the second."""
    kept: list[RecordDict] = []

    def twist(question: Message, reply: Message) -> list[Message]:
        if question.metadata.message_type != wire.ROUND:
            return [reply]
        kept.append(reply.content)
        return [egress.Message(kept[0], reply_to=question)]

    south.twist = twist
    with pytest.raises(ConsiliumError, match="south answered another question"):
        run(running)
    assert recorded(running) == 1


def test_an_answer_that_comes_twice_is_counted_once(
    running: Federation, south: South, sites: list[Path]
) -> None:
    south.twist = lambda _, reply: [reply, reply]
    outcomes.same(run(running), engine.run(STUDY, sites))


def test_two_different_answers_are_not_both_counted(
    running: Federation, south: South, sites: list[Path]
) -> None:
    """The first that is there counts; the other is refused or named."""

    def twist(question: Message, reply: Message) -> list[Message]:
        if question.metadata.message_type != wire.ROUND:
            return [reply]
        other = vector(lambda v: v * 2.0)(reply)
        return [reply, resigned(question, other, south.here.papers)]

    south.twist = twist
    try:
        outcome = run(running)
    except ConsiliumError as ended:
        assert "answered twice" in str(ended)  # noqa: PT017 - or it was counted once
        return
    outcomes.same(outcome, engine.run(STUDY, sites))


def untaken(aggregator: Path) -> int:
    """Return how many answers lie with the SuperLink that nobody asked for."""
    path = aggregator / "superlink" / "state.db"
    asked = "SELECT count(*) FROM message_res WHERE delivered_at = ''"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        (found,) = database.execute(asked).fetchone()
    return int(found)


def test_what_a_slow_site_answers_twice_is_taken_though_nobody_waits_for_it(
    running: Federation, south: South, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or an honest one would have left, after some rounds, all that it may."""
    monkeypatch.setattr(asking, "LOST_FIRST", 0.1)
    monkeypatch.setattr(wide, "CLEAR", 0.0)
    asked, lying = Counter[tuple[str, int]](), list[int]()

    def twist(question: Message, reply: Message) -> list[Message]:
        if question.metadata.message_type == wire.ROUND:
            place = wire.read_place(question.content)
            asked[place.task, place.round] += 1
            time.sleep(0.0 if asked[place.task, place.round] > 1 else 0.5)
            lying.append(untaken(running.aggregator))
        return [reply]

    south.twist = twist
    run(running)
    assert asked.total() >= len(asked) + 4  # many were asked twice
    assert max(lying) < len(lying) / 2


def gutted(parcel: Parcel) -> Parcel:
    """Return a parcel that says nothing at all."""
    parcel.head.ClearField("content")
    return parcel


def torn(parcel: Parcel) -> Parcel:
    """Return a parcel whose words are of no kind that there is."""
    parcel.head.content.items[0].ClearField("value")
    return parcel


def promised(parcel: Parcel) -> Parcel:
    """Return a parcel that names a part which never comes."""
    parcel.tree.children.add(object_id="f" * 64)
    return parcel


def announce(south: South, parcel: Parcel) -> PushMessagesResponse:
    """Tell the SuperLink of an answer, and send none of its parts."""
    assert south.line
    return south.line.client.PushMessages(
        PushMessagesRequest(
            node=south.line.node,
            messages_list=[parcel.head],
            message_object_trees=[parcel.tree],
            clientapp_runtime_list=[0.0],
        )
    )


@pytest.mark.parametrize(
    "spoil",
    [gutted, pytest.param(torn, marks=SLOW), pytest.param(promised, marks=SLOW)],
)
def test_an_answer_that_cannot_be_read_ends_the_round_by_name(
    running: Federation,
    south: South,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[Parcel], Parcel],
) -> None:
    monkeypatch.setattr(arrivals, "PULL_SECONDS", 0.5)

    def twist(question: Message, reply: Message) -> list[Message]:
        if question.metadata.message_type != wire.ROUND:
            return [reply]
        with suppress(httpx.HTTPError):  # Flower may refuse it first
            announce(south, spoil(parcels.pack(reply)))
        return []

    south.twist = twist
    fails(running, "incomplete|missing", HASTY)


def test_a_part_that_never_comes_is_waited_for_until_the_deadline_only(
    running: Federation, south: South
) -> None:
    """Flower would wait for it for minutes; north is not blamed."""
    assert HASTY.rounds.deadline_seconds < arrivals.PULL_SECONDS / 10

    def twist(question: Message, reply: Message) -> list[Message]:
        if question.metadata.message_type == wire.ROUND:
            announce(south, promised(parcels.pack(reply)))
            return []
        return [reply]

    south.twist = twist
    fails(running, "south: its answer did not come in time", HASTY)


def test_who_opens_in_anothers_name_does_not_take_part(
    running: Federation, south: South
) -> None:
    def twist(question: Message, reply: Message) -> list[Message]:
        said = about(site="north")(reply)
        return [resigned(question, said, south.here.papers, "north")]

    south.twist = twist
    with pytest.raises(ConsiliumError, match="1 of 2 needed sites take part"):
        run(running)
    assert recorded(running) == 0


def caller(running: Federation, home: Path) -> httpx.Client:
    """Return a client with a site's papers, that sends what it is told."""
    return httpx.Client(
        base_url=f"https://127.0.0.1:{running.port}",
        verify=knocks_with(home),
        trust_env=False,
        headers={"flwr-public-key": shown_key(home)},
        timeout=30,
    )


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/docs",
        "/redoc",
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
        "/v1/fleet/..%2fcontrol/start-run",
        "/v1/fleet/pull-messages/",
        "/v1/fleet/pull-messages/../../control/start-run",
        "/v1/fleet/pull-messages;x",
        "/V1/fleet/pull-messages",
        "//v1/fleet/pull-messages",
        "/v1//fleet/pull-messages",
        "/v1/fleet/pull-messages%00",
        "/v1/fleet/pull-messages%0d%0ax",
    ],
)
def test_only_the_fleet_has_a_way_in(
    running: Federation, south: South, path: str
) -> None:
    with caller(running, south.home) as http:
        for method in ("POST", "GET", "PUT", "CONNECT"):
            url = httpx.URL(f"https://127.0.0.1:{running.port}")
            url = url.copy_with(raw_path=path.encode())
            answer = http.request(method, url)
            assert answer.status_code in {400, 403}
            assert b"flower" not in answer.content.lower()


def test_the_ways_in_are_for_one_method(running: Federation, south: South) -> None:
    with caller(running, south.home) as http:
        for path in FLEET:
            for method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"):
                assert http.request(method, path).status_code == 403


def test_a_hospital_cannot_speak_with_anothers_key(
    running: Federation, south: South
) -> None:
    north = running.folder / "north" / "state"
    with caller(running, south.home) as http:
        for path in FLEET:
            for key in (shown_key(north), "", "nonsense"):
                answer = http.post(path, headers={"flwr-public-key": key})
                assert answer.status_code == 403
                assert answer.text == "the key is not the certificate's"


def test_a_hospital_cannot_take_anothers_messages(
    running: Federation, south: South
) -> None:
    """South's own key, and the number of another's node."""
    assert south.line
    number = registered(running, "north")
    asked = PullMessagesRequest(node=Node(node_id=number))
    with pytest.raises(httpx.HTTPStatusError):
        south.line.client.PullMessages(asked)


def registered(running: Federation, name: str) -> int:
    """Return the number that Flower gave to a site."""
    from flwr.proto.control_pb2 import ListNodesRequest  # noqa: PLC0415 - only here

    with superlink._control(running.link) as control:
        found = control.ListNodes(ListNodesRequest()).nodes_info
    (number,) = [each.node_id for each in found if each.name == name]
    return int(number)


@pytest.mark.parametrize("path", sorted(FLEET))
def test_garbage_breaks_nothing(running: Federation, south: South, path: str) -> None:
    with caller(running, south.home) as http:
        for body in (b"", b"\xff" * 1000, b"{}", bytes(1000)):
            for kind in ("application/x-protobuf", "application/json", ""):
                headers = {"content-type": kind} if kind else {}
                answer = http.post(path, content=body, headers=headers)
                assert 400 <= answer.status_code < 600
                assert "Traceback" not in answer.text
    assert superlink.healthy(running.link)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "x"])
def test_nothing_is_unpacked(running: Federation, south: South, encoding: str) -> None:
    with caller(running, south.home) as http:
        headers = {"content-encoding": encoding}
        answer = http.post("/v1/fleet/push-messages", content=b"x", headers=headers)
        assert answer.status_code == 415


def heap(question: Message, south: South, mib: int) -> Parcel:
    """Return an answer of so many MiB, truly signed, that nobody asked for."""
    data = np.random.default_rng(mib).bytes(mib * 2**20)
    array = Array("uint8", (mib * 2**20,), "numpy.ndarray", data)
    said = RecordDict({"arrays": ArrayRecord({"vector": array})})
    return parcels.pack(resigned(question, said, south.here.papers))


def leave(south: South, parcel: Parcel) -> int:
    """Send the parts of an answer one by one; return the status of the last."""
    try:
        send(south, parcel, announce(south, parcel))
    except httpx.HTTPStatusError as refused:
        return refused.response.status_code
    return 200


def send(south: South, parcel: Parcel, told: PushMessagesResponse) -> None:
    """Send the parts of an answer that was announced, as the SuperLink *told*."""
    assert south.line
    place = Place(south.line.node, parcel.head.metadata.run_id)
    session = place, told.session_id
    push = south.line.client.PushObject
    parcels.post([parcel], told.objects_to_push, push, session)


def database(running: Federation) -> int:
    """Return the bytes that the SuperLink's database has on the disk."""
    files = (running.aggregator / "superlink").glob("state.db*")
    return sum(each.stat().st_size for each in files)


def test_what_nobody_waits_for_is_thrown_away_while_it_is_still_being_sent(
    running: Federation,
    south: South,
    sites: list[Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its parts are not taken then, and its site goes on."""
    monkeypatch.setattr(asking, "LOST_FIRST", 0.1)
    monkeypatch.setattr(wide, "CLEAR", 0.0)
    rounds, ends = list[tuple[str, int]](), list[bool]()

    def twist(question: Message, reply: Message) -> list[Message]:
        if question.metadata.message_type != wire.ROUND or ends:
            return [reply]
        place = wire.read_place(question.content)
        rounds.append((place.task, place.round))
        if rounds.count(rounds[-1]) == 1:
            time.sleep(0.5)  # so that it is asked twice
            return [reply]
        parcel = heap(question, south, 3)
        told = announce(south, parcel)
        ends.append(thrown_away(running.aggregator, parcel))
        try:
            send(south, parcel, told)
        except ObjectPushError:
            ends.append(True)
        return []

    south.twist = twist
    outcomes.same(run(running), engine.run(STUDY, sites))
    assert ends == [True, True]


def thrown_away(aggregator: Path, parcel: Parcel) -> bool:
    """Say whether the SuperLink soon knows nothing of *parcel* any more."""
    path, until = aggregator / "superlink" / "state.db", time.monotonic() + 30
    asked = "SELECT count(*) FROM objects WHERE object_id = ?"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        while time.monotonic() < until:
            if database.execute(asked, [parcel.tree.object_id]).fetchone() == (0,):
                return True
            time.sleep(0.05)
    return False


def test_what_a_site_leaves_behind_has_an_end(
    running: Federation, south: South, sites: list[Path]
) -> None:
    """Three times what it may, and another tree of the same name; then it is honest."""
    most = 3 * allowance.BESIDE // 2**20
    before, ends, words = database(running), list[int](), list[str]()

    def twist(question: Message, reply: Message) -> list[Message]:
        if ends:
            return [reply]
        parcel = heap(question, south, most)
        ends.append(leave(south, parcel))
        other = heap(question, south, 3)
        other.head.CopyFrom(parcel.head)
        with pytest.raises(httpx.HTTPStatusError) as refused:
            announce(south, other)
        ends.append(refused.value.response.status_code)
        words.append(refused.value.response.text)
        return []

    south.twist = twist
    outcomes.same(run(running), engine.run(STUDY, sites))
    assert ends == [507, 400]
    assert words == ["the name of an answer is that of its parts, and of its sender"]
    assert database(running) - before < 2.5 * allowance.BESIDE
    log = running.aggregator / "logs" / "gateway.log"
    assert "south has left" in log.read_text(encoding="utf-8")


def peak(pid: int) -> int:
    """Return the most memory that a process has held since it was asked to forget."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "not declared"])
def test_an_oversized_body_is_refused_unread(
    running: Federation, south: South, *, declared: bool
) -> None:
    pids = [running.pid(name) for name in ("gateway", "superlink")]
    for pid in pids:
        Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="utf-8")
    before = [peak(pid) for pid in pids]
    total, piece = 600 * 2**20, bytes(2**16)
    sent = (piece for _ in range(total // len(piece)))
    headers = {"content-length": str(total)} if declared else {}
    hanging_up = suppress(httpx.TransportError)  # it may, while we are sending
    with caller(running, south.home) as http, hanging_up:
        answer = http.post("/v1/fleet/push-object", content=sent, headers=headers)
        assert answer.status_code == 413
    grown = [peak(pid) - was for pid, was in zip(pids, before, strict=True)]
    assert max(grown) < 10 * 2**20
    lines = (
        (running.aggregator / "logs" / "gateway.log")
        .read_text(encoding="utf-8")
        .splitlines()
    )
    last = next(line for line in reversed(lines) if "push-object" in line)
    facts = json.loads(last[last.index("{") :])
    assert (facts["site"], facts["status"]) == ("south", 413)
    assert facts["received"] <= BODY + 2**20


def test_the_same_study_still_runs_after_all_this(
    running: Federation, south: South, sites: list[Path]
) -> None:
    assert south.twist is honest
    outcomes.same(run(running), engine.run(STUDY, sites))
