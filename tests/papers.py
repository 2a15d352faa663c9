"""A consortium for tests, made by the house's own code at any hour of any day."""

import secrets
import shutil
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from client.trust import enrolment as hospital
from common.trust import certificates, private_files, tls
from server.gate import papers
from server.members import addresses, consortium, enrolment
from server.members.authority import Authority
from server.members.consortium import Consortium


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


@dataclass
class House:
    """A consortium in *folder*, its authority open, and a home for each site."""

    folder: Path
    begun: datetime = field(default_factory=now)
    hosts: tuple[str, ...] = ("127.0.0.1",)

    def __post_init__(self) -> None:
        secret = secrets.token_hex(16).encode()
        about = addresses.about("heart-net", self.hosts)
        self.made: Consortium = enrolment.found(self.dir, about, secret, self.begun)
        self.root: Authority = consortium.unlock(self.made, self.dir / "ca.key", secret)

    @property
    def dir(self) -> Path:
        """The aggregator's folder."""
        return self.folder / "aggregator"

    def home(self, site: str) -> Path:
        """The folder of a site's identity."""
        return self.folder / site / "state"

    def admit(self, site: str, when: datetime | None = None) -> Path:
        """Invite, join, admit, as of *when*; return the site's home."""
        at, home = when or now(), self.home(site)
        joined = hospital.join(enrolment.invite(self.made, site, 1, at), home, at)
        answer = enrolment.admit(self.made, self.root, joined.request(), at)
        hospital.admitted(answer, home, at)
        return home

    def renew(self, site: str) -> bytes:
        """Let *site* ask for a fresh certificate; return the admission."""
        asked = hospital.renew(self.home(site), now()).request()
        return enrolment.admit(self.made, self.root, asked, now())

    def revoke(self, site: str) -> None:
        """Revoke *site*."""
        enrolment.revoke(self.made, self.root, site, now())

    def renew_aggregator(self, when: datetime | None = None) -> None:
        """Give the aggregator a certificate of *when*."""
        enrolment.renew(self.made, self.root, when or now())

    def exchange(self, one: Path, other: Path) -> Path:
        """Return a copy of the home *one* that shows the certificate of *other*."""
        copy = one.with_name(f"{one.name}-{secrets.token_hex(4)}")
        shutil.copytree(one, copy)
        private_files.write(copy / "tls.pem", (other / "tls.pem").read_bytes())
        return copy


def knocks_with(home: Path) -> tls.ssl.SSLContext:
    """Return the end of a connection that the site in *home* has."""
    return tls.site_context(home / "tls.pem", home / "ca.pem")


def shown_key(home: Path) -> str:
    """Return the key of the certificate in *home*, as Flower's header spells it."""
    certificate = certificates.read((home / "tls.pem").read_bytes())
    der = certificate.public_bytes(Encoding.DER)
    return papers.peer(der, "").key
