"""How a hospital joins a consortium, is admitted, and renews. Clocks are arguments.

A hospital trusts what its invite says, and finds out by the phone call whether that was
the consortium's invite: the words it reads cover the authority and the aggregator's key
that it believes in, beside its own keys.
"""

from datetime import datetime
from pathlib import Path

from cryptography import x509

from client.trust import credentials
from client.trust.credentials import Credentials
from common.errors import IdentityError, UsageError
from common.trust import certificates, enrolment, identity, private_files, signed
from common.trust.certificates import fingerprint, site_uri
from common.trust.enrolment import Admission, Invite, Request, Roster


def join(
    sealed: bytes, folder: Path, now: datetime, *, anew: bool = False
) -> Credentials:
    """Make this hospital's keys in *folder*, and a request to be admitted.

    *anew* lays a former identity aside, and keeps the ledger that stands beside it: a
    second ledger would forget what has left.
    """
    invite = enrolment.unseal_invite(sealed)
    _require_valid(invite, now)
    private_files.make_folder(folder)
    if (folder / "request.json").exists():
        _require_anew(folder, invite, anew=anew)
    credentials.lay_aside(folder)
    signing_key = identity.new_signing_key()
    private_files.write(folder / "signing.key", identity.pem(signing_key))
    private_files.write(folder / "invite.json", sealed)
    home = Credentials(folder, invite, signing_key)
    _ask(home, now, code=invite.code)
    return home


def renew(folder: Path, now: datetime) -> Credentials:
    """Make a fresh TLS key, and a request to have it certified for the same site."""
    home = credentials.load(folder)
    _ask(home, now, replaces=fingerprint(home.certificate()))
    return home


def admitted(sealed: bytes, folder: Path, now: datetime) -> Roster:
    """Check an admission in every way, and keep what it brings."""
    home = credentials.load(folder)
    admission = enrolment.unseal(sealed, Admission, home.invite.aggregator)
    _require_answer(home, admission)
    certificate = _checked(home, admission, now)
    offered = admission.roster.encode()
    roster = enrolment.newer(home.sealed_roster(), offered, home.invite.aggregator)
    _require_listed(home, roster, certificate)
    both = identity.pem(home.tls_key()) + certificates.pem(certificate).encode()
    private_files.write(folder / "ca.pem", home.invite.ca.encode())
    private_files.write(folder / "aggregator.pub", admission.aggregator.encode())
    home.accept_roster(offered)
    private_files.write(folder / "tls.pem", both)
    (folder / "pending.key").unlink(missing_ok=True)
    return roster


def _ask(
    home: Credentials,
    now: datetime,
    code: str | None = None,
    replaces: str | None = None,
) -> None:
    """Write a fresh TLS key and a request for it; the request last."""
    key, invite = identity.new_tls_key(), home.invite
    request = Request(
        consortium=invite.consortium,
        site=invite.site,
        ca_fingerprint=invite.ca_fingerprint,
        aggregator=invite.aggregator,
        code=code,
        replaces=replaces,
        certificate_request=certificates.request(key, invite.consortium, invite.site),
        signing_key=identity.public_text(home.signing_key),
        made=now,
    )
    private_files.write(home.folder / "pending.key", identity.pem(key))
    sealed = enrolment.seal(request, home.signing_key)
    private_files.write(home.folder / "request.json", sealed)


def _require_anew(folder: Path, invite: Invite, *, anew: bool) -> None:
    """Raise unless the identity in *folder* may make room for one of *invite*."""
    if not anew:
        raise UsageError(
            f"{folder} holds an identity already",
            likely="this hospital joined before",
            fix=f"send {folder / 'request.json'} again; after a revocation, with a new "
            f"invite:   consilium client join INVITE --home {folder} --anew",
            then=f"to renew a certificate: consilium client renew --home {folder}",
        )
    former = credentials.load(folder).invite.site
    if former != invite.site:
        raise UsageError(
            f"the invite is for {invite.site}, and the ledger here is of {former}",
            fix="another --home, or an invite for the site that this is",
        )


def _require_valid(invite: Invite, now: datetime) -> None:
    if now > invite.expires:
        raise IdentityError(
            f"this invite expired on {invite.expires:%Y-%m-%d %H:%M} UTC",
            likely="it lay too long, or the clock of this machine is wrong",
            fix="ask the aggregator's operator for a new invite",
        )
    if fingerprint(certificates.read(invite.ca)) != invite.ca_fingerprint:
        raise IdentityError(
            "the invite brings another authority than the one it names",
            fix="ask for it again, by another way; do not use this one",
        )


def _require_answer(home: Credentials, admission: Admission) -> None:
    """Raise unless *admission* answers the very request that was made here."""
    invite = home.invite
    if admission.request != signed.digest(home.request()).hex():
        raise IdentityError(
            "this admission answers another request than the last one made here",
            likely="an older admission, or the one of another hospital",
            fix=f"send {home.folder / 'request.json'}, or ask for the newest answer",
        )
    ours = (invite.consortium, invite.site, invite.aggregator)
    if (admission.consortium, admission.site, admission.aggregator) != ours:
        raise IdentityError("this admission is for another site or consortium")
    if fingerprint(certificates.read(admission.ca)) != invite.ca_fingerprint:
        raise IdentityError(
            "the admission brings another authority than the invite did",
            fix="call the aggregator's operator before anything else",
        )


def _checked(
    home: Credentials, admission: Admission, now: datetime
) -> x509.Certificate:
    """Return the certificate, once it is known to be ours and good."""
    certificate = certificates.read(admission.certificate)
    uri = site_uri(home.invite.consortium, home.invite.site)
    certificates.check_site(certificate, certificates.read(home.invite.ca), uri, now)
    if not certificates.same_key(certificate, home.tls_key()):
        raise IdentityError(
            "the certificate is not for the key that was made here",
            fix=f"consilium client renew --home {home.folder}",
        )
    return certificate


def _require_listed(
    home: Credentials, roster: Roster, certificate: x509.Certificate
) -> None:
    """Raise unless the roster names this site with the keys that it has."""
    member = roster.member(home.invite.site)
    keys = (identity.public_text(home.signing_key), fingerprint(certificate))
    if (
        roster.consortium != home.invite.consortium
        or member is None
        or member.state != "active"
        or (member.signing_key, member.tls_fingerprint) != keys
    ):
        raise IdentityError(
            "the roster does not list this site with its own keys",
            likely="the site was revoked meanwhile",
            fix="ask the aggregator's operator",
        )
