"""The connection to the sites of one study: what goes out, what comes back, in time."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid

from common import wire
from common.errors import IntegrityError

POLL_FIRST, POLL_LAST = 0.01, 0.5
"""Seconds between two looks for answers: eager at first, patient later."""


@dataclass(slots=True)
class Line:
    """A Grid, who is on it, and the bytes counted; the clock is the line's own."""

    grid: Grid
    deadline: float
    nodes: dict[int, str] = field(default_factory=dict)
    sent: dict[str, int] = field(default_factory=dict)
    received: dict[str, int] = field(default_factory=dict)
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def until(self) -> float:
        """Return when something that begins now must be over."""
        return self.clock() + self.deadline


@dataclass(frozen=True, slots=True)
class Heard:
    """What came back, by site: contents, or why not, or nothing at all."""

    said: Mapping[str, RecordDict]
    failed: Mapping[str, str]
    silent: tuple[str, ...]


def exchange(
    line: Line, content: RecordDict, kind: str, to: Mapping[int, str], until: float
) -> Heard:
    """Send *content* to the nodes *to*; return what came back before *until*."""
    letters = post(line, content, kind, to)
    replies = wait(line, set(letters), until)
    by_site = {letters[reply.metadata.reply_to_message_id]: reply for reply in replies}
    reached = set(letters.values())
    failed = {
        name: "it cannot be reached" for name in to.values() if name not in reached
    }
    for name, reply in by_site.items():
        if reply.has_error():
            failed[name] = str(reply.error.reason)
    said = {name: each.content for name, each in by_site.items() if each.has_content()}
    return Heard(said, failed, tuple(sorted(reached - set(by_site))))


def post(
    line: Line, content: RecordDict, kind: str, to: Mapping[int, str]
) -> dict[str, str]:
    """Send *content* to the nodes *to*; return the site of each message, by its id.

    Flower gives no id to a message that it cannot send: that one is not in the answer.
    """
    size = wire.size(content)
    for name in to.values():
        line.sent[name] = line.sent.get(name, 0) + size
    messages = [Message(content, dst_node_id=node, message_type=kind) for node in to]
    numbers = zip(line.grid.push_messages(messages), to.values(), strict=True)
    return {number: name for number, name in numbers if number}


def wait(line: Line, waiting: set[str], until: float) -> list[Message]:
    """Return the replies to *waiting* that arrive before *until*."""
    replies: list[Message] = []
    pause, open_ = POLL_FIRST, set(waiting)
    while open_:
        arrived = pull(line, open_)
        replies.extend(arrived)
        open_ -= {reply.metadata.reply_to_message_id for reply in arrived}
        if not open_ or line.clock() >= until:
            break
        if not arrived:
            line.sleep(pause)
            pause = min(2 * pause, POLL_LAST)
    return replies


def pull(line: Line, waiting: Iterable[str]) -> list[Message]:
    """Return the replies that are there; raise IntegrityError for one not asked for."""
    rest = set(waiting)
    replies = list(line.grid.pull_messages(rest)) if rest else []
    for reply in replies:
        number = reply.metadata.reply_to_message_id
        if number not in rest:
            raise IntegrityError(
                f"node {reply.metadata.src_node_id} answered twice, or unasked",
                likely="a message was sent again, or comes from an earlier round",
                fix="look at that site's log; nothing of it was counted",
            )
        rest.remove(number)
    return replies


def count(line: Line, heard: Heard) -> None:
    """Add what came back to the bytes received."""
    for name, content in heard.said.items():
        line.received[name] = line.received.get(name, 0) + wire.size(content)
