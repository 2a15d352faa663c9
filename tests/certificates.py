"""A consortium that lives for one test: an authority, certificates, a list."""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from common.tls import Files

DAY = timedelta(days=1)
SERVER = x509.ExtendedKeyUsageOID.SERVER_AUTH
CLIENT = x509.ExtendedKeyUsageOID.CLIENT_AUTH
PEM = serialization.Encoding.PEM


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def save_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    shape, none = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path.write_bytes(key.private_bytes(PEM, shape, none))


@dataclass
class Consortium:
    """An authority in *folder*; everything it makes is a file there."""

    folder: Path
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    made: dict[str, x509.Certificate] = field(default_factory=dict)
    lists: int = 0

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        usage = x509.KeyUsage(
            digital_signature=False,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        )
        public = self.key.public_key()
        certificate = (
            self._builder(name("consortium"), public, -DAY, 30 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(public), critical=False
            )
            .sign(self.key, hashes.SHA256())
        )
        (self.folder / "ca.pem").write_bytes(certificate.public_bytes(PEM))
        self.revoke()

    def _builder(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        begins: timedelta,
        ends: timedelta,
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder(name("consortium"), subject, key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + begins)
            .not_valid_after(now + ends)
        )

    def issue(
        self,
        who: str,
        *,
        use: x509.ObjectIdentifier = CLIENT,
        begins: timedelta = -DAY,
        ends: timedelta = 30 * DAY,
        host: str = "127.0.0.1",
    ) -> Files:
        """Return the files of a new certificate for *who*."""
        key = ec.generate_private_key(ec.SECP256R1())
        public = self.key.public_key()
        address: list[x509.GeneralName] = (
            [x509.IPAddress(ipaddress.ip_address(host))]
            if host[0].isdigit()
            else [x509.DNSName(host)]
        )
        certificate = (
            self._builder(name(who), key.public_key(), begins, ends)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(public),
                critical=False,
            )
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()),
                critical=False,
            )
            .add_extension(x509.ExtendedKeyUsage([use]), critical=False)
            .add_extension(x509.SubjectAlternativeName(address), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        self.made[who] = certificate
        files = self.files(who)
        files.certificate.write_bytes(certificate.public_bytes(PEM))
        save_key(files.key, key)
        return files

    def files(self, who: str) -> Files:
        """Return where the papers of *who* are."""
        pem, key = (self.folder / f"{who}.{end}" for end in ("pem", "key"))
        return Files(pem, key, self.folder / "ca.pem", self.folder / "crl.pem")

    def revoke(self, who: Iterable[str] = ()) -> None:
        """Write the list anew, with *who* on it."""
        self.lists += 1
        now = datetime.now(UTC)
        public = self.key.public_key()
        builder = (
            x509.CertificateRevocationListBuilder(name("consortium"))
            .last_update(now - DAY + timedelta(seconds=self.lists))
            .next_update(now + 30 * DAY)
            .add_extension(x509.CRLNumber(self.lists), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(public),
                critical=False,
            )
        )
        for each in who:
            revoked = x509.RevokedCertificateBuilder(
                self.made[each].serial_number, now - DAY
            )
            builder = builder.add_revoked_certificate(revoked.build())
        listed = builder.sign(self.key, hashes.SHA256())
        (self.folder / "crl.pem").write_bytes(listed.public_bytes(PEM))
