"""Messages on Flower's wire: small ones whole, large ones as a tree of hashed parts.

A small message travels inside the call that announces it, so that it is there or it is
not. Flower would send each of its records and arrays by two calls of their own, some
ten milliseconds each. A large one goes part by part; a part may be announced before it
has arrived, upon which Flower waits a whole second, and we do not.

Of a large array two parts at a time are in memory, and the whole lies in a file: Flower
would hold it thrice, as what came, in pieces, and joined.
"""

import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import cast

import numpy as np
from flwr.app import Array, ArrayRecord, Message, RecordDict
from flwr.app.message import remove_content_from_message
from flwr.app.message.arraychunk import ArrayChunk
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.proto import message_pb2 as wire
from flwr.proto.node_pb2 import Node
from flwr.supercore.constant import HEAD_BODY_DIVIDER
from flwr.supercore.inflatable.inflatable_object import (
    InflatableObject,
    get_all_nested_objects,
    get_object_body,
    get_object_children_ids_from_object_content,
    get_object_tree,
    get_object_type_from_object_content,
    no_object_id_recompute,
)
from flwr.supercore.inflatable.inflatable_protobuf_utils import (
    make_pull_object_fn_protobuf,
    make_push_object_fn_protobuf,
)
from flwr.supercore.inflatable.inflatable_utils import (
    ObjectPullError,
    inflate_object_from_contents,
    pull_objects,
)

from common import large_arrays, packed_arrays
from common.errors import IntegrityError

LOG = logging.getLogger("consilium.parcels")
INLINE = 2**20
"""Bytes of arrays up to which a message is small."""
PULL_SECONDS, ALL_SECONDS = 180.0, 1800.0
"""Seconds in which a part that was announced must come, and in which all must.

Flower waits as long for the next part before it forgets a message.
"""
MOST = 256 * 2**20
"""Bytes that all parts of a message may have."""
PIECE = 2**21
"""Bytes of a part of an array: less than half of what Flower would take."""
AT_ONCE = 2
"""So many parts are on their way, and in memory, at a time."""
PAUSE_FIRST, PAUSE_LAST = 0.02, 0.2

UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, ObjectPullError)
"""What Flower raises over bytes that are no message, or whose parts never come."""

Pull = Callable[[wire.PullObjectRequest], wire.PullObjectResponse]
Push = Callable[[wire.PushObjectRequest], wire.PushObjectResponse]
Take = Callable[[Sequence[str]], dict[str, bytes]]
"""Returns what the parts of these names hold."""


def _bounded(pull: Pull) -> Pull:
    """Return *pull* for one message: raise IntegrityError when it has no end."""
    received = 0

    def counting(request: wire.PullObjectRequest) -> wire.PullObjectResponse:
        nonlocal received
        response = pull(request)
        received += len(response.object_content)
        if received > MOST:
            raise _endless()
        return response

    return counting


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
        for some in _few([*parts]):
            deflated = [_deflated(parts.pop(name)) for name in some]
            for _ in pool.map(send, some, deflated):
                pass  # what one of them raises, is raised here


def _few(names: Sequence[str]) -> Iterator[Sequence[str]]:
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


def fetch(head: wire.Message, tree: wire.ObjectTree, pull: Pull, node: Node) -> Message:
    """Return the message that *head* and *tree* announce.

    Raises IntegrityError for what Flower cannot read: it comes from the other side.
    """
    try:
        message = message_from_proto(head)
        if tree.children:
            message = _assemble(tree, pull, Place(node, message.metadata.run_id))
    except UNREADABLE as reason:
        raise IntegrityError(
            "a message cannot be read", likely=type(reason).__name__
        ) from None
    message.metadata.__dict__["_message_id"] = tree.object_id
    return message


def answer(
    head: wire.Message, tree: wire.ObjectTree, pull: Pull, node: Node
) -> Message:
    """Return :func:`fetch`, or an error in the place of what cannot be read."""
    try:
        return fetch(head, tree, pull, node)
    except IntegrityError as reason:
        LOG.warning("the answer of node %d: %s", head.metadata.src_node_id, reason)
        no = wire.Message(metadata=head.metadata)
        no.error.reason = "its answer cannot be read"
        return message_from_proto(no)


def _assemble(tree: wire.ObjectTree, pull: Pull, place: Place) -> Message:
    """Return the message of a *tree*, fetched from its root on, level by level."""
    one = make_pull_object_fn_protobuf(_bounded(pull), place.node, place.run)
    take = partial(_taken, one, time.monotonic() + ALL_SECONDS)
    contents, arrays, level = dict[str, bytes](), dict[str, Array](), [tree]
    while level:
        contents |= take([each.object_id for each in level])
        below = list[wire.ObjectTree]()
        for node in level:
            content = contents[node.object_id]
            if _kind(content) == Array.__qualname__:
                arrays[node.object_id] = _joined(content, take)
            else:
                below += node.children
        level = below
    whole = {
        name: _record(content, arrays)
        for name, content in contents.items()
        if _kind(content) == ArrayRecord.__qualname__
    }
    return cast(
        "Message", inflate_object_from_contents(tree.object_id, contents, objects=whole)
    )


def _kind(content: bytes) -> str:
    return get_object_type_from_object_content(content)


def _record(content: bytes, arrays: Mapping[str, Array]) -> InflatableObject:
    """Return the record of *arrays* that *content* names: Flower's own takes bytes."""
    names: dict[str, str] = json.loads(get_object_body(content, ArrayRecord))
    return packed_arrays.record({name: arrays[at] for name, at in names.items()})


def _taken(
    one: Callable[[str], bytes], until: float, names: Sequence[str]
) -> dict[str, bytes]:
    """Return what the parts of these *names* hold; ObjectPullError if too late."""
    if time.monotonic() > until:
        raise ObjectPullError(names[0], "the parts come too slowly")
    return pull_objects(
        [*names],
        one,
        max_time=PULL_SECONDS,
        max_tries_per_object=None,
        initial_backoff=PAUSE_FIRST,
        backoff_cap=PAUSE_LAST,
    )


def _joined(content: bytes, take: Take) -> Array:
    """Return the array of which *content* names the pieces; they are fetched now."""
    said = json.loads(get_object_body(content, Array))
    names = get_object_children_ids_from_object_content(content)
    pieces = [names[place] for place in said["arraychunk_ids"]]
    data = large_arrays.joined(_bodies(pieces, take))
    shape = tuple(said["shape"])
    return packed_arrays.holding(said["dtype"], shape, said["stype"], data)


def _bodies(pieces: Sequence[str], take: Take) -> Iterator[memoryview]:
    for some in _few(pieces):
        contents = take(some)
        yield from (_body(contents[name]) for name in some)


def _body(content: bytes) -> memoryview:
    if _kind(content) != ArrayChunk.__qualname__:
        raise ValueError(ArrayChunk.__qualname__)
    head = content.index(HEAD_BODY_DIVIDER) + len(HEAD_BODY_DIVIDER)
    return memoryview(content)[head:]


def _endless() -> IntegrityError:
    return IntegrityError(f"a message is larger than {MOST // 2**20} MiB")
