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
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from common.errors import UsageError
from common.trust import private_files

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


@dataclass(frozen=True, slots=True, repr=False)
class Numbers:
    """The persons' numbers of some records: each once, and which one a record has."""

    known: list[str]
    codes: NDArray[np.int64]


def numbers(text: "pd.Series[str]") -> Numbers:
    """Return the numbers in *text*, each once: most of the work is per person."""
    codes, known = pd.factorize(text)
    return Numbers(known.to_numpy(dtype=object).tolist(), codes)


def pseudonyms(secret: bytes, of: Numbers) -> Persons:
    """Return 64 bits for each person's number; NOBODY where there is none."""
    found = _heads([hmac.digest(secret, n.encode(), "sha256") for n in of.known])
    nobody = np.array([not number for number in of.known], dtype=np.bool_)
    return np.where(nobody, NOBODY, found.astype(np.int64))[of.codes]


def pseudonym(home: Path | None, number: str) -> int:
    """Return who has this *number* at *home*'s site; raise UsageError for no number."""
    asked = numbers(pd.Series([number.strip()], dtype="str"))
    (who,) = pseudonyms(key(home), asked)
    if who == NOBODY:
        raise UsageError("which person?", fix="the number as the records have it")
    return int(who)


def draws(seed: int, of: Numbers) -> NDArray[np.float64]:
    """Return a number in [0, 1) for each, always the same for one person and seed.

    Public, for whoever knows the person's number: it is used at once and not kept.
    """
    return (_hashed(str(seed), of) / 2**64)[of.codes]


def keys(of: Numbers) -> NDArray[np.uint64]:
    """Return 64 bits for each number: by them a model draws whom a part of it sees.

    They are the same whatever the site's key, so that a study can be repeated and every
    engine gives the same model. They stay in the table and go with it.
    """
    return _hashed("key", of)[of.codes]


def folded(numbers: "pd.Series[str]") -> "pd.Series[str]":
    """Return the numbers without case and leading zeros."""
    return numbers.str.casefold().str.lstrip("0")


def _hashed(what: str, of: Numbers) -> NDArray[np.uint64]:
    return _heads([hashlib.sha256(f"{what}:{n}".encode()).digest() for n in of.known])


def _heads(digests: list[bytes]) -> NDArray[np.uint64]:
    """Return the first 64 bits of each digest."""
    heads = np.frombuffer(b"".join(digests), dtype=">u8")[::4]
    return heads.astype(np.uint64)
