"""Writes the frozen masking.json beside it: ``python -m tests.vectors.masking``.

One round of four sites of which the last drops out before it uploads. Every random byte
is written down in the order in which a site draws it: two private keys, the seed, the
coefficients of the seed's polynomial, then of the mask key's, a nonce for each box, by
receiver. A case that must fail is one leg's good input with some of it replaced.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from common.masked import circle as circles
from common.masked import fixed_point, masking, unmasking
from common.masked.circle import Circle
from common.masked.fixed_point import Part
from common.masked.shamir import Entropy
from common.masked.stages import Opening, Summand
from common.trust import signed
from tests import masked as play
from tests.masked import AGGREGATOR, key_of

FILE = Path(__file__).with_suffix(".json")
PARTS = (Part("records", 1, 1e6, 0), Part("mean", 2, 100.0), Part("gram", 1, 1e4, 40))
A, B, C, D = play.names(4)
NUMBERS = {
    A: {"records": [120.0], "mean": [1.5, -2.25], "gram": [9999.0625]},
    B: {"records": [0.0], "mean": [0.1, -0.1], "gram": [-1e4]},
    C: {"records": [1e6], "mean": [100.0, -100.0], "gram": [2.0**-40]},
    D: {"records": [7.0], "mean": [3.0, 4.0], "gram": [5.0]},
}


@dataclass(slots=True)
class Drawn:
    """Random bytes that are remembered."""

    fresh: Entropy
    seen: list[str] = field(default_factory=list)

    def __call__(self, size: int) -> bytes:
        drawn = self.fresh(size)
        self.seen.append(drawn.hex())
        return drawn


def arrays(site: str) -> dict[str, fixed_point.Array]:
    return {name: np.array(each) for name, each in NUMBERS[site].items()}


def hexed(parts: Any) -> Any:
    """Return *parts* with every bytes as text: documents as they are, the rest hex."""
    if isinstance(parts, bytes):
        return parts.decode() if parts.startswith(b"{") else parts.hex()
    if isinstance(parts, np.ndarray):
        return [str(each) for each in parts.tolist()]
    return {name: hexed(each) for name, each in parts.items()}


def played(of: Circle) -> dict[str, Any]:
    """Return a whole round, all that is drawn and said in it."""
    entropy = {name: Drawn(play.stream(f"vector/{name}")) for name in of.sites}
    begun = {
        name: masking.advertise(masking.seat(of, name, key_of(name)), entropy[name])
        for name in of.sites
    }
    keys = play.documents(begun)
    given = {
        name: masking.share(each, keys, entropy[name]) for name, each in begun.items()
    }
    boxes = play.boxes_of(given)
    coding = fixed_point.digest(PARTS, len(of.sites))
    vectors = {
        name: fixed_point.encode(PARTS, len(of.sites), arrays(name))
        for name in of.sites
    }
    sent = {
        name: masking.mask(
            given[name], boxes[name], Summand(play.ASKED, coding, vectors[name])
        )
        for name in (A, B, C)
    }
    held = play.gathered(keys, sent)
    after, confirmations = play.confirmed(held, sent)
    openings = {
        name: stage.reply
        for name, stage in play.opened(held, after, confirmations).items()
    }
    total = unmasking.unmasked(held, openings)
    return {
        "drawn": {name: each.seen for name, each in entropy.items()},
        "keys": hexed(keys),
        "boxes": hexed(boxes),
        "coding": coding,
        "vectors": hexed(vectors),
        "view": held.view.digest(),
        "masked": hexed({name: each.reply.vector for name, each in sent.items()}),
        "foreseen": hexed(
            {name: each.reply.confirmation for name, each in sent.items()}
        ),
        "survivors": play.survivors(held.view, held.survivors).decode(),
        "confirmations": hexed(confirmations),
        "openings": {name: shares(each) for name, each in openings.items()},
        "total": hexed(total),
        "sum": {
            name: each.tolist()
            for name, each in fixed_point.decode(PARTS, len(of.sites), total).items()
        },
    }


def shares(opening: Opening) -> dict[str, Any]:
    return {"seeds": hexed(opening.seeds), "keys": hexed(opening.keys)}


def failing(good: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the cases that must fail, with whom or what the refusal names."""
    other = played(play.circle(4, sequence=2))
    forged = signed.unverified(good["keys"][B].encode(), circles.KEYS)
    listed = signed.unverified(good["survivors"].encode(), circles.SURVIVORS)

    def resigned(payload: dict[str, Any], who: str, context: str) -> str:
        key = AGGREGATOR if who == "aggregator" else key_of(who)
        return signed.sign(payload, key, context).decode()

    def relisted(**change: object) -> str:
        return resigned({**listed, **change}, "aggregator", circles.SURVIVORS)

    def recon(**change: object) -> dict[str, str]:
        said = {**listed, **change}
        return {B: resigned(said, B, circles.CONFIRMATION)}

    box, wrong = good["boxes"][A][B], "0" * 131 + "1"
    lower = {**forged, "threshold": 2}
    return [
        case("keys swapped", "share", {"keys": {B: good["keys"][C]}}, B),
        case(
            "keys signed by another",
            "share",
            {"keys": {B: resigned(forged, "mallory", circles.KEYS)}},
            B,
        ),
        case("keys of another round", "share", {"keys": {B: other["keys"][B]}}, B),
        case(
            "keys with a lower threshold",
            "share",
            {"keys": {B: resigned(lower, B, circles.KEYS)}},
            B,
        ),
        case(
            "keys of a stranger",
            "share",
            {"keys": {"mallory": resigned(forged, "mallory", circles.KEYS)}},
            "mallory",
        ),
        case("too few keys", "share", {"keys": {B: None, C: None}}, "3 are needed"),
        case("box changed", "mask", {"boxes": {B: "00" + box[2:]}}, B),
        case("box of another sender", "mask", {"boxes": {B: good["boxes"][A][C]}}, B),
        case("box for another", "mask", {"boxes": {B: good["boxes"][C][B]}}, B),
        case("box of another round", "mask", {"boxes": {B: other["boxes"][A][B]}}, B),
        case("too few boxes", "mask", {"boxes": {B: None, C: None}}, "3 are needed"),
        case(
            "survivors too few",
            "confirm",
            {"survivors": relisted(survivors=[A, B])},
            "3 are needed",
        ),
        case(
            "survivor named twice",
            "confirm",
            {"survivors": relisted(survivors=[A, A, B])},
            "aggregator",
        ),
        case(
            "alive and dropped",
            "confirm",
            {"survivors": relisted(dropped=[C])},
            "aggregator",
        ),
        case(
            "another state or limit",
            "confirm",
            {"survivors": relisted(view="0" * 64)},
            "aggregator",
        ),
        case(
            "signed by a site",
            "confirm",
            {"survivors": resigned(listed, B, circles.SURVIVORS)},
            "aggregator",
        ),
        case(
            "split views",
            "unmask",
            {"confirmations": recon(survivors=[A, B, D])},
            B,
        ),
        case(
            "confirmation of another view",
            "unmask",
            {"confirmations": recon(view="0" * 64)},
            B,
        ),
        case(
            "confirmation by another",
            "unmask",
            {"confirmations": {B: good["confirmations"][C]}},
            B,
        ),
        case(
            "too few confirmations",
            "unmask",
            {"confirmations": {B: None}},
            "3 are needed",
        ),
        case(
            "other survivors than confirmed",
            "unmask",
            {"survivors": relisted(survivors=[A, B, C, D])},
            "did not confirm",
        ),
        case(
            "wrong share of a seed",
            "unmasked",
            {"openings": {B: {"seeds": {C: wrong}}}},
            C,
        ),
        case(
            "wrong share of a key",
            "unmasked",
            {"openings": {B: {"keys": {D: wrong}}}},
            D,
        ),
        case(
            "both shares of one site",
            "unmasked",
            {"openings": {B: {"keys": {C: wrong}}}},
            B,
        ),
        case("too few openings", "unmasked", {"openings": {B: None}}, "3 are needed"),
    ]


