"""Flower's fleet protocol, as one hospital speaks it: here, take, give, goodbye.

    with Line(post) as line:
        question = line.take()
        line.give(answer)

Every Flower internal that only a hospital needs is imported here, and listed in
docs/flower-internals.md. The bundle of code that a run may carry is never asked for:
there is no call for it.
"""

import json
import logging
import ssl
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
from flwr.app import Message
from flwr.proto import message_pb2 as wire
from flwr.proto.fleet_pb2 import (
    ActivateNodeRequest,
    DeactivateNodeRequest,
    PullMessagesRequest,
    PushMessagesRequest,
)
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest
from flwr.proto.message_pb2 import ConfirmMessageReceivedRequest
from flwr.proto.node_pb2 import Node
from flwr.supercore.primitives.asymmetric import public_key_to_bytes
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

from common.travel import arrivals, parcels
from common.travel.direct import Direct
from common.travel.parcels import Place
from common.trust import certificates, identity, private_files, tls

LOG = logging.getLogger("consilium.client.fleet")
BEAT = 10.0
"""Seconds that the aggregator waits for a sign of life; after two it calls us gone."""


@dataclass(frozen=True, slots=True)
class Post:
    """Where this hospital calls, and the folder of the papers that it shows there."""

    url: str
    home: Path

    def context(self) -> ssl.SSLContext:
        """Return this hospital's end of a connection, from its papers as they are."""
        return tls.site_context(self.papers, self.home / "ca.pem")

    @property
    def papers(self) -> Path:
        """The key and certificate in use, in one file: renewed in one step."""
        return self.home / "tls.pem"

    @property
    def left(self) -> Path:
        """Where it stands which node has not said goodbye."""
        return self.home / "node.json"

    def stamp(self) -> tuple[int, int]:
        """Return what changes when the certificate is replaced."""
        found = self.papers.stat()
        return found.st_mtime_ns, found.st_ino


class Line:
    """An open line to the aggregator: this node is known there while it is open."""

    def __init__(self, post: Post) -> None:
        """Make ready to call; nothing is sent before the line is entered."""
        self._post, self._stamp = post, post.stamp()
        context = post.context()
        self._key = identity.read_tls_key(post.papers)
        shown = certificates.read(private_files.read(post.papers))
        self._shown = certificates.fingerprint(shown)
        self._direct = Direct(context)
        auth = NodeAuthHttpInterceptor(self._key, self._key.public_key())
        self.client = FleetHttpClient(
            post.url, interceptors=[auth, self._direct], verify=context
        )
        self.node = Node()
        self._taken: tuple[wire.Message, wire.ObjectTree] | None = None
        self._whole: Message | None = None
        self._closed = threading.Event()
        self._beats = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Self:
        """Tell the aggregator that this hospital is here."""
        try:
            self._say_what_was_not_said()
            public = public_key_to_bytes(self._key.public_key())
            request = ActivateNodeRequest(public_key=public, heartbeat_interval=BEAT)
            self.node = Node(node_id=self.client.ActivateNode(request).node_id)
            self._keep_number()
        except BaseException:
            self._hang_up()
            raise
        self._beats.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        reason: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Say goodbye, so that this node may come back at once."""
        self._closed.set()
        self._beats.join()
        try:
            self._goodbye(self.node.node_id)
        except httpx.HTTPError as failure:
            LOG.info("the goodbye was not heard: %s", type(failure).__name__)
        finally:
            self._hang_up()

    def outdated(self) -> bool:
        """Tell whether the certificate in the home is another than the one in use."""
        with suppress(FileNotFoundError):
            return self._post.stamp() != self._stamp
        return False

    def _say_what_was_not_said(self) -> None:
        """Say the goodbye of a process that was killed: else we must wait 20 s."""
        try:
            left = json.loads(self._post.left.read_bytes())
            number, shown = int(left["node"]), left["certificate"]
        except (OSError, ValueError, TypeError, KeyError):
            return  # nobody left without a goodbye
        if shown != self._shown:
            return  # only who has the older key could say it
        try:
            self._goodbye(number)
        except httpx.HTTPStatusError:
            LOG.debug("the aggregator had noticed by itself that this node was gone")

    def _keep_number(self) -> None:
        left = {"node": self.node.node_id, "certificate": self._shown}
        private_files.write(self._post.left, json.dumps(left).encode())

    def _goodbye(self, number: int) -> None:
        self.client.DeactivateNode(DeactivateNodeRequest(node_id=number))
        self._post.left.unlink(missing_ok=True)

    def _hang_up(self) -> None:
        self._direct.close()
        self.client.close()

    def _beat(self) -> None:
        request = SendNodeHeartbeatRequest(node=self.node, heartbeat_interval=BEAT)
        lost = False
        while not self._closed.wait(BEAT / 3):
            try:
                self.client.SendNodeHeartbeat(request)
            except Exception as failure:  # noqa: BLE001 - it beats on, whatever comes
                if not lost:  # why, and for how long, is told by who asks for questions
                    kind = type(failure).__name__
                    LOG.info("a sign of life did not arrive: %s", kind)
                lost = True
            else:
                lost = False

    def take(self) -> Message | None:
        """Return the next question, or nothing.

        A question is handed out once, and its parts are gone when it is confirmed: what
        the network interrupted goes on at the next call, where it stopped.
        """
        if self._taken is None:
            answer = self.client.PullMessages(PullMessagesRequest(node=self.node))
            if not answer.messages_list:
                return None
            self._taken = answer.messages_list[0], answer.message_object_trees[0]
        head, tree = self._taken
        if self._whole is None:
            pull = self.client.PullObject
            self._whole = arrivals.fetch(head, tree, pull, self.node)
        self.client.ConfirmMessageReceived(
            ConfirmMessageReceivedRequest(
                node=self.node,
                run_id=head.metadata.run_id,
                message_object_id=tree.object_id,
            )
        )
        message = self._whole
        self.forget()
        return message

    def forget(self) -> None:
        """Let go of the question taken last: it is answered, or cannot be read."""
        self._taken = self._whole = None

    def give(self, reply: Message, *, again: bool = False) -> None:
        """Send *reply*; its parts go one by one, and only those that are asked for.

        Sent *again* after a break, it is the same bytes: a part that had arrived is
        not taken twice.
        """
        place, parcel = Place(self.node, reply.metadata.run_id), parcels.pack(reply)
        answer = self.client.PushMessages(
            PushMessagesRequest(
                node=self.node,
                messages_list=[parcel.head],
                message_object_trees=[parcel.tree],
                clientapp_runtime_list=[0.0],
            )
        )
        if again and not answer.objects_to_push:
            parcels.complete([parcel], self.client.PushObject, place)
        session = place, answer.session_id
        parcels.post([parcel], answer.objects_to_push, self.client.PushObject, session)
