"""The connection to the sites of one study: what goes out, what comes back, in time."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid

from common import wire
from common.errors import IntegrityError, UsageError
from server.voice import PLAIN, Voice

POLL_FIRST, POLL_LAST = 0.01, 0.2
"""Seconds between two looks for answers: eager at first, patient later."""

Tell = Callable[[str, tuple[str, ...]], None]
"""Called with what is being done, and with the sites that are waited for."""


@dataclass(slots=True)
class Line:
    """A Grid, who is on it, and the bytes counted; the clock is the line's own."""

    grid: Grid
    deadline: float
    voice: Voice = PLAIN
    tell: Tell = lambda *_: None
    stopped: Callable[[], bool] = lambda: False
    nodes: dict[int, str] = field(default_factory=dict)
    sent: dict[str, int] = field(default_factory=dict)
    received: dict[str, int] = field(default_factory=dict)
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def until(self) -> float:
        """Return when something that begins now must be over."""
        return self.clock() + self.deadline

    def said(self, name: str, content: RecordDict) -> None:
        """Count what was said to a site."""
        self.sent[name] = self.sent.get(name, 0) + wire.size(content)

    def heard(self, name: str, content: RecordDict) -> None:
        """Count what a site has said."""
        self.received[name] = self.received.get(name, 0) + wire.size(content)


class Pauses:
    """Ever longer pauses between looks, and short ones again when something came."""

    def __init__(self, line: Line) -> None:
        """Pause on the clock of *line*."""
        self._line, self._next = line, POLL_FIRST

    def after(self, *, news: bool) -> None:
        """Pause, unless there was news; raise UsageError when the study is stopped."""
        if self._line.stopped():
            raise UsageError("the operator stopped this study")
        if news:
            self._next = POLL_FIRST
            return
        self._line.sleep(self._next)
        self._next = min(2 * self._next, POLL_LAST)


def post(
    line: Line, content: RecordDict, kind: str, to: Iterable[int]
) -> dict[str, int]:
    """Send *content* to the nodes *to*; return the node of each message, by its id.

    Flower gives no id to a message that it cannot send: that one is not in the answer.
    """
    nodes = list(to)
    sealed = line.voice.say(content, kind)
    messages = [Message(sealed, dst_node_id=node, message_type=kind) for node in nodes]
    numbers = zip(line.grid.push_messages(messages), nodes, strict=True)
    return {number: node for number, node in numbers if number}


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


def exchange(
    line: Line, content: RecordDict, kind: str, to: Mapping[int, str], until: float
) -> None:
    """Send *content* to the nodes *to*, and wait for their answers until *until*."""
    letters, pauses = post(line, content, kind, to), Pauses(line)
    while letters and line.clock() < until:
        replies = pull(line, letters)
        for reply in replies:
            name = to[letters.pop(reply.metadata.reply_to_message_id)]
            if reply.has_content():
                line.said(name, content)
                line.heard(name, reply.content)
        pauses.after(news=bool(replies))
