"""A site's half of secure aggregation: the aggregator learns the sum and nothing else.

Bonawitz et al., "Practical Secure Aggregation for Privacy-Preserving Machine Learning",
CCS 2017, figure 4, the version against an active aggregator, on the complete graph:

    advertise   round 0   fresh keys, signed                    advertise -> Advertised
    share       round 1   own secrets, cut into shares          share     -> Shared
    upload      round 2   the masked vector                     mask      -> Masked
    (confirm)   round 3   the signed list of survivors          confirm   -> Confirmed
    unmask      round 4   the shares that end the round         unmask    -> Opened

A stage is a frozen value that holds the reply to send. The same question again gives
the same reply; another one, or one out of order, is refused: so a site masks once and
opens once.

Our one change: with its vector a site signs beforehand that *all* have survived, and
``confirm`` is needed only when some have not. An honest site thus signs two lists, and
opens for one. As before, two lists cannot both be opened: that takes t openers each,
of n sites and c colluders who count twice, and 2t > n + c.

The other half is common/masked/unmasking.py; docs/masking.md says what all this
protects.
"""

import hashlib
import os
from collections.abc import Mapping

import numpy as np

from common.errors import IdentityError, IntegrityError, Refusal
from common.masked import circle as circles
from common.masked import masks, shamir
from common.masked.circle import Circle, Keys, View
from common.masked.shamir import Entropy
from common.masked.stages import (
    Advertised,
    Confirmed,
    Masked,
    Opened,
    Opening,
    Seat,
    Secrets,
    Shared,
    Stage,
    Summand,
    Upload,
    again,
    order,
)
from common.trust import signed
from common.trust.identity import SigningKey, public_text


def seat(circle: Circle, site: str, key: SigningKey, fewest: int = 3) -> Seat:
    """Return the place of *site* in *circle*; *fewest* is its own floor of sites.

    Raises Refusal when the circle is smaller than that, IdentityError when the roster
    has another key for this site.
    """
    circles.check(circle)
    if len(circle.sites) < fewest:
        raise Refusal(f"{len(circle.sites)} sites are fewer than the floor of {fewest}")
    if circle.sites.get(site) != public_text(key):
        raise IdentityError(f"the roster has another key for {site}")
    return Seat(circle, site, key, fewest)


def advertise(place: Seat, entropy: Entropy = os.urandom) -> Advertised:
    """Draw this round's keys (round 0). They are never used for another."""
    secrets = Secrets(entropy(masks.KEY), entropy(masks.KEY), entropy(masks.KEY))
    keys = Keys(
        box=masks.public(secrets.box).hex(),
        mask=masks.public(secrets.mask).hex(),
        seed=commitment(place.circle, place.site, secrets.seed),
    )
    reply = circles.keys_document(place.circle, place.site, keys, place.key)
    return Advertised(place, secrets, reply)


def share(
    stage: Stage, documents: Mapping[str, bytes], entropy: Entropy = os.urandom
) -> Shared:
    """Cut the mask key and the seed into shares, a box for each other site (round 1).

    Raises IdentityError naming the site whose keys are not its own.
    """
    heard = _heard(documents)
    if same := again(stage, Shared, heard):
        return same
    if not isinstance(stage, Advertised):
        raise order("keys")
    place, secrets = stage.seat, stage.secrets
    keys = circles.read_keys(place.circle, documents)
    circles.enough(place.circle, keys, "have sent keys", place.fewest)
    if documents.get(place.site) != stage.reply:
        raise IdentityError(f"{place.site} is shown keys that it did not send")
    seen, parts = circles.keys_hash(documents), _cut(place.circle, secrets, entropy)
    boxes = {}
    for peer in sorted(set(keys) - {place.site}):
        purpose = _box(seen, place.site, peer)
        key = _agreed(secrets.box, keys[peer].box, purpose, peer)
        boxes[peer] = masks.boxed(key, parts[peer], purpose, entropy)
    return Shared(place, secrets, keys, seen, parts[place.site], heard, boxes)


def mask(stage: Stage, boxes: Mapping[str, bytes], summand: Summand) -> Masked:
    """Mask the vector, against everybody who shared (round 2).

    The same boxes and round again give the same vector, whatever the summand is then:
    a contribution is drawn once. Raises IdentityError naming the site whose box is not
    its own; the paper opens boxes in round 4 only, which would be too late to drop out.
    """
    asked = summand.round
    words = asked.task, str(asked.number), asked.state, summand.coding
    heard = _heard(boxes, *words)
    if same := again(stage, Masked, heard):
        return same
    if not isinstance(stage, Shared):
        raise order("boxes")
    place = stage.seat
    sharers = tuple(sorted({place.site, *boxes}))
    circles.enough(place.circle, sharers, "have shared", place.fewest)
    shares = {peer: _unboxed(stage, peer, box) for peer, box in boxes.items()}
    shares[place.site] = stage.own
    view = View(place.circle, stage.seen, sharers, asked, summand.coding)
    if summand.vector.ndim != 1 or summand.vector.dtype != np.uint64:
        raise IntegrityError("only encoded numbers can be masked")
    vector = masks.add(summand.vector, _streams(stage, view))
    reply = Upload(vector, circles.confirm(view, sharers, place.key))
    return Masked(place, view, shares, heard, reply)


