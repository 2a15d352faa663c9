"""Who is behind each record, without saying who: one key per hospital.

A person's number in the hospital becomes 64 bits of an HMAC-SHA256 as soon as it is
read, and the number is forgotten. The key is made in the site's home and never leaves
it, so the same person is the same 64 bits in every source and every run here, and means
nothing elsewhere. A site without a home is a simulated one: it has nobody to protect,
and a key that is in this file, so that two runs of it are the same.
Two of ten million people share 64 bits with a probability of 3e-6.
"""

import hashlib
import hmac
import secrets
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from common import private_files

Persons = NDArray[np.int64]
NOBODY: Final = 0
"""Stands for a record that names no person."""
SIMULATED: Final = b"nobody is behind these numbers: "
_BYTES = 32


def file(home: Path) -> Path:
    """Return where the key of *home* is."""
    return home / "person.key"


def key(home: Path | None) -> bytes:
    """Return the site's key; make it, for its owner only, when there is none yet."""
    if home is None:
        return SIMULATED
    path = file(home)
    if not path.exists():
        private_files.make_folder(home)
        private_files.write(path, secrets.token_bytes(_BYTES))
    return private_files.read(path)


def pseudonyms(secret: bytes, numbers: "pd.Series[str]") -> Persons:
    """Return 64 bits for each person's number; NOBODY where there is none."""
    codes, known = pd.factorize(numbers)
    found = [_pseudonym(secret, each) for each in known]
    return np.array([*found, NOBODY], dtype=np.int64)[codes]


def draws(seed: int, numbers: "pd.Series[str]") -> NDArray[np.float64]:
    """Return a number in [0, 1) for each, always the same for one person and seed.

    Public, for whoever knows the person's number: it is used at once and not kept.
    """
    codes, known = pd.factorize(numbers)
    found = [_hashed(str(seed), each) / 2**64 for each in known]
    return np.array([*found, 0.0], dtype=np.float64)[codes]


def keys(numbers: "pd.Series[str]") -> NDArray[np.uint64]:
    """Return 64 bits for each number: by them a model draws whom a part of it sees.

    They are the same whatever the site's key, so that a study can be repeated and every
    engine gives the same model. They stay in the table and go with it.
    """
    codes, known = pd.factorize(numbers)
    found = [_hashed("key", each) for each in known]
    return np.array([*found, 0], dtype=np.uint64)[codes]


def folded(numbers: "pd.Series[str]") -> "pd.Series[str]":
    """Return the numbers without case and leading zeros."""
    return numbers.str.casefold().str.lstrip("0")


def _pseudonym(secret: bytes, number: str) -> int:
    if not number:
        return NOBODY
    digest = hmac.digest(secret, number.encode(), "sha256")
    return int.from_bytes(digest[:8], "big", signed=True)


def _hashed(what: str, number: str) -> int:
    digest = hashlib.sha256(f"{what}:{number}".encode()).digest()
    return int.from_bytes(digest[:8], "big")
