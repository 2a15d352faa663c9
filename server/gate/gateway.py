"""The front door: hospitals come in by their certificate, and reach eight paths only.

    python -m server.gate.gateway --dir DIR --listen 0.0.0.0:9443 \
        --upstream https://127.0.0.1:8000 --upstream-cert loopback.pem

Everything else that Flower's SuperLink can do (start runs, show its pages, hand out
tasks) has no way in. Sizes and times are bounded before anything is read or parsed, and
so is what a site leaves with the SuperLink (server/gate/left.py).
"""

import asyncio
import json
import logging
import ssl
import sys
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any, cast

import click
import httpx
import uvicorn

from common.errors import ConsiliumError
from server.gate.door import CONNECTIONS, HANDSHAKE_SECONDS, Door
from server.gate.exchange import BODY, Exchange, No, Receive, Scope, Send
from server.gate.left import MESSAGE, PART, Store, read

ACCESS = logging.getLogger("consilium.server.access")
FLEET = frozenset(
    f"/v1/fleet/{call}"
    for call in (
        "activate-node",
        "confirm-message-received",
        "deactivate-node",
        "pull-messages",
        "pull-object",
        "push-messages",
        "push-object",
        "send-node-heartbeat",
    )
)
"""What client/line/fleet.py calls, and nothing beside it."""
PARTING = ("replaced", "/v1/fleet/deactivate-node")
"""A site that comes back with a newer certificate may say goodbye by the older one."""
HEADERS = (
    "accept",
    "content-type",
    "flwr-public-key",
    "flwr-signature",
    "flwr-timestamp",
)
TOTAL_SECONDS = 60.0
SHOWN = 80


