"""One request at the gateway: read piece by piece, bounded, and answered once."""

from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, cast

from server.gate.door import Connection

BODY = 4 * 2**20
"""Bytes a request may carry; a hospital cuts arrays into pieces of 2 MiB."""

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class No(Exception):  # noqa: N818 - it is the answer, not a fault
    """A request that goes no further: the status and the word for it."""

    def __init__(self, status: int, word: str) -> None:
        """Answer *status*, and say *word*."""
        super().__init__(word)
        self.status, self.word = status, word


@dataclass(slots=True)
class Exchange:
    """One request and what becomes of it."""

    scope: Scope
    receive: Receive
    send: Send
    status: int = 0
    received: int = 0
    sent: int = 0

    @property
    def connection(self) -> Connection:
        """The connection it came by."""
        return cast("Connection", self.scope["state"]["connection"])

    def header(self, name: str) -> str:
        """Return one header of the request, or nothing."""
        found = dict(self.scope["headers"]).get(name.encode(), b"")
        return str(found.decode("latin-1"))

    async def body(self) -> AsyncIterator[bytes]:
        """Yield the body piece by piece; never hold it, never pass on too much."""
        more = True
        while more:
            event = await self.receive()
            if event["type"] == "http.disconnect":
                raise No(499, "the site went away")
            piece = event.get("body", b"")
            self.received += len(piece)
            if self.received > BODY:
                raise No(413, "too large")
            yield piece
            more = event.get("more_body", False)

    async def whole(self) -> bytes:
        """Return the whole body."""
        return b"".join([piece async for piece in self.body()])

    async def start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """Begin the answer."""
        self.status = status
        head = {"type": "http.response.start", "status": status, "headers": headers}
        await self.send(head)

    async def write(self, piece: bytes, *, more: bool) -> None:
        """Send a piece of the answer."""
        self.sent += len(piece)
        event = {"type": "http.response.body", "body": piece, "more_body": more}
        await self.send(event)
