"""Documents signed with Ed25519: canonical JSON, one context each, one way to write.

    sealed = sign({"site": "north"}, key, "consilium/example/1")
    verify(sealed, public, "consilium/example/1")     # the payload, or an error

The context is part of what is signed, so a signature made for one kind of document is
worth nothing on another. A sealed document has exactly one spelling (RFC 8785), so not
even a space can be changed. A check raises; it never answers yes or no.
"""

import hashlib
import json
from typing import Any

import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from common.errors import IdentityError, IntegrityError

LARGEST = 1_000_000
"""Bytes that a document may have: it is parsed before it is known to be genuine."""
NAMED = {"admission": "admitted"}
"""How a kind of document stands in the name of its file, where that is another word."""
_SEAL = b"consilium signed document 1\0"
_KEYS = {"context", "payload", "signature"}

Payload = dict[str, Any]


def sign(payload: Payload, key: Ed25519PrivateKey, context: str) -> bytes:
    """Return *payload* sealed by *key*, as the bytes to store or to send."""
    text = rfc8785.dumps(payload)
    before, after = _around(context, key.sign(_message(text, context)).hex())
    sealed = before + text + after
    _parsed(sealed, context)  # what could not be read is not signed: 2.0**53, say
    return sealed


def verify(sealed: bytes, key: Ed25519PublicKey, context: str) -> Payload:
    """Return the payload of a document that *key* sealed for *context*.

    Raises IntegrityError when it is no such document, IdentityError when another key
    signed it or when anything in it was changed afterwards.
    """
    whole = _parsed(sealed, context)
    try:
        before, after = _around(context, whole["signature"])
        text = sealed[len(before) : len(sealed) - len(after)]  # of its one spelling
        key.verify(_signature(whole), _message(text, context))
    except InvalidSignature:
        raise IdentityError(
            f"the signature on the {name(context)} is wrong",
            likely="it was changed on its way, or comes from someone else",
            fix="ask for it again, by another way; do not use this one",
        ) from None
    payload: Payload = whole["payload"]
    return payload


def unverified(sealed: bytes, context: str) -> Payload:
    """Return what a document claims, for finding the key it must be verified with."""
    payload: Payload = _parsed(sealed, context)["payload"]
    return payload


def canonical(payload: Payload) -> bytes:
    """Return *payload* in its one spelling (RFC 8785)."""
    return rfc8785.dumps(payload)


def digest(sealed: bytes) -> bytes:
    """Return the SHA-256 of a sealed document, of which there is one spelling."""
    return hashlib.sha256(sealed).digest()


def name(context: str) -> str:
    """Return the kind of document in a context: ``consilium/roster/1`` is a roster."""
    return context.split("/")[1]


def _message(text: bytes, context: str) -> bytes:
    """Return what is signed of a payload that is spelled *text*."""
    return _SEAL + context.encode() + b"\0" + text


def _around(context: str, signature: str) -> tuple[bytes, bytes]:
    """Return what stands before and after the payload, in RFC 8785's order."""
    before, after = rfc8785.dumps(context), rfc8785.dumps(signature)
    return b'{"context":' + before + b',"payload":', b',"signature":' + after + b"}"


def _parsed(sealed: bytes, context: str) -> dict[str, Any]:
    """Return a document's three parts, having checked all but its signature."""
    kind = name(context)
    if len(sealed) > LARGEST:
        raise IntegrityError(f"this {kind} is larger than {LARGEST:,} bytes")
    try:
        whole = json.loads(sealed)
        same = rfc8785.dumps(whole) == sealed
    except (ValueError, RecursionError):  # no JSON, or none that has a canonical form
        raise IntegrityError(f"this is no {kind}, or a damaged one") from None
    if not same:
        likely = "an editor or a mail program rewrote it"
        raise IntegrityError(f"this {kind} was rewritten", likely=likely)
    if not isinstance(whole, dict) or set(whole) != _KEYS:
        raise IntegrityError(f"this is no signed {kind}")
    if whole["context"] != context:
        raise IntegrityError(
            f"this is no {kind}",
            likely="another kind of Consilium file, or another version",
            fix=f"choose the file whose name says {NAMED.get(kind, kind)}",
        )
    if not isinstance(whole["payload"], dict):
        raise IntegrityError(f"this {kind} holds nothing")
    return whole


def _signature(whole: dict[str, Any]) -> bytes:
    try:
        signature = bytes.fromhex(whole["signature"])
    except (TypeError, ValueError):
        signature = b""
    if signature.hex() != whole["signature"]:
        raise IdentityError(f"the {name(whole['context'])} carries no signature")
    return signature
