"""Whom the gateway lets in: every certificate that is wrong, and why, in words.

All papers are made by the code that makes them for hospitals; only its clock differs.
"""

import asyncio
import logging
import shutil
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import uvicorn

from client.line import node
from client.line.fleet import Post
from client.trust import enrolment as hospital
from common.errors import ConsiliumError, IdentityError, NetworkError
from common.trust import handshake, private_files, tls
from common.trust.identity import read_tls_key
from server.gate import gateway, papers
from server.gate.door import Door
from server.gate.gateway import Gateway
from server.members import authority
from tests.papers import House, knocks_with, now, shown_key

HOST, DAY = "127.0.0.1", timedelta(days=1)
OPEN_DOOR = "the aggregator's door is open, and behind it nobody answers yet"
CALL = "/v1/fleet/pull-messages"


def nowhere() -> int:
    with socket.create_server((HOST, 0)) as found:
        return int(found.getsockname()[1])


LOOKS: list[Callable[[], None]] = []
"""What lets the door that was opened last look at its papers now."""


@contextmanager
def served(folder: Path) -> Iterator[int]:
    """Serve the consortium in *folder* with the gateway's own code; yield the port."""
    port, door, loop = nowhere(), Door(folder), asyncio.new_event_loop()
    upstream = Gateway(
        f"https://{HOST}:{nowhere()}", ssl.create_default_context(), folder
    )
    running: uvicorn.Server = gateway.server(door, upstream, HOST, port)
    serving = gateway.serve(running)
    thread = threading.Thread(target=loop.run_until_complete, args=[serving])
    thread.start()
    watch = asyncio.run_coroutine_threadsafe
    LOOKS.append(lambda: watch(door.watch(), loop).result())
    try:
        while not running.started:
            time.sleep(0.01)
        yield port
    finally:
        LOOKS.pop()
        running.should_exit = True
        thread.join()
        loop.close()


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> House:
    made = House(tmp_path_factory.mktemp("ours"), now() - 200 * DAY)
    made.admit("early", now() + 2 * DAY)
    made.admit("late", now() - authority.SITE_LIFE - DAY)
    made.admit("left")
    made.admit("north")
    made.revoke("left")
    return made


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> House:
    made = House(tmp_path_factory.mktemp("theirs"))
    made.admit("north")
    return made


@pytest.fixture(scope="module")
def port(ours: House) -> Iterator[int]:
    with served(ours.dir) as found:
        yield found


@pytest.fixture
def fresh(tmp_path: Path) -> House:
    """Return a consortium of one test, which may change it."""
    made = House(tmp_path, now() - 200 * DAY)
    for site in ("north", "south"):
        made.admit(site, now() - timedelta(hours=1))
    return made


def knock(home: Path, port: int, host: str = HOST) -> None:
    handshake.probe(knocks_with(home), host, port)


@contextmanager
def caller(home: Path, port: int) -> Iterator[httpx.Client]:
    """Call as the site in *home*, with the key of the certificate that it shows."""
    with httpx.Client(
        base_url=f"https://{HOST}:{port}",
        verify=knocks_with(home),
        trust_env=False,
        headers={"flwr-public-key": shown_key(home)},
        timeout=10,
    ) as http:
        yield http


def until(found: str, log: pytest.LogCaptureFixture) -> None:
    """Let the door look until *found* is in the log; fail when it is not soon."""
    end = time.monotonic() + 5
    while found not in log.text:
        LOOKS[-1]()
        assert time.monotonic() < end, f"not said: {found}\n{log.text}"
        time.sleep(0.02)


def test_a_hospital_of_the_consortium_is_let_in(ours: House, port: int) -> None:
    knock(ours.home("north"), port)
    with caller(ours.home("north"), port) as http:
        assert http.post(CALL).text == "the SuperLink does not answer"


