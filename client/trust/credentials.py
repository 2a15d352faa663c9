"""The folder with a site's identity. Its keys are made in it and never leave it.

invite.json    whom this site trusts, as the invite said it
signing.key    who this site is: signs its requests and its answers
pending.key    the TLS key of a request that is not answered yet
request.json   the last request, to send it again
tls.pem        the TLS key and its certificate, once admitted
ca.pem         the consortium's authority
aggregator.pub the aggregator's public signing key
roster.json    the newest roster that this site has seen, signed
"""

from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from common.errors import IdentityError, UsageError
from common.trust import certificates, enrolment, identity, private_files
from common.trust.enrolment import Invite, Roster

FILES = (
    "request.json",  # first: without it a home counts as one that has not joined
    "invite.json",
    "signing.key",
    "pending.key",
    "tls.pem",
    "ca.pem",
    "aggregator.pub",
    "roster.json",
)


@dataclass(frozen=True, slots=True)
class Credentials:
    """An opened folder: whom the site trusts, and the key that says who it is."""

    folder: Path
    invite: Invite
    signing_key: identity.SigningKey

    def request(self) -> bytes:
        """Return the last request."""
        return private_files.read(self.folder / "request.json")

    def tls_key(self) -> identity.TlsKey:
        """Return the TLS key that was last asked a certificate for."""
        pending = self.folder / "pending.key"
        return identity.read_tls_key(
            pending if pending.exists() else self.folder / "tls.pem"
        )

    def certificate(self) -> x509.Certificate:
        """Return the certificate in use; raise IdentityError before admission."""
        path = self.folder / "tls.pem"
        if not path.exists():
            raise IdentityError(
                f"{self.invite.site} is not admitted yet",
                where=str(self.folder),
                fix=f"consilium client admitted FILE --home {self.folder}",
            )
        return certificates.read(private_files.read(path))

    def sealed_roster(self) -> bytes | None:
        """Return the newest roster seen here, if any was."""
        path = self.folder / "roster.json"
        return private_files.read(path) if path.exists() else None

    def roster(self) -> Roster:
        """Return the newest roster seen here; raise IdentityError without one."""
        sealed = self.sealed_roster()
        if sealed is None:
            raise IdentityError(f"{self.invite.site} has no roster of its consortium")
        return enrolment.unseal(sealed, Roster, self.invite.aggregator)

    def accept_roster(self, offered: bytes) -> Roster:
        """Keep *offered* as the newest roster, or raise when it is not newer."""
        key, known = self.invite.aggregator, self.sealed_roster()
        roster = enrolment.newer(known, offered, key)
        if roster.consortium != self.invite.consortium:
            raise IdentityError("this is the roster of another consortium")
        if offered != known:
            private_files.write(self.folder / "roster.json", offered)
        return roster


def load(folder: Path) -> "Credentials":
    """Return the identity in *folder*; raise unless all of it is private."""
    if not (folder / "request.json").exists():
        raise UsageError(
            f"there is no identity in {folder}",
            fix=f"consilium client join INVITE --home {folder}",
        )
    invite = enrolment.unseal_invite(private_files.read(folder / "invite.json"))
    key = identity.read_signing_key(folder / "signing.key")
    return Credentials(folder, invite, key)


def lay_aside(folder: Path) -> None:
    """Move the identity, or what is left of one, out of *folder* into one beside it.

    What belongs to the records stays: ledger, inbox, approvals, withdrawals, budget.
    """
    left = [name for name in FILES if (folder / name).exists()]
    if not left:
        return
    number = sum(1 for _ in folder.glob("former-*")) + 1
    former = folder / f"former-{number}"
    private_files.make_folder(former)
    for name in left:
        (folder / name).rename(former / name)
