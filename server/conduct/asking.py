"""One question to every site of the roster, until each has answered it.

Whatever was lost is asked again, in the same bytes: a site that answered before repeats
its answer. A site that restarted does not know the study, and is shown it again.

Answers are handed on in the order of the sites' names, so that a sum has the same last
bits whoever was first; and they are fetched a few at a time, so that the aggregator
holds no more of them, however many sites there are.
"""

import logging
from collections.abc import Iterator

from flwr.app import Message, RecordDict

from common.errors import QuorumError, UnseatedError
from common.travel import arrivals, legs, packed_arrays, wire
from server.conduct import line as lines
from server.conduct import roster
from server.conduct.line import Line, Pauses
from server.conduct.question import Asking, Question
from server.conduct.roster import Door, Waiting

LOG = logging.getLogger("consilium.server")
WINDOW = 4
"""So many answers are fetched at a time; one, where they are as large as a network."""
TRIES = 3
"""How often a site may say no to one round, by restarting or otherwise."""
LOST_FIRST, LOST_LAST = 3.0, 60.0
"""Seconds without an answer after which a site is asked again: longer each time."""
SLOWEST = 125_000
"""Bytes a second of the slowest line: what is large is not lost while it may travel.

Asked again, a site would fetch and answer it once more before it heard anything else.
"""
UNREAD = (arrivals.UNREAD, arrivals.LATE)
"""What stands in the place of an answer that is none."""
LOOK = 1.0
"""Seconds between two looks at who is still there."""


def answers(
    question: wire.Ask, open_: Door, line: Line
) -> Iterator[tuple[str, RecordDict]]:
    """Yield (site, content) of every site of the question's roster, by name.

    Raises QuorumError by name for a site that is missing, silent or refuses for longer
    than the line's deadline.
    """
    place, content = question.place, wire.ask(question)
    whole = Question(wire.ROUND, place, content, question.sites)
    return replies(whole, open_, line)


def replies(
    question: Question, open_: Door, line: Line
) -> Iterator[tuple[str, RecordDict]]:
    """Yield (site, content) of every site that is asked *question*, by name.

    Raises QuorumError as :func:`answers` does, and UnseatedError for a site that has
    no place in this attempt at a masked round.
    """
    now = line.clock()
    asking = Asking(question, now, line.until(), sorted(question.sites), heard=now)
    line.tell(question.words, tuple(asking.waiting), {})
    try:
        yield from _heard(asking, open_, line)
    finally:
        lines.let_go(line, asking.letters)


def _heard(asking: Asking, open_: Door, line: Line) -> Iterator[tuple[str, RecordDict]]:
    """Yield what :func:`replies` does, until all have answered or time is over."""
    pauses, waiting, words = Pauses(line), Waiting(line), asking.question.words
    while asking.waiting:
        _drop_the_gone(asking, line)
        over = line.clock() >= asking.until
        off = asking.missing() - asking.lost - set(line.nodes.values())
        news = not over and bool(off) and roster.knock(open_, line, off)
        if not over:
            _ask(asking, line)
        news |= _hear(asking, line)
        for name in asking.here():
            asking.waiting.remove(name)
            yield name, asking.arrived.pop(name)
        if asking.enough(line.clock()):
            LOG.warning("going on without %s", ", ".join(sorted(asking.missing())))
            return
        if over:
            lines.hurry(line, asking.letters)
            if not news and not asking.coming:
                gone = off - set(asking.unread)
                raise waiting.absent(gone) if gone else _incomplete(asking, line)
        if late := off or _late(asking, line.clock()):
            waiting.tell(words, late, roster.said(open_, line))
        pauses.after(news=news or bool(asking.coming) or not asking.waiting)


def _late(asking: Asking, now: float) -> frozenset[str]:
    """Return those who were asked twice or a while ago, and have not been heard."""
    twice = {name for name, count in asking.asked.items() if count > 1}
    long = {n for n in asking.looked if now >= asking.since.get(n, now) + LOST_FIRST}
    return frozenset(asking.waiting[:WINDOW]) & asking.missing() & (twice | long)


def _drop_the_gone(asking: Asking, line: Line) -> None:
    """Take those off the line who have left it; they come back by the door."""
    now = line.clock()
    if now < asking.look:
        return
    for node in line.gone() if asking.look else ():
        name = line.nodes.pop(node)
        LOG.warning("%s has left", name)
        asking.left.add(name)
    asking.look = now + LOOK


def _back(asking: Asking, line: Line, now: float) -> None:
    """Let those be asked again soon who left and came back: their question is lost.

    Unless they answered it before they opened the study again, and it is on its way.
    """
    for name in asking.left & set(line.nodes.values()):
        asking.left.remove(name)
        if name in asking.due:
            asking.due[name] = min(asking.due[name], now + LOST_FIRST)


