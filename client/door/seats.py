"""This site's places in masked rounds: which stage each is at, and none passed twice.

A stage is a frozen value (common/masked/stages.py), and passing it gives the next. Here
is the one place where the old one is forgotten. At most two rounds are held: the one
that is asked, and the next, whose keys and boxes travel with its answers.

A site that restarted holds no stage. It says so, and the aggregator begins the round
again as a new attempt, with fresh keys. The numbers below the masks stay what they were
(client/books/memory.py), and a site opens twice for the same survivors only
(client/door/once.py): a second sum of the same numbers tells nothing.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from client.site import Site
from client.trust import credentials
from common.errors import IdentityError, Refusal, UnseatedError
from common.masked import circle as circles
from common.masked import masking
from common.masked.circle import Circle
from common.masked.stages import Advertised, Seat, Stage
from common.study import Study
from common.travel.pinned import Pinned
from common.travel.wire import Place
from common.trust.identity import SigningKey


@dataclass(frozen=True, slots=True, repr=False)
class Identity:
    """Who this site is: its name and key; and whom it believes."""

    site: str
    key: SigningKey
    pinned: Pinned


@dataclass(frozen=True, slots=True, repr=False)
class Held:
    """A seat and its stage."""

    seat: Seat
    stage: Stage


@dataclass(frozen=True, slots=True)
class Seats:
    """The stages of this site's rounds, by run and sequence."""

    held: dict[tuple[str, int], Held] = field(default_factory=dict)

    def take(self, seat: Seat) -> Advertised:
        """Take a place in a circle that is new here; the same again is the same.

        Raises UnseatedError when this attempt has gone further, or a later one began.
        """
        circle, at = seat.circle, (seat.circle.run, seat.circle.sequence)
        known = self.held.get(at)
        if known and known.seat.circle == circle:
            if isinstance(known.stage, Advertised):
                return known.stage
            raise _unseated("keys were given for this attempt already")
        if known and circle.attempt <= known.seat.circle.attempt:
            raise _unseated("another attempt at this round began already")
        stage = masking.advertise(seat)
        self._forget(circle)
        self.held[at] = Held(seat, stage)
        return stage

    def stage(self, place: Place, attempt: int) -> Stage:
        """Return how far one attempt is; raise UnseatedError when there is no seat."""
        return self._held(place, attempt).stage

    def require(self, place: Place, attempt: int, sites: Collection[str]) -> None:
        """Raise Refusal unless the seat is in the circle of exactly these *sites*.

        A sum over one list, masked in the circle of another, would be a second sum.
        """
        if set(self._held(place, attempt).seat.circle.sites) != set(sites):
            raise Refusal(
                "a round is asked of other sites than its masks were made for",
                likely="an aggregator that compares sums over different sites",
                fix="ask the aggregator's operator; nothing was computed",
            )

    def pass_(self, place: Place, attempt: int, stage: Stage) -> None:
        """Replace the stage of a seat; the one before is gone."""
        held = self._held(place, attempt)
        self.held[place.run, place.sequence] = replace(held, stage=stage)

    def _held(self, place: Place, attempt: int) -> Held:
        held = self.held.get((place.run, place.sequence))
        if held is None or held.seat.circle.attempt != attempt:
            raise _unseated("there is no seat here for this attempt at the round")
        return held

    def _forget(self, circle: Circle) -> None:
        """Let go of other runs, of rounds before the last, and of other attempts."""
        for run, sequence in list(self.held):
            if run != circle.run or sequence < circle.sequence - 1:
                del self.held[run, sequence]


def of(site: Site, config: Mapping[str, object]) -> Identity:
    """Return who *site* is: from its home; of a simulated one, from its *config*.

    Raises IdentityError for a site that has neither.
    """
    if "key" in config and "pinned" in config:
        key = SigningKey.from_private_bytes(bytes.fromhex(str(config["key"])))
        return Identity(site.name, key, Pinned.read(str(config["pinned"])))
    if site.home is None:
        raise IdentityError(
            f"{site.name} has no identity: it cannot mask its sums",
            where=str(site.path),
            likely="it has no home, or was never admitted to the consortium",
            fix="consilium client join INVITE --home HOME",
        )
    papers = credentials.load(site.home)
    aggregator = papers.invite.aggregator
    pinned = Pinned.of(aggregator, papers.roster().members)
    return Identity(site.name, papers.signing_key, pinned)


def seat(
    who: Identity, study: Study, place: Place, attempt: int, sites: tuple[str, ...]
) -> Seat:
    """Return the seat of *who* among *sites*, whose sum needs all but the dropouts."""
    circle = who.pinned.circle(place, attempt, sites)
    circles.check(circle)
    fewest = max(len(sites), study.needed) - study.rounds.dropouts
    return masking.seat(circle, who.site, who.key, fewest)


def _unseated(what: str) -> UnseatedError:
    return UnseatedError(
        what,
        likely="this site or the aggregator restarted",
        fix="none is needed: the aggregator begins the round again",
    )
