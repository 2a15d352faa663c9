"""A secret cut into shares, any so many of which give it back, and fewer tell nothing.

    shares = split(secret, 10, 7)
    joined({1: shares[0], 3: shares[2], ...})      # from any seven of them

Shamir, "How to share a secret", CACM 1979: the secret is a polynomial's value at 0, a
share is its value at 1, 2, 3, ... This is SS.share and SS.recon of Bonawitz et al.
2017, section 3.1.
"""

import os
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

from common.errors import IntegrityError

PRIME: Final = 2**521 - 1
"""A Mersenne prime above every 256-bit secret; 521 random bits are uniform below it."""
BYTES: Final = 66
"""A share as it travels."""

Entropy = Callable[[int], bytes]
"""Where random bytes come from: os.urandom, or a fixed stream for test vectors."""


def split(
    secret: int,
    places: int,
    threshold: int,
    entropy: Entropy = os.urandom,
    prime: int = PRIME,
) -> list[int]:
    """Return the shares of *secret* at 1 to *places*; *threshold* of them restore it.

    Raises IntegrityError for what cannot be shared so.
    """
    if not (1 <= threshold <= places < prime and 0 <= secret < prime):
        raise IntegrityError(f"a secret cannot be shared {threshold} of {places}")
    rest = [_uniform(prime, entropy) for _ in range(threshold - 1)]
    coefficients = [secret, *rest]
    return [_value(coefficients, place, prime) for place in range(1, places + 1)]


def joined(shares: Mapping[int, int], prime: int = PRIME) -> int:
    """Return the secret that *shares*, by their places, are values of."""
    terms = _weights(tuple(sorted(shares)), prime)
    return sum(weight * shares[place] for place, weight in terms.items()) % prime


def _value(coefficients: list[int], place: int, prime: int) -> int:
    """Return a polynomial's value at *place* (Horner)."""
    value = 0
    for coefficient in reversed(coefficients):
        value = (value * place + coefficient) % prime
    return value


@lru_cache(maxsize=16)
def _weights(places: tuple[int, ...], prime: int) -> Mapping[int, int]:
    """Return Lagrange's weight of each place at 0; places are no secret."""
    weights = {}
    for place in places:
        top = bottom = 1
        for other in places:
            if other != place:
                top = top * other % prime
                bottom = bottom * (other - place) % prime
        weights[place] = top * pow(bottom, -1, prime) % prime
    return weights


def _uniform(prime: int, entropy: Entropy) -> int:
    """Return a number below *prime*, each as likely: what lies above is drawn again."""
    bits = prime.bit_length()
    size = (bits + 7) // 8
    while True:
        drawn = int.from_bytes(entropy(size), "big") >> (8 * size - bits)
        if drawn < prime:
            return drawn
