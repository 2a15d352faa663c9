"""Who takes part: fixed when the study opens, and the same after every restart.

A site that restarted has lost its table and does not know the study any more; so has
every site, to an aggregator that restarted. Both are met in the way in which the study
was opened first: whoever is not on the line is shown it, and then again.
"""

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from flwr.app import Message, RecordDict

from common.errors import IdentityError, IntegrityError, QuorumError
from common.study import Study
from common.travel import wire
from server.conduct import line as lines
from server.conduct.line import Line, Pauses

LOG = logging.getLogger("consilium.server")
KNOCK_FIRST, KNOCK_LAST, KNOCK_SLOW = 0.25, 10.0, 60.0
"""Seconds before a site that said no is asked again: longer each time, and longest when
it said more than that its steward has not approved: it read its records to say so."""
LAST_CALL, SOON = 10.0, 1.0
"""Before the roster is fixed, who said no is asked again, and has so long to answer;
unless it was to be asked again soon anyhow, for then it said no just now."""
LOST_FIRST, LOST_LAST = 10.0, 120.0
"""Seconds without an answer after which a message counts as lost: longer each time."""
DOUBLED = 32
"""How often a pause is doubled at most: a node may be asked thousands of times."""
TELL_AGAIN = 60.0
"""Seconds between two lines of the log that say the same."""
OPENING = "opening the study"
LEFT_OUT = "left out by the aggregator's operator"
NOTHING: Mapping[str, str] = {}

Waits = Callable[[int], bool]
"""Whether a study still waits for the others when so many sites have opened it."""


@dataclass(slots=True)
class Door:
    """What a site is shown to open the study in one run, and whom it was shown to."""

    message: Callable[[], RecordDict]
    place: wire.Place
    invited: frozenset[str]
    letters: dict[str, int] = field(default_factory=dict)
    again: dict[int, float] = field(default_factory=dict)
    tries: Counter[int] = field(default_factory=Counter)
    refused: dict[int, str] = field(default_factory=dict)
    opened: set[int] = field(default_factory=set)


def door(
    study: Study,
    place: wire.Place,
    members: Callable[[], str],
    without: frozenset[str] = frozenset(),
) -> Door:
    """Return the opening of *study* for the run that *place* names.

    *members* is the consortium's roster as it is when a site is shown the study: a site
    that has seen a newer one refuses an older. *without* are sites of the study that
    its operator leaves out.
    """
    invited = frozenset(study.study.sites) - without
    return Door(lambda: wire.opening(study, place.run, members()), place, invited)


def admit(study: Study, open_: Door, line: Line, waits: Waits) -> tuple[str, ...]:
    """Show the study to the sites that it names: those that admit it are the roster.

    As long as *waits* says so, the sites that are missing are waited for; when it does
    no longer, those who said no are asked once more. Returns the refusals; raises
    QuorumError when too few take part.
    """
    until, called = line.until(), False
    pauses, waiting = Pauses(line), Waiting(line)
    while missing := open_.invited - set(line.nodes.values()):
        news = knock(open_, line, missing)
        if not news and not waits(len(line.nodes)):
            answered = not open_.letters or line.clock() >= until
            if answered and (called or not _called(open_, line)):
                break
            if answered:
                until, called = line.clock() + LAST_CALL, True
        if not news:
            waiting.tell(OPENING, missing, said(open_, line))
        pauses.after(news=news)
    _quorum(study, line, open_, missing)
    LOG.info("open: %d sites take part: %s", len(line.nodes), listed(line.nodes))
    return tuple(f"{name}: {why}" for name, why in said(open_, line).items())


def said(open_: Door, line: Line) -> dict[str, str]:
    """Return the last word of each node that said no, by name."""
    return {line.name(node): open_.refused[node] for node in sorted(open_.refused)}


def _called(open_: Door, line: Line) -> bool:
    """Ask those now who said no, and were to be asked later; say whether there are any.

    A steward may have said yes a moment ago.
    """
    now = line.clock()
    later = [n for n in open_.refused if open_.again.get(n, now) > now + SOON]
    open_.again |= dict.fromkeys(later, now)
    return bool(later)


def knock(open_: Door, line: Line, wanted: frozenset[str]) -> bool:
    """Look once for the sites that are *wanted*; say whether anybody answered.

    Nodes that are not on the line are shown the study, and again after a while: one
    that said no, because its steward may say yes; one that is silent, because what
    was sent may be lost.
    """
    now = line.clock()
    fresh = [
        node
        for node in line.present()
        if node not in line.nodes
        and open_.again.get(node, now) <= now
        # who is known under another name has no part in this study, and hears nothing
        and line.names.get(node, "") in {"", *open_.invited}
    ]
    if fresh:
        open_.letters |= lines.post(line, open_.message(), wire.OPEN, fresh)
        for node in fresh:
            open_.again[node] = now + _growing(open_, node, LOST_FIRST, LOST_LAST)
    arrived = lines.pull(line, open_.letters)
    for reply in arrived:
        node = open_.letters.pop(reply.metadata.reply_to_message_id)
        _welcome(open_, line, wanted, node, reply)
    return bool(arrived)


