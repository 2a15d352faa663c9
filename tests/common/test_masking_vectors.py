"""A frozen round is repeated to the last bit, and every frozen cheat is refused."""

import json
from typing import Any

import numpy as np
import pytest

from common.errors import ConsiliumError, IntegrityError
from common.masked import circle as circles
from common.masked import fixed_point, masking, unmasking
from common.masked.circle import Circle, Round
from common.masked.fixed_point import Part
from common.masked.shamir import Entropy
from common.masked.stages import (
    Advertised,
    Confirmed,
    Masked,
    Opening,
    Shared,
    Summand,
    Upload,
)
from common.trust.identity import SigningKey
from tests.vectors.masking import FILE, written

FROZEN = json.loads(FILE.read_text(encoding="utf-8"))
ROUND = FROZEN["round"]
OF = Circle(**FROZEN["circle"])
PARTS = tuple(Part(**each) for each in FROZEN["parts"])
A, D = min(OF.sites), max(OF.sites)


def replay(site: str) -> Entropy:
    """Return the random bytes of *site* as they are written down."""
    rest = iter(ROUND["drawn"][site])

    def fresh(size: int) -> bytes:
        drawn = bytes.fromhex(next(rest))
        assert len(drawn) == size
        return drawn

    return fresh


def said(texts: dict[str, str]) -> dict[str, bytes]:
    return {name: text.encode() for name, text in texts.items()}


def raw(texts: dict[str, str]) -> dict[str, bytes]:
    return {name: bytes.fromhex(text) for name, text in texts.items()}


def advertised(site: str, fresh: Entropy) -> Advertised:
    key = SigningKey.from_private_bytes(bytes.fromhex(FROZEN["signing"][site]))
    return masking.advertise(masking.seat(OF, site, key), fresh)


def shared(site: str, keys: dict[str, str]) -> Shared:
    fresh = replay(site)
    return masking.share(advertised(site, fresh), said(keys), fresh)


def masked(site: str, boxes: dict[str, str]) -> Masked:
    vector = np.array(ROUND["vectors"][site], np.uint64)
    summand = Summand(Round(**FROZEN["asked"]), ROUND["coding"], vector)
    return masking.mask(shared(site, ROUND["keys"]), raw(boxes), summand)


def confirmed(site: str, survivors: str) -> Confirmed:
    return masking.confirm(masked(site, ROUND["boxes"][site]), survivors.encode())


def unmasked(openings: dict[str, Any]) -> fixed_point.Ring:
    keys = circles.read_keys(OF, said(ROUND["keys"]))
    view = masked(A, ROUND["boxes"][A]).view
    uploads = (
        (site, Upload(np.array(vector, np.uint64), ROUND["foreseen"][site].encode()))
        for site, vector in ROUND["masked"].items()
    )
    held = unmasking.gathered(view, keys, uploads, fixed_point.length(PARTS))
    return unmasking.unmasked(
        held,
        {
            site: Opening(raw(each["seeds"]), raw(each["keys"]))
            for site, each in openings.items()
        },
    )


def test_the_file_is_what_the_code_writes() -> None:
    assert json.loads(json.dumps(written())) == FROZEN


@pytest.mark.parametrize("site", sorted(OF.sites))
def test_a_site_repeats_its_round(site: str) -> None:
    stage = shared(site, ROUND["keys"])
    assert advertised(site, replay(site)).reply.decode() == ROUND["keys"][site]
    for receiver, box in stage.reply.items():
        assert box.hex() == ROUND["boxes"][receiver][site]
    numbers = {name: np.array(each) for name, each in FROZEN["numbers"][site].items()}
    encoded = fixed_point.encode(PARTS, len(OF.sites), numbers)
    assert [str(each) for each in encoded] == ROUND["vectors"][site]
    if site == D:  # it has dropped out by now
        return
    sent = masked(site, ROUND["boxes"][site])
    assert [str(each) for each in sent.reply.vector] == ROUND["masked"][site]
    assert sent.view.digest() == ROUND["view"]
    after = confirmed(site, ROUND["survivors"])
    assert after.reply.decode() == ROUND["confirmations"][site]
    document = ROUND["survivors"].encode()
    done = masking.unmask(after, document, said(ROUND["confirmations"])).reply
    assert done == Opening(
        *(raw(ROUND["openings"][site][k]) for k in ("seeds", "keys"))
    )


def test_the_aggregator_repeats_the_sum() -> None:
    total = unmasked(ROUND["openings"])
    assert [str(each) for each in total] == ROUND["total"]
    found = fixed_point.decode(PARTS, len(OF.sites), total)
    assert {name: each.tolist() for name, each in found.items()} == ROUND["sum"]
    assert ROUND["sum"]["records"] == [1000120.0]


def changed(good: Any, change: Any) -> Any:
    """Return *good* with *change* merged in; what is null there is taken away."""
    if not isinstance(change, dict):
        return change
    merged = dict(good)
    for name, each in change.items():
        if each is None:
            del merged[name]
        else:
            merged[name] = changed(merged.get(name, {}), each)
    return merged


def attempt(leg: str, change: dict[str, Any]) -> None:
    """Play one leg at the first site, or at the aggregator, with *change* in it."""
    given = changed({**ROUND, "boxes": ROUND["boxes"][A]}, change)
    if leg == "share":
        shared(A, given["keys"])
    elif leg == "mask":
        masked(A, given["boxes"])
    elif leg == "confirm":
        confirmed(A, given["survivors"])
    elif leg == "unmask":
        after = confirmed(A, ROUND["survivors"])
        document = given["survivors"].encode()
        masking.unmask(after, document, said(given["confirmations"]))
    else:
        unmasked(given["openings"])


@pytest.mark.parametrize("leg", ["share", "mask", "confirm", "unmask", "unmasked"])
def test_without_a_change_no_leg_fails(leg: str) -> None:
    attempt(leg, {})


@pytest.mark.parametrize("case", FROZEN["must_fail"], ids=lambda case: case["name"])
def test_a_frozen_cheat_is_refused_and_names_who(case: dict[str, Any]) -> None:
    with pytest.raises(ConsiliumError) as refusal:
        attempt(case["leg"], case["change"])
    assert case["names"] in refusal.value.what
    assert refusal.value.exit_code in {6, 10, 11}


@pytest.mark.parametrize("case", FROZEN["must_not_encode"], ids=str)
def test_a_number_beyond_its_limit_is_refused(case: dict[str, str]) -> None:
    numbers = {name: np.array(each) for name, each in FROZEN["numbers"][A].items()}
    numbers[case["part"]] = np.full_like(numbers[case["part"]], float(case["number"]))
    with pytest.raises(IntegrityError, match=f"{case['part']} is beyond"):
        fixed_point.encode(PARTS, len(OF.sites), numbers)
