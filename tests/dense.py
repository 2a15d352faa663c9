"""Dense layers with PyTorch's own way back: what our sums are held against."""

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from common.release import Array
from common.sections.networks import TabularNetwork


class Dense(nn.Module):
    """Dense layers with ReLU between them, and one logit at the end."""

    def __init__(self, network: TabularNetwork, width: int) -> None:
        super().__init__()
        sizes = [width, *network.dense, 1]
        self.layers = nn.ModuleList(
            nn.Linear(wide, narrow, dtype=torch.float64)
            for wide, narrow in pairwise(sizes)
        )
        self.residual = network.residual

    def forward(self, x: Tensor, scales: Tensor) -> Tensor:
        """Return a logit for each record; units count as *scales* say."""
        *inner, last = self.layers
        start = 0
        for layer in inner:
            reached = torch.relu(layer(x))
            if scales.shape[1]:
                reached = reached * scales[:, start : start + reached.shape[1]]
                start += reached.shape[1]
            same = self.residual and reached.shape == x.shape
            x = x + reached if same else reached
        return last(x)[:, 0]


def drawn(network: TabularNetwork, width: int, seed: int) -> Dense:
    """Return layers with weights drawn from *seed*."""
    made, draw = Dense(network, width), torch.Generator().manual_seed(seed)
    for each in made.parameters():
        nn.init.normal_(each, std=0.5, generator=draw)
    return made


def arrays(dense: Dense) -> list[Array]:
    """Return the weights of *dense*, which nobody may write to."""
    found = [each.detach().numpy().copy() for each in dense.parameters()]
    for each in found:
        each.flags.writeable = False  # as a large array is that came in
    return found


def looped(dense: Dense, x: Array, outcome: Array, scales: Array) -> Array:
    """Return the gradient of each record, by a pass of its own through the layers."""
    rows = []
    for record, y, scale in zip(x, outcome, scales, strict=True):
        dense.zero_grad()
        logit = dense(torch.from_numpy(record[None]), torch.from_numpy(scale[None]))
        loss = nn.functional.binary_cross_entropy_with_logits(logit, torch.tensor([y]))
        torch.autograd.backward(loss)
        parts = [each.grad.flatten() for each in dense.parameters()]
        rows.append(torch.cat(parts).numpy().copy())
    return np.array(rows)
