"""The sum of clipped gradients of dense layers in PyTorch, for one way back.

    clipped = Clipped(TabularNetwork(kind="tabular_network", dense=(32, 32)), width=30)
    clipped.add(x, outcomes, bounds)            # the sum of shortened gradients, flat

No record's gradient is built. In a dense layer it is the outer product of what came in,
a, and the slope of what went out, b: its length is |a| |b| (Goodfellow 2015), and the
shortened sum is one product over all records (Bu et al. 2022, "book-keeping").

Opacus builds them (Yousefpour et al. 2021), and is what the tests hold this against.
Its optimizer would not do: what it divides by, and how often it draws a person, follow
from a site's own data there, which tells how many people the site has.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from common import large_arrays
from common.release import Array
from common.sections.networks import TabularNetwork

NUMBERS = 2**18
"""So many numbers of each kind are held at a time: what a processor keeps at hand."""

torch.set_num_threads(1)  # layers this small wait for a second thread ten times longer


@dataclass(frozen=True, slots=True)
class Flow:
    """What came into each layer, what each inner one gave, and logits [records, 1]."""

    came: list[Tensor]
    given: list[Tensor]
    logit: Tensor


class Clipped:
    """Sums of clipped gradients of dense layers with ReLU between, and one logit."""

    def __init__(self, network: TabularNetwork, width: int) -> None:
        """Make the layers in 64-bit numbers; their weights come from the state."""
        sizes = [width, *network.dense, 1]
        self._layers = [
            (_room(narrow, wide), _room(narrow)) for wide, narrow in pairwise(sizes)
        ]
        self._count = sum(each.numel() for layer in self._layers for each in layer)
        self._residual = network.residual
        self._block = max(1, NUMBERS // max(sizes))

    def set(self, arrays: Sequence[Array]) -> None:
        """Take *arrays* as the weights: [out, in] and [out] of each layer, in order."""
        flat = (each for layer in self._layers for each in layer)
        for each, array in zip(flat, arrays, strict=True):
            own, given = each.numpy().reshape(-1), array.reshape(-1)
            for part in large_arrays.passing(own, given):
                own[part] = given[part]  # what came in may be read only

    def score(self, x: Array) -> Array:
        """Return each record's probability."""
        found = np.empty(len(x))
        for part in self._parts(len(x)):
            block = torch.from_numpy(np.ascontiguousarray(x[part]))
            logit = self._flow(block, block[:, :0]).logit
            found[part] = torch.sigmoid(logit[:, 0]).numpy()
        return found

    def add(
        self, x: Array, outcome: Array, bounds: Array, scales: Array | None = None
    ) -> tuple[Array, Array]:
        """Return the sum of gradients, each shortened to its bound, and of the losses.

        ``bounds`` [records]: the greatest Euclidean length of each gradient; ``scales``
        [records, units]: by how much each hidden unit counts for each record. A record
        whose gradient is not finite counts as 0. Losses are those of all others.
        """
        total = large_arrays.zeros(self._count)
        losses, units = np.zeros(1), x[:, :0] if scales is None else scales
        for part in self._parts(len(outcome)):
            block = (np.ascontiguousarray(e[part]) for e in (x, units, outcome, bounds))
            losses += self._add(total, *map(torch.from_numpy, block))
        return total, losses

    def _parts(self, records: int) -> Iterator[slice]:
        return (slice(at, at + self._block) for at in range(0, records, self._block))

    def _flow(self, x: Tensor, scales: Tensor) -> Flow:
        """Send the records *x* [records, columns] through the layers.

        What they give is multiplied by *scales* [records, units], if there are units.
        """
        *inner, last = self._layers
        came, given, start = [x], list[Tensor](), 0
        for weight, bias in inner:
            reached = functional.linear(x, weight, bias).relu_()
            given.append(reached)
            if scales.shape[1]:
                reached = reached * scales[:, start : start + reached.shape[1]]
                start += reached.shape[1]
            x = x + reached if self._passes(x, reached) else reached
            came.append(x)
        return Flow(came, given, functional.linear(x, *last))

    def _slopes(self, flow: Flow, scales: Tensor, outcome: Tensor) -> list[Tensor]:
        """Return the slopes of the loss over what went out of each layer, in order.

        The way back is by hand (Rumelhart et al. 1986): what PyTorch's own looks up on
        it takes longer than layers this small.
        """
        slope = torch.sigmoid(flow.logit) - outcome[:, None]
        found, end = [slope], scales.shape[1]
        slope = slope @ self._layers[-1][0]
        for place in range(len(flow.given) - 1, -1, -1):
            given = flow.given[place]
            out = slope * given.sign()
            if end:
                out *= scales[:, end - given.shape[1] : end]
                end -= given.shape[1]
            found.append(out)
            if place:
                back = out @ self._layers[place][0]
                slope = slope + back if self._passes(flow.came[place], given) else back
        return found[::-1]

    def _passes(self, x: Tensor, reached: Tensor) -> bool:
        return self._residual and reached.shape == x.shape

    def _add(
        self, total: Array, x: Tensor, scales: Tensor, outcome: Tensor, bounds: Tensor
    ) -> float:
        """Add a block's gradients to *total*, in place; return its losses, added up."""
        flow = self._flow(x, scales)
        loss = functional.binary_cross_entropy_with_logits(
            flow.logit[:, 0], outcome, reduction="none"
        )
        pairs = list(zip(flow.came, self._slopes(flow, scales, outcome), strict=True))
        length = _length(pairs)
        usable = torch.isfinite(length + loss) & (bounds > 0)
        if not usable.all():
            pairs = [(a[usable], b[usable]) for a, b in pairs]
            length, bounds, loss = length[usable], bounds[usable], loss[usable]
        factor = (bounds / torch.maximum(length, bounds))[:, None]
        start = 0
        for a, b in pairs:
            start = _outer(total, start, a, b.mul_(factor))
        return float(loss.sum())


def _room(*shape: int) -> Tensor:
    return torch.zeros(shape, dtype=torch.float64)


def _length(pairs: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Return the length of each record's gradient; 1 beside |a|^2 is for the bias."""
    came = torch.stack([torch.linalg.vector_norm(a, dim=1) for a, _ in pairs])
    went = torch.stack([torch.linalg.vector_norm(b, dim=1) for _, b in pairs])
    return came.square_().add_(1).mul_(went.square_()).sum(0).sqrt_()


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
        start += len(part)
    total[start : start + slope.shape[1]] += slope.sum(0).numpy()
    return start + slope.shape[1]
