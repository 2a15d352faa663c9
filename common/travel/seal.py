"""Whose word a message is: one signature over all that it says, bound to its kind.

    sealed = sign(content, wire.ROUND, AGGREGATOR, key)
    verify(sealed, wire.ROUND, AGGREGATOR, public)      # nothing, or an error

Signed are the words, which name protocol, study, run, round, sequence, roster and
state, and the hash of every array. A message with anything beside them is not read.
"""

import hashlib
import json
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from flwr.app import ArrayRecord, ConfigRecord, RecordDict

from common import large_arrays
from common.errors import IntegrityError
from common.travel import content as contents
from common.trust import signed
from common.trust.identity import SigningKey

AGGREGATOR: Final = ""
"""The sender that is no site."""
CONTEXT: Final = "consilium/message/1"
_SEAL = "seal"
_PARTS = {"about": ConfigRecord, "arrays": ArrayRecord}
_LARGEST = 2**53 - 1
"""The largest whole number that has one spelling in JSON (RFC 8785)."""


def sign(content: RecordDict, kind: str, sender: str, key: SigningKey) -> RecordDict:
    """Return *content* with the signature of *sender* beside it."""
    document = signed.sign(_payload(content, kind, sender), key, CONTEXT)
    sealed = ConfigRecord({"document": document.decode()})
    return RecordDict({**content, _SEAL: sealed})


def verify(content: RecordDict, kind: str, sender: str, key: Ed25519PublicKey) -> None:
    """Raise unless *sender*, who has *key*, said exactly *content* as a *kind*.

    Raises IntegrityError for what is no sealed message, or says other than what was
    signed; IdentityError when somebody else signed it.
    """
    beside = dict(contents.words(content, _SEAL).items())
    document = beside.pop("document", None)
    if beside or not isinstance(document, str):
        raise IntegrityError("a message carries no signature, or more beside it")
    said = RecordDict({name: part for name, part in content.items() if name != _SEAL})
    claimed = signed.verify(document.encode(), key, CONTEXT)
    if claimed != _payload(said, kind, sender):
        raise IntegrityError(
            "a message says something else than what was signed",
            likely="it was changed on its way, or was sent as another one",
            fix="ask the aggregator's operator; nothing of it was used",
        )


def _payload(content: RecordDict, kind: str, sender: str) -> signed.Payload:
    if any(type(part) is not _PARTS.get(name) for name, part in content.items()):
        raise IntegrityError("a message carries more than words and arrays")
    words = dict(contents.words(content, "about").items())
    if not all(_spelled(word) for word in words.values()):
        raise IntegrityError("a message says what is neither a word nor a number")
    about = hashlib.sha256(signed.canonical(words)).hexdigest()
    arrays = _hash(contents.arrays(content))
    return {"kind": kind, "sender": sender, "about": about, "arrays": arrays}


def _spelled(word: object) -> bool:
    """Say whether *word* is text, or a whole number with one spelling."""
    return type(word) is str or (type(word) is int and abs(word) <= _LARGEST)


def _hash(arrays: ArrayRecord) -> str:
    """Return SHA-256 over every array as it travels, by name."""
    parts = [
        [name, each.dtype, list(each.shape), each.stype, _digest(each.data)]
        for name, each in sorted(arrays.items())
    ]
    return _digest(json.dumps(parts).encode())


def _digest(data: bytes) -> str:
    found = hashlib.sha256()
    large_arrays.hashed(found.update, data)
    return found.hexdigest()
