"""The last noisy answer to each study, kept on the disk until the study closes.

    answers/<digest>.answer     a checksum, the round as JSON, and the numbers

An answer with noise was paid for. Asked again after a crash, the site sends it again:
fresh noise would have to be paid for once more. It is no secret, for it was to leave
anyway; one study has one file, so the folder holds no more than the ledger approves.
"""

import hashlib
import json
from collections.abc import Collection, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client.books.memory import Turn, turn_of
from common import large_arrays
from common.errors import IntegrityError
from common.large_arrays import Data
from common.release import Array
from common.trust import private_files

ENDING = ".answer"
HEAD = 2**16
"""Bytes within which the round stands."""


def keep(home: Path, turn: Turn, answer: Array) -> None:
    """Store *answer* to *turn* in place of the one before; durable when this returns.

    What is stored already is not written again, and what a process that was killed had
    half written is removed: one at a time answers from a home.
    """
    path, head = _path(home, turn.place.digest), _head(turn, answer)
    if path.exists() and _holds(path, _packed(head, answer)):
        return
    private_files.make_folder(path.parent)
    for torn in path.parent.glob(f".{path.name}.*{private_files.NEW}"):
        torn.unlink(missing_ok=True)
    private_files.write_parts(path, _packed(head, answer))
    private_files.sync_folder(home)


def find(home: Path, digest: str) -> tuple[Turn, Array] | None:
    """Return the last answer to the study of *digest*, if one is kept.

    Raises IntegrityError for a file that is not what was written.
    """
    path = _path(home, digest)
    if not path.exists():
        return None
    try:
        private_files.require_private(path)
        return _unpacked(large_arrays.content(path))
    except (ValueError, TypeError, KeyError):
        raise IntegrityError(
            "a stored answer is not what was written",
            where=str(path),
            likely="the disk is failing, or somebody changed the file",
            fix="remove it; the round is then computed and charged once more",
        ) from None


def drop(home: Path, digests: Collection[str]) -> None:
    """Forget the answers to studies other than those of *digests*."""
    for path in (home / "answers").glob(f"*{ENDING}*"):
        if path.name.removeprefix(".").partition(".")[0] not in digests:
            path.unlink(missing_ok=True)


def _path(home: Path, digest: str) -> Path:
    return home / "answers" / f"{digest}{ENDING}"


def _head(turn: Turn, answer: Array) -> bytes:
    """Return what stands before the numbers: a checksum, and what they answer."""
    words = json.dumps(turn.facts()).encode() + b"\n"
    return _check(words, np.asarray(answer, "<f8")).encode() + b"\n" + words


def _check(words: Data, numbers: NDArray[Any]) -> str:
    seal = hashlib.sha256(words)
    large_arrays.hashed(seal.update, numbers)
    return seal.hexdigest()


def _packed(head: bytes, answer: Array) -> Iterator[Data]:
    """Return what is stored, in parts: the numbers from where they lie."""
    return chain([head], large_arrays.bytes_of(np.asarray(answer, "<f8")))


def _holds(path: Path, parts: Iterator[Data]) -> bool:
    """Say whether *path* holds these *parts* and nothing else, a part at a time."""
    with path.open("rb") as stored:
        return all(stored.read(len(each)) == each for each in parts) and (
            not stored.read(1)
        )


def _unpacked(content: Data) -> tuple[Turn, Array]:
    """Return what is in *content*; raise ValueError when it is not what was written."""
    begun = bytes(content[:HEAD])
    head = begun.index(b"\n") + 1
    numbers = begun.index(b"\n", head) + 1
    found = np.frombuffer(content, np.uint8, offset=numbers)
    if begun[: head - 1] != _check(begun[head:numbers], found).encode():
        raise ValueError
    return turn_of(json.loads(begun[head:numbers])), _numbers(found)


def _numbers(found: NDArray[np.uint8]) -> Array:
    """Return the numbers of these bytes, which may begin between two words."""
    answer = large_arrays.empty(found.size // np.dtype("<f8").itemsize, "<f8")
    own = answer.view(np.uint8)
    if own.size != found.size:
        raise ValueError(found.size)
    for part in large_arrays.passing(own, found):
        own[part] = found[part]
    return answer