def _pause(asking: Asking, name: str) -> float:
    """Return how long a site that is asked now is given before it is asked again.

    Once within the deadline it is, whatever the size.
    """
    pause = _growing(asking.asked[name])
    size = wire.size(asking.question.content)
    if size <= packed_arrays.LARGE:
        return pause
    return max(pause, min(2 * size / SLOWEST, (asking.until - asking.begun) / 2))


def _ask(asking: Asking, line: Line) -> None:
    """Ask those on the line who were not asked yet, or so long ago that it is lost.

    Whose answer nobody has looked for yet may well have answered, and whose is on its
    way need not be asked.
    """
    now, missing = line.clock(), asking.missing() - asking.lost - asking.coming
    _back(asking, line, now)
    due = {
        node: name
        for node, name in line.nodes.items()
        if name in missing
        and (
            name not in asking.due
            or (name in asking.looked and now >= asking.due[name])
        )
    }
    if not due:
        return
    question = asking.question
    letters = lines.post(line, question.content, question.kind, due)
    asking.letters |= {number: (node, due[node]) for number, node in letters.items()}
    reached = set(letters.values())
    for node, name in due.items():
        if node not in reached:
            del line.nodes[node]
            continue
        asking.due[name] = now + _pause(asking, name)
        asking.asked[name] += 1
        asking.since.setdefault(name, now)
        line.said(name, question.content)


def _growing(times: int) -> float:
    """Return a pause that doubles, up to a minute."""
    return roster.doubled(times, LOST_FIRST, LOST_LAST)


def _hear(asking: Asking, line: Line) -> bool:
    """Fetch what has come of the next few; say whether anything has."""
    large = wire.size(asking.question.content) > packed_arrays.LARGE
    few = (1 if large else WINDOW) + asking.question.spare
    window = set(asking.waiting[:few]) - set(asking.arrived)
    wanted = [number for number, (_, name) in asking.letters.items() if name in window]
    replies = lines.pull(line, wanted)
    for reply in replies:
        who = asking.letters.pop(reply.metadata.reply_to_message_id, None)
        if who is None or who[1] in asking.arrived:
            continue  # it was asked twice, and says the same twice
        if reply.has_error():
            _no(asking, line, who, reply)
        else:
            asking.arrived[who[1]], asking.heard = reply.content, line.clock()
            line.heard(who[1], reply.content)
            _let_go(asking, line, who[1])
    asking.looked |= window
    begun = lines.coming(line, asking.letters)
    asking.coming = frozenset(asking.letters[number][1] for number in begun)
    return bool(replies)


def _no(asking: Asking, line: Line, who: tuple[int, str], reply: Message) -> None:
    """Take a site off the line that said no, or that Flower could not reach.

    Raises QuorumError when it has said no too often, UnseatedError as replies does.
    """
    node, name = who
    if reply.error.code == legs.UNSEATED:
        asking.lost.add(name)
        few = len(asking.lost) <= asking.question.spare
        if not (asking.question.unseated and few):
            what = f"{name} has no place in this attempt at the round"
            raise UnseatedError(what, site=name)
        return
    line.nodes.pop(node, None)
    _off(asking, line, name)
    if reply.error.reason in UNREAD:
        asking.unread[name] = lines.refusal(reply)
    if reply.error.code == wire.REFUSED:
        said = asking.refused.setdefault(name, [])
        said.append(lines.refusal(reply))
        if len(said) >= TRIES:
            asking.lost.add(name)
        if len(asking.lost) > asking.question.spare:
            raise _incomplete(asking, line)


def _off(asking: Asking, line: Line, name: str) -> None:
    """Let a site be asked anew, at once if it has not failed again and again.

    What it was asked besides, before it restarted, it would say no to as well: that is
    one no.
    """
    asking.failed[name] += 1
    asking.due.pop(name, None)
    if (again := asking.failed[name] - TRIES) > 0:
        asking.due[name] = line.clock() + _growing(again)
    _let_go(asking, line, name)


def _let_go(asking: Asking, line: Line, name: str) -> None:
    """Wait for no answer of a site to what it was asked until now."""
    old = [each for each, to in asking.letters.items() if to[1] == name]
    lines.let_go(line, old)
    for number in old:
        del asking.letters[number]


def _incomplete(asking: Asking, line: Line) -> QuorumError:
    said = {name: all_[-1] for name, all_ in asking.refused.items()} | asking.unread
    failed = [f"{name}: {no}" for name, no in sorted(said.items())]
    silent = sorted(asking.silent() - set(said))
    if silent:
        failed.append(f"no answer from {', '.join(silent)} within {line.deadline:g} s")
    return QuorumError(
        f"{asking.question.words} is incomplete",
        missing=asking.missing() & (asking.silent() | set(said)),
        likely="; ".join(failed),
        fix="each site's own log and ledger say under that id what happened",
    )
