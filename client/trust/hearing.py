"""Is this the aggregator's own word? Asked before anything else is done with it."""

from dataclasses import dataclass

from flwr.app import RecordDict

from client.trust.credentials import Credentials
from common.errors import Refusal
from common.travel import legs, seal, wire
from common.trust import identity

KINDS = {
    wire.ROUND: "round",
    wire.CLOSE: "close",
    legs.KEYS: "keys",
    legs.SHARE: "share",
    legs.CONFIRM: "confirm",
    legs.UNMASK: "unmask",
}
"""How a question is called where people read of it."""
LEGS = frozenset({"keys", "share", "confirm", "unmask"})
"""The questions about a masked round beside the one that asks for its sums."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What the aggregator asked: only what it signed is told of."""

    kind: str = "unknown"
    digest: str = ""
    task: str = ""
    round: int = 0


NOTHING = Heard()
"""What was heard when it was not the aggregator who spoke."""


def heed(content: RecordDict, kind: str, home: Credentials) -> Heard:
    """Raise unless the aggregator of this site's consortium said *content*.

    An opening brings the consortium's roster, which is kept when it is newer; a round
    is only for sites that are on it, and not revoked.
    """
    aggregator = identity.public_key(home.invite.aggregator)
    seal.verify(content, kind, seal.AGGREGATOR, aggregator)
    if kind == wire.OPEN:
        home.accept_roster(wire.read_members(content).encode())
        study, _ = wire.read_opening(content)
        return Heard("open", study.digest())
    place, word = wire.read_place(content), KINDS.get(kind, "unknown")
    if word not in {"unknown", "close"}:
        _require_members(wire.read_sites(content), home)
    return Heard(word, place.digest, place.task, place.round)


def _require_members(sites: tuple[str, ...], home: Credentials) -> None:
    members = home.roster().members
    active = {each.site for each in members if each.state == "active"}
    if strangers := sorted(set(sites) - active):
        raise Refusal(
            f"a round is asked of {len(strangers)} sites that are not on the roster",
            likely="a site was revoked, or an aggregator makes sites up",
            fix="ask the aggregator's operator; nothing was computed",
        )