class Gateway:
    """Hands the eight calls on to the SuperLink on loopback."""

    def __init__(
        self, upstream: str, context: ssl.SSLContext, aggregator: Path
    ) -> None:
        """Hand on to *upstream*, whose certificate *context* knows.

        What a site may leave there, the folder of the *aggregator* says.
        """
        self._upstream, self._store = upstream, Store(aggregator)
        # As many as the door lets in: or three slow sites would hold up all others.
        limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=64)
        self._http = httpx.AsyncClient(
            verify=context, trust_env=False, timeout=TOTAL_SECONDS, limits=limits
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, and leave one line about it."""
        exchange = Exchange(scope, receive, send)
        begun = time.perf_counter()
        exchange.connection.turn(1)
        try:
            async with asyncio.timeout(TOTAL_SECONDS):
                await self._answer(exchange)
        except TimeoutError:
            await _refuse(exchange, No(504, "too slow"))
        finally:
            exchange.connection.turn(-1)
            _note(exchange, 1000 * (time.perf_counter() - begun))

    async def _answer(self, exchange: Exchange) -> None:
        try:
            _admit(exchange)
            if exchange.scope["path"] in {MESSAGE, PART}:
                await self._take(exchange)
            else:
                await self._forward(exchange, exchange.body())
        except No as no:
            await _refuse(exchange, no)
        except httpx.TransportError:
            await _refuse(exchange, No(503, "the SuperLink does not answer"))

    async def _take(self, exchange: Exchange) -> None:
        """Hand on what a site leaves: read whole before, and counted."""
        site, path = exchange.connection.site, exchange.scope["path"]
        left = self._store.of(site)
        async with left.reading:
            body = await exchange.whole()
            async with left.turn:
                await self._store.admit(site, read(path, body, left.parts))
                await self._forward(exchange, body)

    async def _forward(
        self, exchange: Exchange, body: AsyncIterator[bytes] | bytes
    ) -> None:
        given = {name: exchange.header(name) for name in HEADERS}
        headers = {name: value for name, value in given.items() if value}
        headers["accept-encoding"] = "identity"
        if (length := exchange.header("content-length")) and not isinstance(
            body, bytes
        ):
            headers["content-length"] = length
        url = self._upstream + exchange.scope["path"]
        async with self._http.stream(
            "POST", url, headers=headers, content=body
        ) as answer:
            kept = [
                (name, value)
                for name, value in answer.headers.raw
                if name.lower() in {b"content-type", b"content-length"}
            ]
            await exchange.start(answer.status_code, kept)
            async for piece in answer.aiter_raw():
                await exchange.write(piece, more=True)
            await exchange.write(b"", more=False)


def _admit(exchange: Exchange) -> None:
    """Raise No unless this request may be handed on."""
    scope, connection = exchange.scope, exchange.connection
    peer = connection.peer
    if (word := connection.against) and (word, scope["path"]) != PARTING:
        raise No(403, word)
    if scope["method"] != "POST" or scope["path"] not in FLEET:
        raise No(403, "no such way in")
    if peer is None or exchange.header("flwr-public-key") != peer.key:
        raise No(403, "the key is not the certificate's")
    if exchange.header("content-encoding"):
        raise No(415, "only plain bodies")
    length = exchange.header("content-length")
    if length and (not length.isdecimal() or int(length) > BODY):
        raise No(413, "too large")


async def _refuse(exchange: Exchange, no: No) -> None:
    """Say no, if nothing was said yet; else end the connection, mid-answer."""
    if exchange.status:
        exchange.connection.close()
        return
    plain = (b"content-type", b"text/plain")
    await exchange.start(no.status, [plain, (b"connection", b"close")])
    await exchange.write(no.word.encode(), more=False)


def _note(exchange: Exchange, took: float) -> None:
    facts = {
        "site": exchange.connection.site,
        "path": exchange.scope["path"][:SHOWN],
        "status": exchange.status,
        "received": exchange.received,
        "sent": exchange.sent,
        "ms": round(took, 1),
    }
    ACCESS.info("%s", json.dumps(facts))


def server(door: Door, app: Gateway, host: str, port: int) -> uvicorn.Server:
    """Return a server that lets in whom *door* knows, and hands on through *app*."""
    config = uvicorn.Config(
        cast("Any", app),
        host=host,
        port=port,
        http=cast("Any", door.connection),
        ws="none",
        lifespan="off",
        loop="asyncio",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        h11_max_incomplete_event_size=16 * 2**10,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=3,
        ssl_context_factory=lambda _config, _default: door.context,
        callback_notify=door.watch,
        timeout_notify=1,
    )
    return uvicorn.Server(config)


async def serve(running: uvicorn.Server) -> None:
    """Serve until told to stop; asyncio alone waits a minute for a handshake."""
    loop = asyncio.get_running_loop()
    patient = partial(loop.create_server, ssl_handshake_timeout=HANDSHAKE_SECONDS)
    loop.create_server = patient  # type: ignore[method-assign]
    await running.serve()


FILE = click.Path(path_type=Path, exists=True)


@click.command()
@click.option("--dir", "folder", type=FILE, required=True)
@click.option("--listen", required=True, metavar="HOST:PORT")
@click.option("--upstream", required=True, metavar="https://127.0.0.1:PORT")
@click.option("--upstream-cert", type=FILE, required=True)
def main(folder: Path, listen: str, upstream: str, upstream_cert: Path) -> None:
    """Let the sites of the consortium in DIR in, to the SuperLink at UPSTREAM."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level="INFO")
    logging.getLogger("httpx").setLevel("WARNING")
    inside = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    inside.load_verify_locations(upstream_cert)
    host, _, port = listen.rpartition(":")
    try:
        door = Door(folder)
    except ConsiliumError as refusal:
        logging.getLogger("consilium.server").error("%s", refusal)  # noqa: TRY400
        sys.exit(refusal.exit_code)
    app = Gateway(upstream, inside, folder)
    asyncio.run(serve(server(door, app, host.strip("[]"), int(port))))


if __name__ == "__main__":
    main()
