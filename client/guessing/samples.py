"""Which samples of a channel fit a variable, in which unit, and which are lost ones."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np

from client.documents.mapping import Column
from client.formats import bounds
from client.formats.bounds import Bounds, Seen
from client.formats.raw import Place
from client.guessing import vocabulary
from client.guessing.cells import COMMON
from client.numbers.ways import SAMPLED
from client.sources import opening
from common.schema import Number

CODES = tuple(f"{code:g}" for code in bounds.codes(vocabulary.MISSING)[0])
"""Numbers that devices write when they lost their sensor."""
Channels = Mapping[str, tuple[Number, Column]]
"""What may be taken of which channel, by the name of the variable."""


@dataclass(frozen=True, slots=True)
class Fit:
    """Codes for lost samples; the unit in which most others fit, and which share.

    Of what does not lie where samples do, such as a slope, there is no share.
    """

    missing: tuple[str, ...]
    unit: str
    share: float | None

    def lines(self, variable: Number) -> tuple[str, ...]:
        """Return what has to be said of it in ``site.toml``."""
        codes = ", ".join(f'"{code}"' for code in self.missing)
        missing = (f"missing = [{codes}]",) if codes else ()
        other = (f'unit = "{self.unit}"',) if self.unit != variable.unit else ()
        return (*other, *missing)


def look(place: Place, wanted: Channels) -> dict[str, Fit]:
    """Return how the samples of each channel fit; the source is read once."""
    channels = {column.column or "": column for _, column in wanted.values()}
    own = {
        name: (Bounds(variable, variable.unit),)
        for name, (variable, column) in wanted.items()
        if column.take in SAMPLED
    }
    asked = {name: column for name, (_, column) in wanted.items()}
    for channel, column in channels.items():
        for code in ("", *CODES):
            less = {"take": "count", "missing": (code,) if code else ()}
            asked[_key(channel, code)] = column.model_copy(update=less)
    seen: dict[str, Seen] = {}
    with closing(opening.read(replace(place, bounds=own), asked)) as parts:
        for part in parts:
            for name, more in part.seen.items():
                seen[name] = seen.get(name, Seen()) + more
    found = {}
    for name, (variable, column) in wanted.items():
        channel = column.column or ""
        beside = [own[n][0] for n in own if wanted[n][1].column == channel]
        codes = _lost(channel, beside, seen)
        unit, share = variable.unit, None
        if name in own:
            unit, share = _best(variable, seen[name], sum(codes.values()))
        found[name] = Fit(tuple(codes), unit, share)
    return found


def _key(channel: str, code: str) -> str:
    return f"{channel}@{code}"


def _lost(
    channel: str, beside: Sequence[Bounds], seen: Mapping[str, Seen]
) -> dict[str, int]:
    """Return how often each code occurs that is frequent, and a sample in no unit."""
    every = seen[_key(channel, "")].known
    counts = {code: every - seen[_key(channel, code)].known for code in CODES}
    return {
        code: count
        for code, count in counts.items()
        if count >= COMMON and beside and not any(_within(code, e) for e in beside)
    }


def _within(code: str, known: Bounds) -> bool:
    """Tell whether a code may be a sample, in whichever unit the samples are."""
    value = np.array([float(code)])
    units = (known.variable.unit, *known.variable.units)
    return any(bool(known.inside(value, unit)[0]) for unit in units)


def _best(variable: Number, seen: Seen, lost: int) -> tuple[str, float]:
    """Return the unit in which most samples lie in the range, and which share does."""
    inside = {variable.unit: seen.known - seen.outside, **seen.fits}
    best = max(inside, key=lambda unit: inside[unit])
    rest = seen.known - lost
    return best, inside[best] / rest if rest else 0.0
