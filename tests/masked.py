"""A circle of sites that mask with each other, leg by leg, for the tests of masking."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from common.masked import circle as circles
from common.masked import masking, unmasking
from common.masked.circle import Circle, Round, View
from common.masked.fixed_point import Ring
from common.masked.shamir import Entropy
from common.masked.stages import Advertised, Confirmed, Masked, Opened, Shared, Summand
from common.masked.unmasking import Gathered
from common.trust.identity import SigningKey, public_text

STATE, CODING = "5" * 64, "c" * 64
ASKED = Round("describe", 1, STATE)
LEGS = ("advertise", "share", "upload", "confirm", "unmask")


def stream(seed: str) -> Entropy:
    """Return bytes that look random and are the same for the same seed: for vectors."""
    drawn = 0

    def fresh(size: int) -> bytes:
        nonlocal drawn
        drawn += 1
        return hashlib.shake_256(f"{seed}/{drawn}".encode()).digest(size)

    return fresh


def key_of(name: str) -> SigningKey:
    return SigningKey.from_private_bytes(hashlib.sha256(name.encode()).digest())


AGGREGATOR = key_of("aggregator")


def names(count: int) -> list[str]:
    return [f"site-{number:02}" for number in range(count)]


def circle(count: int, sequence: int = 1, run: str = "run") -> Circle:
    pinned = {name: public_text(key_of(name)) for name in names(count)}
    return Circle("d" * 64, run, sequence, public_text(AGGREGATOR), pinned)


def advertised(of: Circle, gone: Collection[str] = ()) -> dict[str, Advertised]:
    return {
        name: masking.advertise(
            masking.seat(of, name, key_of(name)), stream(f"{name}/{of.sequence}")
        )
        for name in of.sites
        if name not in gone
    }


def documents(stages: Mapping[str, Advertised]) -> dict[str, bytes]:
    return {name: stage.reply for name, stage in stages.items()}


def shared(
    stages: Mapping[str, Advertised], gone: Collection[str] = ()
) -> dict[str, Shared]:
    said = documents(stages)
    return {
        name: masking.share(stage, said, stream(f"{name}/boxes"))
        for name, stage in stages.items()
        if name not in gone
    }


def boxes_of(stages: Mapping[str, Shared]) -> dict[str, dict[str, bytes]]:
    of = next(iter(stages.values())).seat.circle
    return unmasking.routed(of, {name: each.reply for name, each in stages.items()})


def masked(
    stages: Mapping[str, Shared],
    vectors: Mapping[str, Ring],
    gone: Collection[str] = (),
    asked: Round = ASKED,
) -> dict[str, Masked]:
    boxes = boxes_of(stages)
    return {
        name: masking.mask(stage, boxes[name], Summand(asked, CODING, vectors[name]))
        for name, stage in stages.items()
        if name not in gone
    }


def gathered(said: Mapping[str, bytes], stages: Mapping[str, Masked]) -> Gathered:
    """Add the masked vectors up, as the aggregator sees them; *said* are all keys."""
    view = next(iter(stages.values())).view
    keys = circles.read_keys(view.circle, said)
    size = len(next(iter(stages.values())).reply.vector)
    uploads = ((name, stages[name].reply) for name in sorted(stages))
    return unmasking.gathered(view, keys, uploads, size)


def survivors(view: View, alive: Collection[str]) -> bytes:
    return circles.survivors_document(view, alive, AGGREGATOR)


def confirmed(
    held: Gathered, stages: Mapping[str, Masked], gone: Collection[str] = ()
) -> tuple[Mapping[str, Masked | Confirmed], Mapping[str, bytes]]:
    if held.whole:
        return stages, held.confirmations
    document = survivors(held.view, held.survivors)
    after = {
        name: masking.confirm(stage, document)
        for name, stage in stages.items()
        if name not in gone
    }
    signed = {name: stage.reply for name, stage in after.items()}
    return after, unmasking.confirmed(held, signed)


def opened(
    held: Gathered,
    stages: Mapping[str, Masked | Confirmed],
    confirmations: Mapping[str, bytes],
    gone: Collection[str] = (),
) -> dict[str, Opened]:
    document = survivors(held.view, held.survivors)
    return {
        name: masking.unmask(stage, document, confirmations)
        for name, stage in stages.items()
        if name not in gone
    }


@dataclass(frozen=True)
class Gone:
    """Who is gone from which leg on."""

    at: Mapping[str, str]

    def before(self, leg: str) -> set[str]:
        legs = LEGS[: LEGS.index(leg) + 1]
        return {name for name, when in self.at.items() if when in legs}


def total(of: Circle, vectors: Mapping[str, Ring], gone: Gone) -> tuple[Ring, set[str]]:
    """Play a whole round; return the sum, and whose vectors are in it."""
    begun = advertised(of, gone.before("advertise"))
    given = shared(begun, gone.before("share"))
    sent = masked(given, vectors, gone.before("upload"))
    held = gathered(documents(begun), sent)
    after, confirmations = confirmed(held, sent, gone.before("confirm"))
    ends = opened(held, after, confirmations, gone.before("unmask"))
    replies = {name: stage.reply for name, stage in ends.items()}
    return unmasking.unmasked(held, replies), set(held.survivors)


def numbers(of: Circle, size: int, seed: int = 0) -> dict[str, Ring]:
    drawn = np.random.default_rng(seed)
    return {
        name: drawn.integers(0, 2**64, size, np.uint64, endpoint=False)
        for name in of.sites
    }
