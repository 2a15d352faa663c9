"""Noise: normal, independent, on its grid, and of a key that is never used again."""

import ast
import hashlib
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from client.learning import noise
from client.learning.noise import Entropy
from common import promise
from common.errors import IntegrityError
from common.release import Array

MANY = 200_000


def fixed(seed: int) -> Entropy:
    """Return entropy that a test can repeat, another for each call."""
    calls = iter(range(10**6))

    def draw(size: int) -> bytes:
        return hashlib.sha256(f"{seed} {next(calls)}".encode()).digest()[:size]

    return draw


@pytest.mark.parametrize("seed", range(5))
def test_it_is_normal(seed: int) -> None:
    drawn = noise.normal(MANY, fixed(seed))
    assert stats.kstest(drawn, "norm").pvalue > 1e-4
    assert stats.kstest(np.abs(drawn), stats.halfnorm.cdf).pvalue > 1e-4
    z = (drawn @ drawn - MANY) / math.sqrt(2 * MANY)
    assert abs(z) < 4.5
    assert abs(drawn.mean()) * math.sqrt(MANY) < 4.5


@given(st.floats(1e-6, 1e9), st.floats(1e-3, 1e3))
def test_what_is_added_has_the_deviation_and_a_hair_more(
    deviation: float, mu: float
) -> None:
    count, clip = 4000, mu * deviation
    added = noise.add(np.zeros(count), deviation, clip, fixed(1))
    plain = noise.normal(count, fixed(1))
    wider = float(np.linalg.norm(added) / np.linalg.norm(plain) / deviation)
    most = 2 * math.sqrt(count) * noise.step(deviation) / clip
    assert wider * (1 + 1e-9) >= 1
    assert wider <= (1 + most) * (1 + 1e-9)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20), st.floats(1e-2, 1e5))
def test_everything_is_on_the_grid(values: list[float], deviation: float) -> None:
    grid = noise.step(deviation)
    assert deviation / 2 < grid * 2**promise.GRID <= deviation
    assert math.frexp(grid)[0] == 0.5, "a power of two: it is exact in a float"
    steps = noise.add(np.array(values), deviation, 1.0, fixed(2)) / grid
    assert (steps == np.rint(steps)).all()


def test_the_noise_does_not_know_the_sums() -> None:
    """Added as whole numbers: the same key hides any two sums by the same steps."""
    draw = np.random.default_rng(0)
    sums, grid = draw.normal(0, 1e3, 500), noise.step(7.0)
    here, there = (noise.add(each, 7.0, 1.0, fixed(3)) for each in (sums, 0 * sums))
    assert (np.rint((here - there) / grid) == np.rint(sums / grid)).all()


def test_two_releases_never_share_a_stream() -> None:
    asked: list[int] = []

    def entropy(size: int) -> bytes:
        asked.append(size)
        return fixed(len(asked))(size)

    drawn = [noise.add(np.zeros(50_000), 1.0, 1.0, entropy) for _ in range(3)]
    assert asked == [32, 32, 32], "a whole AES-256 key for each release"
    for one, other in ((0, 1), (1, 2), (0, 2)):
        assert len(set(drawn[one]) & set(drawn[other])) < 10, "2^-32 of chance"
        assert abs(np.corrcoef(drawn[one], drawn[other])[0, 1]) < 0.02
    ours = [noise.normal(4) for _ in range(50)]
    assert len({tuple(each) for each in ours}) == 50, "the machine's entropy"


def test_numbers_of_one_release_are_independent() -> None:
    drawn = noise.normal(MANY, fixed(4))
    for lag in (1, 2, MANY // 2, MANY // 2 + 1):
        assert abs(np.corrcoef(drawn[:-lag], drawn[lag:])[0, 1]) < 0.02
    assert (
        abs(np.corrcoef(drawn[: MANY // 2] ** 2, drawn[MANY // 2 :] ** 2)[0, 1]) < 0.02
    )


def test_the_sum_of_shares_is_as_good_as_the_whole() -> None:
    draw, shares = fixed(5), 4
    sums: Array = np.zeros(MANY)
    for _ in range(shares):
        sums = sums + noise.add(np.zeros(MANY), 5.0 / math.sqrt(shares), 1.0, draw)
    assert stats.kstest(sums / 5.0, "norm").pvalue > 1e-4


def test_a_sum_beyond_the_grid_does_not_leave() -> None:
    with pytest.raises(IntegrityError, match="too large for its noise"):
        noise.add(np.array([1e12]), 1.0, 1.0, fixed(6))


def test_the_tail_ends_where_it_is_said() -> None:
    """The smallest uniform number is 2^-53; the largest does not give minus nothing."""
    zeros = noise._uniform(2, bytes)
    assert (zeros > 0).all()
    assert (zeros <= 1).all()
    assert math.sqrt(-2 * math.log(2.0**-noise.UNIFORM)) > 8.5


def test_nobody_but_the_door_adds_noise_and_nothing_seeds_it() -> None:
    root = Path(__file__).parents[2]
    calls = [
        (path.name, len(node.args), node.keywords)
        for package in ("client", "common", "server")
        for path in (root / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "noise.add"
    ]
    assert calls == [("egress.py", 3, [])], "sums, deviation, clip: no entropy"
