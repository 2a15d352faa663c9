"""Messages on Flower's wire: a tree of parts, named by their hashes, sent one by one.

Both sides do it alike, so it is written once. A part may be announced before it has
arrived; Flower then waits a whole second before it asks again, and we do not.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import cast

from flwr.app import Message
from flwr.app.message import remove_content_from_message
from flwr.common.serde import message_to_proto
from flwr.proto import message_pb2 as wire
from flwr.proto.node_pb2 import Node
from flwr.supercore.inflatable.inflatable_object import (
    InflatableObject,
    get_all_nested_objects,
    get_object_tree,
    iterate_object_tree,
    no_object_id_recompute,
)
from flwr.supercore.inflatable.inflatable_protobuf_utils import (
    make_pull_object_fn_protobuf,
    make_push_object_fn_protobuf,
)
from flwr.supercore.inflatable.inflatable_utils import (
    inflate_object_from_contents,
    pull_objects,
    push_objects,
)

PULL_SECONDS = 60.0
PAUSE_FIRST, PAUSE_LAST = 0.02, 0.2

Pull = Callable[[wire.PullObjectRequest], wire.PullObjectResponse]
Push = Callable[[wire.PushObjectRequest], wire.PushObjectResponse]


@dataclass(frozen=True, slots=True)
class Place:
    """On whose behalf parts are sent and fetched, and for which run."""

    node: Node
    run: int


@dataclass(frozen=True, slots=True)
class Parcel:
    """A message ready to go: its head, its tree, and the bytes of every part."""

    head: wire.Message
    tree: wire.ObjectTree
    parts: dict[str, InflatableObject]


def pack(message: Message) -> Parcel:
    """Return *message* as a parcel, named by the hash of its content."""
    with no_object_id_recompute():
        message.metadata.__dict__["_message_id"] = message.object_id
        whole = message.has_content()
        bare = remove_content_from_message(message) if whole else message
        parts, tree = get_all_nested_objects(message), get_object_tree(message)
        return Parcel(message_to_proto(bare), tree, parts)


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


def fetch(tree: wire.ObjectTree, pull: Pull, place: Place) -> Message:
    """Return the message whose parts *tree* names."""
    names = [each.object_id for each in iterate_object_tree(tree)]
    contents = pull_objects(
        names,
        make_pull_object_fn_protobuf(pull, place.node, place.run),
        max_time=PULL_SECONDS,
        max_tries_per_object=None,
        initial_backoff=PAUSE_FIRST,
        backoff_cap=PAUSE_LAST,
    )
    message = cast("Message", inflate_object_from_contents(tree.object_id, contents))
    message.metadata.__dict__["_message_id"] = tree.object_id
    return message