def case(name: str, leg: str, change: dict[str, Any], names: str) -> dict[str, Any]:
    return {"name": name, "leg": leg, "change": change, "names": names}


def written() -> dict[str, Any]:
    """Return all that the file holds."""
    of = play.circle(4)
    good = played(of)
    return {
        "about": " ".join((__doc__ or "").split("\n\n", 1)[1].split()),
        "protocol": circles.PROTOCOL,
        "circle": {
            "digest": of.digest,
            "run": of.run,
            "sequence": of.sequence,
            "aggregator": of.aggregator,
            "sites": dict(of.sites),
            "attempt": of.attempt,
            "least": of.least,
        },
        "words": of.words(),
        "signing": {
            name: key_of(name).private_bytes_raw().hex()
            for name in (*of.sites, "aggregator", "mallory")
        },
        "asked": asdict(play.ASKED),
        "parts": [
            {"name": p.name, "size": p.size, "limit": p.limit, "bits": p.bits}
            for p in PARTS
        ],
        "numbers": NUMBERS,
        "round": good,
        "must_fail": failing(good),
        "must_not_encode": [
            {"part": "mean", "number": "100.0000001"},
            {"part": "mean", "number": "-101"},
            {"part": "mean", "number": "nan"},
            {"part": "gram", "number": "inf"},
        ],
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps(written(), indent=1) + "\n", encoding="utf-8")
