"""Clipped sums of dense layers are those of Opacus, which builds each gradient."""

import numpy as np
import pytest
import torch
from opacus.grad_sample import GradSampleModule
from torch import Tensor, nn

from common import large_arrays
from common.release import Array
from common.sections.networks import TabularNetwork
from common.tasks.networks import torch_layers
from tests import dense
from tests.test_book_keeping import shortened

RECORDS, WIDTH, WIDE = 50, 30, (40, 40, 16)


@pytest.fixture
def records() -> tuple[Array, Array, Array]:
    """Return inputs, outcomes and bounds; one record is not finite, one is unheard."""
    draw = np.random.default_rng(0)
    x, bounds = draw.normal(size=(RECORDS, WIDTH)), np.full(RECORDS, 0.3)
    x[7, 2], bounds[3], bounds[4] = np.inf, 0.0, 1e6
    return x, (draw.random(RECORDS) < 0.4).astype(float), bounds


def losses(layers: nn.Module, x: Array, outcome: Array, scales: Array) -> Tensor:
    given, units = torch.from_numpy(x).requires_grad_(), torch.from_numpy(scales)
    return nn.functional.binary_cross_entropy_with_logits(
        layers(given, units), torch.from_numpy(outcome), reduction="none"
    )


def built(layers: dense.Dense, x: Array, outcome: Array, scales: Array) -> Array:
    """Return each record's gradient as Opacus' hooks build it."""
    hooked = GradSampleModule(layers, loss_reduction="sum", strict=True)
    torch.autograd.backward(losses(hooked, x, outcome, scales).sum())
    parts = [vars(each)["grad_sample"].flatten(1) for each in layers.parameters()]
    return torch.cat(parts, dim=1).numpy()  # type: ignore[no-any-return]


@pytest.mark.parametrize("residual", ["residual", ""])
@pytest.mark.parametrize("drops", ["drops", ""])
@pytest.mark.parametrize("numbers", [100, torch_layers.NUMBERS])
def test_a_sum_is_what_opacus_gives(
    records: tuple[Array, Array, Array],
    monkeypatch: pytest.MonkeyPatch,
    residual: str,
    drops: str,
    numbers: int,
) -> None:
    monkeypatch.setattr(torch_layers, "NUMBERS", numbers)
    monkeypatch.setattr(large_arrays, "SOME", min(numbers, large_arrays.SOME))
    network = TabularNetwork(
        kind="tabular_network", dense=WIDE, residual=bool(residual)
    )
    layers, clipped = (
        dense.drawn(network, WIDTH, 1),
        torch_layers.Clipped(network, WIDTH),
    )
    clipped.set(dense.arrays(layers))
    x, outcome, bounds = records
    units = sum(WIDE) if drops else 0
    scales = np.random.default_rng(2).random((RECORDS, units))
    counts = np.isfinite(x).all(axis=1) & (bounds > 0)
    heard = [each[counts] for each in (x, outcome, scales)]
    found, lost = clipped.add(x, outcome, bounds, scales)
    each = built(layers, *heard)
    wanted = shortened(each, bounds[counts])
    atol = 1e-12 * np.abs(wanted).max()
    np.testing.assert_allclose(found, wanted, rtol=0, atol=atol)
    assert lost[0] == pytest.approx(losses(layers, *heard).sum().item())
    again, _ = clipped.add(x, outcome, bounds, scales)
    np.testing.assert_array_equal(again, found)


def test_a_score_is_the_same_in_blocks_of_any_size(
    records: tuple[Array, Array, Array], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of all layers what a block gives is held, and of no more records at a time."""
    network = TabularNetwork(kind="tabular_network", dense=WIDE)
    layers, x = dense.drawn(network, WIDTH, 1), np.delete(records[0], 7, axis=0)
    with torch.no_grad():
        wanted = torch.sigmoid(layers(torch.from_numpy(x), torch.zeros(len(x), 0)))
    for numbers in (40, 800, torch_layers.NUMBERS):
        monkeypatch.setattr(torch_layers, "NUMBERS", numbers)
        clipped, seen = torch_layers.Clipped(network, WIDTH), list[int]()
        clipped.set(dense.arrays(layers))
        flow = clipped._flow
        monkeypatch.setattr(
            clipped, "_flow", lambda b, s, f=flow, n=seen: n.append(len(b)) or f(b, s)
        )
        np.testing.assert_allclose(clipped.score(x), wanted.numpy(), atol=1e-14)
        assert max(seen) <= max(1, numbers // max(WIDE))
    assert len(clipped.score(x[:0])) == 0


def test_nobody_to_be_heard_is_a_sum_of_nothing(
    records: tuple[Array, Array, Array],
) -> None:
    network = TabularNetwork(kind="tabular_network", dense=WIDE)
    clipped = torch_layers.Clipped(network, WIDTH)
    clipped.set(dense.arrays(dense.drawn(network, WIDTH, 1)))
    x, outcome, _ = records
    for count in (0, RECORDS):
        total, lost = clipped.add(x[:count], outcome[:count], np.zeros(count))
        assert not total.any()
        assert not lost.any()
