"""Each record's gradient of a PyTorch model by Opacus, clipped and added up.

    clipped = Clipped(TabularNetwork(kind="tabular_network", dense=(32, 32)), width=30)
    clipped.add(x, outcomes, bounds)            # the sum of shortened gradients, flat

Opacus' hooks (Yousefpour et al. 2021) build the gradient of each record. Its optimizer
is not used: what it divides by, and how often it draws a person, follow from a site's
own data there, which tells how many people the site has.

Of a large network not even one record's gradient is built. In a dense layer it is the
outer product of what came in, a, and the slope of what went out, b: its length is
|a| |b| (Goodfellow 2015), and the shortened sum is one product over all records.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from opacus.grad_sample import GradSampleModule
from torch import Tensor, nn

from common import large_arrays
from common.networks import TabularNetwork
from common.release import Array

NUMBERS = 2**22
"""So many numbers of gradients are held at a time; more weights are a large network."""

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
        self._count = sum(each.numel() for each in self._model.parameters())
        self._large = self._count > NUMBERS
        if self._large:
            self._model.requires_grad_(requires_grad=False)
            self._block = max(1, NUMBERS // (16 * (width + sum(network.dense))))
            return
        self._hooked = GradSampleModule(self._model, loss_reduction="sum", strict=True)
        self._block = max(1, NUMBERS // self._count)

    def set(self, arrays: Sequence[Array]) -> None:
        """Take *arrays* as the weights."""
        for each, array in zip(self._model.parameters(), arrays, strict=True):
            own, given = each.detach().numpy().reshape(-1), array.reshape(-1)
            for part in large_arrays.passing(own, given):
                own[part] = given[part]  # what came in may be read only

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
        total, add = large_arrays.zeros(self._count), self._add
        if self._large:
            add = self._add_large
        losses, units = np.zeros(1), x[:, :0] if scales is None else scales
        for first in range(0, len(outcome), self._block):
            part = slice(first, first + self._block)
            block = (np.ascontiguousarray(e[part]) for e in (x, units, outcome, bounds))
            losses += add(total, *map(torch.from_numpy, block))
        if not self._large:
            self._hooked.zero_grad()
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
        usable, factor = _factors(length, loss, bounds)
        start = 0
        for each in built:
            each[~usable] = 0.0
            total[start : start + each.shape[1]] += (factor @ each).numpy()
            start += each.shape[1]
        return float(torch.where(usable, loss.detach(), 0.0).sum())

    def _seen(
        self, x: Tensor, scales: Tensor
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """Return the logits, and what came into each layer and went out of it."""
        came, went = list[Tensor](), list[Tensor]()

        def see(_: nn.Module, given: tuple[Tensor, ...], reached: Tensor) -> None:
            came.append(given[0].detach())
            went.append(reached)

        hooks = [each.register_forward_hook(see) for each in self._model.layers]
        try:
            return self._model(x, scales), came, went
        finally:
            for each in hooks:
                each.remove()

    def _add_large(
        self, total: Array, x: Tensor, scales: Tensor, outcome: Tensor, bounds: Tensor
    ) -> float:
        """Do as :meth:`_add` does, without any record's own gradient."""
        logit, came, went = self._seen(x.requires_grad_(), scales)
        loss = nn.functional.binary_cross_entropy_with_logits(
            logit, outcome, reduction="none"
        )
        slopes = torch.autograd.grad(loss.sum(), went)
        squares = [
            (a.square().sum(1) + 1) * b.square().sum(1)  # 1 is for the bias
            for a, b in zip(came, slopes, strict=True)
        ]
        length = torch.stack(squares).sum(0).sqrt()
        usable, factor = _factors(length, loss.detach(), bounds)
        start = 0
        for a, b in zip(came, slopes, strict=True):
            given = torch.where(usable[:, None], a, 0.0)
            slope = torch.where(usable[:, None], b, 0.0) * factor[:, None]
            start = _outer(total, start, given, slope)
        return float(torch.where(usable, loss.detach(), 0.0).sum())


def _factors(length: Tensor, loss: Tensor, bounds: Tensor) -> tuple[Tensor, Tensor]:
    """Return which records count, and by how much each gradient is shortened."""
    usable = torch.isfinite(length) & torch.isfinite(loss) & (bounds > 0)
    return usable, torch.where(usable, bounds / torch.maximum(length, bounds), 0.0)


def _outer(total: Array, start: int, given: Tensor, slope: Tensor) -> int:
    """Add a layer's gradients to *total* from *start* on; return where they end.

    Some rows at a time, which are let go.
    """
    wide = given.shape[1]
    some = max(1, large_arrays.SOME // wide)
    for row in range(0, slope.shape[1], some):
        rows = slope[:, row : row + some]
        part = total[start : start + rows.shape[1] * wide]
        torch.from_numpy(part).view(-1, wide).addmm_(rows.T, given)
        large_arrays.let_go(part)
        start += part.size
    total[start : start + slope.shape[1]] += slope.sum(0).numpy()
    return start + slope.shape[1]


def _built(weights: nn.Parameter) -> Tensor:
    """Return each record's gradient of some *weights*, flat [records, numbers].

    Their sum, which PyTorch made besides, is let go.
    """
    built: Tensor = vars(weights)["grad_sample"]
    weights.grad = None
    return built.flatten(start_dim=1)
