"""Our own connections: nothing is followed, unpacked or read without end."""

import gzip
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest
from flwr.proto.fleet_pb2 import ActivateNodeRequest, ActivateNodeResponse
from flwr.supernode.fleet_http_client import FleetHttpClient

from common.errors import IntegrityError, MachineError
from common.travel import direct
from common.travel.direct import Direct

GOOD: bytes = ActivateNodeResponse(node_id=7).SerializeToString()


class Aggregator(BaseHTTPRequestHandler):
    """Answers in the way that the path of the address names."""

    seen: list[tuple[str, str]] = []  # noqa: RUF012 - of one test each

    def do_POST(self) -> None:
        way = self.path.split("/")[1]
        self.seen.append((way, self.headers["accept-encoding"]))
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(307 if way == "elsewhere" else 200)
        if way == "elsewhere":
            self.send_header("location", "/good/elsewhere")
        if way == "packed":
            self.send_header("content-encoding", "gzip")
        self.end_headers()
        bodies = {"packed": gzip.compress(bytes(2**20)), "endless": bytes(2**12)}
        self.wfile.write(bodies.get(way, GOOD))

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    server = HTTPServer(("127.0.0.1", 0), Aggregator)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()
    Aggregator.seen.clear()


def call(address: str) -> ActivateNodeResponse:
    own = Direct(ssl.create_default_context())
    try:
        with FleetHttpClient(address, interceptors=[own]) as line:
            return line.ActivateNode(ActivateNodeRequest(public_key=b"k"))
    finally:
        own.close()


def test_an_answer_is_read_past_every_proxy(address: str) -> None:
    assert call(f"{address}/good").node_id == 7
    assert Aggregator.seen == [("good", "identity")]


def test_a_redirect_is_not_followed(address: str) -> None:
    with pytest.raises(httpx.HTTPStatusError, match="307"):
        call(f"{address}/elsewhere")
    assert [way for way, _ in Aggregator.seen] == ["elsewhere"]


def test_a_packed_answer_is_not_unpacked(address: str) -> None:
    with pytest.raises(IntegrityError, match="packed"):
        call(f"{address}/packed")


def test_an_endless_answer_is_cut_off(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(direct, "ANSWER", 2**11)
    with pytest.raises(IntegrityError, match="larger than"):
        call(f"{address}/endless")


@pytest.mark.parametrize("found", ["1.41.1", "1.42.0", "1.4", ""])
def test_another_flower_is_refused_before_anything_is_sent(
    found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(direct, "version", lambda _: found)
    with pytest.raises(MachineError, match=r"1\.41\.0 is needed") as refused:
        Direct(ssl.create_default_context())
    assert refused.value.hints["fix"] == "pip install flwr==1.41.0"
