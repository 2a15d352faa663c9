"""What arrives: read part by part, within bounds, and believed in nothing.

Of a large array two parts at a time are in memory, and the whole lies in a file: Flower
would hold it thrice, as what came, in pieces, and joined. Whose message it is, and to
which question, says its head alone: the SuperLink has looked at that.
"""

import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import cast

from flwr.app import Array, ArrayRecord, Message, RecordDict
from flwr.app.message.arraychunk import ArrayChunk
from flwr.common.serde import message_from_proto
from flwr.proto import message_pb2 as wire
from flwr.proto.node_pb2 import Node
from flwr.supercore.constant import HEAD_BODY_DIVIDER
from flwr.supercore.inflatable.inflatable_object import (
    InflatableObject,
    get_object_body,
    get_object_children_ids_from_object_content,
    get_object_type_from_object_content,
)
from flwr.supercore.inflatable.inflatable_protobuf_utils import (
    make_pull_object_fn_protobuf,
)
from flwr.supercore.inflatable.inflatable_utils import (
    ObjectPullError,
    inflate_object_from_contents,
    pull_objects,
)
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from common import large_arrays
from common.errors import IntegrityError
from common.large_arrays import Data
from common.travel import packed_arrays
from common.travel.parcels import Place, few

LOG = logging.getLogger("consilium.arrivals")
PULL_SECONDS, ALL_SECONDS = 180.0, 1800.0
"""Seconds in which a part that was announced must come, and in which all must.

Flower waits as long for the next part before it forgets a message.
"""
MOST, WORDS = 256 * 2**20, 16 * 2**20
"""Bytes that all parts of a message may have, and those that are no numbers of arrays.

Flower makes an object of each number among words, of ten times its bytes.
"""
PAUSE_FIRST, PAUSE_LAST = 0.02, 0.2

UNREADABLE = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    DecodeError,
    ObjectPullError,
)
"""What Flower raises over bytes that are no message, or whose parts never come."""

UNREAD, LATE = "its answer cannot be read", "its answer did not come in time"
"""What stands in the place of an answer that is none."""

Pull = Callable[[wire.PullObjectRequest], wire.PullObjectResponse]
Take = Callable[[Sequence[str]], dict[str, bytes]]
"""Returns what the parts of these names hold."""
Late = Callable[[], bool]
"""Says whether a part that is not there is not waited for any more."""


def _bounded(pull: Pull, late: Late) -> Pull:
    """Return *pull* for one message, which has an end in bytes and in time.

    Raises IntegrityError for one that is larger, ObjectPullError when it is too late.
    """
    received, until = 0, time.monotonic() + ALL_SECONDS

    def counting(request: wire.PullObjectRequest) -> wire.PullObjectResponse:
        nonlocal received
        if time.monotonic() > until:
            raise ObjectPullError(request.object_id, "the parts come too slowly")
        over = late()  # asked first: a part may come just then
        response = pull(request)
        if over and not response.object_available:
            raise ObjectPullError(request.object_id, "the round is over")
        received += len(response.object_content)
        _within(MOST, received)
        return response

    return counting


def fetch(
    head: wire.Message,
    tree: wire.ObjectTree,
    pull: Pull,
    node: Node,
    late: Late = lambda: False,
) -> Message:
    """Return the message that *head* and *tree* announce.

    Once it is *late*, no part is waited for that is not there. Raises IntegrityError
    for what Flower cannot read: it comes from the other side.
    """
    try:
        message = message_from_proto(head)
        if tree.children:
            place = Place(node, message.metadata.run_id)
            message.content = _assembled(tree, _bounded(pull, late), place)
    except UNREADABLE as reason:
        raise IntegrityError(
            "a message cannot be read", likely=type(reason).__name__
        ) from None
    message.metadata.__dict__["_message_id"] = tree.object_id
    return message


def answer(
    head: wire.Message, tree: wire.ObjectTree, pull: Pull, node: Node, late: Late
) -> Message:
    """Return :func:`fetch`, or an error in the place of what cannot be read."""
    try:
        return fetch(head, tree, pull, node, late)
    except IntegrityError as reason:
        LOG.warning("the answer of node %d: %s", head.metadata.src_node_id, reason)
        no = wire.Message(metadata=head.metadata)
        no.error.reason = LATE if late() else UNREAD
        return message_from_proto(no)


def _assembled(tree: wire.ObjectTree, pull: Pull, place: Place) -> RecordDict:
    """Return what the message of a *tree* carries, fetched level by level."""
    take = partial(_taken, make_pull_object_fn_protobuf(pull, place.node, place.run))
    contents, arrays, level = dict[str, bytes](), dict[str, Array](), [tree]
    while level:
        contents |= take([each.object_id for each in level])
        _end(WORDS, contents.values())
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
    found = inflate_object_from_contents(tree.object_id, contents, objects=whole)
    return cast("Message", found).content


def _kind(content: bytes) -> str:
    return get_object_type_from_object_content(content)


def _record(content: bytes, arrays: Mapping[str, Array]) -> InflatableObject:
    """Return the record of *arrays* that *content* names: Flower's own takes bytes.

    It may name one array a million times, and every one of them is hashed.
    """
    names: dict[str, str] = json.loads(get_object_body(content, ArrayRecord))
    found = {name: arrays[at] for name, at in names.items()}
    _end(MOST, [each.data for each in found.values()])
    return packed_arrays.record(found)


def _taken(one: Callable[[str], bytes], names: Sequence[str]) -> dict[str, bytes]:
    """Return what the parts of these *names* hold; ObjectPullError if too late."""
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
    for some in few(pieces):
        contents = take(some)
        yield from (_body(contents[name]) for name in some)


def _body(content: bytes) -> memoryview:
    if _kind(content) != ArrayChunk.__qualname__:
        raise ValueError(ArrayChunk.__qualname__)
    head = content.index(HEAD_BODY_DIVIDER) + len(HEAD_BODY_DIVIDER)
    return memoryview(content)[head:]


def _end(most: int, parts: Iterable[Data]) -> None:
    _within(most, sum(len(each) for each in parts))


def _within(most: int, size: int) -> None:
    if size > most:
        raise IntegrityError(f"a message is larger than {most // 2**20} MiB")
