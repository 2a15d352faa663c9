"""The papers that the door goes by: who may come in, as the consortium's folder says.

An operator's command writes files and nothing else, so they are looked at again and
again: the revocation list, the roster, and the aggregator's own key and certificate.
What is damaged, foreign or older than before is said, and the last good one holds.
"""

import logging
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from common.errors import ConsiliumError, IdentityError
from common.trust import certificates, enrolment, private_files, tls
from common.trust.enrolment import Roster
from server.members import consortium

LOG = logging.getLogger("consilium.server.papers")
OWN, CA, LIST, ROSTER = "tls.pem", "ca.pem", "crl.pem", "roster.json"


@dataclass(frozen=True, slots=True)
class Peer:
    """Who a certificate says that somebody is."""

    site: str
    serial: int
    until: datetime
    key: str
    """The public key, as Flower's header spells it."""


def peer(der: bytes, name: str) -> Peer:
    """Return which site of the consortium *name* the certificate *der* is about.

    The URI in it says so, and nothing else does; without one it is nobody.
    """
    certificate = x509.load_der_x509_certificate(der)
    key = certificate.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return Peer(
        site=_site(certificate, certificates.site_uri(name, "")),
        serial=certificate.serial_number,
        until=certificate.not_valid_after_utc,
        key=b64encode(key).decode(),
    )


def _site(certificate: x509.Certificate, start: str) -> str:
    try:
        names = certificate.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
    except x509.ExtensionNotFound:
        return ""
    uris = names.value.get_values_for_type(x509.UniformResourceIdentifier)
    ours = [uri.removeprefix(start) for uri in uris if uri.startswith(start)]
    return ours[0] if len(ours) == len(uris) == 1 else ""


class Papers:
    """What the door knows of the consortium, as good as its folder is now."""

    def __init__(self, folder: Path, now: datetime) -> None:
        """Read every paper; raise when one is missing, damaged or open to others."""
        opened = consortium.load(folder)
        self.folder, self.name = folder, opened.about.consortium
        self._authority, self._signer = opened.ca, opened.aggregator
        own, ca, crl = (folder / name for name in (OWN, CA, LIST))
        self.context = tls.aggregator_context(own, ca, crl)
        self.revoked, self._number = frozenset[int](), 0
        self.roster: Roster = opened.roster()
        self._read: dict[str, bytes] = {}
        self._said: dict[str, str] = {}
        self._takes: dict[str, Callable[[bytes], None]] = {
            LIST: self._take_list,
            ROSTER: self._take_roster,
            OWN: self._take_own,
        }
        for name in self._takes:
            self._look(name)
        self._warn(now)

    def reread(self, now: datetime) -> None:
        """Take every paper as it is now; keep, and say, what is not to be trusted."""
        for name in self._takes:
            try:
                self._look(name)
                self._say(name, "")
            except ConsiliumError as refusal:
                self._say(
                    name, f"{name} is not used, the last good one holds: {refusal}"
                )
        self._warn(now)

    def against(self, peer: Peer, now: datetime) -> str:
        """Return the word of why *peer* may not come in, or nothing."""
        member = self.roster.member(peer.site)
        if peer.serial in self.revoked or (member and member.state == "revoked"):
            return "revoked"
        if peer.until < now:
            return "expired"
        if member is None:
            return "unknown"
        return "" if int(member.serial, 16) == peer.serial else "replaced"

    def _look(self, name: str) -> None:
        read = private_files.read(self.folder / name)
        if read != self._read.get(name):
            self._takes[name](read)
            self._read[name] = read

    def _take_list(self, read: bytes) -> None:
        """Take a revocation list; TLS keeps the older ones, and goes by the newest."""
        crl = listed(read, self._authority)
        found = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        if found < self._number:
            raise IdentityError(
                f"list {found} is older than the one in use, list {self._number}",
                likely="the folder was restored from an old backup",
                fix="consilium server revoke SITE --dir DIR   writes it anew",
            )
        self.context.load_verify_locations(self.folder / LIST)
        self.revoked, self._number = frozenset(e.serial_number for e in crl), found
        LOG.info("revocation list read: %d revoked", len(self.revoked))

    def _take_roster(self, read: bytes) -> None:
        self.roster = enrolment.newer(self._read.get(ROSTER), read, self._signer)
        LOG.info("roster %d read", self.roster.version)

    def _take_own(self, read: bytes) -> None:
        """Take the aggregator's key and certificate, once they are known to work."""
        own = self.folder / OWN
        tls.site_context(own, self.folder / CA)
        self.context.load_cert_chain(own)
        self._until = certificates.read(read).not_valid_after_utc
        LOG.info("own certificate read: good until %s", self._until.date())

    def _warn(self, now: datetime) -> None:
        words = certificates.expiry_words(self._until, now)
        told = f"the aggregator's own certificate {words}" if words else ""
        fix = f"\n  fix     consilium server renew --dir {self.folder}"
        self._say("expiry", told + fix if told else "")

    def _say(self, about: str, words: str) -> None:
        """Log *words*, unless that was the last that was said about it."""
        if words and words != self._said.get(about):
            LOG.error("%s", words)
        self._said[about] = words


def listed(
    revoked: bytes, authority: x509.Certificate
) -> x509.CertificateRevocationList:
    """Return a list of revoked certificates, if *authority* signed it."""
    try:
        crl = x509.load_pem_x509_crl(revoked)
        signer: Any = authority.public_key()
        signed = crl.is_signature_valid(signer)
    except (ValueError, TypeError):
        signed = False
    if not signed:
        raise IdentityError(
            "the list of revoked certificates is not the consortium's",
            likely="the file is damaged, or of another consortium",
            fix="restore the folder from its backup",
        )
    return crl
