"""Who stands at the gateway: one connection each, known by its certificate, or closed.

TLS has already demanded a certificate of the consortium when a Connection begins. What
is left: not too many at once, none that only waits, none whose certificate is revoked,
replaced or runs out while it is connected. Whoever is refused by more than TLS can say
is first told why: every request is answered with one word of common/trust/handshake.py.
"""

import asyncio
import logging
import ssl
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from server.gate.papers import Papers, Peer, peer

LOG = logging.getLogger("consilium.server.door")
CONNECTIONS, EACH = 256, 24
"""Connections that may be open in all, and of one site."""
SHAKING, HANDSHAKE_SECONDS = 256, 10.0
"""Connections that may be at their handshake, where each takes 256 KiB; how long."""
QUIET_SECONDS = 15.0
"""How long a connection may be open without a whole request."""
PARTING_SECONDS = 1.5
"""How long somebody may stay who is only to be told why not."""


class Outspoken(ssl.SSLObject):
    """Says why it refuses before it hangs up.

    asyncio drops a connection whose handshake failed with the alert still unsent, and
    the hospital would learn only that it was disconnected. So the first failure is
    reported as a wait, upon which asyncio sends what there is to send.
    """

    told = False

    def do_handshake(self) -> None:
        """Shake hands; fail at the second try, when the alert is on its way."""
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as reason:
            if self.told:
                raise
            self.told = True
            raise ssl.SSLWantReadError from reason


class Connection:
    """One connection: uvicorn's protocol, with an eye on who it is and how long."""

    def __init__(self, inner: H11Protocol, door: "Door") -> None:
        """Stand before *inner* at *door*; uvicorn's part sees only who may stay."""
        self._inner, self._door = inner, door
        self._transport: asyncio.Transport | None = None
        self.busy, self.since = 0, time.monotonic()
        self.peer: Peer | None = None
        self.welcome = False

    def late(self, now: float) -> bool:
        """Say whether its handshake is over by now, in whatever way."""
        return now - self.since > HANDSHAKE_SECONDS

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Let in who has a place; TLS has seen the certificate."""
        self._door.shaking.discard(self)
        line: ssl.SSLObject = transport.get_extra_info("ssl_object")
        shown = line.getpeercert(binary_form=True) or b""
        self.peer = peer(shown, self._door.papers.name)
        if self._door.full(self.site):
            LOG.warning("refused a connection of %s: too many are open", self.site)
            transport.abort()
            return
        self._transport, self.welcome = transport, not self.against
        self._door.open.add(self)
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Hand on what arrived."""
        if self._transport is not None:
            self._inner.data_received(data)

    def eof_received(self) -> None:
        """Hand on that nothing more will arrive."""
        if self._transport is not None:
            self._inner.eof_received()

    def connection_lost(self, reason: Exception | None) -> None:
        """Forget the connection."""
        self._door.open.discard(self)
        if self._transport is not None:
            self._inner.connection_lost(reason)

    def pause_writing(self) -> None:
        """Hand on that the other side reads too slowly."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Hand on that the other side reads again."""
        self._inner.resume_writing()

    @property
    def site(self) -> str:
        """The site's name, or nothing while nobody is known."""
        return self.peer.site if self.peer else ""

    @property
    def against(self) -> str:
        """The word of why its site may not come in, or nothing."""
        if self.peer is None:
            return "unknown"
        return self._door.papers.against(self.peer, datetime.now(UTC))

    def turn(self, by: int) -> None:
        """Note that a request begins (1) or ends (-1)."""
        self.busy += by
        self.since = time.monotonic()

    def close(self) -> None:
        """End the connection now, whatever it is doing."""
        if self._transport is not None:
            self._transport.abort()


class Door:
    """Everyone who is connected, and the papers that say who may be."""

    def __init__(self, folder: Path) -> None:
        """Open with the papers of the consortium in *folder*."""
        self.papers, self.open = Papers(folder, datetime.now(UTC)), set[Connection]()
        self.shaking = set[Connection]()
        self.context = self.papers.context
        self.context.sslobject_class = Outspoken

    def connection(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> Connection:
        """Return a new connection: what uvicorn calls for each, before its handshake.

        Raises ConnectionRefusedError when too many are at theirs: whoever that is has
        shown nothing yet, and asyncio drops the connection.
        """
        now = time.monotonic()
        if len(self.shaking) >= SHAKING:
            self.shaking = {each for each in self.shaking if not each.late(now)}
        if len(self.shaking) >= SHAKING:
            raise ConnectionRefusedError
        state: dict[str, Any] = {**app_state}
        made = Connection(H11Protocol(config, server_state, state, _loop), self)
        state["connection"] = made
        self.shaking.add(made)
        return made

    def full(self, site: str) -> bool:
        """Say whether there is no place for one more connection of *site*."""
        own = sum(each.site == site for each in self.open)
        return len(self.open) >= CONNECTIONS or own >= EACH

    async def watch(self) -> None:
        """Close who must not be here any more; uvicorn calls this every second."""
        self.papers.reread(datetime.now(UTC))
        now = time.monotonic()
        self.shaking = {each for each in self.shaking if not each.late(now)}
        for each in list(self.open):
            if told := self._unwelcome(each, now):
                LOG.info("closed the connection of %s: %s", each.site, told)
                each.close()

    def _unwelcome(self, each: Connection, now: float) -> str:
        quiet = now - each.since
        if (told := each.against) and (each.welcome or quiet > PARTING_SECONDS):
            return told
        return "quiet" if quiet > QUIET_SECONDS and not each.busy else ""
