"""X.509 certificates as both sides judge them; the authority alone makes them.

A site is named by the URI in its certificate, ``consilium://CONSORTIUM/SITE``, never by
its subject. Clocks come in as arguments.
"""

from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from common.errors import IdentityError
from common.trust.identity import TlsKey

WARN_DAYS: Final = (30, 7, 1)
"""So many days before the end a person is told, each time more urgently."""
_URGENCY = dict(zip(WARN_DAYS, ("soon", "this week", "today or tomorrow"), strict=True))


def site_uri(consortium: str, site: str) -> str:
    """Return how a certificate names a site."""
    return f"consilium://{consortium}/{site}"


def subject(consortium: str, name: str) -> x509.Name:
    """Return the subject for people to read; nothing trusts it."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, consortium),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of *certificate*: 64 hexadecimal digits."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def pem(certificate: x509.Certificate) -> str:
    """Return *certificate* as text for files and documents."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def read(text: str | bytes) -> x509.Certificate:
    """Return the certificate in *text*; raise IdentityError when there is none."""
    try:
        content = text.encode() if isinstance(text, str) else text
        return x509.load_pem_x509_certificate(content)
    except ValueError:
        raise IdentityError("this is no certificate, or a damaged one") from None


def request(key: TlsKey, consortium: str, site: str) -> str:
    """Return a certificate signing request for *key*, which proves that one has it."""
    builder = x509.CertificateSigningRequestBuilder(subject(consortium, site))
    signed = builder.sign(key, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode()


def requested(text: str, consortium: str, site: str) -> ec.EllipticCurvePublicKey:
    """Return the key that a request asks to have certified for *site*.

    Raises IdentityError unless the request proves possession of a P-256 key and names
    the same site as the document around it.
    """
    try:
        asked = x509.load_pem_x509_csr(text.encode())
        key = asked.public_key()
        proven = asked.is_signature_valid
    except (ValueError, InvalidSignature):
        raise IdentityError("this is no certificate request") from None
    if not proven or asked.subject != subject(consortium, site):
        raise IdentityError(
            "the certificate request does not belong to the site that sent it",
            likely="it was changed on its way",
            fix="ask the site for its request again",
        )
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.key_size != 256:  # noqa: PLR2004 - P-256
        raise IdentityError("the certificate request is not for an ECDSA P-256 key")
    return key


def check_site(
    certificate: x509.Certificate, ca: x509.Certificate, uri: str, now: datetime
) -> None:
    """Raise IdentityError unless *ca* certified *certificate* for the site *uri*."""
    policy = PolicyBuilder().store(Store([ca])).time(now).max_chain_depth(0)
    try:
        found = policy.build_client_verifier().verify(certificate, [])
    except VerificationError:
        raise IdentityError(
            "the certificate is not one that this consortium's authority gave to a "
            "site, or it is out of date",
            likely="an expired certificate, or a wrong clock on this machine",
            fix=f"compare the clock; the certificate is {_validity(certificate)}",
        ) from None
    names = [name.value for name in found.subjects or []]
    if names != [uri]:
        raise IdentityError("the certificate names another site", likely=f"not {uri}")


def same_key(certificate: x509.Certificate, key: TlsKey) -> bool:
    """Say whether *certificate* was given to the owner of *key*."""
    return certificate.public_key() == key.public_key()


def expiry_warning(certificate: x509.Certificate, now: datetime) -> str | None:
    """Return words 30, 7 and 1 days before the certificate's end, else nothing."""
    return expiry_words(certificate.not_valid_after_utc, now)


def expiry_words(end: datetime, now: datetime) -> str | None:
    """Return :func:`expiry_warning` of what ends at *end*."""
    left = end - now
    when = f"{end:%Y-%m-%d %H:%M} UTC"
    if left <= timedelta(0):
        return f"expired on {when}"
    for days in sorted(WARN_DAYS):
        if left <= timedelta(days=days):
            return f"expires {_URGENCY[days]}, on {when} ({_in_words(left)} left)"
    return None


def _in_words(left: timedelta) -> str:
    whole = left.days or left // timedelta(hours=1)
    unit = "day" if left.days else "hour"
    return f"{whole} {unit}" if whole == 1 else f"{whole} {unit}s"


def _validity(certificate: x509.Certificate) -> str:
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return f"valid from {start:%Y-%m-%d} to {end:%Y-%m-%d}"
