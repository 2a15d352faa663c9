"""The folder that ``consilium server init`` makes, and how it is read and changed.

consortium.json   the consortium's name, where sites connect, its host names
ca.key  ca.pem    the authority; its key is encrypted and better kept elsewhere
tls.pem           the aggregator's TLS key and certificate
signing.key       what invites, admissions and rosters are signed with
roster.json       the current roster, signed
crl.pem           the certificates that are revoked, signed by the authority
book.json         invites (a hash of each code) and every certificate given out
SITE.admitted     what a site was given last; SITE.admitting while that is made
heads.json        the last head of each site's ledger, as the site showed it
"""

import fcntl
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from cryptography import x509
from pydantic import AwareDatetime, ValidationError

from common.errors import IntegrityError, UsageError
from common.schema import Document
from common.study import SiteName
from common.trust import certificates, enrolment, identity, private_files
from common.trust.enrolment import Admission, Hex, Roster, Serial
from server.members.authority import Authority


class About(Document):
    """What an operator chose: the name, and where sites find the aggregator."""

    consortium: SiteName
    url: str
    hosts: tuple[str, ...]


class Invited(Document):
    """An invite that was written; of its one-time code only the SHA-256 is kept."""

    site: SiteName
    code: Hex
    expires: AwareDatetime
    used: AwareDatetime | None = None


class Issued(Document):
    """A certificate that a site was given, and when it was revoked."""

    site: SiteName
    serial: Serial
    revoked: AwareDatetime | None = None


class Book(Document):
    """All that was promised and given: what is not in here was not."""

    invited: tuple[Invited, ...] = ()
    issued: tuple[Issued, ...] = ()

    def revoked(self) -> dict[int, datetime]:
        """Return the serial of every revoked certificate, and when that was."""
        return {
            int(each.serial, 16): each.revoked for each in self.issued if each.revoked
        }


Stored = TypeVar("Stored", About, Book)


@dataclass(frozen=True, slots=True)
class Consortium:
    """An opened folder: everything but the authority's key."""

    folder: Path
    about: About
    signing_key: identity.SigningKey
    ca: x509.Certificate

    @property
    def aggregator(self) -> str:
        """The aggregator's public key, as documents carry it."""
        return identity.public_text(self.signing_key)

    def book(self) -> Book:
        """Return the book as it is now."""
        return _load(self.folder / "book.json", Book)

    def roster(self) -> Roster:
        """Return the roster as it is now."""
        return enrolment.unseal(self.sealed_roster(), Roster, self.aggregator)

    def sealed_roster(self) -> bytes:
        """Return the signed roster, as sites are shown it."""
        return private_files.read(self.folder / "roster.json")

    def certificate(self) -> x509.Certificate:
        """Return the aggregator's TLS certificate."""
        return certificates.read(private_files.read(self.folder / "tls.pem"))

    def certificate_of(self, site: str) -> x509.Certificate | None:
        """Return the certificate that *site* was given last, if any is here."""
        path = self.folder / f"{site}.admitted"
        if not path.exists():
            return None
        sealed = private_files.read(path)
        admission = enrolment.unseal(sealed, Admission, self.aggregator)
        return certificates.read(admission.certificate)

    def store(self, name: str, document: About | Book) -> None:
        """Write one of our own files."""
        content = document.model_dump_json(indent=2).encode()
        private_files.write(self.folder / name, content)

    def publish(self, roster: Roster) -> None:
        """Sign *roster* and make it the current one."""
        sealed = enrolment.seal(roster, self.signing_key)
        private_files.write(self.folder / "roster.json", sealed)

    @contextmanager
    def alone(self) -> Generator[None]:
        """Let no other command change this folder meanwhile."""
        with (self.folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def load(folder: Path) -> Consortium:
    """Return the consortium in *folder*; raise unless all of it is private."""
    if not (folder / "consortium.json").exists():
        raise UsageError(
            f"there is no consortium in {folder}",
            fix=f"consilium server init {folder} --name NAME --host HOST",
        )
    about = _load(folder / "consortium.json", About)
    key = identity.read_signing_key(folder / "signing.key")
    ca = certificates.read(private_files.read(folder / "ca.pem"))
    return Consortium(folder, about, key, ca)


def unlock(consortium: Consortium, path: Path, passphrase: bytes) -> Authority:
    """Return the consortium's authority, opened with its passphrase."""
    key = identity.read_tls_key(path, passphrase)
    if not certificates.same_key(consortium.ca, key):
        what = "this key is not the one of this consortium's authority"
        raise IntegrityError(what, where=str(path))
    return Authority(key, consortium.ca)


def _load(path: Path, kind: type[Stored]) -> Stored:
    try:
        return kind.model_validate_json(private_files.read(path))
    except ValidationError:
        raise IntegrityError(
            f"{path.name} was damaged or edited",
            where=str(path),
            fix="restore the folder from its backup",
        ) from None
