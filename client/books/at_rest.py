"""What a site keeps encrypted on its disk: blocks, each of one thing, in its place.

Blocks of AES-256-GCM, each with its own nonce. What the content is of is authenticated
with every block, and so are its number and whether it is the last: what was cut off,
exchanged or is of something else does not open. The key is in the home.
"""

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from common.trust import private_files

BLOCK: Final = 2**26
NONCE, TAG, KEY = 12, 16, 32


def key(home: Path) -> bytes:
    """Return the secret of *home*, made when it is first asked for."""
    path = home / "table.key"
    if not path.exists():
        private_files.make_folder(home)
        private_files.write(path, secrets.token_bytes(KEY))
    return private_files.read(path)


def sealed(content: bytes, secret: bytes, about: str) -> Iterator[bytes]:
    """Yield the blocks of *content*; each knows its place and which is the last."""
    cipher, blocks = AESGCM(secret), range(0, len(content), BLOCK)
    for number, begin in enumerate(blocks):
        nonce = secrets.token_bytes(NONCE)
        told = _told(about, number, last=number == len(blocks) - 1)
        yield nonce + cipher.encrypt(nonce, content[begin : begin + BLOCK], told)


def opened(content: bytes, secret: bytes, about: str) -> bytes | None:
    """Return what was sealed; None unless it is whole, and *about* this very thing."""
    cipher, found = AESGCM(secret), []
    size = NONCE + BLOCK + TAG
    starts = range(0, len(content) or 1, size)
    try:
        for number, begin in enumerate(starts):
            block = content[begin : begin + size]
            told = _told(about, number, last=number == len(starts) - 1)
            found.append(cipher.decrypt(block[:NONCE], block[NONCE:], told))
    except (InvalidTag, ValueError):
        return None
    return b"".join(found)


def _told(about: str, number: int, *, last: bool) -> bytes:
    return f"{about}:{number}:{'last' if last else 'more'}".encode()
