"""Messages on Flower's wire: small ones whole, large ones as a tree of hashed parts.

A small message travels inside the call that announces it, so that it is there or it is
not. Flower would send each of its records and arrays by two calls of their own, some
ten milliseconds each. A large one goes part by part; a part may be announced before it
has arrived, upon which Flower waits a whole second, and we do not.
"""

import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import cast

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
    iterate_object_tree,
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
    push_objects,
)

from common.errors import IntegrityError

LOG = logging.getLogger("consilium.parcels")
INLINE = 2**20
"""Bytes of arrays up to which a message is small."""
PULL_SECONDS = 60.0
MOST = 256 * 2**20
"""Bytes that all parts of a message may have."""
PAUSE_FIRST, PAUSE_LAST = 0.02, 0.2

UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, ObjectPullError)
"""What Flower raises over bytes that are no message, or whose parts never come."""

Pull = Callable[[wire.PullObjectRequest], wire.PullObjectResponse]
Push = Callable[[wire.PushObjectRequest], wire.PushObjectResponse]


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
        message.metadata.__dict__["_message_id"] = message.object_id
        if message.has_error() or _size(message.content) <= INLINE:
            leaf = wire.ObjectTree(object_id=message.object_id)
            return Parcel(message_to_proto(message), leaf, {})
        bare = message_to_proto(remove_content_from_message(message))
        parts, tree = get_all_nested_objects(message), get_object_tree(message)
        return Parcel(bare, tree, parts)


def _size(content: RecordDict) -> int:
    records = [each for each in content.values() if isinstance(each, ArrayRecord)]
    return sum(len(each.data) for record in records for each in record.values())


def post(
    parcels: Iterable[Parcel], wanted: Iterable[str], push: Push, at: tuple[Place, str]
) -> None:
    """Send the parts that are *wanted*, in the session that was opened for them."""
    place, session = at
    parts = {name: part for each in parcels for name, part in each.parts.items()}
    send = make_push_object_fn_protobuf(push, place.node, place.run, session)
    push_objects(parts, send, object_ids_to_push=set(wanted))


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
                object_content=part.deflate(),
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
    names = [each.object_id for each in iterate_object_tree(tree)]
    contents = pull_objects(
        names,
        make_pull_object_fn_protobuf(_bounded(pull), place.node, place.run),
        max_time=PULL_SECONDS,
        max_tries_per_object=None,
        initial_backoff=PAUSE_FIRST,
        backoff_cap=PAUSE_LAST,
    )
    arrays = _joined(contents)
    return cast(
        "Message",
        inflate_object_from_contents(tree.object_id, contents, objects={**arrays}),
    )


def _joined(contents: dict[str, bytes]) -> dict[str, Array]:
    """Return the arrays of which *contents* are the pieces, which are let go.

    Flower's own way holds it thrice besides: as what came, in pieces, and joined.
    """
    found, used, left = {}, set[str](), MOST
    for name, content in contents.items():
        if get_object_type_from_object_content(content) != Array.__qualname__:
            continue
        said = json.loads(get_object_body(content, Array))
        names = get_object_children_ids_from_object_content(content)
        pieces = [names[place] for place in said["arraychunk_ids"]]
        left -= sum(len(contents[piece]) for piece in pieces)
        if left < 0:
            raise _endless()
        data = b"".join(_body(contents[piece]) for piece in pieces)
        found[name] = Array(said["dtype"], tuple(said["shape"]), said["stype"], data)
        used |= {*pieces}
    for name in used:
        del contents[name]
    return found


def _body(content: bytes) -> memoryview:
    if get_object_type_from_object_content(content) != ArrayChunk.__qualname__:
        raise ValueError(ArrayChunk.__qualname__)
    head = content.index(HEAD_BODY_DIVIDER) + len(HEAD_BODY_DIVIDER)
    return memoryview(content)[head:]


def _endless() -> IntegrityError:
    return IntegrityError(f"a message is larger than {MOST // 2**20} MiB")
