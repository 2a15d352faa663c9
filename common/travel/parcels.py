"""Messages on Flower's wire: small ones whole, large ones as a tree of hashed parts.

A small message travels inside the call that announces it, so that it is there or it is
not. Flower would send each of its records and arrays by two calls of their own, some
ten milliseconds each. A large one goes part by part; a part may be announced before it
has arrived, upon which Flower waits a whole second, and we do not.

common/travel/arrivals.py reads what arrives.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from flwr.app import Array, ArrayRecord, Message, RecordDict
from flwr.app.message import remove_content_from_message
from flwr.app.message.arraychunk import ArrayChunk
from flwr.common.serde import message_to_proto
from flwr.proto import message_pb2 as wire
from flwr.proto.node_pb2 import Node
from flwr.supercore.inflatable.inflatable_object import (
    InflatableObject,
    get_all_nested_objects,
    get_object_tree,
    no_object_id_recompute,
)
from flwr.supercore.inflatable.inflatable_protobuf_utils import (
    make_push_object_fn_protobuf,
)

from common import large_arrays

INLINE = 2**20
"""Bytes of arrays up to which a message is small."""
PIECE = 2**21
"""Bytes of a part of an array: less than half of what Flower would take."""
AT_ONCE = 2
"""So many parts are on their way, and in memory, at a time."""
Push = Callable[[wire.PushObjectRequest], wire.PushObjectResponse]


@dataclass(frozen=True, slots=True)
class Place:
    """On whose behalf parts are sent and fetched, and for which run."""

    node: Node
    run: int


@dataclass(frozen=True, slots=True)
class Parcel:
    """A message ready to go: its head, its tree, and the parts that go alone."""

    head: wire.Message
    tree: wire.ObjectTree
    parts: dict[str, InflatableObject]


def pack(message: Message) -> Parcel:
    """Return *message* as a parcel, named by the hash of its content."""
    with no_object_id_recompute():
        _cut(message)
        message.metadata.__dict__["_message_id"] = message.object_id
        if message.has_error() or _size(message.content) <= INLINE:
            leaf = wire.ObjectTree(object_id=message.object_id)
            return Parcel(message_to_proto(message), leaf, {})
        bare = message_to_proto(remove_content_from_message(message))
        parts, tree = get_all_nested_objects(message), get_object_tree(message)
        return Parcel(bare, tree, parts)


def _cut(message: Message) -> None:
    """Cut arrays into pieces as Flower does, and let go of each that has its name."""
    for array in _arrays(message.content) if message.has_content() else ():
        if len(array.data) <= PIECE:
            continue
        whole, pieces = memoryview(array.data), list[tuple[str, ArrayChunk]]()
        for start in range(0, len(whole), PIECE):
            piece = ArrayChunk(whole[start : start + PIECE])
            pieces.append((piece.object_id, piece))
            _let_go(piece)
        array.__dict__["_chunks"] = pieces


def _arrays(content: RecordDict) -> list[Array]:
    records = [each for each in content.values() if isinstance(each, ArrayRecord)]
    return [each for record in records for each in record.values()]


def _size(content: RecordDict) -> int:
    return sum(len(each.data) for each in _arrays(content))


def post(
    parcels: Iterable[Parcel], wanted: Iterable[str], push: Push, at: tuple[Place, str]
) -> None:
    """Send the parts that are *wanted*, in the session that was opened for them."""
    place, session = at
    chosen = {*wanted}
    parts = {n: p for each in parcels for n, p in each.parts.items() if n in chosen}
    send = make_push_object_fn_protobuf(push, place.node, place.run, session)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for some in few([*parts]):
            deflated = [_deflated(parts.pop(name)) for name in some]
            for _ in pool.map(send, some, deflated):
                pass  # what one of them raises, is raised here


def few(names: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield *names*, so many at a time as may be on their way."""
    return (names[at : at + AT_ONCE] for at in range(0, len(names), AT_ONCE))


def _deflated(part: InflatableObject) -> bytes:
    content = part.deflate()
    _let_go(part)
    return content


def _let_go(part: InflatableObject) -> None:
    if isinstance(part, ArrayChunk):
        large_arrays.let_go(np.frombuffer(part.data, np.uint8))


def complete(parcels: Iterable[Parcel], push: Push, place: Place) -> None:
    """Send every part again, after a break in which some may have arrived.

    Flower asks for the parts of a message once. Without the name of a session it takes
    what it still lacks, and says no to what it has.
    """
    for name, part in ((n, p) for each in parcels for n, p in each.parts.items()):
        push(
            wire.PushObjectRequest(
                node=place.node,
                run_id=place.run,
                object_id=name,
                object_content=_deflated(part),
            )
        )
