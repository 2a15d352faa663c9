"""What the sites of one masked round must see alike, and the documents that say so.

Three documents, each signed and of one spelling: a site's fresh keys, the aggregator's
list of survivors, and a site's confirmation of that list. Each is checked here, by the
sites and by the aggregator with the same lines, and a wrong one is refused by name.
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from common.errors import ConsiliumError, IdentityError, IntegrityError, QuorumError
from common.masked import masks
from common.sections.terms import FEWEST, MOST, threshold
from common.trust import identity, signed

PROTOCOL: Final = "consilium masking 1"
KEYS: Final = "consilium/mask keys/1"
SURVIVORS: Final = "consilium/survivors/1"
CONFIRMATION: Final = "consilium/confirmation/1"


@dataclass(frozen=True)
class Circle:
    """The sites whose masks cancel in one round: the roster with its pinned keys.

    ``sites`` gives each site's Ed25519 key and ``aggregator`` the aggregator's, as
    hexadecimal digits. ``sequence`` counts the rounds of the whole run, ``attempt`` the
    circles of one round. A later one has at least the first one's threshold, ``least``:
    otherwise a few colluders could open both, and the difference is who is missing.
    """

    digest: str
    run: str
    sequence: int
    aggregator: str
    sites: Mapping[str, str]
    attempt: int = 1
    least: int = FEWEST

    @property
    def threshold(self) -> int:
        """How many sites must survive, confirm and open: 2t > n + colluders."""
        return max(threshold(len(self.sites)), self.least)

    def place(self, site: str) -> int:
        """Return where *site* has its shares: 1 for the first by name."""
        return 1 + sorted(self.sites).index(site)

    def words(self) -> signed.Payload:
        """Return what every key and every signature of this round is bound to."""
        return {
            "protocol": PROTOCOL,
            "digest": self.digest,
            "run": self.run,
            "sequence": self.sequence,
            "attempt": self.attempt,
            "roster": self._roster,
            "threshold": self.threshold,
        }

    @cached_property
    def _roster(self) -> str:
        """The hash of every key."""
        return _hash({"aggregator": self.aggregator, "sites": dict(self.sites)})


@dataclass(frozen=True, slots=True)
class Keys:
    """A site's fresh public keys, for boxes and for masks, and its seed's commitment.

    Bonawitz et al. 2017, figure 4, round 0: c^PK and s^PK. The commitment is ours: it
    shows a wrong share of the self-mask's seed, which would otherwise spoil the sum
    unseen.
    """

    box: str
    mask: str
    seed: str


@dataclass(frozen=True, slots=True)
class Round:
    """What masked numbers answer: which round of which task, from which state.

    Numbers of two tasks may look alike. Were one site asked another task than the
    rest, where these have zeros it would stand alone in the sum.
    """

    task: str
    number: int
    state: str


@dataclass(frozen=True)
class View:
    """What a site sees of its round. Masks of different views do not cancel.

    ``keys`` is the hash of all keys (figure 4: U1), ``sharers`` who shared (U2),
    ``round`` what was asked, ``coding`` the hash of how numbers are encoded.
    """

    circle: Circle
    keys: str
    sharers: tuple[str, ...]
    round: Round
    coding: str

    def digest(self) -> str:
        """Return the one hash that masks and confirmations are bound to."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        asked = [self.round.task, self.round.number, self.round.state]
        seen = [self.keys, list(self.sharers), *asked, self.coding]
        return _hash({"circle": self.circle.words(), "seen": seen})


def check(circle: Circle) -> None:
    """Raise IntegrityError unless so many sites can form a circle, each with a key."""
    count = len(circle.sites)
    if not FEWEST <= count <= MOST:
        raise IntegrityError(f"{FEWEST} to {MOST} sites can mask, not {count}")
    if circle.threshold > count:
        raise IntegrityError(f"{circle.threshold} sites must survive, of {count}")
    if len({*circle.sites.values(), circle.aggregator}) != count + 1:
        raise IntegrityError("two of a circle have the same key")


def enough(circle: Circle, sites: Collection[str], did: str, fewest: int = 0) -> None:
    """Raise unless at least the threshold's number of the circle's sites did it.

    Raises IntegrityError for a stranger, QuorumError when they are too few.
    """
    here = set(sites)
    if strangers := sorted(here - set(circle.sites)):
        raise IntegrityError(f"{', '.join(strangers)} is not of this circle")
    needed = max(circle.threshold, fewest)
    if len(here) < needed:
        gone = sorted(set(circle.sites) - here)
        raise QuorumError(
            f"{len(here)} of {len(circle.sites)} sites {did}, {needed} are needed",
            missing=gone,
            likely=f"{', '.join(gone)} dropped out",
            fix="nothing was opened: the round may be asked of those who are left",
        )


def keys_document(
    circle: Circle, site: str, keys: Keys, key: identity.SigningKey
) -> bytes:
    """Return a site's fresh keys, signed."""
    fresh = {"box": keys.box, "mask": keys.mask, "seed": keys.seed}
    return signed.sign({**circle.words(), "site": site, "keys": fresh}, key, KEYS)


