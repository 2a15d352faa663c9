"""The aggregator's half of secure aggregation: from masked vectors to their sum.

Bonawitz et al. 2017, figure 4, the server's side. It holds one running sum, whoever
many sites there are, and removes from it what the sites' shares give back: of a
survivor its self mask, of a dropped site the masks that it has in common with each
survivor.

    documents -> to all      boxes = routed(circle, boxes) -> to each
    held = gathered(view, keys, uploads)
    document = held.survivors signed -> to all; confirmations -> to all
    total = unmasked(held, openings)
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from common import large_arrays
from common.errors import IdentityError, IntegrityError
from common.masked import circle as circles
from common.masked import masking, masks, shamir
from common.masked.circle import Circle, Keys, View
from common.masked.fixed_point import Ring
from common.masked.stages import Opening, Upload


@dataclass(frozen=True, slots=True)
class Gathered:
    """The masked sum of one round, and whose vectors are in it (U3)."""

    view: View
    keys: Mapping[str, Keys]
    survivors: tuple[str, ...]
    masked: Ring
    confirmations: Mapping[str, bytes]

    @property
    def whole(self) -> bool:
        """Whether all who shared have survived, which their uploads confirm."""
        return self.survivors == self.view.sharers


def routed(
    circle: Circle, boxes: Mapping[str, Mapping[str, bytes]]
) -> dict[str, dict[str, bytes]]:
    """Return the boxes of each receiver by sender (round 1 -> round 2).

    Raises QuorumError when too few have shared, IntegrityError naming the site that
    left somebody out.
    """
    circles.enough(circle, boxes, "have shared")
    to: dict[str, dict[str, bytes]] = {name: {} for name in boxes}
    for sender, each in boxes.items():
        if missing := sorted(set(boxes) - {sender} - set(each)):
            raise IntegrityError(f"{sender} sent no box for {', '.join(missing)}")
        for receiver in set(boxes) - {sender}:
            to[receiver][sender] = each[receiver]
    return to


def gathered(
    view: View,
    keys: Mapping[str, Keys],
    uploads: Iterable[tuple[str, Upload]],
    size: int,
) -> Gathered:
    """Add up the masked vectors of *size* numbers, of which none is kept (round 2).

    Raises QuorumError when too few have come, IntegrityError naming a site whose vector
    does not fit or was made from another view.
    """
    total, confirmations = large_arrays.zeros(size, np.uint64), dict[str, bytes]()
    for site, upload in uploads:
        if site not in view.sharers or site in confirmations:
            raise IntegrityError(f"{site} sent a vector unasked, or twice")
        said = {site: upload.confirmation}
        circles.read_confirmations(view, view.sharers, said)
        if upload.vector.shape != (size,) or upload.vector.dtype != np.uint64:
            raise IntegrityError(f"{site} did not send {size} numbers modulo 2^64")
        for part in large_arrays.passing(total, upload.vector):
            total[part] += upload.vector[part]
        confirmations[site] = upload.confirmation
    circles.enough(view.circle, confirmations, "have survived")
    return Gathered(view, keys, tuple(sorted(confirmations)), total, confirmations)


def confirmed(
    held: Gathered, confirmations: Mapping[str, bytes]
) -> Mapping[str, bytes]:
    """Return the confirmations of a list on which somebody is missing (round 3)."""
    circles.read_confirmations(held.view, held.survivors, confirmations)
    circles.enough(held.view.circle, confirmations, "have confirmed")
    return confirmations


def unmasked(held: Gathered, openings: Mapping[str, Opening]) -> Ring:
    """Return the exact sum of the survivors' vectors (round 4).

    Raises QuorumError when too few have opened, IntegrityError for shares that are not
    what was asked for or do not fit together.
    """
    circles.enough(held.view.circle, openings, "have opened")
    dropped = set(held.view.sharers) - set(held.survivors)
    for site, each in openings.items():
        if set(each.seeds) != set(held.survivors) or set(each.keys) != dropped:
            raise IntegrityError(f"{site} opened other shares than those asked for")
        shares = (*each.seeds.values(), *each.keys.values())
        if any(len(share) != shamir.BYTES for share in shares):
            raise IntegrityError(f"{site} opened what is no share")
    streams = [*_self_masks(held, openings), *_pair_masks(held, openings)]
    return masks.add(held.masked, streams)


def _self_masks(
    held: Gathered, openings: Mapping[str, Opening]
) -> Iterator[tuple[bytes, masks.Sign]]:
    """Yield every survivor's self mask, to be taken away."""
    seen = held.view.digest()
    for site in held.survivors:
        seed = _joined(held, site, {who: o.seeds[site] for who, o in openings.items()})
        committed = masking.commitment(held.view.circle, site, seed)
        if committed != held.keys[site].seed:
            raise _wrong(site, openings)
        yield masking.self_mask(seen, site, seed), True


def _pair_masks(
    held: Gathered, openings: Mapping[str, Opening]
) -> Iterator[tuple[bytes, masks.Sign]]:
    """Yield what a dropped site's peers have in the sum, to be taken away."""
    seen = held.view.digest()
    for gone in sorted(set(held.view.sharers) - set(held.survivors)):
        key = _joined(held, gone, {who: o.keys[gone] for who, o in openings.items()})
        if masks.public(key).hex() != held.keys[gone].mask:
            raise _wrong(gone, openings)
        for site in held.survivors:
            pair = {gone, site}
            yield (
                masking.pair_mask(seen, key, held.keys[site].mask, pair),
                site > gone,
            )


def _joined(held: Gathered, of: str, shares: Mapping[str, bytes]) -> bytes:
    """Return the secret that *shares*, by their holders, restore."""
    circle = held.view.circle
    holders = sorted(shares)[: circle.threshold]
    points = {circle.place(who): int.from_bytes(shares[who], "big") for who in holders}
    secret = shamir.joined(points)
    if secret.bit_length() > 8 * masks.KEY:
        raise _wrong(of, shares)
    return secret.to_bytes(masks.KEY, "big")


def _wrong(of: str, holders: Iterable[str]) -> IdentityError:
    return IdentityError(
        f"the shares of {of} do not fit together",
        likely=f"{of} gave wrong ones, or one of {', '.join(sorted(holders))} did",
        fix="nothing was released; ask those sites which version they run",
    )