@pytest.mark.parametrize(
    ("site", "told", "helps"),
    [
        ("late", "this side's certificate has expired", "consilium client renew"),
        ("early", "this side's certificate is not valid yet", "admit this side anew"),
        ("left", "this side's certificate was revoked", "--home HOME --anew"),
    ],
)
def test_a_certificate_out_of_its_time_is_refused(
    ours: House, port: int, site: str, told: str, helps: str
) -> None:
    with pytest.raises(IdentityError, match=told) as refused:
        knock(ours.home(site), port)
    assert "ask the operator" in refused.value.hints["fix"]
    assert helps in refused.value.hints["fix"]


def test_another_consortium_is_refused(ours: House, theirs: House, port: int) -> None:
    mixed = ours.exchange(ours.home("north"), theirs.home("north"))
    with pytest.raises(IdentityError, match="this side's certificate is of another"):
        knock(mixed, port)


def test_the_aggregators_certificate_is_no_sites(ours: House, port: int) -> None:
    shown = ours.exchange(ours.home("north"), ours.dir)
    with pytest.raises(IdentityError, match="this side's certificate is not for this"):
        knock(shown, port)


def test_no_certificate_is_refused(ours: House, port: int) -> None:
    bare = ssl.create_default_context(cafile=ours.dir / "ca.pem")
    with pytest.raises(IdentityError, match="showed no certificate"):
        handshake.probe(bare, HOST, port)


def test_an_older_tls_is_refused(ours: House, port: int) -> None:
    old = ssl.create_default_context(cafile=ours.dir / "ca.pem")
    old.load_cert_chain(ours.home("north") / "tls.pem")
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(IdentityError, match=r"does not speak TLS 1\.3"):
        handshake.probe(old, HOST, port)


def test_an_aggregator_at_another_address_is_refused(ours: House, port: int) -> None:
    with pytest.raises(IdentityError, match="is for another host"):
        knock(ours.home("north"), port, "localhost")


def test_an_aggregator_of_another_consortium_is_refused(
    theirs: House, port: int
) -> None:
    with pytest.raises(IdentityError, match="of another consortium") as refused:
        knock(theirs.home("north"), port)
    assert "do not go on" in refused.value.hints["fix"]


