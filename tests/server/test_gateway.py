"""Whom the gateway lets in: every certificate that is wrong, and why, in words."""

import logging
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import uvicorn
from cryptography import x509

from common import tls
from common.errors import IdentityError, NetworkError
from common.tls import Files
from server import gateway
from server.door import Door
from server.gateway import Gateway
from tests.certificates import CLIENT, DAY, SERVER, Consortium

HOST = "127.0.0.1"


def nowhere() -> int:
    with socket.create_server((HOST, 0)) as found:
        return int(found.getsockname()[1])


def serve(files: Files) -> Iterator[int]:
    port = nowhere()
    upstream = Gateway(f"https://{HOST}:{nowhere()}", ssl.create_default_context())
    running: uvicorn.Server = gateway.server(Door(files), upstream, HOST, port)
    thread = threading.Thread(target=running.run)
    thread.start()
    while not running.started:
        time.sleep(0.01)
    yield port
    running.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Consortium:
    made = Consortium(tmp_path_factory.mktemp("ours"))
    made.issue("gateway", use=SERVER)
    made.issue("north")
    made.issue("left")
    made.revoke(["left"])
    return made


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Consortium:
    made = Consortium(tmp_path_factory.mktemp("theirs"))
    made.issue("stranger")
    return made


@pytest.fixture(scope="module")
def port(ours: Consortium) -> Iterator[int]:
    yield from serve(ours.files("gateway"))


def knock(files: Files, port: int, host: str = HOST) -> None:
    tls.probe(tls.client_context(files), host, port)


def test_a_hospital_of_the_consortium_is_let_in(ours: Consortium, port: int) -> None:
    knock(ours.files("north"), port)


@pytest.mark.parametrize(
    ("use", "begins", "ends", "told"),
    [
        (CLIENT, -2 * DAY, -DAY, "this side's certificate has expired"),
        (CLIENT, DAY, 2 * DAY, "not valid yet"),
        (SERVER, -DAY, DAY, "not for this role"),
    ],
    ids=["expired", "not yet valid", "a server's"],
)
def test_a_wrong_certificate_is_refused(
    ours: Consortium,
    port: int,
    use: x509.ObjectIdentifier,
    begins: timedelta,
    ends: timedelta,
    told: str,
) -> None:
    files = ours.issue("wrong", use=use, begins=begins, ends=ends)
    with pytest.raises(IdentityError, match=told):
        knock(files, port)


def test_a_revoked_certificate_is_refused(ours: Consortium, port: int) -> None:
    with pytest.raises(IdentityError, match="this side's certificate was revoked"):
        knock(ours.files("left"), port)


def test_another_consortium_is_refused(
    ours: Consortium, theirs: Consortium, port: int
) -> None:
    stranger, right = theirs.files("stranger"), ours.files("north")
    mixed = replace(right, certificate=stranger.certificate, key=stranger.key)
    with pytest.raises(IdentityError, match="of another consortium"):
        knock(mixed, port)


def test_no_certificate_is_refused(ours: Consortium, port: int) -> None:
    bare = ssl.create_default_context(cafile=ours.files("north").authority)
    with pytest.raises(IdentityError, match="showed no certificate"):
        tls.probe(bare, HOST, port)


def test_an_older_tls_is_refused(ours: Consortium, port: int) -> None:
    files = ours.files("north")
    old = ssl.create_default_context(cafile=files.authority)
    old.load_cert_chain(files.certificate, files.key)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(IdentityError, match=r"does not speak TLS 1\.3"):
        tls.probe(old, HOST, port)


def test_an_aggregator_at_another_address_is_refused(
    ours: Consortium, port: int
) -> None:
    with pytest.raises(IdentityError, match="is for another host"):
        knock(ours.files("north"), port, "localhost")


def test_an_aggregator_of_another_consortium_is_refused(
    theirs: Consortium, port: int
) -> None:
    with pytest.raises(IdentityError, match="of another consortium"):
        knock(theirs.files("stranger"), port)


@pytest.mark.parametrize("what", ["expired", "revoked", "a hospital's"])
def test_a_wrong_aggregator_is_refused(tmp_path: Path, what: str) -> None:
    made = Consortium(tmp_path)
    north = made.issue("north")
    use, ends = (CLIENT, DAY) if what == "a hospital's" else (SERVER, DAY)
    door = made.issue("gateway", use=use, begins=-2 * DAY, ends=ends)
    if what == "expired":
        door = made.issue("gateway", use=use, begins=-2 * DAY, ends=-DAY)
    if what == "revoked":
        made.revoke(["gateway"])
    words = {"a hospital's": "not for this role"}.get(what, what)
    serving = serve(door)
    port = next(serving)
    try:
        with pytest.raises(IdentityError, match=words):
            knock(north, port)
    finally:
        next(serving, None)


def test_a_list_that_is_missing_or_foreign_is_said(
    ours: Consortium, theirs: Consortium, tmp_path: Path
) -> None:
    north = ours.files("north")
    with pytest.raises(IdentityError, match="cannot be used"):
        tls.client_context(replace(north, revoked=tmp_path / "none.pem"))
    with pytest.raises(IdentityError, match="is not the consortium's"):
        Door(replace(ours.files("gateway"), revoked=theirs.files("").revoked))


def test_nobody_there_is_said(ours: Consortium) -> None:
    with pytest.raises(NetworkError, match="cannot be reached"):
        knock(ours.files("north"), nowhere())


def test_revoked_while_connected(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = Consortium(tmp_path)
    door, north = made.issue("gateway", use=SERVER), made.issue("north")
    made.issue("south")
    serving = serve(door)
    port = next(serving)
    caplog.set_level(logging.INFO)
    context = tls.client_context(north)
    raw = socket.create_connection((HOST, port))
    with context.wrap_socket(raw, server_hostname=HOST) as line:
        line.settimeout(2.5)
        made.revoke(["south"])
        with pytest.raises(TimeoutError):
            line.recv(1)
        made.revoke(["south", "north"])
        assert line.recv(1) == b""
    with pytest.raises(IdentityError, match="was revoked"):
        knock(north, port)
    assert "closed the connection of north: revoked" in caplog.text
    next(serving, None)


def test_a_connection_that_only_waits_is_closed(
    ours: Consortium, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.door.QUIET_SECONDS", 0.5)
    context = tls.client_context(ours.files("north"))
    raw = socket.create_connection((HOST, port))
    with context.wrap_socket(raw, server_hostname=HOST) as line:
        line.sendall(b"POST /v1/fleet/pull-messages HTTP/1.1\r\nhost: x")
        line.settimeout(5)
        assert line.recv(1) == b""


def test_there_is_a_last_place(
    ours: Consortium, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.door.CONNECTIONS", 0)
    with pytest.raises(NetworkError):
        knock(ours.files("north"), port)
