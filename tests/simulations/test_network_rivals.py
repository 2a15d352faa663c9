"""The other ways to a clipped step that the bench measures give the same sum."""

import numpy as np
import pytest
import torch

from common.tasks.networks.torch_layers import Clipped
from simulations.benches import network_rivals, rival_layers
from simulations.benches.rival_layers import TABLES, WIDTH

FAR = 1e6


@pytest.mark.parametrize("clip", [0.05, FAR])
def test_all_ways_sum_the_same_gradients(clip: float) -> None:
    draw = np.random.default_rng(0)
    images = draw.random((5, 28, 28, 3), dtype=np.float32)
    outcome = draw.integers(0, 2, 5).astype(np.float64)
    given = rival_layers.pictures(images, outcome)
    hooks, *others = (
        [each.numpy() for each in make(rival_layers.of_pictures(), *given, clip)()]
        for make in network_rivals.RIVALS.values()
    )
    length = np.sqrt(sum(float((each**2).sum()) for each in hooks))
    assert length > 0
    assert length <= 5 * clip * (1 + 1e-5)
    for other in others:
        for one, same in zip(hooks, other, strict=True):
            np.testing.assert_allclose(one / length, same / length, atol=2e-5)


@pytest.mark.parametrize("clip", [0.05, FAR])
def test_a_table_has_the_same_sum_in_ours(clip: float) -> None:
    table = TABLES[0]
    x, outcome = rival_layers.rows(table)
    clipped = Clipped(table.network, WIDTH)
    weights = rival_layers.of_table(table).parameters()
    clipped.set([each.detach().numpy() for each in weights])
    ours, _ = clipped.add(x, outcome, np.full(table.records, clip))
    given = torch.from_numpy(x), torch.from_numpy(outcome)
    others = [
        make(rival_layers.of_table(table), *given, clip)()
        for make in network_rivals.RIVALS.values()
    ]
    if clip == FAR:
        others += [network_rivals.plain(rival_layers.of_table(table), *given)()]
    for other in others:
        flat = torch.cat([each.flatten() for each in other])
        # Opacus' ghosts add 1e-6 to each length before they shorten it
        np.testing.assert_allclose(ours, flat, atol=1e-5 * np.linalg.norm(ours))