def listed(nodes: Mapping[int, str]) -> str:
    """Return the names of the sites, for a person."""
    return ", ".join(sorted(nodes.values()))


class Waiting:
    """For whom the aggregator waits, and since when: told once, then now and then."""

    def __init__(self, line: Line) -> None:
        """Wait from now, by the clock of *line*."""
        self._line, self._begun = line, line.clock()
        self._since = datetime.now(UTC).strftime("%H:%M:%S UTC")
        self._told, self._tell = dict[str, str](), 0.0

    def tell(
        self, doing: str, missing: frozenset[str], why: Mapping[str, str] = NOTHING
    ) -> None:
        """Say for whom, and what they said, unless that was just said."""
        now, names = self._line.clock(), tuple(sorted(missing))
        told = {name: why.get(name, "") for name in names}
        if told == self._told and now < self._tell:
            return
        self._line.tell(doing, names, why)
        words = [f"{name} ({no})" if no else name for name, no in told.items()]
        LOG.warning("waiting for %s since %s", ", ".join(words), self._since)
        self._told, self._tell = told, now + TELL_AGAIN

    def absent(self, missing: frozenset[str]) -> QuorumError:
        """Return the error that nobody waits any longer, with what each said last."""
        seconds, said = self._line.clock() - self._begun, self._told.items()
        no = "".join(f"; {who}: {why}" for who, why in said if why and who in missing)
        return QuorumError(
            f"missing since the study opened: {', '.join(sorted(missing))}",
            missing=missing,
            likely=f"waited {seconds:.0f} s, since {self._since}: a site is down, or "
            f"refuses now{no}",
            fix="start it, or read its own log; a run has the same sites to its end",
        )


def _growing(open_: Door, node: int, first: float, last: float) -> float:
    """Return a pause for *node* that doubles with every try."""
    open_.tries[node] += 1
    return doubled(open_.tries[node] - 1, first, last)


def doubled(times: int, first: float, last: float) -> float:
    """Return a pause of *first* seconds that doubled so many *times*, up to *last*."""
    return float(min(first * 2.0 ** min(times, DOUBLED), last))


def _welcome(
    open_: Door, line: Line, wanted: frozenset[str], node: int, reply: Message
) -> None:
    """Put a node on the line when it is a site that is wanted, or note why not."""
    if reply.has_error():
        open_.refused[node] = lines.refusal(reply)
        slow = open_.refused[node].startswith("refused")
        last = KNOCK_SLOW if slow else KNOCK_LAST
        pause = _growing(open_, node, KNOCK_FIRST, last)
        open_.again[node] = line.clock() + pause
        return
    name = _name(open_, line, reply.content)
    if name not in open_.invited:
        open_.refused[node] = "answered for another study or roster"
        return
    open_.opened.add(node)
    _only(line, name, node)
    if name in wanted:
        line.nodes[node] = line.names[node] = name
        line.joined |= {node: line.active[node]} if node in line.active else {}
        again = name in line.sent
        line.said(name, open_.message())
        line.heard(name, reply.content)
        open_.refused.pop(node, None)
        open_.again.pop(node, None)
        LOG.info("%s has opened the study%s", name, " again" if again else "")


def _only(line: Line, name: str, node: int) -> None:
    """Raise IntegrityError when another node that is present has the same *name*.

    A site that renewed its certificate comes back as another node, and its old one is
    gone.
    """
    for other in [each for each, known in line.nodes.items() if known == name]:
        if other != node and other in line.present():
            raise IntegrityError(
                f"two nodes say that they are {name}",
                likely="a site is configured twice, or somebody takes its name",
                fix="stop both and ask that site's IT which one is theirs",
            )
        del line.nodes[other]


def _name(open_: Door, line: Line, content: RecordDict) -> str:
    """Return the site that approved this very study for this very run, or nothing."""
    try:
        place, site = wire.read_ready(content)
        if place == open_.place and site in open_.invited:
            line.voice.check(site, content, wire.OPEN)
            return site
    except (IntegrityError, IdentityError) as reason:
        LOG.warning("an answer to the opening is not a site's word: %s", reason)
    return ""


def _quorum(study: Study, line: Line, open_: Door, missing: frozenset[str]) -> None:
    """Raise QuorumError, by name and with what each said, unless enough are here."""
    quorum = study.needed
    if len(line.nodes) >= quorum:
        return
    silent = {line.name(node): "did not answer" for node in open_.letters.values()}
    why = {**silent, **said(open_, line)}
    raise QuorumError(
        f"{len(line.nodes)} of {quorum} needed sites take part in {study.study.name}",
        missing=missing,
        likely="; ".join(
            [
                f"missing are {', '.join(sorted(missing))}",
                *(f"{name}: {words}" for name, words in sorted(why.items())),
            ]
        ),
        fix="each site's own log and ledger say under that id why it refused",
    )
