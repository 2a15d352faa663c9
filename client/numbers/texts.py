"""From the texts of a source to the numbers that a study declares of them.

A text is redacted and hashed once, whatever the number of its buckets; an empty cell,
or a code for missing, is a gap in all of them. It is counted once, in the first bucket.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from client.formats.raw import Raw
from client.numbers import redaction
from client.numbers.columns import Said
from client.numbers.tally import Tally
from client.numbers.ways import Bucket, Way
from common.release import Array
from common.schema import Prose

Rows = NDArray[np.int64] | None


def part(ways: Iterable[Way], raw: Raw) -> tuple[dict[str, Said], dict[str, Tally]]:
    """Return the buckets of the texts in some records, and what was changed, by name.

    A cell that is no text at all says nothing: it is no gap, and is not counted.
    """
    values: dict[str, Said] = {}
    tallies: dict[str, Tally] = {}
    hashed: dict[str, tuple[Rows, Array, Tally]] = {}
    for way in ways:
        if way.bucket is None or way.read not in raw.cells:
            continue
        if way.read not in hashed:
            hashed[way.read] = _hashed(way, way.bucket.text, raw)
        rows, numbers, tally = hashed[way.read]
        values[way.name] = Said(rows, numbers[:, way.bucket.place])
        tallies[way.name] = _once(way.bucket, tally)
    return values, tallies


def _once(bucket: Bucket, tally: Tally) -> Tally:
    return Tally(known=tally.known) if bucket.place else tally


def _hashed(way: Way, text: Prose, raw: Raw) -> tuple[Rows, Array, Tally]:
    """Return which records say something, their rows of buckets, gaps as NaN."""
    cells = raw.cells[way.read]
    said = cells.notna().to_numpy()
    stripped = cells[said].str.strip()
    known = ~stripped.isin(["", *way.codes]).to_numpy()
    numbers = np.full((len(stripped), text.buckets), np.nan)
    written = stripped[known].to_list()
    numbers[known] = redaction.hashed(written, text.buckets, text.together)
    kept, lost = int(known.sum()), int((~known).sum())
    rows = None if said.all() else np.flatnonzero(said)
    return rows, numbers, Tally(cells=len(stripped), missing=lost, known=kept)
