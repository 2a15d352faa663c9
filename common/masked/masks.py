"""The five pieces of cryptography that masking is put together from, and no more.

Bonawitz et al. 2017, section 3, names them: key agreement (X25519 with HKDF-SHA256),
authenticated encryption (AES-256-GCM), the pseudorandom generator (AES-256 in counter
mode), secret sharing (common/masked/shamir.py) and signatures (common/trust/signed.py).
Every key is derived for one purpose, and the purpose is written out as canonical JSON.
"""

from collections.abc import Iterable

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import (
    X25519PrivateKey,
    X25519PublicKey,
)
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from common import large_arrays
from common.errors import IdentityError
from common.masked.fixed_point import Ring
from common.masked.shamir import Entropy
from common.trust import signed

KEY = 32
"""Bytes of every key, seed and commitment."""
NONCE = 12
BLOCK = 1 << 15
"""Numbers masked at a time: 256 KiB, which stay in the processor's cache."""
_ZEROS = bytes(8 * BLOCK)
_START = bytes(16)
"""Where each counter starts: a key makes one stream only."""

Sign = bool
"""Whether a mask is taken away instead of added."""


def public(private: bytes) -> bytes:
    """Return the public half of an X25519 key."""
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def agreed(private: bytes, peer: bytes, purpose: signed.Payload) -> bytes:
    """Return the key for *purpose* of whoever holds either private half (KA.agree).

    Raises IdentityError for a public key of which anybody knows the result.
    """
    try:
        secret = X25519PrivateKey.from_private_bytes(private).exchange(
            X25519PublicKey.from_public_bytes(peer)
        )
    except ValueError:  # a point of small order
        raise IdentityError("a public key is one that hides nothing") from None
    return derived(secret, purpose)


def hides(peer: bytes) -> bool:
    """Say whether a public key can hide anything: one of small order cannot."""
    try:
        X25519PrivateKey.generate().exchange(X25519PublicKey.from_public_bytes(peer))
    except ValueError:
        return False
    return True


def derived(secret: bytes, purpose: signed.Payload) -> bytes:
    """Return the key that *secret* gives for *purpose*, unrelated to any other."""
    return HKDF(SHA256(), KEY, None, signed.canonical(purpose)).derive(secret)


def boxed(key: bytes, content: bytes, purpose: signed.Payload, fresh: Entropy) -> bytes:
    """Return *content* so that only *key* opens it, and only for *purpose* (AE.enc)."""
    nonce = fresh(NONCE)
    return nonce + AESGCM(key).encrypt(nonce, content, signed.canonical(purpose))


def unboxed(key: bytes, box: bytes, purpose: signed.Payload) -> bytes:
    """Return what :func:`boxed` took; raise IdentityError for any other box."""
    try:
        bound = signed.canonical(purpose)
        return AESGCM(key).decrypt(box[:NONCE], box[NONCE:], bound)
    except (InvalidTag, ValueError):  # another key or purpose, or too short
        raise IdentityError("a box does not open") from None


def add(vector: Ring, streams: Iterable[tuple[bytes, Sign]]) -> Ring:
    """Return *vector* with the stream of each key added, or taken away (PRG).

    One zero buffer is encrypted again and again into another one, so that nothing is
    allocated but the sum: that is what makes it fast.
    """
    ciphers = [(Cipher(AES(key), CTR(_START)).encryptor(), no) for key, no in streams]
    out = bytearray(8 * BLOCK + 15)  # update_into asks for a block more, less a byte
    total = large_arrays.like(vector)
    for passed in large_arrays.passing(vector, total):
        given, found = vector[passed], total[passed]
        for start in range(0, len(given), BLOCK):
            part = found[start : start + BLOCK]
            part[:] = given[start : start + BLOCK]
            zeros = memoryview(_ZEROS)[: 8 * len(part)]
            stream = np.frombuffer(out, "<u8", len(part))
            for cipher, negative in ciphers:
                cipher.update_into(zeros, out)
                (np.subtract if negative else np.add)(part, stream, out=part)
    return total
