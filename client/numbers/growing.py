"""Columns that grow part by part, and are hardly ever held twice.

Pieces that are joined at the end are there twice for a moment, and leave holes all over
the heap that no system gets back. Here a column grows in few blocks so large that the
system gives and takes each as a whole, and only what is written of one counts.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

Some = NDArray[np.generic]
BLOCK: Final = 2**25 + 2**16
"""Bytes of a block: more than any size that glibc would take from its heap (32 MiB)."""


@dataclass(slots=True, repr=False)
class Growing:
    """One column so far: full blocks, and the last one up to ``used``."""

    blocks: list[Some] = field(default_factory=list)
    used: int = 0

    def add(self, part: Some) -> None:
        """Add *part* [n, ...] at the end; the first is kept as it is."""
        if not self.blocks:
            self.blocks, self.used = [part], len(part)
            return
        if len(self.blocks) == 1 and self.used == len(self.blocks[0]) < _room(part):
            first, self.blocks, self.used = self.blocks[0], [_block(part)], 0
            self._fill(first)
        self._fill(part)

    def _fill(self, part: Some) -> None:
        done = 0
        while done < len(part):
            if self.used == len(self.blocks[-1]):
                self.blocks.append(_block(part))
                self.used = 0
            count = min(len(part) - done, len(self.blocks[-1]) - self.used)
            self.blocks[-1][self.used : self.used + count] = part[done : done + count]
            self.used, done = self.used + count, done + count

    def whole(self) -> Some:
        """Return the column [records, ...] and let the blocks go."""
        blocks, self.blocks = self.blocks, []
        if not blocks:
            return np.empty(0)
        blocks[-1] = blocks[-1][: self.used]
        return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)


def _room(like: Some) -> int:
    """Return how many records a block of such a column holds."""
    return max(1, BLOCK // max(1, like[:1].nbytes or like.itemsize))


def _block(like: Some) -> Some:
    return np.empty((_room(like), *like.shape[1:]), dtype=like.dtype)
