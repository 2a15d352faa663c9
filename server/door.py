"""Who stands at the gateway: one connection each, known by its certificate, or closed.

TLS has already demanded a certificate of the consortium when a Connection begins. What
is left: not too many at once, none that only waits, none whose certificate is revoked
or runs out while it is connected.
"""

import asyncio
import logging
import ssl
import time
from base64 import b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from common import tls
from common.errors import IdentityError

LOG = logging.getLogger("consilium.server.door")
CONNECTIONS = 256
QUIET_SECONDS = 15.0
"""How long a connection may be open without a whole request."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Who a certificate says that somebody is."""

    site: str
    serial: int
    until: datetime
    key: str
    """The public key, as Flower's header spells it."""


def peer(der: bytes) -> Peer:
    """Return who the certificate *der* names: the site is its common name."""
    certificate = x509.load_der_x509_certificate(der)
    names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    key = certificate.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return Peer(
        site=str(names[0].value) if names else "",
        serial=certificate.serial_number,
        until=certificate.not_valid_after_utc,
        key=b64encode(key).decode(),
    )


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

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Let in who has a place; TLS has seen the certificate."""
        if len(self._door.open) >= CONNECTIONS:
            LOG.warning("refused a connection: %d are open", CONNECTIONS)
            transport.abort()
            return
        line: ssl.SSLObject = transport.get_extra_info("ssl_object")
        self.peer = peer(line.getpeercert(binary_form=True) or b"")
        self._transport = transport
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

    def turn(self, by: int) -> None:
        """Note that a request begins (1) or ends (-1)."""
        self.busy += by
        self.since = time.monotonic()

    def close(self) -> None:
        """End the connection now, whatever it is doing."""
        if self._transport is not None:
            self._transport.abort()


class Door:
    """Everyone who is connected, and the list of those who must not be."""

    def __init__(self, folder: Path) -> None:
        """Open with the certificate and the revocation list of the consortium."""
        self.folder, self.open = folder, set[Connection]()
        self._list = folder / "crl.pem"
        own, ca = folder / "tls.pem", folder / "ca.pem"
        self.context = tls.aggregator_context(own, ca, self._list)
        self.context.sslobject_class = Outspoken
        self._read = b""
        self.revoked = frozenset[int]()
        self.reread()

    def connection(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> Connection:
        """Return a new connection: what uvicorn calls for each."""
        state: dict[str, Any] = {**app_state}
        made = Connection(H11Protocol(config, server_state, state, _loop), self)
        state["connection"] = made
        return made

    async def watch(self) -> None:
        """Close who must not be here any more; uvicorn calls this every second."""
        try:
            self.reread()
        except IdentityError as refusal:
            LOG.error("%s", refusal)  # noqa: TRY400 - the reason says all
        now = time.monotonic()
        for each in list(self.open):
            if told := self._unwelcome(each, now):
                LOG.info("closed the connection of %s: %s", each.site, told)
                each.close()

    def _unwelcome(self, each: Connection, now: float) -> str:
        if each.peer is None or each.peer.serial in self.revoked:
            return "revoked"
        if each.peer.until < datetime.now(UTC):
            return "expired"
        quiet = not each.busy and now - each.since > QUIET_SECONDS
        return "quiet" if quiet else ""

    def reread(self) -> None:
        """Take the revocation list as it is now; raise when it is not to be trusted.

        A newer list is added to those that TLS knows, and OpenSSL goes by the newest.
        """
        read = self._list.read_bytes()
        if read == self._read:
            return
        self._read = read
        self.revoked = serials(read, (self.folder / "ca.pem").read_bytes())
        self.context.load_verify_locations(self._list)
        LOG.info("revocation list read: %d revoked", len(self.revoked))


def serials(revoked: bytes, authority: bytes) -> frozenset[int]:
    """Return the revoked serial numbers, if *authority* signed the list."""
    try:
        crl = x509.load_pem_x509_crl(revoked)
        signer: Any = x509.load_pem_x509_certificate(authority).public_key()
        signed = crl.is_signature_valid(signer)
    except (ValueError, TypeError):
        signed = False
    if not signed:
        raise IdentityError(
            "the list of revoked certificates is not the consortium's",
            likely="the file is damaged, or of another consortium",
            fix="write it again; until then the last good list holds",
        )
    return frozenset(each.serial_number for each in crl)
