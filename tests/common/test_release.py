"""The check at the door: exactly what was declared, or nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from common.errors import IntegrityError
from common.release import Field, check, flatten, unflatten

RELEASE = {
    "n": Field("people", (1,), "count"),
    "s": Field("sums", (2, 3), "sum"),
}
GOOD = {"n": np.array([4.0]), "s": np.ones((2, 3))}


@given(hnp.arrays(np.float64, (2, 3), elements=st.floats(-1e300, 1e300)))
def test_flatten_is_undone(array: np.ndarray) -> None:
    vector = flatten(RELEASE, {**GOOD, "s": array})
    assert vector.shape == (7,)
    np.testing.assert_array_equal(unflatten(RELEASE, vector)["s"], array)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"rows": np.ones(9)}, "not what was declared: rows"),
        ({"s": np.ones((3, 2))}, "declared float64"),
        ({"s": np.ones((2, 3), dtype=np.float32)}, "float32"),
        ({"s": np.full((2, 3), np.nan)}, "not finite"),
        ({"s": np.full((2, 3), np.inf)}, "not finite"),
        ({"n": np.array([-1.0])}, "not whole and positive"),
        ({"n": np.array([1.5])}, "not whole and positive"),
    ],
)
def test_anything_else_is_refused(change: dict[str, np.ndarray], says: str) -> None:
    with pytest.raises(IntegrityError, match=says):
        check(RELEASE, {**GOOD, **change})


def test_a_lacking_array_is_refused() -> None:
    with pytest.raises(IntegrityError, match="not what was declared: s"):
        check(RELEASE, {"n": GOOD["n"]})


@pytest.mark.parametrize(
    "vector", [np.ones(6), np.ones((7, 1)), np.ones(7, np.float32)]
)
def test_a_vector_of_another_size_is_refused(vector: np.ndarray) -> None:
    with pytest.raises(IntegrityError, match="not 7 of float64"):
        unflatten(RELEASE, vector)