def read_keys(circle: Circle, documents: Mapping[str, bytes]) -> dict[str, Keys]:
    """Return the keys of every site that has sent some, each known to be its own.

    Figure 4, round 1: at least t, all different, every signature valid.
    """
    enough(circle, documents, "have sent keys")
    words, found = circle.words(), dict[str, Keys]()
    for site in sorted(documents):
        said = _verified(documents[site], circle.sites[site], KEYS, site)
        found[site] = _keys(words, site, said)
    used = Counter(part for each in found.values() for part in (each.box, each.mask))
    for site, each in found.items():
        if used[each.box] > 1 or used[each.mask] > 1:
            raise IdentityError(f"{site} sent a key that was sent before")
    return found


def keys_hash(documents: Mapping[str, bytes]) -> str:
    """Return the hash of all keys as they were signed."""
    return _hash({site: each.decode() for site, each in documents.items()})


def statement(view: View, survivors: Iterable[str]) -> signed.Payload:
    """Return the words of a list of survivors, and of its confirmation."""
    names = sorted(set(survivors))
    return {**view.circle.words(), "view": view.digest(), "survivors": names}


def survivors_document(
    view: View, survivors: Iterable[str], key: identity.SigningKey
) -> bytes:
    """Return the aggregator's word on whose vectors it has."""
    return signed.sign(statement(view, survivors), key, SURVIVORS)


def read_survivors(view: View, document: bytes, fewest: int = 0) -> tuple[str, ...]:
    """Return the survivors that the aggregator signed (figure 4, round 3: U3)."""
    said = _verified(document, view.circle.aggregator, SURVIVORS, "the aggregator")
    names = said.get("survivors")
    if not isinstance(names, list) or not all(isinstance(each, str) for each in names):
        raise IntegrityError("the aggregator lists no survivors")
    _same("the aggregator", said, statement(view, names))
    if strangers := sorted(set(names) - set(view.sharers)):
        raise IntegrityError(
            f"{', '.join(strangers)} shared nothing, and cannot survive"
        )
    enough(view.circle, names, "have survived", fewest)
    return tuple(names)


def confirm(view: View, survivors: Iterable[str], key: identity.SigningKey) -> bytes:
    """Return a site's confirmation that it was shown these survivors."""
    return signed.sign(statement(view, survivors), key, CONFIRMATION)


def read_confirmations(
    view: View, survivors: Collection[str], documents: Mapping[str, bytes]
) -> None:
    """Raise unless each is a survivor's confirmation of this list and this view.

    Figure 4, round 4: U4 is part of U3, and every signature valid. Names who is not.
    """
    expected = statement(view, survivors)
    for site, document in documents.items():
        if site not in survivors:
            raise IntegrityError(f"{site} confirmed, and did not survive")
        key = view.circle.sites[site]
        said = _verified(document, key, CONFIRMATION, site)
        _same(site, said, expected)


def _keys(words: signed.Payload, site: str, said: signed.Payload) -> Keys:
    fresh = said.get("keys")
    if said != {**words, "site": site, "keys": fresh}:
        raise IntegrityError(
            f"the keys of {site} are for another round, run, roster or study",
            likely="they were sent before, and are sent again",
        )
    if not isinstance(fresh, dict) or set(fresh) != {"box", "mask", "seed"}:
        raise IntegrityError(f"the keys of {site} are not three")
    for each in fresh.values():
        _key(site, each)
    if not all(masks.hides(bytes.fromhex(fresh[each])) for each in ("box", "mask")):
        raise IdentityError(f"{site}: a public key is one that hides nothing")
    return Keys(**fresh)


def _key(site: str, text: object) -> None:
    try:
        fits = isinstance(text, str) and bytes.fromhex(text).hex() == text
    except ValueError:
        fits = False
    if not fits or len(str(text)) != 2 * masks.KEY:
        raise IntegrityError(f"a key of {site} is not {2 * masks.KEY} digits")


def _same(who: str, said: signed.Payload, expected: signed.Payload) -> None:
    """Raise unless *who* signed what is expected, saying what differs."""
    if said == expected:
        return
    listed = {**said, "survivors": expected["survivors"]} == expected
    raise IntegrityError(
        f"{who} signed for other survivors"
        if listed
        else f"{who} signed for another view of this round",
        likely="the sites were shown different lists"
        if listed
        else "the sites were shown different states, keys, sharers or limits",
        fix="ask the aggregator's operator; nothing was opened",
    )


def _verified(document: bytes, key: str, context: str, who: str) -> signed.Payload:
    """Return what *who* signed; raise the same error, by name, when it is not so."""
    try:
        return signed.verify(document, identity.public_key(key), context)
    except (IdentityError, IntegrityError) as wrong:
        kind: type[ConsiliumError] = type(wrong)
        raise kind(f"{who}: {wrong.what}") from None


def _hash(words: signed.Payload) -> str:
    return hashlib.sha256(signed.canonical(words)).hexdigest()
