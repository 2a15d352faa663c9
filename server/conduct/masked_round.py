"""One masked round: five legs at most, two when all goes well, and the sum at last.

    keys -> share -> round -> (confirm) -> unmask

The sites' keys and boxes for the next round come with this one's answers. When somebody
restarted in the middle, the round begins again, as an attempt with a higher number and
fresh keys: what masks hide is the same. None of it is on the aggregator's disk.
"""

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

from flwr.app import RecordDict

from common.errors import IntegrityError, QuorumError, UnseatedError, UsageError
from common.masked import circle as circles
from common.masked import coding, fixed_point, unmasking
from common.masked.circle import Circle, Keys, Round, View
from common.masked.fixed_point import Parts, Ring
from common.masked.stages import Opening, Upload
from common.masked.unmasking import Gathered
from common.release import Summands, check
from common.study import Study
from common.task import Task
from common.travel import legs, wire
from common.travel.legs import Boxes, Documents
from common.travel.pinned import Pinned
from common.travel.wire import Answer, Ask
from common.trust.identity import SigningKey
from server.conduct import asking, roster
from server.conduct.line import Line
from server.conduct.question import Question
from server.conduct.roster import Door

LOG = logging.getLogger("consilium.server")
ATTEMPTS, AGAIN, TRIES = 100, 2, 3
"""How often a round is begun, at most; for how many deadlines it may be begun again;
and how often because of one site that the round may do without."""

Hear = Callable[[str, RecordDict], Answer]
"""Returns the answer in what a site said, once it is known to be its own."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A circle whose keys and boxes are here: its vectors may be asked for."""

    circle: Circle
    keys: Documents
    public: Mapping[str, Keys]
    boxes: Boxes

    def of(self, circle: Circle, present: frozenset[str], fewest: int) -> bool:
        """Say whether this is *circle*, with *fewest* sites and all *present*."""
        sharers = set(self.boxes)
        return self.circle == circle and present <= sharers and len(sharers) >= fewest


@dataclass(slots=True)
class Masks:
    """What goes on from round to round: the attempt, and what is ready for the next.

    ``after`` are the keys for the next round as they come, and ``fixed`` is who
    survived the round of that sequence, once shares were asked for. ``unseated`` counts
    how often the round of now began again, because of whom.
    """

    study: Study
    line: Line
    door: Door
    attempt: int = 1
    ready: Ready | None = None
    after: dict[str, bytes] = field(default_factory=dict)
    fixed: tuple[int, tuple[str, ...]] = (0, ())
    unseated: Counter[str] = field(default_factory=Counter)

    def pins(self) -> tuple[SigningKey, Pinned]:
        """Return the aggregator's key, and the keys that are pinned now.

        Raises UsageError for an aggregator without any: it cannot mask.
        """
        voice = self.line.voice
        if voice.key is None:
            raise UsageError(
                f"{self.study.study.name} masks its sums, and here are no pinned keys",
                fix="in [rounds]:   secure_aggregation = false",
            )
        return voice.key, voice.pinned()


@dataclass(frozen=True, slots=True)
class Asked:
    """Which leg is asked of whom, and how many of them may stay silent."""

    kind: str
    sites: tuple[str, ...]
    spare: int


@dataclass(frozen=True, slots=True)
class Turn:
    """One masked round as it is asked: the question, and how numbers are encoded."""

    masks: Masks
    question: Ask
    parts: Parts
    hear: Hear

    @property
    def count(self) -> int:
        """For how many sites the numbers are encoded: all that are invited."""
        return len(self.masks.study.study.sites)

    @property
    def sites(self) -> tuple[str, ...]:
        """Who is asked: once shares were asked, the survivors, to the run's end.

        Losses over more people are larger, and so are all sums: a site that came back
        would look as if the model had become worse, or as if somebody cheated.
        """
        sequence, survivors = self.masks.fixed
        goes_on = self.question.place.sequence in (sequence, sequence + 1)
        sites = survivors if survivors and goes_on else self.question.sites
        out = {site for site, n in self.masks.unseated.items() if n >= TRIES}
        keep = tuple(site for site in sites if site not in out)
        return keep if len(sites) - len(keep) <= self.spare(sites) else sites

    def spare(self, asked: Collection[str]) -> int:
        """Return how many of those who are *asked* may still drop out."""
        gone = len(self.question.sites) - len(asked)
        return max(0, self.masks.study.rounds.dropouts - gone)


