"""What each site has left in the SuperLink: read, counted, and bounded.

The SuperLink keeps each part of each answer that a site announces until the aggregator
has taken it, and would keep any number of them: another tree of parts under the name of
the same message, parts of no answer at all. So what a site sends is read here before it
is handed on; what of it is still there, the SuperLink's own database says.
"""

import asyncio
import logging
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from flwr.proto.fleet_pb2 import PushMessagesRequest
from flwr.proto.message_pb2 import ObjectTree, PushObjectRequest
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from common.errors import ConsiliumError
from server.gate import allowance
from server.gate.exchange import No

LOG = logging.getLogger("consilium.server.left")
MESSAGE, PART = "/v1/fleet/push-messages", "/v1/fleet/push-object"
ROW = 2**10
"""Bytes that a part takes in the database beside its own: names in four tables."""
PARTS = 1024
"""Of how many parts an answer may be: 256 MiB are 128 pieces, and a few records."""
AT_ONCE = 2
"""So many parts a site sends at a time; others wait, and are not read yet."""
LOOK = 1.0
"""Seconds between two looks at what is still there."""
ASKED = 500
"""Names in one question to the database."""
THERE = "SELECT object_id, length(content) FROM objects WHERE object_id IN"
TELL = 60.0
"""Seconds between two lines of the log that say of a site the same."""
FULL = 507
MIB = 2**20

Parts = dict[str, int]
"""The bytes of parts, by name."""


@dataclass(slots=True)
class Left:
    """What one site has left, how many bytes that is, and whose turn it is to add."""

    parts: Parts = field(default_factory=Parts)
    size: int = 0
    reading: asyncio.Semaphore = field(
        default_factory=lambda: asyncio.Semaphore(AT_ONCE)
    )
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    looked: float = -LOOK
    told: float = -TELL

    def more(self, new: Parts) -> int:
        """Return the bytes that it would have left with the *new* parts."""
        known = self.parts
        return self.size + sum(max(0, new[n] - known.get(n, 0)) for n in new)

    def add(self, new: Parts) -> None:
        """Count the *new* parts: none twice, and none as less than it was."""
        self.size = self.more(new)
        for name, size in new.items():
            self.parts[name] = max(size, self.parts.get(name, 0))

    def only(self, there: Parts) -> None:
        """Count those alone that are *there*."""
        self.parts, self.size = there, sum(there.values())


class Store:
    """What all sites have left in the SuperLink of one aggregator."""

    def __init__(self, aggregator: Path) -> None:
        """Count for the SuperLink of the aggregator in a folder, from nothing."""
        self._folder, self._sites = aggregator, dict[str, Left]()

    def of(self, site: str) -> Left:
        """Return what *site* has left."""
        return self._sites.setdefault(site, Left())

    async def admit(self, site: str, new: Parts) -> None:
        """Count the *new* parts of a site; raise No when it has left too much.

        It looks again at what is still there before it says no, once in a while.
        """
        left, now = self.of(site), time.monotonic()
        if left.more(new) > allowance.BESIDE:
            may = self._may(site)
            if left.more(new) > may and now >= left.looked + LOOK:
                left.looked = now
                left.only(await asyncio.to_thread(self._there, left.parts))
            if left.more(new) > may:
                raise self._full(site, left, may)
        left.add(new)

    def _may(self, site: str) -> int:
        """Return what a site may leave; the least when the studies cannot be read."""
        try:
            return allowance.of(self._folder, site)
        except ConsiliumError as reason:
            LOG.warning("what %s may leave is not known: %s", site, reason)
            return allowance.BESIDE

    def _full(self, site: str, left: Left, may: int) -> No:
        """Return the no to a *site* that has left all it *may*; say it at times."""
        words = (
            f"{site} has left {left.size / MIB:,.0f} MiB that nobody has taken yet, "
            f"and may leave {may / MIB:,.0f}"
        )
        if (now := time.monotonic()) >= left.told + TELL:
            left.told = now
            fix = (
                f"ask its IT; or   consilium server revoke {site} --dir {self._folder}"
            )
            LOG.warning("%s: the rest is refused\n  fix     %s", words, fix)
        return No(FULL, words)

    def _there(self, parts: Parts) -> Parts:
        """Return those of *parts* that the SuperLink still has, and their bytes."""
        path, found = self._folder / "superlink" / "state.db", Parts()
        try:
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
                for some in _some([*parts]):
                    marks = ",".join("?" * len(some))
                    there = database.execute(f"{THERE} ({marks})", some)
                    found |= {name: ROW + size for name, size in there}
        except sqlite3.Error as reason:
            kind = type(reason).__name__
            LOG.warning("the SuperLink's database cannot be read: %s", kind)
            return parts
        return found


def read(path: str, body: bytes, known: Parts) -> Parts:
    """Return the parts that a request brings, with their bytes; raise No for others.

    A part belongs to an answer that its site has announced: *known*.
    """
    try:
        if path == MESSAGE:
            return _announced(PushMessagesRequest.FromString(body), len(body))
        part = PushObjectRequest.FromString(body)
    except DecodeError:
        raise No(400, "it cannot be read") from None
    if part.object_id not in known:
        raise No(400, "a part of no answer that was announced")
    return {part.object_id: ROW + len(part.object_content)}


def _announced(said: PushMessagesRequest, size: int) -> Parts:
    """Return the parts of one answer, none of them here but its head.

    The name of a message is that of its tree: the SuperLink keeps one tree of a name,
    and forgets it with the message. Nobody answers for another node, and nobody writes
    into Flower's own books how long it has worked: 0 it is.
    """
    if len(said.messages_list) != 1 or len(said.message_object_trees) != 1:
        raise No(400, "one answer at a time")
    (message,), (tree,) = said.messages_list, said.message_object_trees
    about = message.metadata
    if about.message_id != tree.object_id or about.src_node_id != said.node.node_id:
        raise No(400, "the name of an answer is that of its parts, and of its sender")
    if any(said.clientapp_runtime_list):
        raise No(400, "nobody asked how long it took")
    names = list[str]()
    for name in _names(tree):
        names.append(name)
        if len(names) > PARTS:
            raise No(413, "an answer of too many parts")
    return {**dict.fromkeys(names, ROW), tree.object_id: ROW + size}


def _names(tree: ObjectTree) -> Iterator[str]:
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node.object_id
        waiting += node.children


def _some(names: Sequence[str]) -> Iterator[Sequence[str]]:
    return (names[at : at + ASKED] for at in range(0, len(names), ASKED))