def test_an_expired_aggregator_is_told_to_both(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = House(tmp_path, now() - 400 * DAY)
    with served(made.dir) as port:
        with pytest.raises(IdentityError, match="the other side's certificate has exp"):
            knock(made.admit("north"), port)
        assert "the aggregator's own certificate expired on" in caplog.text
        assert f"consilium server renew --dir {made.dir}" in caplog.text


@pytest.mark.parametrize(
    ("when", "told"),
    [
        (2 * DAY, "the other side's certificate is not valid yet"),
        (None, "not for this"),
    ],
    ids=["not valid yet", "a site's"],
)
def test_a_wrong_aggregator_is_refused(
    fresh: House, when: timedelta | None, told: str
) -> None:
    if when:
        fresh.renew_aggregator(now() + when)
    else:
        shown = (fresh.home("south") / "tls.pem").read_bytes()
        private_files.write(fresh.dir / "tls.pem", shown)
    with served(fresh.dir) as port, pytest.raises(IdentityError, match=told):
        knock(fresh.home("north"), port)


def test_nobody_there_is_said(ours: House) -> None:
    with pytest.raises(NetworkError, match="cannot be reached"):
        knock(ours.home("north"), nowhere())


@pytest.mark.parametrize("name", ["tls.pem", "signing.key", "crl.pem", "roster.json"])
def test_papers_that_others_may_read_stop_the_door(fresh: House, name: str) -> None:
    (fresh.dir / name).chmod(0o644)
    with pytest.raises(IdentityError, match=f"{name} is open to other users") as found:
        Door(fresh.dir)
    assert found.value.hints["fix"] == f"chmod 0600 {fresh.dir / name}"


@pytest.mark.parametrize("content", ["theirs", "nonsense"])
def test_a_door_does_not_open_with_a_wrong_list(
    fresh: House, theirs: House, content: str
) -> None:
    wrong = (theirs.dir / "crl.pem").read_bytes() if content == "theirs" else b"x"
    private_files.write(fresh.dir / "crl.pem", wrong)
    with pytest.raises(ConsiliumError, match=r"revo(ked|cation)"):
        Door(fresh.dir)


def test_revoked_while_connected(
    fresh: House, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with served(fresh.dir) as port, caller(fresh.home("north"), port) as http:
        context = knocks_with(fresh.home("north"))
        raw = socket.create_connection((HOST, port))
        with context.wrap_socket(raw, server_hostname=HOST) as line:
            line.settimeout(2.5)
            fresh.revoke("south")
            with pytest.raises(TimeoutError):
                line.recv(1)
            assert http.post(CALL).status_code == 503
            fresh.revoke("north")
            assert line.recv(1) == b""
        with pytest.raises(IdentityError, match="was revoked"):
            knock(fresh.home("north"), port)
        with pytest.raises(httpx.TransportError):
            http.post(CALL)
    assert "closed the connection of north: revoked" in caplog.text


def test_a_list_that_is_damaged_or_old_is_said_and_the_last_good_one_holds(
    fresh: House, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    path, gone = fresh.dir / "crl.pem", fresh.home("south")
    older = path.read_bytes()
    with served(fresh.dir) as port:
        fresh.revoke("south")
        until("revocation list read: 1 revoked", caplog)
        for wrong, told in [
            (older[:-40], "the list of revoked certificates is not the consortium's"),
            (older, "is older than the one in use"),
        ]:
            caplog.clear()
            private_files.write(path, wrong)
            until(told, caplog)
            assert "crl.pem is not used, the last good one holds" in caplog.text
            with pytest.raises(IdentityError, match="was revoked"):
                knock(gone, port)
        caplog.clear()
        path.unlink()
        until("there is no file", caplog)
        for _ in range(3):
            LOOKS[-1]()
        assert caplog.text.count("there is no file") == 1
        with pytest.raises(IdentityError, match="was revoked"):
            knock(gone, port)


def told(home: Path, port: int) -> str:
    """Return what a hospital's log says of being turned away at the door."""
    with caller(home, port) as http:
        try:
            http.post(CALL).raise_for_status()
        except httpx.HTTPStatusError as failure:
            return str(node.why(failure, Post(f"https://{HOST}:{port}", home)))
    return ""


def test_a_site_that_only_the_roster_revokes_is_refused(
    fresh: House, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    roster = fresh.made.roster()
    members = tuple(
        each.model_copy(update={"state": "revoked"}) if each.site == "north" else each
        for each in roster.members
    )
    changed = {"version": roster.version + 1, "members": members}
    with served(fresh.dir) as port, caller(fresh.home("north"), port) as http:
        assert http.post(CALL).status_code == 503
        fresh.made.publish(roster.model_copy(update=changed))
        until(f"roster {roster.version + 1} read", caplog)
        refusal = http.post(CALL)
        assert (refusal.status_code, refusal.text) == (403, "revoked")
        assert refusal.headers["connection"] == "close"
        assert "this hospital was revoked" in told(fresh.home("north"), port)
        assert told(fresh.home("south"), port) == OPEN_DOOR


def test_a_site_that_the_roster_does_not_know_is_refused(fresh: House) -> None:
    roster = fresh.made.roster()
    rest = tuple(each for each in roster.members if each.site != "north")
    changed = {"version": roster.version + 1, "members": rest}
    fresh.made.publish(roster.model_copy(update=changed))
    with served(fresh.dir) as port:
        assert "not on the consortium's roster" in told(fresh.home("north"), port)


def test_an_older_roster_is_said_and_the_last_good_one_holds(
    fresh: House, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    older = fresh.made.sealed_roster()
    with served(fresh.dir) as port:
        fresh.admit("east")
        until("roster 4 read", caplog)
        private_files.write(fresh.dir / "roster.json", older)
        until("roster.json is not used, the last good one holds", caplog)
        assert told(fresh.home("east"), port) == OPEN_DOOR


def test_a_renewed_site_comes_in_with_the_new_certificate_only(
    fresh: House, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    home = fresh.home("north")
    old = home.with_name("old")
    shutil.copytree(home, old)
    with served(fresh.dir) as port:
        context = knocks_with(home)
        raw = socket.create_connection((HOST, port))
        with (
            context.wrap_socket(raw, server_hostname=HOST) as line,
            caller(old, port) as http,
        ):
            assert http.post(CALL).status_code == 503
            answer = fresh.renew("north")
            line.settimeout(3.5)
            assert line.recv(1) == b""
            assert http.post(CALL).text == "replaced"
        assert "closed the connection of north: replaced" in caplog.text
        words = told(old, port)
        assert "this hospital's certificate was replaced by a newer one" in words
        assert "consilium client admitted FILE" in words
        hospital.admitted(answer, home, now())
        assert told(home, port) == OPEN_DOOR


def test_the_aggregators_renewal_is_taken_while_it_runs(
    fresh: House, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    north, own = fresh.home("north"), fresh.dir / "tls.pem"

    def shown() -> bytes | None:
        raw = socket.create_connection((HOST, port))
        with knocks_with(north).wrap_socket(raw, server_hostname=HOST) as line:
            return line.getpeercert(binary_form=True)

    with served(fresh.dir) as port, caller(north, port) as http:
        assert http.post(CALL).status_code == 503
        before = shown()
        caplog.clear()
        fresh.renew_aggregator()
        until("own certificate read", caplog)
        after = shown()
        assert after != before
        key = read_tls_key(own).public_key()
        assert fresh.made.certificate().public_key() == key
        assert http.post(CALL).status_code == 503  # the old connection lives on
        private_files.write(own, own.read_bytes()[:200])
        until("tls.pem is not used, the last good one holds", caplog)
        assert shown() == after


def test_a_certificate_that_runs_out_is_closed(
    fresh: House, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    ends = now() - authority.SITE_LIFE + timedelta(seconds=3)
    home = fresh.admit("brief", ends)
    with served(fresh.dir) as port:
        raw = socket.create_connection((HOST, port))
        with knocks_with(home).wrap_socket(raw, server_hostname=HOST) as line:
            line.settimeout(7)
            assert line.recv(1) == b""
    assert "closed the connection of brief: expired" in caplog.text


@pytest.mark.parametrize(
    "sent",
    [
        b"POST /v1/fleet/pull-messages HTTP/1.1\r\nhost: x",
        b"GET",
        b"",
    ],
    ids=["half a header", "a word", "nothing"],
)
def test_a_connection_that_only_waits_is_closed(
    ours: House, port: int, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr("server.gate.door.QUIET_SECONDS", 0.5)
    raw = socket.create_connection((HOST, port))
    context = knocks_with(ours.home("north"))
    with context.wrap_socket(raw, server_hostname=HOST) as line:
        line.sendall(sent)
        line.settimeout(5)
        assert line.recv(1) == b""


def test_headers_that_come_drop_by_drop_are_not_waited_for(
    ours: House, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.gate.door.QUIET_SECONDS", 0.5)
    raw = socket.create_connection((HOST, port))
    context = knocks_with(ours.home("north"))
    begun = time.monotonic()
    with context.wrap_socket(raw, server_hostname=HOST) as line, suppress(OSError):
        line.sendall(f"POST {CALL} HTTP/1.1\r\nhost: x\r\nx-slow: ".encode())
        while time.monotonic() < begun + 5:
            line.sendall(b"x")
            time.sleep(0.1)
    assert time.monotonic() < begun + 3


def test_a_body_that_comes_drop_by_drop_is_not_waited_for(
    ours: House, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.gate.gateway.TOTAL_SECONDS", 0.5)

    def drops() -> Iterator[bytes]:
        for _ in range(100):
            yield b"x"
            time.sleep(0.05)

    begun = time.monotonic()
    with caller(ours.home("north"), port) as http:
        try:
            assert http.post(CALL, content=drops()).status_code in {503, 504}
        except httpx.TransportError:  # it hung up while we were dripping
            assert time.monotonic() > begun
    assert time.monotonic() < begun + 3


def test_a_body_that_would_have_to_be_unpacked_is_refused(
    ours: House, port: int
) -> None:
    with caller(ours.home("north"), port) as http:
        for encoding in ("gzip", "deflate", "br", "identity, gzip"):
            answer = http.post(CALL, headers={"content-encoding": encoding})
            assert (answer.status_code, answer.text) == (415, "only plain bodies")


@pytest.mark.parametrize(("most", "each"), [(0, 9), (9, 0)])
def test_there_is_a_last_place(
    ours: House, port: int, monkeypatch: pytest.MonkeyPatch, most: int, each: int
) -> None:
    monkeypatch.setattr("server.gate.door.CONNECTIONS", most)
    monkeypatch.setattr("server.gate.door.EACH", each)
    with pytest.raises(NetworkError, match=r"(closed|reached)"):
        knock(ours.home("north"), port)


def test_one_site_cannot_take_the_places_of_the_others(
    fresh: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("server.gate.door.EACH", 3)
    greedy, modest = fresh.home("north"), fresh.home("south")
    with served(fresh.dir) as port:
        lines = [
            knocks_with(greedy).wrap_socket(
                socket.create_connection((HOST, port)), server_hostname=HOST
            )
            for _ in range(6)
        ]
        until("refused a connection of north: too many are open", caplog)
        knock(modest, port)
        for line in lines:
            line.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_who_does_not_shake_hands_keeps_nobody_out_for_long(
    fresh: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("door", "gateway"):
        monkeypatch.setattr(f"server.gate.{module}.HANDSHAKE_SECONDS", 3.0)
    monkeypatch.setattr("server.gate.door.SHAKING", 3)
    with served(fresh.dir) as port:
        begun = time.monotonic()
        mute = [socket.create_connection((HOST, port)) for _ in range(3)]
        time.sleep(0.2)
        with socket.create_connection((HOST, port), 5) as late:
            assert late.recv(1) == b"", "there is no place to shake hands"
        assert time.monotonic() - begun < 2.9
        for each in mute:
            each.settimeout(9)
            assert each.recv(1) == b"", "nobody waits for them any more"
            each.close()
        knock(fresh.home("north"), port)
    assert time.monotonic() - begun < 20


def test_a_site_is_named_by_the_uri_and_by_nothing_else(fresh: House) -> None:
    leaf = authority.site_leaf("heart-net", "north")
    key = read_tls_key(fresh.home("north") / "tls.pem").public_key()
    for names, site in [
        (leaf.names, "north"),
        (authority.site_leaf("lung-net", "north").names, ""),
        (leaf.names * 2, ""),
        (authority.aggregator_leaf(["127.0.0.1"]).names, ""),
    ]:
        shown = authority.Leaf("south", names, leaf.use, leaf.life)
        made = authority.certify(fresh.root, shown, key, datetime.now(UTC))
        der = made.public_bytes(authority.serialization.Encoding.DER)
        assert papers.peer(der, "heart-net").site == site


def test_the_sites_end_takes_no_readable_key(fresh: House) -> None:
    own = fresh.home("north") / "tls.pem"
    own.chmod(0o640)
    with pytest.raises(IdentityError, match="open to other users"):
        tls.site_context(own, fresh.home("north") / "ca.pem")
