"""Who takes part: fixed when the study opens, and the same after every restart.

A site that restarted has lost its table and does not know the study any more; so has
every site, to an aggregator that restarted. Both are met by opening the study again, at
the sites of the roster and at no other, and waiting for those that are not back yet.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from flwr.app import Message, RecordDict

from common import wire
from common.errors import IntegrityError, QuorumError
from common.study import Study
from server import line as lines
from server.line import POLL_FIRST, POLL_LAST, Heard, Line

LOG = logging.getLogger("consilium.server")
KNOCK_FIRST, KNOCK_LAST, TELL_AGAIN = 0.25, 30.0, 60.0
"""Seconds before a site that said no is asked again, and between two lines of log."""


@dataclass(frozen=True, slots=True)
class Door:
    """What a site is shown to open the study in one run, and what it must answer."""

    message: RecordDict
    place: wire.Place
    invited: frozenset[str]


def door(study: Study, place: wire.Place) -> Door:
    """Return the opening of *study* for the run that *place* names."""
    return Door(wire.opening(study, place.run), place, frozenset(study.study.sites))


def admit(study: Study, open_: Door, line: Line) -> tuple[str, ...]:
    """Show the study to every node: those that admit it are the roster.

    Returns the refusals; raises QuorumError when too few are left.
    """
    everyone = {node: f"node {node}" for node in line.grid.get_node_ids()}
    heard = lines.exchange(line, open_.message, wire.OPEN, everyone, line.until())
    lines.count(line, heard)
    strange: list[str] = []
    for node, called in sorted(everyone.items()):
        name = _name(open_, heard.said.get(called))
        if name in line.nodes.values():
            raise IntegrityError(
                f"two nodes say that they are {name}",
                likely="a site is configured twice, or somebody takes its name",
                fix="stop both and ask that site's IT which one is theirs",
            )
        if name:
            line.nodes[node] = name
        elif called in heard.said:
            strange.append(f"{called} answered for another study or roster")
    for counted in (line.sent, line.received):
        known = {name: counted[everyone[n]] for n, name in line.nodes.items()}
        counted.clear()
        counted.update(known)
    _quorum(study, line, heard)
    LOG.info("open: %d sites take part: %s", len(line.nodes), listed(line.nodes))
    return (*heard.failed.values(), *strange)


def rejoin(open_: Door, line: Line, roster: tuple[str, ...], until: float) -> None:
    """Open the study again at the sites of *roster* that are not on the line.

    Raises QuorumError by name for those that are not back before *until*.
    """
    begun, told, pause = line.clock(), frozenset[str](), POLL_FIRST
    since, tell = datetime.now(UTC).strftime("%H:%M:%S UTC"), 0.0
    again: dict[int, float] = {}
    letters: dict[str, int] = {}
    while missing := frozenset(roster) - set(line.nodes.values()):
        wait = min(max(line.clock() - begun, KNOCK_FIRST), KNOCK_LAST)
        letters |= _knock(open_, line, again, set(letters.values()), wait)
        if arrived := lines.pull(line, letters):
            for reply in arrived:
                node = letters.pop(reply.metadata.reply_to_message_id)
                _welcome(open_, line, missing, node, reply)
            continue
        now = line.clock()
        if now >= until:
            raise _absent(missing, since, now - begun)
        if missing != told or now >= tell:
            LOG.warning("waiting for %s since %s", ", ".join(sorted(missing)), since)
            told, tell = missing, now + TELL_AGAIN
        line.sleep(pause)
        pause = min(2 * pause, POLL_LAST)


def listed(nodes: Mapping[int, str]) -> str:
    """Return the names of the sites, for a person."""
    return ", ".join(sorted(nodes.values()))


def _knock(
    open_: Door, line: Line, again: dict[int, float], asked: set[int], wait: float
) -> dict[str, int]:
    """Show the study to the nodes whose site is not known; return node by message.

    One that has not answered is left alone: it may still be reading its records. One
    that said no is asked *again* when it is time.
    """
    now, busy = line.clock(), asked | set(line.nodes)
    idle = [node for node in line.grid.get_node_ids() if node not in busy]
    fresh = [node for node in idle if again.get(node, now) <= now]
    if not fresh:
        return {}
    again |= dict.fromkeys(fresh, now + wait)
    messages = [Message(open_.message, node, wire.OPEN) for node in fresh]
    numbers = zip(line.grid.push_messages(messages), fresh, strict=True)
    return {number: node for number, node in numbers if number}


def _welcome(
    open_: Door, line: Line, missing: frozenset[str], node: int, reply: Message
) -> None:
    """Put a node on the line when it is a site that is missing, and count the bytes."""
    name = _name(open_, reply.content if reply.has_content() else None)
    if name in missing and name not in line.nodes.values():
        line.nodes[node] = name
        sent, received = wire.size(open_.message), wire.size(reply.content)
        line.sent[name] = line.sent.get(name, 0) + sent
        line.received[name] = line.received.get(name, 0) + received
        LOG.info("%s has opened the study again", name)


def _name(open_: Door, content: RecordDict | None) -> str:
    """Return the site that approved this very study for this very run, or nothing."""
    if content is None:
        return ""
    try:
        place, site = wire.read_ready(content)
    except IntegrityError:
        return ""
    return site if place == open_.place and site in open_.invited else ""


def _quorum(study: Study, line: Line, heard: Heard) -> None:
    quorum = study.rounds.quorum
    if len(line.nodes) >= quorum:
        return
    silent = len(heard.silent)
    raise QuorumError(
        f"{len(line.nodes)} of {quorum} needed sites take part in {study.study.name}",
        likely="; ".join(
            [*heard.failed.values(), *([f"{silent} did not answer"] if silent else [])]
        ),
        fix="each site's own log says under that id why it refused",
        then="consilium client check   (at the site)",
    )


def _absent(missing: frozenset[str], since: str, seconds: float) -> QuorumError:
    return QuorumError(
        f"{', '.join(sorted(missing))} took part when the study opened and is missing",
        likely=f"waited {seconds:.0f} s, since {since}: it is down, or refuses now",
        fix="start it, or read its own log; a run has the same sites to its end",
        then="consilium client check   (at the site), then run the study again",
    )
