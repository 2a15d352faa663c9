"""Ledgers that tests are made of, and the processes that write them and are killed."""

import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from client.books import chain, ledger
from client.books.chain import Entry, Note

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DIGEST = "ab" * 32


def now() -> datetime:
    return NOW


def note(number: int = 0, kind: str = "released", **facts: str | int) -> Note:
    return Note(kind, DIGEST, "small", {"round": number, **facts})


def entries(notes: list[Note]) -> list[Entry]:
    """Return the entries of a ledger of *notes*, in memory."""
    found: list[Entry] = []
    for each in notes:
        found.append(chain.seal(each, chain.head(found), NOW))
    return found


def write_many(path: str, writer: int, count: int) -> None:
    """Append *count* entries, as one of several processes."""
    for number in range(count):
        ledger.append(Path(path), note(number, writer=writer), now)


def write_forever(path: str) -> None:
    """Append until killed, a byte at a time; say each number once it is durable."""

    def slowly(file: int, data: bytes) -> None:
        for place in range(len(data)):
            os.write(file, data[place : place + 1])
            time.sleep(0.00005)

    ledger.write_all = slowly
    while True:
        entry = ledger.append(Path(path), note(), now)
        sys.stdout.write(f"{entry.number}\n")
        sys.stdout.flush()
