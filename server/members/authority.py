"""The consortium's authority: it certifies the aggregator and sites, and revokes.

Its key is the root of everything, so it is always encrypted, and only the operator's
commands open it; the process that serves the sites never does.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from common.trust.certificates import site_uri, subject
from common.trust.identity import TlsKey

ROOT_LIFE: Final = timedelta(days=5 * 365)
AGGREGATOR_LIFE: Final = timedelta(days=365)
SITE_LIFE: Final = timedelta(days=90)
SKEW: Final = timedelta(hours=1)
"""A certificate starts a little earlier, for hospitals whose clocks are late."""


@dataclass(frozen=True, slots=True)
class Authority:
    """The key that signs certificates, opened, and its own certificate."""

    key: TlsKey
    certificate: x509.Certificate


@dataclass(frozen=True, slots=True)
class Leaf:
    """Whom a certificate is for: its names and the one use it has."""

    name: str
    names: tuple[x509.GeneralName, ...]
    use: x509.ObjectIdentifier
    life: timedelta


def new_authority(key: TlsKey, consortium: str, now: datetime) -> Authority:
    """Return the root of *consortium*, good for five years."""
    name = subject(consortium, "consortium authority")
    builder = _blank(name, name, key.public_key(), now, now + ROOT_LIFE)
    usage = _usage(certificates=True)
    certificate = (
        builder.add_extension(x509.BasicConstraints(True, 0), critical=True)  # noqa: FBT003
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    return Authority(key, certificate)


def site_leaf(consortium: str, site: str) -> Leaf:
    """Return what a site is certified for: to connect, under its own name."""
    uri = x509.UniformResourceIdentifier(site_uri(consortium, site))
    return Leaf(site, (uri,), ExtendedKeyUsageOID.CLIENT_AUTH, SITE_LIFE)


def aggregator_leaf(hosts: Iterable[str]) -> Leaf:
    """Return what the aggregator is certified for: to be connected to at *hosts*."""
    names = tuple(_host(each) for each in hosts)
    return Leaf("aggregator", names, ExtendedKeyUsageOID.SERVER_AUTH, AGGREGATOR_LIFE)


def certify(
    authority: Authority, leaf: Leaf, key: ec.EllipticCurvePublicKey, now: datetime
) -> x509.Certificate:
    """Return a certificate for *key*, which ends no later than the authority's own."""
    root = authority.certificate
    name = subject(_organization(root), leaf.name)
    end = min(now + leaf.life, root.not_valid_after_utc)
    extensions = (
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_usage(certificates=False), True),
        (x509.ExtendedKeyUsage([leaf.use]), False),
        (x509.SubjectAlternativeName(leaf.names), False),
        (_issuer(authority), False),
    )
    builder = _blank(name, root.subject, key, now, end)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(authority.key, hashes.SHA256())


def revocations(
    authority: Authority, revoked: dict[int, datetime], number: int, now: datetime
) -> bytes:
    """Return the signed list of *revoked* serials, for ``common.trust.tls``.

    It never goes out of date before the authority does: it is made where it is read,
    and a list that lapses while nobody is looking would only lock everyone out.
    """
    root = authority.certificate
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(root.subject)
        .last_update(now - SKEW)
        .next_update(root.not_valid_after_utc)
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(_issuer(authority), critical=False)
    )
    for serial, when in sorted(revoked.items()):
        entry = x509.RevokedCertificateBuilder().serial_number(serial)
        builder = builder.add_revoked_certificate(entry.revocation_date(when).build())
    signed = builder.sign(authority.key, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM)


def _blank(
    name: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: datetime,
    end: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _organization(root: x509.Certificate) -> str:
    (found,) = root.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    return str(found.value)


def _issuer(authority: Authority) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(
        authority.key.public_key()
    )


def _usage(*, certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certificates,
        crl_sign=certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
