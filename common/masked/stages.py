"""The stages of one site in one masked round, each a frozen value that is passed once.

    Advertised -> Shared -> Masked -> Opened, or Masked -> Confirmed -> Opened

A stage holds its reply and the hash of the question, so the same question again
gives the same reply, and another one is refused. What a stage has no use for any
more it does not hold: from Masked on, a site's own secrets are gone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from common.errors import IntegrityError
from common.masked.circle import Circle, Keys, Round, View
from common.masked.fixed_point import Ring
from common.trust.identity import SigningKey


@dataclass(frozen=True, slots=True, repr=False)
class Seat:
    """One site in its circle: its name and key, and the fewest survivors it accepts."""

    circle: Circle
    site: str
    key: SigningKey
    fewest: int


@dataclass(frozen=True, slots=True, repr=False)
class Secrets:
    """What a site draws for one round: two private keys, and its self-mask's seed."""

    box: bytes
    mask: bytes
    seed: bytes


@dataclass(frozen=True, slots=True)
class Summand:
    """One site's encoded numbers, what they answer, and the hash of their coding."""

    round: Round
    coding: str
    vector: Ring


@dataclass(frozen=True, slots=True)
class Upload:
    """A masked vector, and its site's confirmation should nobody drop out."""

    vector: Ring
    confirmation: bytes


@dataclass(frozen=True, slots=True, repr=False)
class Opening:
    """One site's shares: of a survivor's seed, of a dropped site's mask key.

    No site is in both: who could remove both its masks would see its vector.
    """

    seeds: Mapping[str, bytes]
    keys: Mapping[str, bytes]


@dataclass(frozen=True, slots=True, repr=False)
class Advertised:
    """Keys are drawn; the reply is their public halves, signed."""

    seat: Seat
    secrets: Secrets
    reply: bytes


@dataclass(frozen=True, slots=True, repr=False)
class Shared:
    """Everybody's keys are known; the reply is a box for each other site."""

    seat: Seat
    secrets: Secrets
    keys: Mapping[str, Keys]
    seen: str
    own: bytes
    heard: str
    reply: Mapping[str, bytes]


@dataclass(frozen=True, slots=True, repr=False)
class Masked:
    """The vector is masked, and this site's own secrets are forgotten."""

    seat: Seat
    view: View
    shares: Mapping[str, bytes]
    heard: str
    reply: Upload


@dataclass(frozen=True, slots=True, repr=False)
class Confirmed:
    """A list on which somebody is missing has this site's signature, the only one."""

    masked: Masked
    survivors: tuple[str, ...]
    heard: str
    reply: bytes


@dataclass(frozen=True, slots=True, repr=False)
class Opened:
    """The shares are given, and no others are left."""

    heard: str
    reply: Opening


Stage = Advertised | Shared | Masked | Confirmed | Opened
Later = TypeVar("Later", Shared, Masked, Confirmed, Opened)


def again(stage: Stage, kind: type[Later], heard: str) -> Later | None:
    """Return *stage* when its question is asked again; refuse when it is another."""
    if not isinstance(stage, kind):
        return None
    if stage.heard != heard:
        raise IntegrityError(
            "a site is asked twice in one round, and not for the same",
            likely="an aggregator that started the round again, or tries two ways",
            fix="ask the aggregator's operator; nothing more has left",
        )
    return stage


def order(what: str) -> IntegrityError:
    """Return the refusal of a question that no stage expects now."""
    return IntegrityError(
        f"{what} came at a stage of the round that has no use for them"
    )