def total(masks: Masks, task: Task, question: Ask, hear: Hear) -> Summands:
    """Return the sum of the sites' answers, of which none is seen.

    Raises QuorumError by name for a site that does not answer, IntegrityError for one
    whose answer does not fit.
    """
    turn = Turn(masks, question, coding.parts(masks.study, task), hear)
    clock, masks.unseated = masks.line.clock, Counter()
    until = clock() + AGAIN * masks.line.deadline
    for _ in range(ATTEMPTS):
        try:
            ring = _opened(turn, _gathered(turn))
        except UnseatedError as reason:
            LOG.info("%s: it begins again", reason.what)
            masks.ready, masks.attempt = None, masks.attempt + 1
            masks.unseated[reason.site] += 1
            if clock() >= until:
                break
            continue
        return _summed(turn, task, ring)
    raise _restless(turn)


def _restless(turn: Turn) -> QuorumError:
    """Return the error of a round that began again and again, and because of whom."""
    place, often = turn.question.place, turn.masks.unseated
    said = ", ".join(f"{site} {n} times" for site, n in often.most_common())
    return QuorumError(
        f"round {place.round} of {place.task} was begun {often.total()} times",
        missing=often,
        likely=f"a site restarts again and again, or says so: {said}",
        fix="that site's own log says what happens there",
    )


def _summed(turn: Turn, task: Task, ring: Ring) -> Summands:
    """Return the opened sum as the arrays of *task*.

    Raises IntegrityError for one that so many sites cannot have made: counts below zero
    and more flags than sites. What else is wrong with a site's numbers, masks hide.
    """
    numbers = fixed_point.decode(turn.parts, turn.count, ring)
    release = task.release(turn.masks.study)
    total = {name: numbers[name].reshape(release[name].shape) for name in release}
    check(release, total, len(turn.masks.fixed[1]))
    return total


def _gathered(turn: Turn) -> Gathered:
    """Ask for the masked vectors, and add them up."""
    masks, place = turn.masks, turn.question.place
    ready = _ready(turn)
    seen, sharers = circles.keys_hash(ready.keys), tuple(sorted(ready.boxes))
    coded = fixed_point.digest(turn.parts, turn.count)
    asks = Round(place.task, place.round, place.state)
    view = View(ready.circle, seen, sharers, asks, coded)
    masks.ready, masks.after = None, {}
    content = legs.said(
        wire.ask(turn.question), masks.attempt, boxes=legs.flat(ready.boxes)
    )
    asked = Question(wire.ROUND, place, content, sharers, turn.spare(sharers))
    uploads = _uploads(turn, asked)
    length = fixed_point.length(turn.parts)
    return unmasking.gathered(view, ready.public, uploads, length)


def _ready(turn: Turn) -> Ready:
    """Return the circle of this round, from the last one or set up now."""
    masks, place = turn.masks, turn.question.place
    _, pinned = masks.pins()
    circle = pinned.circle(place, masks.attempt, turn.question.sites)
    fewest = len(turn.sites) - turn.spare(turn.sites)
    if masks.ready and masks.ready.of(circle, _present(turn), fewest):
        return masks.ready
    if masks.ready:  # whoever has a seat in it takes another one
        masks.ready, masks.attempt = None, masks.attempt + 1
        circle = pinned.circle(place, masks.attempt, turn.question.sites)
    first = Asked(legs.KEYS, turn.sites, turn.spare(turn.sites))
    keys = {
        site: _one(site, said["keys"]) for site, said in _asked(turn, first, ("keys",))
    }
    # Before others see them: they would say no to keys that are wrong, and be blamed.
    public = circles.read_keys(circle, keys)
    then = Asked(legs.SHARE, tuple(keys), turn.spare(keys))
    boxes = {
        site: said["boxes"] for site, said in _asked(turn, then, ("boxes",), keys=keys)
    }
    unmasking.routed(circle, boxes)
    return Ready(circle, keys, public, boxes)


