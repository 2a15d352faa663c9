"""Whom a party believes: the aggregator's key and every active site's, as pinned."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from common.errors import Refusal
from common.masked.circle import Circle
from common.travel.wire import Place
from common.trust.enrolment import Member


@dataclass(frozen=True, slots=True)
class Pinned:
    """Ed25519 keys in hexadecimal digits: from the consortium's signed roster."""

    aggregator: str
    sites: Mapping[str, str]

    @staticmethod
    def read(text: str) -> "Pinned":
        """Return what :meth:`text` wrote."""
        return Pinned(**json.loads(text))

    def text(self) -> str:
        """Return the keys as one word of a configuration."""
        return json.dumps(asdict(self))

    @staticmethod
    def of(aggregator: str, members: Iterable[Member]) -> "Pinned":
        """Return the keys of the *members* that are active."""
        active = {m.site: m.signing_key for m in members if m.state == "active"}
        return Pinned(aggregator, active)

    def circle(self, place: Place, attempt: int, who: Iterable[str]) -> Circle:
        """Return the circle of the sites *who* for one *attempt* at a round.

        Raises Refusal for a site that has no pinned key.
        """
        names = tuple(who)
        if strangers := sorted(set(names) - set(self.sites)):
            raise Refusal(
                f"{', '.join(strangers)} is not on the roster, and cannot mask",
                likely="a site was revoked, or an aggregator makes sites up",
                fix="ask the aggregator's operator; nothing was computed",
            )
        keys = {each: self.sites[each] for each in names}
        about = place.digest, place.run, place.sequence
        return Circle(*about, self.aggregator, keys, attempt)
