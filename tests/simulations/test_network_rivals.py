"""The other ways to a clipped step that the bench measures give the same sum."""

import numpy as np
import pytest

from simulations import network_rivals


@pytest.mark.parametrize("clip", [0.05, 1e6])
def test_all_ways_sum_the_same_gradients(clip: float) -> None:
    draw = np.random.default_rng(0)
    pictures = draw.random((5, 28, 28, 3), dtype=np.float32)
    outcome = draw.integers(0, 2, 5).astype(np.float64)
    hooks, *others = (
        [each.numpy() for each in make(pictures, outcome, clip)()]
        for make in network_rivals.RIVALS.values()
    )
    length = np.sqrt(sum(float((each**2).sum()) for each in hooks))
    assert length > 0
    assert length <= 5 * clip * (1 + 1e-5)
    for other in others:
        for one, same in zip(hooks, other, strict=True):
            np.testing.assert_allclose(one / length, same / length, atol=2e-5)
