"""The connection to the sites of one study: what goes out, what comes back, in time."""

import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid

from common.errors import IntegrityError, UsageError
from common.travel import arrivals, wire
from server.conduct.coming import Coming
from server.conduct.voice import PLAIN, Voice

POLL_FIRST, POLL_LAST = 0.01, 0.2
"""Seconds between two looks for answers: eager at first, patient later."""

Tell = Callable[[str, tuple[str, ...], Mapping[str, str]], None]
"""Called with what is being done, the sites that are waited for, and what they said."""
REFUSAL = re.compile(r"[a-z ]{1,40}, id [0-9a-f]{8}")
"""A site's no: in what words, and under which id its own log and ledger say why."""


@dataclass(slots=True)
class Line:
    """A Grid, who is on it, and the bytes counted; the clock is the line's own.

    ``active`` says since when each node that is present is so, and ``joined`` since
    when it was as it opened the study.
    """

    grid: Grid
    deadline: float
    voice: Voice = PLAIN
    tell: Tell = lambda *_: None
    stopped: Callable[[], bool] = lambda: False
    nodes: dict[int, str] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    active: dict[int, str] = field(default_factory=dict)
    joined: dict[int, str] = field(default_factory=dict)
    sent: dict[str, int] = field(default_factory=dict)
    received: dict[str, int] = field(default_factory=dict)
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def until(self) -> float:
        """Return when something that begins now must be over."""
        return self.clock() + self.deadline

    def present(self) -> list[int]:
        """Return the nodes that are there now, and remember as whom Flower knows them.

        Who it is, only a signature says; a name that Flower knows tells whom to ask.
        """
        nodes = list(self.grid.get_nodes())
        self.names |= {int(each.node_id): each.name for each in nodes if each.name}
        self.active = {int(each.node_id): each.last_activated_at for each in nodes}
        return list(self.active)

    def gone(self) -> list[int]:
        """Return the nodes that left the line, or left it and are present again.

        One that came back at once may be a process that knows nothing of a question.
        """
        self.present()
        now, joined = self.active, self.joined
        return [
            n for n in self.nodes if n not in now or joined.get(n, now[n]) != now[n]
        ]

    def name(self, node: int) -> str:
        """Return what a person calls a node."""
        return self.nodes.get(node) or self.names.get(node) or f"node {node}"

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
    if not nodes:
        return {}
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


def coming(line: Line, letters: Iterable[str]) -> frozenset[str]:
    """Return which of the *letters* are being answered, part by part."""
    return _parts(line).of(letters)


def hurry(line: Line, letters: Iterable[str]) -> None:
    """Wait no more for parts of answers to these *letters*: their time is over."""
    _parts(line).hurry(letters)


def let_go(line: Line, letters: Iterable[str]) -> None:
    """Let go of the answers to these *letters*: nobody waits for them."""
    _parts(line).let_go(letters)


def _parts(line: Line) -> Coming:
    """Return what comes in parts: in a Grid of one process all comes whole."""
    found = getattr(line.grid, "coming", None)
    return found if isinstance(found, Coming) else Coming()


def exchange(
    line: Line, content: RecordDict, kind: str, to: Mapping[int, str], until: float
) -> tuple[str, ...]:
    """Send *content* to the nodes *to*, and wait for their answers until *until*.

    Returns the names of those who have not answered.
    """
    letters, pauses, silent = post(line, content, kind, to), Pauses(line), set(to)
    while letters and line.clock() < until:
        replies = pull(line, letters)
        for reply in replies:
            node = letters.pop(reply.metadata.reply_to_message_id)
            silent.discard(node)
            if reply.has_content():
                line.said(to[node], content)
                line.heard(to[node], reply.content)
        pauses.after(news=bool(replies))
    let_go(line, letters)
    return tuple(sorted(to[node] for node in silent))


def refusal(reply: Message) -> str:
    """Return a site's no for a person to read: of its own words only those we know."""
    said = str(reply.error.reason)
    if said in {arrivals.UNREAD, arrivals.LATE}:
        return said
    if reply.error.code != wire.REFUSED:
        return f"could not be asked (Flower's code {reply.error.code})"
    return said if REFUSAL.fullmatch(said) else "refused, and gave no id"