def confirm(stage: Stage, document: bytes) -> Confirmed:
    """Sign the aggregator's list of survivors, once (round 3)."""
    heard = _heard({"": document})
    if same := again(stage, Confirmed, heard):
        return same
    if not isinstance(stage, Masked):
        raise order("survivors")
    survivors = _survivors(stage, document)
    if survivors == stage.view.sharers:
        raise IntegrityError("that all have survived is confirmed already")
    signature = circles.confirm(stage.view, survivors, stage.seat.key)
    return Confirmed(stage, survivors, heard, signature)


def unmask(stage: Stage, document: bytes, confirmations: Mapping[str, bytes]) -> Opened:
    """Give the shares for a list that t survivors have signed (round 4).

    Of each survivor the seed's share, of each other sharer the mask key's: never both.
    """
    heard = _heard(confirmations, document.hex())
    if same := again(stage, Opened, heard):
        return same
    if not isinstance(stage, Masked | Confirmed):
        raise order("confirmations")
    masked = stage.masked if isinstance(stage, Confirmed) else stage
    agreed = stage.survivors if isinstance(stage, Confirmed) else masked.view.sharers
    survivors, view = _survivors(masked, document), masked.view
    if survivors != agreed:
        raise IntegrityError("survivors are named that this site did not confirm")
    circles.read_confirmations(view, survivors, confirmations)
    circles.enough(view.circle, confirmations, "have confirmed", masked.seat.fewest)
    seeds = {peer: masked.shares[peer][: shamir.BYTES] for peer in survivors}
    dropped = sorted(set(view.sharers) - set(survivors))
    keys = {peer: masked.shares[peer][shamir.BYTES :] for peer in dropped}
    return Opened(heard, Opening(seeds, keys))


def commitment(circle: Circle, site: str, seed: bytes) -> str:
    """Return what a site shows of its seed beforehand."""
    words = {**circle.words(), "for": "commitment", "site": site}
    return masks.derived(seed, words).hex()


def self_mask(seen: str, site: str, seed: bytes) -> bytes:
    """Return the key of a site's self mask, PRG(b_u), in the view of digest *seen*."""
    purpose = {"for": "self mask", "view": seen, "site": site}
    return masks.derived(seed, purpose)


def pair_mask(seen: str, private: bytes, peer_key: str, pair: set[str]) -> bytes:
    """Return the key of the mask that two sites have in common, PRG(s_uv)."""
    names = sorted(pair)
    purpose = {"for": "pair mask", "view": seen, "pair": names}
    return _agreed(private, peer_key, purpose, " or ".join(names))


def _streams(stage: Shared, view: View) -> list[tuple[bytes, masks.Sign]]:
    """Return this site's masks: its own added, a pair's added by the later name.

    Round 2: y = x + PRG(b_u) + sum of +-PRG(s_uv) over U2, + where u > v.
    """
    me, secrets, seen = stage.seat.site, stage.secrets, view.digest()
    streams = [(self_mask(seen, me, secrets.seed), False)]
    for peer in set(view.sharers) - {me}:
        key = pair_mask(seen, secrets.mask, stage.keys[peer].mask, {me, peer})
        streams.append((key, me < peer))
    return streams


def _cut(circle: Circle, secrets: Secrets, entropy: Entropy) -> dict[str, bytes]:
    """Return every site's share of the seed, then of the mask key."""
    names, threshold = sorted(circle.sites), circle.threshold
    seeds, keys = (
        shamir.split(int.from_bytes(each, "big"), len(names), threshold, entropy)
        for each in (secrets.seed, secrets.mask)
    )
    size = shamir.BYTES
    return {
        name: seed.to_bytes(size, "big") + key.to_bytes(size, "big")
        for name, seed, key in zip(names, seeds, keys, strict=True)
    }


def _box(seen: str, sender: str, receiver: str) -> signed.Payload:
    """Return what a box is bound to: all keys, and so the round, and its way."""
    return {"for": "shares", "keys": seen, "from": sender, "to": receiver}


def _unboxed(stage: Shared, peer: str, box: bytes) -> bytes:
    place = stage.seat
    if peer not in stage.keys or peer == place.site:
        raise IdentityError(f"{peer} shared without having sent keys")
    purpose = _box(stage.seen, peer, place.site)
    key = _agreed(stage.secrets.box, stage.keys[peer].box, purpose, peer)
    try:
        content = masks.unboxed(key, box, purpose)
    except IdentityError as wrong:
        raise IdentityError(
            f"{peer}: {wrong.what}",
            likely="it was changed, is of another round, or was made for other keys",
        ) from None
    if len(content) != 2 * shamir.BYTES:
        raise IntegrityError(f"{peer}: a box does not hold two shares")
    return content


def _agreed(private: bytes, peer_key: str, purpose: signed.Payload, who: str) -> bytes:
    try:
        return masks.agreed(private, bytes.fromhex(peer_key), purpose)
    except IdentityError as wrong:
        raise IdentityError(f"{who}: {wrong.what}") from None


def _survivors(stage: Masked, document: bytes) -> tuple[str, ...]:
    survivors = circles.read_survivors(stage.view, document, stage.seat.fewest)
    if stage.seat.site not in survivors:
        raise IntegrityError(f"{stage.seat.site} is asked to open for others only")
    return survivors


def _heard(parts: Mapping[str, bytes], *words: str) -> str:
    said = {"parts": {name: each.hex() for name, each in parts.items()}, "words": words}
    return hashlib.sha256(signed.canonical(said)).hexdigest()
