"""The last noisy answer to each study, kept on the disk until the study closes.

    answers/<digest>.answer     a checksum, the round as JSON, and the numbers

An answer with noise was paid for. Asked again after a crash, the site sends it again:
fresh noise would have to be paid for once more. It is no secret, for it was to leave
anyway; one study has one file, so the folder holds no more than the ledger approves.
"""

import hashlib
import json
from collections.abc import Collection
from pathlib import Path

import numpy as np

from client.memory import Turn, turn_of
from common import private_files
from common.errors import IntegrityError
from common.release import Array

ENDING = ".answer"
BLOCK = 2**20
"""Bytes that are compared at a time."""


def keep(home: Path, turn: Turn, answer: Array) -> None:
    """Store *answer* to *turn* in place of the one before; durable when this returns.

    What is stored already is not written again.
    """
    path, parts = _path(home, turn.place.digest), _packed(turn, answer)
    if path.exists() and _holds(path, parts):
        return
    private_files.make_folder(path.parent)
    private_files.write(path, *parts)
    private_files.sync_folder(home)


def find(home: Path, digest: str) -> tuple[Turn, Array] | None:
    """Return the last answer to the study of *digest*, if one is kept.

    Raises IntegrityError for a file that is not what was written.
    """
    path = _path(home, digest)
    if not path.exists():
        return None
    try:
        return _unpacked(private_files.read(path))
    except (ValueError, TypeError, KeyError):
        raise IntegrityError(
            "a stored answer is not what was written",
            where=str(path),
            likely="the disk is failing, or somebody changed the file",
            fix="remove it; the round is then computed and charged once more",
        ) from None


def drop(home: Path, digests: Collection[str]) -> None:
    """Forget the answers to studies other than those of *digests*."""
    for path in (home / "answers").glob(f"*{ENDING}"):
        if path.stem not in digests:
            path.unlink(missing_ok=True)


def _path(home: Path, digest: str) -> Path:
    return home / "answers" / f"{digest}{ENDING}"


def _packed(turn: Turn, answer: Array) -> list[memoryview]:
    """Return what is stored, in parts: the numbers from where they lie."""
    head = json.dumps(turn.facts()).encode() + b"\n"
    numbers = np.ascontiguousarray(answer, "<f8").reshape(-1).view(np.uint8).data
    seal = hashlib.sha256(head)
    seal.update(numbers)
    check = seal.hexdigest().encode() + b"\n"
    return [memoryview(check), memoryview(head), numbers]


def _holds(path: Path, parts: list[memoryview]) -> bool:
    """Say whether *path* holds these *parts* and nothing else, a block at a time."""
    with path.open("rb") as stored:
        blocks = (
            part[at : at + BLOCK] for part in parts for at in range(0, len(part), BLOCK)
        )
        return all(stored.read(len(each)) == each for each in blocks) and (
            not stored.read(1)
        )


def _unpacked(content: bytes) -> tuple[Turn, Array]:
    """Return what is in *content*; raise ValueError when it is not what was written."""
    head = content.index(b"\n") + 1
    numbers = content.index(b"\n", head) + 1
    check = hashlib.sha256(memoryview(content)[head:]).hexdigest()
    if content[: head - 1] != check.encode():
        raise ValueError
    turn = turn_of(json.loads(content[head:numbers]))
    return turn, np.frombuffer(content, "<f8", offset=numbers).astype(np.float64)
