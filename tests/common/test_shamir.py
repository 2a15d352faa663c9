"""Any so many shares give a secret back, and fewer tell nothing."""

from collections import Counter
from collections.abc import Iterator
from functools import partial
from itertools import combinations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import IntegrityError
from common.masked import shamir
from common.masked.shamir import PRIME, joined, split

SECRETS = st.integers(0, 2**256 - 1)


def prime(number: int) -> bool:
    """Return whether *number* = 2**p - 1 is prime (Lucas and Lehmer)."""
    power, value = number.bit_length(), 4
    for _ in range(power - 2):
        value = (value * value - 2) % number
    return value == 0


def test_the_field_is_one() -> None:
    assert prime(PRIME)
    assert not prime(2**523 - 1)
    assert PRIME < 2 ** (8 * shamir.BYTES)


@given(secret=SECRETS, places=st.integers(1, 50), data=st.data())
def test_any_threshold_of_shares_restores_the_secret(
    secret: int, places: int, data: st.DataObject
) -> None:
    threshold = data.draw(st.integers(1, places))
    shares = split(secret, places, threshold)
    order = data.draw(st.permutations(range(1, places + 1)))
    some = order[: data.draw(st.integers(threshold, places))]
    assert joined({place: shares[place - 1] for place in some}) == secret


@given(secret=SECRETS, other=SECRETS)
def test_one_share_too_few_fits_every_secret(secret: int, other: int) -> None:
    shares = split(secret, 5, 3)
    two = {1: shares[0], 4: shares[3]}
    at_zero = {0: other, **two}
    # The polynomial through the two shares and any other secret exists: its value at 2.
    third = sum(
        value
        * pow_product([(2 - x) * pow(at - x, -1, PRIME) for x in at_zero if x != at])
        for at, value in at_zero.items()
    )
    assert joined({**two, 2: third % PRIME}) == other


def pow_product(factors: list[int]) -> int:
    result = 1
    for each in factors:
        result = result * each % PRIME
    return result


def next_of(drawn: Iterator[bytes], size: int) -> bytes:
    assert size == 1
    return next(drawn)


def test_below_the_threshold_shares_are_exactly_uniform() -> None:
    # Every polynomial over a field of 5 once, for each secret: all pairs as often.
    for secret in range(5):
        seen = {pair: Counter[tuple[int, ...]]() for pair in combinations(range(4), 2)}
        for coefficients in product(range(5), repeat=2):
            # Three bits are drawn, of a byte's highest.
            drawn = (bytes([each << 5]) for each in coefficients)
            shares = split(secret, 4, 3, partial(next_of, drawn), 5)
            for pair, counts in seen.items():
                counts[tuple(shares[each] for each in pair)] += 1
        for counts in seen.values():
            assert counts == dict.fromkeys(product(range(5), repeat=2), 1)


def test_a_draw_above_the_prime_is_drawn_again() -> None:
    drawn = iter([bytes([each << 5]) for each in (7, 5, 3)])
    assert split(0, 2, 2, partial(next_of, drawn), 5) == [3, 1]


@pytest.mark.parametrize(
    ("secret", "places", "threshold"), [(1, 3, 4), (1, 3, 0), (-1, 3, 2), (PRIME, 3, 2)]
)
def test_what_cannot_be_shared_is_refused(
    secret: int, places: int, threshold: int
) -> None:
    with pytest.raises(IntegrityError, match="cannot be shared"):
        split(secret, places, threshold)
