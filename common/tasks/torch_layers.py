"""Each record's gradient of a PyTorch model by Opacus, clipped and added up.

    clipped = Clipped(TabularNetwork(kind="tabular_network", dense=(32, 32)), width=30)
    clipped.add(x, outcomes, bounds)            # the sum of shortened gradients, flat

Opacus' hooks (Yousefpour et al. 2021) build the gradient of each record. Its optimizer
is not used: what it divides by, and how often it draws a person, follow from a site's
own data there, which tells how many people the site has.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from opacus.grad_sample import GradSampleModule
from torch import Tensor, nn

from common.networks import TabularNetwork
from common.release import Array

NUMBERS = 2**22
"""So many numbers of gradients are held at a time."""

torch.set_num_threads(1)  # layers this small wait for a second thread ten times longer


class Dense(nn.Module):
    """Dense layers with ReLU between them, and one logit at the end."""

    def __init__(self, network: TabularNetwork, width: int) -> None:
        """Make the layers in 64-bit numbers; their weights come from the state."""
        super().__init__()
        sizes = [width, *network.dense, 1]
        self.layers = nn.ModuleList(
            nn.Linear(wide, narrow, dtype=torch.float64)
            for wide, narrow in pairwise(sizes)
        )
        self.residual = network.residual

    def forward(self, x: Tensor, scales: Tensor) -> Tensor:
        """Return a logit for each record of *x* [records, columns].

        What the layers give is multiplied by *scales* [records, units], if there are
        units.
        """
        *inner, last = self.layers
        start = 0
        for layer in inner:
            reached = torch.relu(layer(x))
            if scales.shape[1]:
                reached = reached * scales[:, start : start + reached.shape[1]]
                start += reached.shape[1]
            same = self.residual and reached.shape == x.shape
            x = x + reached if same else reached
        return last(x)[:, 0]  # type: ignore[no-any-return]


class Clipped:
    """Sums of clipped gradients of one network."""

    def __init__(self, network: TabularNetwork, width: int) -> None:
        """Hook the layers; raises Opacus' error for one whose records mix."""
        self._model = Dense(network, width)
        self._hooked = GradSampleModule(self._model, loss_reduction="sum", strict=True)
        count = sum(each.numel() for each in self._model.parameters())
        self._block = max(1, NUMBERS // count)

    def set(self, arrays: Sequence[Array]) -> None:
        """Take *arrays* as the weights."""
        with torch.no_grad():
            for each, array in zip(self._model.parameters(), arrays, strict=True):
                each.numpy()[...] = array  # what came in may be read only

    def score(self, x: Array) -> Array:
        """Return each record's probability."""
        with torch.no_grad():
            whole = torch.from_numpy(np.ascontiguousarray(x))
            logit = self._model(whole, whole[:, :0])
            found: Array = torch.sigmoid(logit).numpy()
        return found

    def add(
        self, x: Array, outcome: Array, bounds: Array, scales: Array | None = None
    ) -> tuple[Array, Array]:
        """Return the sum of gradients, each shortened to its bound, and of the losses.

        ``bounds`` [records]: the greatest Euclidean length of each gradient; ``scales``
        [records, units]: by how much each hidden unit counts for each record. A record
        whose gradient is not finite counts as 0. Losses are those of all others.
        """
        total = np.zeros(sum(each.numel() for each in self._model.parameters()))
        losses, units = np.zeros(1), x[:, :0] if scales is None else scales
        for first in range(0, len(outcome), self._block):
            part = slice(first, first + self._block)
            block = (np.ascontiguousarray(e[part]) for e in (x, units, outcome, bounds))
            losses += self._add(total, *map(torch.from_numpy, block))
        self._hooked.zero_grad()  # a large network's are as large as itself
        return total, losses

    def _add(
        self, total: Array, x: Tensor, scales: Tensor, outcome: Tensor, bounds: Tensor
    ) -> float:
        """Add a block's gradients to *total*, in place; return its losses, added up."""
        self._hooked.zero_grad()
        loss = nn.functional.binary_cross_entropy_with_logits(
            self._hooked(x.requires_grad_(), scales), outcome, reduction="none"
        )
        torch.autograd.backward(loss.sum())
        built = [_built(each) for each in self._model.parameters()]
        lengths = [torch.linalg.vector_norm(each, dim=1) for each in built]
        length = torch.linalg.vector_norm(torch.stack(lengths), dim=0)
        usable = torch.isfinite(length) & torch.isfinite(loss) & (bounds > 0)
        factor = torch.where(usable, bounds / torch.maximum(length, bounds), 0.0)
        start = 0
        for each in built:
            each[~usable] = 0.0
            total[start : start + each.shape[1]] += (factor @ each).numpy()
            start += each.shape[1]
        return float(torch.where(usable, loss.detach(), 0.0).sum())


def _built(weights: nn.Parameter) -> Tensor:
    """Return each record's gradient of some *weights*, flat [records, numbers].

    Their sum, which PyTorch made besides, is let go.
    """
    built: Tensor = vars(weights)["grad_sample"]
    weights.grad = None
    return built.flatten(start_dim=1)
