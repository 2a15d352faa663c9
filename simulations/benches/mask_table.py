"""What masks cost by themselves, for few sites and many, short vectors and long.

A round of common/masked/masking.py and common/masked/unmasking.py is played, leg by
leg, without Flower. Where all vectors together have up to ten million values, every
site masks its own, and the sum is compared. Above, one site masks, and its vector
stands for those of all others at the aggregator: nobody waits for five hundred million
values.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from common.errors import IntegrityError
from common.masked import circle as circles
from common.masked import masking, unmasking
from common.masked.circle import Circle, Keys, Round
from common.masked.fixed_point import Ring
from common.masked.stages import Masked, Opening, Shared, Summand, Upload
from common.trust.identity import SigningKey, public_text

TITLE = (
    "masks by themselves, CPU ms: a site's vector + its keys, shares and opening; "
    "the aggregator (~: the sum is not compared)"
)
SITES, SIZES = (3, 10, 50), (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
CHECKED = 10_000_000
"""So many values of all sites together are added up and compared."""
REPEATS = 3
ASKED, CODING = Round("bench", 1, "0" * 64), "0" * 64
Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Figures:
    """Processor milliseconds of one round of so many *sites* and *values*.

    ``site`` is what a site takes to mask its vector, ``rest`` what it takes for keys,
    shares and opening; ``aggregator`` to add up and unmask. ``checked`` says whether
    the sum was compared.
    """

    sites: int
    values: int
    site: float
    rest: float
    aggregator: float
    checked: bool


@dataclass(frozen=True, slots=True)
class Group:
    """Sites that have shared their secrets, and what that cost each."""

    circle: Circle
    keys: Mapping[str, Keys]
    shared: Mapping[str, Shared]
    boxes: Mapping[str, Mapping[str, bytes]]
    aggregator: SigningKey
    cost: float


def lines() -> Iterator[str]:
    """Yield the figures, a line for each number of sites and of values."""
    for each in measured():
        what = f"{each.sites} sites x {each.values:,} values"
        cost = f"{each.site:,.1f} + {each.rest:,.1f}"
        mark = "" if each.checked else "~"
        yield f"{what:<62}{cost:<34}{each.aggregator:,.1f}{mark}"


def measured() -> Iterator[Figures]:
    """Yield the figures of every number of sites and of values."""
    for count in SITES:
        group = _group(count)
        for size in SIZES:
            yield _figures(group, size)


def _group(count: int) -> Group:
    own = {f"site-{n:02}": _key(str(n)) for n in range(count)}
    aggregator = _key("aggregator")
    pinned = {name: public_text(key) for name, key in own.items()}
    circle = Circle("0" * 64, "bench", 1, public_text(aggregator), pinned)
    begun = time.process_time()
    seated = {
        name: masking.advertise(masking.seat(circle, name, key))
        for name, key in own.items()
    }
    documents = {name: stage.reply for name, stage in seated.items()}
    shared = {name: masking.share(each, documents) for name, each in seated.items()}
    cost = (time.process_time() - begun) / count
    boxes = unmasking.routed(circle, {n: each.reply for n, each in shared.items()})
    keys = circles.read_keys(circle, documents)
    return Group(circle, keys, shared, boxes, aggregator, cost)


def _figures(group: Group, size: int) -> Figures:
    names = sorted(group.shared)
    checked = len(names) * size <= CHECKED
    vector = np.arange(size, dtype=np.uint64)
    repeats = REPEATS if checked else 2
    took, first = _least(lambda: _masked(group, names[0], vector), repeats)
    stages = {names[0]: first}
    for name in names[1:]:
        each = vector if checked else vector[:0]
        stages[name] = _masked(group, name, each)
    opening, opened = _opened(group, stages)
    uploads = [
        Upload(stage.reply.vector if checked else first.reply.vector, said)
        for stage, said in ((s, s.reply.confirmation) for s in stages.values())
    ]

    def summed() -> Ring:
        given = zip(names, uploads, strict=True)
        held = unmasking.gathered(first.view, group.keys, given, size)
        return unmasking.unmasked(held, opened)

    added, total = _least(summed, repeats)
    if checked and not np.array_equal(total, vector * np.uint64(len(names))):
        raise IntegrityError("the sum of the masked vectors is wrong: nothing is told")
    rest = group.cost + opening
    return Figures(len(names), size, 1000 * took, 1000 * rest, 1000 * added, checked)


def _masked(group: Group, name: str, vector: Ring) -> Masked:
    summand = Summand(ASKED, CODING, vector)
    return masking.mask(group.shared[name], group.boxes[name], summand)


def _opened(
    group: Group, stages: Mapping[str, Masked]
) -> tuple[float, dict[str, Opening]]:
    """Return the seconds that opening takes a site, and what all have opened."""
    view = next(iter(stages.values())).view
    document = circles.survivors_document(view, stages, group.aggregator)
    said = {name: stage.reply.confirmation for name, stage in stages.items()}
    begun = time.process_time()
    opened = {
        name: masking.unmask(stage, document, said).reply
        for name, stage in stages.items()
    }
    return (time.process_time() - begun) / len(stages), opened


def _least(call: Callable[[], Made], repeats: int) -> tuple[float, Made]:
    """Return the fewest processor seconds of a few calls, and what it made."""
    took = []
    for _ in range(repeats):
        begun = time.process_time()
        made = call()
        took.append(time.process_time() - begun)
    return min(took), made


def _key(name: str) -> SigningKey:
    return SigningKey.from_private_bytes(hashlib.sha256(name.encode()).digest())
