"""The four documents by which a hospital becomes a site, each with one signature.

    Invite      aggregator -> hospital   who we are, and a code that works once
    Request     hospital -> aggregator   my public keys, and whom I believe to speak to
    Admission   aggregator -> hospital   your certificate, and the roster you are on
    Roster      aggregator -> everyone   the sites, their keys, and who was revoked

An invite and a request are signed by a key that they bring along, so by themselves they
prove nothing. The people do: the words of a request cover the keys of *both* sides, so
one comparison over the phone shows that nobody stood between, in either direction.
"""

from typing import Annotated, Final, Literal, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import AwareDatetime, Field, ValidationError

from common.errors import IntegrityError
from common.schema import Document
from common.study import SiteName
from common.trust import identity, signed, words

Hex = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Serial = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
Pem = Annotated[str, Field(max_length=10_000)]
CODE_LENGTH: Final = 32


class Invite(Document):
    """What a hospital needs to ask for admission: whom it will talk to, and a code."""

    consortium: SiteName
    site: SiteName
    url: str
    ca: Pem
    ca_fingerprint: Hex
    aggregator: Hex
    code: Annotated[str, Field(min_length=CODE_LENGTH, max_length=CODE_LENGTH)]
    expires: AwareDatetime


class Request(Document):
    """A site's public keys; ``ca_fingerprint`` and ``aggregator`` are whom it trusts.

    The first request carries the invite's code. A renewal carries the fingerprint of
    the certificate that it ``replaces``, so an old one cannot be used again.
    """

    consortium: SiteName
    site: SiteName
    ca_fingerprint: Hex
    aggregator: Hex
    code: str | None = None
    replaces: Hex | None = None
    certificate_request: Pem
    signing_key: Hex
    made: AwareDatetime


class Member(Document):
    """One site of the roster: its keys, and whether they still count."""

    site: SiteName
    serial: Serial
    tls_fingerprint: Hex
    signing_key: Hex
    admitted: AwareDatetime
    expires: AwareDatetime
    state: Literal["active", "revoked"] = "active"


class Roster(Document):
    """The sites of a consortium; every change makes the version one larger."""

    consortium: SiteName
    version: int = Field(ge=1)
    issued: AwareDatetime
    members: tuple[Member, ...] = ()

    def member(self, site: str) -> Member | None:
        """Return the entry of *site*, if it has one."""
        return next((each for each in self.members if each.site == site), None)


class Admission(Document):
    """The answer to one request: a certificate, and the sealed roster as text."""

    consortium: SiteName
    site: SiteName
    request: Hex
    certificate: Pem
    ca: Pem
    aggregator: Hex
    roster: str


Sealed = TypeVar("Sealed", Invite, Request, Roster, Admission)
CONTEXTS: Final[dict[type[Document], str]] = {
    kind: f"consilium/{kind.__name__.lower()}/1"
    for kind in (Invite, Request, Roster, Admission)
}


def seal(document: Document, key: identity.SigningKey) -> bytes:
    """Return *document* signed by *key*, as the bytes of its file."""
    payload = document.model_dump(mode="json")
    return signed.sign(payload, key, CONTEXTS[type(document)])


def unseal(sealed: bytes, kind: type[Sealed], key: str | Ed25519PublicKey) -> Sealed:
    """Return a document of this *kind* that *key* has signed, or raise."""
    public = identity.public_key(key) if isinstance(key, str) else key
    return _read(signed.verify(sealed, public, CONTEXTS[kind]), kind)


def unseal_invite(sealed: bytes) -> Invite:
    """Return an invite that is whole; whether it is ours, the phone call shows."""
    claimed = _read(signed.unverified(sealed, CONTEXTS[Invite]), Invite)
    return unseal(sealed, Invite, claimed.aggregator)


def unseal_request(sealed: bytes) -> Request:
    """Return a request that is whole; whose it is, the phone call shows."""
    claimed = _read(signed.unverified(sealed, CONTEXTS[Request]), Request)
    return unseal(sealed, Request, claimed.signing_key)


def spoken(sealed: bytes) -> str:
    """Return the words of a request, which both people must see."""
    return words.spoken(signed.digest(sealed))


def heard(text: str) -> str:
    """Return words as a person typed them, spelled as :func:`spoken` does."""
    return words.heard(text)


def newer(known: bytes | None, offered: bytes, key: str) -> Roster:
    """Return the *offered* roster unless it is older than the one that is *known*.

    Raises IntegrityError for a lower version, and for another roster of the same one:
    an aggregator that shows two sites two rosters is not to be trusted.
    """
    roster = unseal(offered, Roster, key)
    if known is None or known == offered:
        return roster
    kept = unseal(known, Roster, key)
    if roster.version <= kept.version or roster.consortium != kept.consortium:
        raise IntegrityError(
            f"roster version {roster.version} is not newer than the one kept here, "
            f"version {kept.version}",
            likely="an old file, or someone who wants a revoked site back",
            fix="ask the aggregator's operator for the current roster",
        )
    return roster


def _read(payload: signed.Payload, kind: type[Sealed]) -> Sealed:
    try:
        return kind.model_validate_json(signed.canonical(payload))
    except ValidationError as invalid:
        # Only our own names: a stranger's could hold what a terminal obeys.
        places = {str(each["loc"][0]) for each in invalid.errors() if each["loc"]}
        fields = sorted(places & set(kind.model_fields)) or ["a surplus field"]
        name = signed.name(CONTEXTS[kind])
        raise IntegrityError(
            f"this {name} does not have the fields of one",
            likely=f"another version of Consilium; it differs in {', '.join(fields)}",
        ) from None
