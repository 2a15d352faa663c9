"""Keys: made here, kept in private files, and never printed, logged or sent.

A site and the aggregator have two keys each, because they do two things: an ECDSA
P-256 key for TLS, which changes with every certificate, and an Ed25519 key for signing
documents, which is who they are.
"""

from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from common.errors import IdentityError
from common.trust import private_files

SHORTEST = 12
"""Characters of a passphrase."""

TlsKey = ec.EllipticCurvePrivateKey
SigningKey = ed25519.Ed25519PrivateKey
Key = TlsKey | SigningKey


def new_tls_key() -> TlsKey:
    """Return a fresh ECDSA P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def new_signing_key() -> SigningKey:
    """Return a fresh Ed25519 key."""
    return SigningKey.generate()


def pem(key: Key, passphrase: bytes | None = None) -> bytes:
    """Return *key* as PKCS#8, encrypted when there is a passphrase."""
    hidden: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase is not None:
        if len(passphrase) < SHORTEST:
            what = f"a passphrase needs at least {SHORTEST} characters"
            fix = "five unrelated words are easy to remember and hard to guess"
            raise IdentityError(what, fix=fix)
        hidden = serialization.BestAvailableEncryption(passphrase)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, hidden
    )


def read_tls_key(path: Path, passphrase: bytes | None = None) -> TlsKey:
    """Return the TLS key in the private file *path*."""
    key = _read(path, passphrase)
    if not isinstance(key, TlsKey):
        raise IdentityError("this is no TLS key", where=str(path))
    return key


def read_signing_key(path: Path, passphrase: bytes | None = None) -> SigningKey:
    """Return the signing key in the private file *path*."""
    key = _read(path, passphrase)
    if not isinstance(key, SigningKey):
        raise IdentityError("this is no signing key", where=str(path))
    return key


def public_text(key: SigningKey) -> str:
    """Return the public half of *key* as documents carry it: 64 hexadecimal digits."""
    return key.public_key().public_bytes_raw().hex()


def public_key(text: str) -> ed25519.Ed25519PublicKey:
    """Return the public key that a document carries as *text*."""
    try:
        return ed25519.Ed25519PublicKey.from_public_bytes(bytes.fromhex(text))
    except ValueError:
        raise IdentityError("a public key is not 64 hexadecimal digits") from None


def _read(path: Path, passphrase: bytes | None) -> object:
    content = private_files.read(path)
    try:
        return serialization.load_pem_private_key(content, passphrase)
    except (ValueError, TypeError):  # the library's words say no more
        raise IdentityError(
            f"the key in {path.name} does not open",
            where=str(path),
            likely="a wrong passphrase" if passphrase else "it needs a passphrase",
            fix="try again; without its passphrase a key is lost",
        ) from None
