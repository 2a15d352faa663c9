"""Gaussian noise from the machine's own entropy, fresh for each release, on a grid.

    add(sums, deviation=3.7, clip=1.0)      # the sums with noise, on the grid

Every call draws a key of its own (for a large network, one for each part of it) and
expands it with AES-256-CTR; no setting seeds it.

Sums and noise are whole steps of a grid that every site knows, 2^-32 of the deviation,
and are added as whole numbers: what the last bits of a float may tell (Mironov 2012)
is not there. For one who adds noise, rounding the noise of a sum on the grid is the
same as rounding the noisy sum, which costs nothing. For shares, each rounded for
itself: a rounded Gaussian of 2^32 steps differs from a discrete one by some 2^-60 of
each probability, and a sum of discrete ones from a discrete one by less than exp(-2^64)
(Kairouz, Liu and Steinke 2021, theorem 1). Rounding the sums may move them by a step
for a person more, and adding them up as floats by less: the noise is wider by as much.
"""

import math
import os
from collections.abc import Callable
from typing import Final

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR
from numpy.typing import NDArray

from common import large_arrays, promise
from common.errors import IntegrityError
from common.release import Array

STEPS: Final = 2
"""Steps of each number by which a person may move a sum beyond the clip."""
UNIFORM: Final = 53
"""Bits of a uniform number; the noise reaches 8.5 deviations, with probability 1e-17
beyond."""
KEY: Final = 32
LARGEST: Final = 2.0**62

Entropy = Callable[[int], bytes]
"""Returns so many bytes that nobody can guess."""


def add(
    sums: Array, deviation: float, clip: float, entropy: Entropy = os.urandom
) -> Array:
    """Return *sums* with independent noise of *deviation*, on the grid of it.

    *clip* is how far one person moves the sums, as a Euclidean length.
    """
    grid = step(deviation)
    wider = deviation * (1 + STEPS * math.sqrt(sums.size) * grid / clip)
    noisy = large_arrays.empty(sums.size)
    for part in large_arrays.passing(noisy, sums):
        noise = normal(len(sums[part]), entropy) * (wider / grid)
        steps = _whole(sums[part] / grid) + _whole(noise)
        noisy[part] = steps.astype(np.float64) * np.float64(grid)
    return noisy


def step(deviation: float) -> float:
    """Return the step of the grid: public, and the same at every site."""
    return math.ldexp(1.0, -promise.grid(deviation))


def normal(count: int, entropy: Entropy = os.urandom) -> Array:
    """Return *count* standard normal numbers (Box and Muller 1958) of a fresh key."""
    pairs = (count + 1) // 2
    first, second = _uniform(2 * pairs, entropy).reshape(2, pairs)
    radius, angle = np.sqrt(-2 * np.log(first)), 2 * np.pi * second
    drawn = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])
    return drawn[:count]


def draws(count: int, entropy: Entropy = os.urandom) -> Array:
    """Return *count* uniform numbers, above 0 and up to 1, of a fresh key."""
    return _uniform(count, entropy)


def _uniform(count: int, entropy: Entropy) -> Array:
    """Return *count* numbers above 0 and up to 1."""
    stream = Cipher(AES256(entropy(KEY)), CTR(bytes(16))).encryptor()
    words = np.frombuffer(stream.update(bytes(8 * count)), "<u8")
    whole = (words >> np.uint64(64 - UNIFORM)).astype(np.float64)
    return (whole + 1.0) * np.float64(2.0**-UNIFORM)


def _whole(steps: Array) -> NDArray[np.int64]:
    if not (np.abs(steps) < LARGEST).all():
        raise IntegrityError("a sum is too large for its noise: it would not be hidden")
    return np.rint(steps).astype(np.int64)
