"""The resident node without a network: what it says, whom it obeys, what it answers."""

import logging
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from flwr.app import Message, RecordDict
from flwr.proto.fleet_pb2 import ActivateNodeRequest
from flwr.supernode.fleet_http_client import FleetHttpClient

from client import node
from client.fleet import Post, read_key
from client.node import Wait
from common.direct import Direct
from common.errors import IdentityError, NetworkError
from simulations import engine
from tests.certificates import Consortium


def test_it_says_once_for_whom_it_waits_and_since_when(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    wait = Wait("https://aggregator.example")
    for _ in range(5):
        wait.note(NetworkError("the other side cannot be reached"))
    assert caplog.text.count("waiting for https://aggregator.example since 20") == 1
    wait.note(IdentityError("this side's certificate was revoked"))
    assert "was revoked" in caplog.text
    assert wait.pause > node.RETRY_FIRST
    wait.over()
    wait.over()
    assert caplog.text.count("connected to https://aggregator.example") == 1
    assert wait.pause == node.RETRY_FIRST


def test_it_stops_when_told_to_though_nobody_is_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files, stop = Consortium(tmp_path).issue("north"), threading.Event()
    threading.Timer(0.7, stop.set).start()
    node.serve(Post("https://127.0.0.1:9", files, tmp_path / "site.toml"), stop)
    assert "cannot be reached" in caplog.text


@pytest.mark.parametrize("status", [401, 403, 412, 500])
def test_a_refusal_is_told_in_words(tmp_path: Path, status: int) -> None:
    files = Consortium(tmp_path).issue("north")
    post = Post("https://127.0.0.1:9", files, tmp_path)
    answer = httpx.Response(status, request=httpx.Request("POST", post.url))
    failure = httpx.HTTPStatusError("", request=answer.request, response=answer)
    told = str(node.why(failure, post))
    assert node.REFUSALS.get(status, f"answers with {status}") in told


def test_a_question_that_no_one_here_can_answer_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine.become(1)
    question = Message(RecordDict(), dst_node_id=1, message_type="train")
    question.metadata.__dict__["_message_id"] = "1"
    reply = node.answer(question, tmp_path / "site.toml")
    assert reply.has_error()
    assert reply.error.reason.startswith("refused, id ")
    assert reply.error.reason.partition("id ")[2] in caplog.text


class Elsewhere(BaseHTTPRequestHandler):
    """Sends whoever asks to another place."""

    def do_POST(self) -> None:
        port = self.server.server_address[1]
        self.send_response(307)
        self.send_header("location", f"http://127.0.0.1:{port}/elsewhere")
        self.end_headers()
        seen.append(self.path)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


seen: list[str] = []


@pytest.fixture
def elsewhere() -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), Elsewhere)
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
    direct = Direct(ssl.create_default_context())
    with (
        FleetHttpClient(f"http://127.0.0.1:{elsewhere}", interceptors=[direct]) as line,
        pytest.raises(httpx.HTTPStatusError, match="307"),
    ):
        line.ActivateNode(ActivateNodeRequest(public_key=b"k"))
    direct.close()
    assert seen == ["/v1/fleet/activate-node"]


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "site.key"
    shape = Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    path.write_bytes(Ed25519PrivateKey.generate().private_bytes(*shape))
    with pytest.raises(IdentityError, match="P-256"):
        read_key(path)
