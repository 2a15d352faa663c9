"""Numbers in the ring: sums are exact, signs survive, and nothing is clipped."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import IntegrityError
from common.masked.fixed_point import Part, check, decode, digest, encode

PARTS = (Part("records", 1, 1e6, 0), Part("gradient", 3, 1e3), Part("gram", 2, 2e4, 40))


def whole(records: float, gradient: list[float], gram: list[float]) -> dict:
    arrays = {"records": [records], "gradient": gradient, "gram": gram}
    return {name: np.array(each, float) for name, each in arrays.items()}


def within(limit: float) -> st.SearchStrategy[float]:
    return st.floats(-limit, limit)


SITE = st.builds(
    whole,
    st.integers(0, 10**6).map(float),
    st.lists(within(1e3), min_size=3, max_size=3),
    st.lists(within(2e4), min_size=2, max_size=2),
)


@given(st.lists(SITE, min_size=1, max_size=50))
def test_a_sum_is_off_by_at_most_half_a_step_a_site(sites: list[dict]) -> None:
    count = len(sites)
    total = sum((encode(PARTS, count, each) for each in sites), np.zeros(6, np.uint64))
    found = decode(PARTS, count, total)
    for part in PARTS:
        exact = sum(each[part.name] for each in sites)
        error = count * 2.0 ** -(part.bits + 1) * (part.bits > 0)
        slack = 1e-15 * count * part.limit  # of adding floats up, and of reading back
        assert (np.abs(found[part.name] - exact) <= error + slack).all()


@given(SITE)
def test_one_site_comes_back(site: dict) -> None:
    found = decode(PARTS, 1, encode(PARTS, 1, site))
    assert found["records"] == site["records"]
    np.testing.assert_allclose(found["gradient"], site["gradient"], rtol=0, atol=2**-33)


def test_numbers_are_multiples_and_a_negative_one_is_a_complement() -> None:
    encoded = encode((Part("x", 4, 2, 3),), 3, {"x": np.array([1, -1, 0.125, -2])})
    assert encoded.tolist() == [8, 2**64 - 8, 1, 2**64 - 16]


@pytest.mark.parametrize("wrong", [1000.001, -1000.001, np.inf, -np.inf, np.nan])
def test_beyond_its_limit_a_part_is_refused_by_name_and_not_clipped(
    wrong: float,
) -> None:
    with pytest.raises(IntegrityError, match="gradient is beyond its declared") as said:
        encode(PARTS, 3, whole(1, [0, wrong, 0], [0, 0]))
    assert "1000.001" not in str(said.value)


def test_the_limit_itself_is_within_it() -> None:
    encode(PARTS, 3, whole(1e6, [1e3, -1e3, 0], [2e4, -2e4]))


@given(
    sites=st.integers(1, 50),
    bits=st.integers(0, 52),
    limit=st.floats(1e-9, 2.0**70, exclude_min=True),
)
def test_what_passes_the_check_never_wraps(sites: int, bits: int, limit: float) -> None:
    part = (Part("x", 2, limit, bits),)
    try:
        check(part, sites)
    except IntegrityError:
        assert limit * 2**bits * sites >= 2**62
        return
    for each in (limit, -limit):
        one = encode(part, sites, {"x": np.full(2, each)}).view(np.int64)
        assert abs(int(one[0]) * sites) < 2**63  # in whole numbers of any size
        summed = np.array([int(one[0]) * sites] * 2, np.int64).view(np.uint64)
        assert np.isclose(
            decode(part, sites, summed)["x"], each * sites, atol=sites
        ).all()


def test_a_limit_at_the_edge() -> None:
    check((Part("x", 1, 2.0**29, 32),), 3)
    check((Part("x", 1, 2.0**31 - 1, 32),), 1)
    with pytest.raises(IntegrityError, match="x over 4 sites could wrap"):
        check((Part("x", 1, 2.0**29, 32),), 4)


@pytest.mark.parametrize(
    "part",
    [
        Part("x", 1, 0),
        Part("x", 1, -1),
        Part("x", 1, np.inf),
        Part("x", 1, np.nan),
        Part("x", 1, 1, -901),
        Part("x", 1, 1, 53),
    ],
)
def test_a_limit_that_is_none_is_refused(part: Part) -> None:
    with pytest.raises(IntegrityError, match="x has no limit"):
        check((part,), 3)


def test_what_is_not_declared_is_refused() -> None:
    site = whole(1, [0, 0, 0], [0, 0])
    with pytest.raises(IntegrityError, match="not what was declared"):
        encode(PARTS[:2], 3, site)
    with pytest.raises(
        IntegrityError, match="gram is 1 numbers of float64, declared 2"
    ):
        encode(PARTS, 3, {**site, "gram": np.zeros(1)})
    with pytest.raises(IntegrityError, match="of float32"):
        encode(PARTS, 3, {**site, "gram": np.zeros(2, np.float32)})


def test_what_is_left_of_a_mask_is_no_sum() -> None:
    total = encode(PARTS, 3, whole(1, [0, 0, 0], [0, 0]))
    total[2] += np.uint64(2**62)
    with pytest.raises(IntegrityError, match="gradient is larger than 3 sites"):
        decode(PARTS, 3, total)
    with pytest.raises(IntegrityError, match="not 6 numbers"):
        decode(PARTS, 3, total[:5])


def test_another_agreement_has_another_digest() -> None:
    others = [
        digest(PARTS[:2], 3),
        digest(PARTS, 4),
        digest((PARTS[1], PARTS[0], PARTS[2]), 3),
        digest((PARTS[0], PARTS[1], Part("gram", 2, 2e4, 39)), 3),
        digest((PARTS[0], PARTS[1], Part("gram", 2, 1e4, 40)), 3),
    ]
    assert len({digest(PARTS, 3), *others}) == 6
