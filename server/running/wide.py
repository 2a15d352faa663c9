"""A Grid whose nodes are hospitals, reached through the SuperLink.

An answer that comes in parts is fetched beside what else is done:
server/conduct/coming.py. One that nobody waits for is taken, and thrown away: it would
lie with the SuperLink to the end of the run, and its site may leave only so much there.
"""

import time
from collections.abc import Iterable, Iterator
from functools import partial

from flwr.app import Message, RecordDict
from flwr.common.constant import SUPERLINK_NODE_ID
from flwr.proto import message_pb2 as wire
from flwr.proto.message_pb2 import ConfirmMessageReceivedRequest
from flwr.proto.node_pb2 import Node, NodeInfo
from flwr.proto.runtime_pb2 import (
    GetNodesRequest,
    PullAppMessagesRequest,
    PushAppMessagesRequest,
)
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from flwr.supercore.runtime import RuntimeHttpClient

from common.travel import arrivals, parcels
from common.travel.parcels import Parcel, Place
from server.conduct.coming import Coming, Late

FEW = 8
"""So many answers are asked for at a time: with all that their heads may hold, they
are less than one answer of the SuperLink may be."""
PAUSE = 0.2
"""Seconds that a look for answers takes at most, when one is on its way."""
CLEAR, LOOKS = 5.0, 8
"""Seconds after which answers are looked for that nobody waits for, and how often."""


class Wide(Grid):
    """A Grid whose nodes are hospitals, reached through the SuperLink."""

    def __init__(self, runtime: RuntimeHttpClient, run: Run) -> None:
        """Work for *run* over an open connection."""
        self._runtime, self._run = runtime, run
        self._place = Place(Node(node_id=SUPERLINK_NODE_ID), run.run_id)
        self.coming, self._cleared = Coming(), time.monotonic()

    def get_nodes(self) -> Iterable[NodeInfo]:
        """Return what Flower knows of each site that is present."""
        return list(self._runtime.GetNodes(GetNodesRequest()).nodes)

    def get_node_ids(self) -> Iterable[int]:
        """Return the number of every site that is present."""
        return [int(each.node_id) for each in self.get_nodes()]

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Leave *messages* for their sites; return their names.

        Large ones go one by one: each lies in memory in parts, beside what it is of.
        """
        names: list[str] = []
        small: list[Parcel] = []
        for message in messages:
            parcel = parcels.pack(message)
            if not parcel.parts:
                small.append(parcel)
                continue
            names += self._push(small)
            small = []
            names += self._push([parcel])
        return names + self._push(small)

    def _push(self, packed: list[Parcel]) -> list[str]:
        if not packed:
            return []
        answer = self._runtime.PushMessages(
            PushAppMessagesRequest(
                messages_list=[each.head for each in packed],
                message_object_trees=[each.tree for each in packed],
            )
        )
        push, session = self._runtime.PushObject, (self._place, answer.session_id)
        if not all(answer.message_ids):  # it had them from a try whose answer was lost
            parcels.complete(packed, push, self._place)
        parcels.post(packed, answer.objects_to_push, push, session)
        return [each.head.metadata.message_id for each in packed]

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Return the answers to *message_ids* that have come, and are whole."""
        self._clear()
        wanted = set(message_ids)
        arrived, new = list[Message](), [*wanted - self.coming.of(wanted)]
        for at in range(0, len(new), FEW):
            arrived += self._look(new[at : at + FEW])
        return arrived + self.coming.here(wanted, 0.0 if arrived else PAUSE)

    def _look(self, names: list[str]) -> Iterator[Message]:
        """Yield the answers to *names* that came whole; begin to fetch the others."""
        for head, tree in self._told(names):
            about, fetch = head.metadata, partial(self._fetch, head, tree)
            if tree.children:
                number = about.reply_to_message_id
                self.coming.begin(about.src_node_id, number, fetch)
            else:
                yield fetch(lambda: False)

    def _told(self, names: list[str]) -> Iterator[tuple[wire.Message, wire.ObjectTree]]:
        """Return heads and trees of the answers to *names* that have begun to come."""
        request = PullAppMessagesRequest(message_ids=names)
        answer = self._runtime.PullMessages(request)
        return zip(answer.messages_list, answer.message_object_trees, strict=True)

    def _clear(self) -> None:
        """Take the answers that nobody waits for, once in a while; read none."""
        now, idle = time.monotonic(), self.coming.idle
        if now < self._cleared + CLEAR:
            return
        self._cleared = now
        for _ in range(min(LOOKS, -(-len(idle) // FEW))):
            names = [idle.popleft() for _ in range(min(FEW, len(idle)))]
            found = [*self._told(names)]
            for _, tree in found:
                self._took(tree)
            here = {head.metadata.reply_to_message_id for head, _ in found}
            idle.extend(name for name in names if name not in here)

    def _fetch(self, head: wire.Message, tree: wire.ObjectTree, late: Late) -> Message:
        pull = self._runtime.PullObject
        message = arrivals.answer(head, tree, pull, self._place.node, late)
        self._took(tree)
        return message

    def _took(self, tree: wire.ObjectTree) -> None:
        """Let the SuperLink forget an answer, and its parts."""
        self._runtime.ConfirmMessageReceived(
            ConfirmMessageReceivedRequest(
                node=self._place.node,
                run_id=self._place.run,
                message_object_id=tree.object_id,
            )
        )

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Push, then pull until all have answered or *timeout* seconds are over."""
        waiting = set(self.push_messages(messages))
        until = float("inf") if timeout is None else time.monotonic() + timeout
        replies: list[Message] = []
        while waiting and time.monotonic() < until:
            replies += self.pull_messages(waiting)
            waiting -= {each.metadata.reply_to_message_id for each in replies}
            time.sleep(0.1)
        return replies

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """Build a message; Flower's interface asks for it."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def set_run(self, run: Run) -> None:
        """Set what :attr:`run` returns; Flower's interface asks for it."""
        self._run = run

    @property
    def run(self) -> Run:
        """The run this grid works for."""
        return self._run
