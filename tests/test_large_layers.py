"""A large network's clipped sums are those of Opacus, without a record's gradient."""

import numpy as np
import pytest

from common.networks import TabularNetwork
from common.tasks import torch_layers
from common.tasks.torch_layers import Clipped

RECORDS, WIDTH, WIDE = 50, 30, (40, 40, 16)


@pytest.fixture
def records() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return inputs, outcomes and bounds; one record is not finite, one is unheard."""
    draw = np.random.default_rng(0)
    x, bounds = draw.normal(size=(RECORDS, WIDTH)), np.full(RECORDS, 0.3)
    x[7, 2], bounds[3], bounds[4] = np.inf, 0.0, 1e6
    return x, (draw.random(RECORDS) < 0.4).astype(float), bounds


def clipped(*, residual: bool) -> Clipped:
    network = TabularNetwork(
        kind="tabular_network", dense=list(WIDE), residual=residual
    )
    made, draw, before = Clipped(network, WIDTH), np.random.default_rng(1), WIDTH
    arrays = []
    for wide in (*WIDE, 1):
        arrays += [draw.normal(size=(wide, before)) * 0.3, draw.normal(size=wide)]
        before = wide
    made.set(arrays)
    return made


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("drops", [False, True])
@pytest.mark.parametrize("numbers", [100, 20_000])
def test_a_large_network_adds_up_what_opacus_does(
    records: tuple[np.ndarray, np.ndarray, np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
    residual: bool,  # noqa: FBT001
    drops: bool,  # noqa: FBT001
    numbers: int,
) -> None:
    scales = np.random.default_rng(2).random((RECORDS, sum(WIDE))) if drops else None
    built = clipped(residual=residual)
    total, losses = built.add(*records, scales)
    monkeypatch.setattr(torch_layers, "NUMBERS", min(numbers, total.size - 1))
    large = clipped(residual=residual)
    np.testing.assert_array_equal(large.score(records[0]), built.score(records[0]))
    found, lost = large.add(*records, scales)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found, total, rtol=0, atol=1e-12 * np.abs(total).max())
    np.testing.assert_allclose(lost, losses)
    again, _ = large.add(*records, scales)
    np.testing.assert_array_equal(again, found)
