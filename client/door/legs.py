"""What this site says in the legs of a masked round, leg by leg.

Nothing here leaves by itself: client/door/egress.py builds the reply. The leg ``round``
is a release: :func:`masked` hides what was computed, and takes a seat in the next
round, so that its keys travel along.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from client import site as sites
from client.books import home
from client.books.ledger import Clock
from client.door import budget, once, seats
from client.door.opened import Opened
from client.door.seats import Identity
from common import plan
from common.errors import Refusal
from common.masked import coding, fixed_point, masking
from common.masked.circle import Round
from common.masked.stages import Confirmed, Opening, Summand, Upload
from common.release import Array
from common.travel import legs
from common.travel.legs import Documents, Leg
from common.travel.wire import Ask, Place, roster

Said = dict[str, Documents]
"""What a site says in a leg, by the names of common/travel/legs.py."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A leg as it was asked of an open study, and who this site is."""

    leg: Leg
    sites: tuple[str, ...]
    opened: Opened
    who: Identity
    clock: Clock


def keys(asked: Asked) -> Said:
    """Take a place in the circle, and show this site's keys for it."""
    opened, place = asked.opened, asked.leg.place
    sites.among(opened.site, opened.study, asked.sites)
    return {"keys": _keys(opened, asked.who, place, asked.leg.attempt, asked.sites)}


def share(asked: Asked) -> Said:
    """Seal a box for each other site."""
    return {"boxes": _boxes(asked, asked.leg.place, asked.leg.parts["keys"])}


def masked(question: Ask, asked: Asked, vector: Array) -> tuple[Upload, Said]:
    """Return the vector under its masks, and this site's keys for the next round."""
    opened, place, attempt = asked.opened, asked.leg.place, asked.leg.attempt
    summand = encoded(opened, place, vector)
    boxes = legs.for_one(asked.leg.parts["boxes"], opened.site.name)
    stage = masking.mask(opened.seats.stage(place, attempt), boxes, summand)
    after = _keys(opened, asked.who, _next(place), attempt, question.sites)
    opened.seats.pass_(place, attempt, stage)
    return stage.reply, {
        "confirmation": {legs.ONE: stage.reply.confirmation},
        "keys": after,
    }


def confirm(asked: Asked) -> Said:
    """Sign the list of survivors, on which somebody is missing."""
    place, attempt = asked.leg.place, asked.leg.attempt
    at = asked.opened.seats
    stage: Confirmed = masking.confirm(at.stage(place, attempt), _survivors(asked))
    at.pass_(place, attempt, stage)
    return {"confirmation": {legs.ONE: stage.reply}}


def unmask(asked: Asked) -> Said:
    """Give the shares, once they are in the ledger; and boxes for the next round."""
    opened, place, attempt = asked.opened, asked.leg.place, asked.leg.attempt
    parts = asked.leg.parts
    before = opened.seats.stage(place, attempt)
    stage = masking.unmask(before, _survivors(asked), parts["confirmations"])
    opening: Opening = stage.reply
    _write(opened, place, opening.seeds, asked.clock)
    boxes = _boxes(asked, _next(place), parts["keys"]) if parts["keys"] else {}
    opened.seats.pass_(place, attempt, stage)
    return {"seeds": opening.seeds, "shares": opening.keys, "boxes": boxes}


def encoded(opened: Opened, place: Place, vector: Array) -> Summand:
    """Return what is masked: *vector* in the ring, bound to what it answers.

    Raises IntegrityError naming an array that is beyond its limit.
    """
    study = opened.study
    task = plan.find(study, place.task)
    parts, count = coding.parts(study, task), len(study.study.sites)
    ring = fixed_point.encode(parts, count, fixed_point.cut(parts, vector))
    asks = Round(place.task, place.round, place.state)
    return Summand(asks, fixed_point.digest(parts, count), ring)


def _write(
    opened: Opened, place: Place, survivors: Iterable[str], clock: Clock
) -> None:
    """Write down that this site opens a sum for *survivors*, durably, and once.

    Raises Refusal when it has opened it for others: the two sums would differ by who is
    missing on one of the lists.
    """
    turn, names = opened.memory.answered(place).place, sorted(survivors)
    facts: dict[str, str | int] = {
        "run": turn.run,
        "task": turn.task,
        "round": turn.round,
        "state": turn.state,
        "sites": len(names),
        "survivors": roster(names),
    }
    note = home.about("opened", opened.study, **facts)
    with budget.writing(opened) as log:
        once.opening(log.entries, opened.study, note)
        said = [e.facts for e in log.entries if e.digest == note.digest]
        if facts not in said:
            log.append(note, clock)


def _keys(
    opened: Opened, who: Identity, place: Place, attempt: int, among: tuple[str, ...]
) -> Documents:
    seat = seats.seat(who, opened.study, place, attempt, among)
    return {legs.ONE: opened.seats.take(seat).reply}


def _boxes(asked: Asked, place: Place, documents: Documents) -> Documents:
    at, attempt = asked.opened.seats, asked.leg.attempt
    stage = masking.share(at.stage(place, attempt), documents)
    at.pass_(place, attempt, stage)
    return stage.reply


def _next(place: Place) -> Place:
    return replace(place, sequence=place.sequence + 1)


def _survivors(asked: Asked) -> bytes:
    return asked.leg.parts["survivors"].get(legs.ONE, b"")


LEGS: dict[str, tuple[Callable[[Asked], Said], tuple[str, ...]]] = {
    legs.KEYS: (keys, ()),
    legs.SHARE: (share, ("keys",)),
    legs.CONFIRM: (confirm, ("survivors",)),
    legs.UNMASK: (unmask, ("survivors", "confirmations", "keys")),
}
"""What is done in each leg but the round, and which documents it brings."""


def only_masked(opened: Opened) -> None:
    """Raise Refusal for a leg of a study whose sums are not masked."""
    if not opened.study.masked:
        raise Refusal(
            "keys were asked for a study that masks nothing",
            likely="an aggregator of another version",
            fix="ask the aggregator's operator",
        )
