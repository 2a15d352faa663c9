"""docs/protocol.md is enough: a site's round, written from the page, gives the vectors.

Nothing of the masking code is used here, only the primitives that the page names. The
site is the first of the frozen round in tests/vectors/masking.json.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
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

FILE = Path(__file__).parents[1] / "vectors" / "masking.json"
FROZEN: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
ROUND, OF, CIRCLE = FROZEN["round"], FROZEN["circle"], FROZEN["words"]
NAMES = sorted(OF["sites"])
ME, *OTHERS = NAMES
DRAWN = [bytes.fromhex(each) for each in ROUND["drawn"][ME]]
BOX, MASK, SEED = DRAWN[:3]
PRIME = 2**521 - 1


def hashed(value: object) -> str:
    return hashlib.sha256(rfc8785.dumps(value)).hexdigest()


def derive(secret: bytes, purpose: dict[str, Any]) -> bytes:
    return HKDF(SHA256(), 32, None, rfc8785.dumps(purpose)).derive(secret)


def agree(private: bytes, public: str, purpose: dict[str, Any]) -> bytes:
    peer = X25519PublicKey.from_public_bytes(bytes.fromhex(public))
    return derive(X25519PrivateKey.from_private_bytes(private).exchange(peer), purpose)


def document(context: str, payload: dict[str, Any], key: str) -> str:
    said = b"consilium signed document 1\0" + context.encode() + b"\0"
    signing = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(key))
    signature = signing.sign(said + rfc8785.dumps(payload)).hex()
    whole = {"context": context, "payload": payload, "signature": signature}
    return rfc8785.dumps(whole).decode()


def public(private: bytes) -> str:
    key = X25519PrivateKey.from_private_bytes(private).public_key()
    return key.public_bytes_raw().hex()


def stream(key: bytes, count: int) -> np.ndarray:
    out = Cipher(AES(key), CTR(bytes(16))).encryptor().update(bytes(8 * count))
    return np.frombuffer(out, "<u8")


def shares(secret: bytes, drawn: list[bytes]) -> list[bytes]:
    rest = [int.from_bytes(each, "big") >> 7 for each in drawn]
    terms = [int.from_bytes(secret, "big"), *rest]
    found = []
    for place in range(1, len(NAMES) + 1):
        value = sum(c * place**power for power, c in enumerate(terms)) % PRIME
        found.append(value.to_bytes(66, "big"))
    return found


def fresh(site: str) -> dict[str, str]:
    return dict(json.loads(ROUND["keys"][site])["payload"]["keys"])


KEYS = hashed(ROUND["keys"])
PARTS = [{"wide": False, **each} for each in FROZEN["parts"]]
CODING = hashed({"sites": len(NAMES), "parts": PARTS})
ASKED = [FROZEN["asked"][each] for each in ("task", "number", "state")]
VIEW = hashed({"circle": CIRCLE, "seen": [KEYS, NAMES, *ASKED, CODING]})


def test_the_circle_is_bound_to_the_roster() -> None:
    roster = {"aggregator": OF["aggregator"], "sites": OF["sites"]}
    assert CIRCLE["roster"] == hashed(roster)
    assert CIRCLE["threshold"] == max(3, 2 * len(NAMES) // 3 + 1)


def test_advertise() -> None:
    commitment = derive(SEED, {**CIRCLE, "for": "commitment", "site": ME}).hex()
    keys = {"box": public(BOX), "mask": public(MASK), "seed": commitment}
    payload = {**CIRCLE, "site": ME, "keys": keys}
    made = document("consilium/mask keys/1", payload, FROZEN["signing"][ME])
    assert made == ROUND["keys"][ME]


@pytest.mark.parametrize("place", range(len(OTHERS)))
def test_share(place: int) -> None:
    seeds, masks = shares(SEED, DRAWN[3:5]), shares(MASK, DRAWN[5:7])
    peer, nonce = OTHERS[place], DRAWN[7 + place]
    purpose = {"for": "shares", "keys": KEYS, "from": ME, "to": peer}
    key = agree(BOX, fresh(peer)["box"], purpose)
    content = seeds[place + 1] + masks[place + 1]
    box = nonce + AESGCM(key).encrypt(nonce, content, rfc8785.dumps(purpose))
    assert box.hex() == ROUND["boxes"][peer][ME]


def test_upload() -> None:
    assert (ROUND["coding"], ROUND["view"]) == (CODING, VIEW)
    numbers = FROZEN["numbers"][ME]
    whole = [
        round(x * 2 ** part["bits"]) % 2**64
        for part in PARTS
        for x in numbers[part["name"]]
    ]
    y = np.array(whole, np.uint64)
    own = {"for": "self mask", "view": VIEW, "site": ME}
    y += stream(derive(SEED, own), len(y))
    for peer in OTHERS:  # all of them are later
        pair = {"for": "pair mask", "view": VIEW, "pair": [ME, peer]}
        y -= stream(agree(MASK, fresh(peer)["mask"], pair), len(y))
    assert [str(each) for each in y] == ROUND["masked"][ME]
    said = {**CIRCLE, "view": VIEW, "survivors": NAMES}
    made = document("consilium/confirmation/1", said, FROZEN["signing"][ME])
    assert made == ROUND["foreseen"][ME]


def test_confirm_and_unmask() -> None:
    alive = sorted(ROUND["masked"])
    said = {**CIRCLE, "view": VIEW, "survivors": alive}
    made = document("consilium/confirmation/1", said, FROZEN["signing"][ME])
    assert made == ROUND["confirmations"][ME]
    listed = document("consilium/survivors/1", said, FROZEN["signing"]["aggregator"])
    assert listed == ROUND["survivors"]
    opened = ROUND["openings"][ME]
    assert sorted(opened["seeds"]) == alive
    assert sorted(opened["keys"]) == sorted(set(NAMES) - set(alive))
    assert opened["seeds"][ME] == shares(SEED, DRAWN[3:5])[0].hex()
