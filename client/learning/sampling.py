"""Who is in a round: each person by their own draw, from the machine's own entropy.

Poisson sampling as the accountant assumes it: nobody's chance depends on who else is
there, and nothing is shuffled, filled up or cut off. A person's records are in together
and share the person's clip.
"""

import os

import numpy as np
from numpy.typing import NDArray

from client.learning import noise
from client.learning.clipping import Codes
from client.learning.noise import Entropy
from common.release import Array

Places = NDArray[np.int64]
ROUNDING = 1e-3
"""The share of a clip that is kept for rounding: a network's 32-bit numbers come out a
little otherwise when somebody's absence moves the others to other blocks."""


def draw(person: Codes, rate: float, entropy: Entropy = os.urandom) -> Places:
    """Return the records [chosen] of the people drawn, each with a chance of *rate*."""
    if rate >= 1.0:
        return np.arange(len(person))
    everyone, record = np.unique(person, return_inverse=True)
    chosen = noise.draws(len(everyone), entropy) <= rate
    return np.flatnonzero(chosen[record])


def bounds(person: Codes, clip: float) -> Array:
    """Return the bound of each record: the clip, shared by all records of its person.

    Parts of these lengths are no longer than the clip together.
    """
    _, record, count = np.unique(person, return_inverse=True, return_counts=True)
    shared: Array = clip * (1.0 - ROUNDING) / count[record]
    return shared