def _uploads(turn: Turn, asked: Question) -> Iterator[tuple[str, Upload]]:
    """Yield each site's masked vector; keep its keys for the next round."""
    masks = turn.masks
    for site, said in asking.replies(asked, masks.door, masks.line):
        answer = turn.hear(site, said)
        if answer.place != asked.place:
            raise IntegrityError(f"{site} answered another question than was asked")
        parts = legs.heard(said, "confirmation", "keys").parts
        masks.after[site] = _one(site, parts["keys"])
        yield site, Upload(answer.vector, _one(site, parts["confirmation"]))


def _opened(turn: Turn, held: Gathered) -> fixed_point.Ring:
    """Let the survivors open the sum; keep their boxes for the next round."""
    masks, place = turn.masks, turn.question.place
    key, pinned = masks.pins()
    document = circles.survivors_document(held.view, held.survivors, key)
    survivors = {legs.ONE: document}
    confirmations = held.confirmations
    if not held.whole:
        third = Asked(legs.CONFIRM, held.survivors, turn.spare(held.survivors))
        said = _asked(turn, third, ("confirmation",), survivors=survivors)
        signed = {site: _one(site, each["confirmation"]) for site, each in said}
        confirmations = unmasking.confirmed(held, signed)
    masks.fixed = place.sequence, held.survivors
    following = replace(place, sequence=place.sequence + 1)
    circle = pinned.circle(following, masks.attempt, turn.question.sites)
    public = circles.read_keys(circle, masks.after)
    needless = len(held.survivors) - held.view.circle.threshold
    openings, boxes = {}, {}
    for site, parts in _asked(
        turn,
        Asked(legs.UNMASK, held.survivors, needless),
        ("seeds", "shares", "boxes"),
        survivors=survivors,
        confirmations=confirmations,
        keys=masks.after,
    ):
        openings[site] = Opening(parts["seeds"], parts["shares"])
        boxes[site] = parts["boxes"]
    masks.ready = Ready(circle, dict(masks.after), public, boxes)
    return unmasking.unmasked(held, openings)


def _present(turn: Turn) -> frozenset[str]:
    """Return which of the sites are on the line; look for those who are not."""
    masks = turn.masks
    if off := frozenset(turn.question.sites) - set(masks.line.nodes.values()):
        roster.knock(masks.door, masks.line, off)
    return frozenset(turn.sites) & set(masks.line.nodes.values())


def _asked(
    turn: Turn, leg: Asked, names: tuple[str, ...], **parts: Documents
) -> Iterator[tuple[str, Mapping[str, Documents]]]:
    """Ask a leg that shows no state; yield the documents that each site says."""
    masks, place = turn.masks, turn.question.place
    content = legs.said(wire.asking(place, turn.question.sites), masks.attempt, **parts)
    late = leg.kind == legs.UNMASK and leg.spare > 0
    asked = Question(leg.kind, place, content, leg.sites, leg.spare, late)
    for site, said in asking.replies(asked, masks.door, masks.line):
        masks.line.voice.check(site, said, leg.kind)
        if wire.read_ready(said) != (place, site):
            raise IntegrityError(f"{site} answered another question than was asked")
        found = legs.heard(said, *names)
        if found.attempt != masks.attempt:
            raise IntegrityError(f"{site} answered at another attempt")
        yield site, found.parts


def _one(site: str, documents: Documents) -> bytes:
    if set(documents) != {legs.ONE}:
        raise IntegrityError(f"{site} sent other documents than were asked for")
    return documents[legs.ONE]
