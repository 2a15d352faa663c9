"""The layers that other ways to a clipped step run on, in PyTorch, and what they get.

The bench measures ours against these. What a network of tables learns from is 64-bit,
as in ours; pictures are 32-bit.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from common.release import Array
from common.sections.networks import TabularNetwork
from common.task import Images

WIDTH = 30


@dataclass(frozen=True, slots=True)
class Table:
    """A network over ``WIDTH`` columns, and how many records are in a step."""

    records: int
    dense: tuple[int, ...]

    @property
    def what(self) -> str:
        """Return what the bench calls it."""
        return f"table, {'-'.join(map(str, self.dense))}, {self.records}"

    @property
    def network(self) -> TabularNetwork:
        """Return it as a study says it."""
        return TabularNetwork(kind="tabular_network", dense=self.dense)


TABLES = (
    Table(64, (32, 32)),
    Table(128, (64, 64)),
    Table(512, (32, 32)),
    Table(512, (128, 128)),
)


def of_table(table: Table) -> nn.Sequential:
    """Return the layers of *table*."""
    torch.manual_seed(0)
    layers = list[nn.Module]()
    for wide, narrow in pairwise([WIDTH, *table.dense]):
        layers += [nn.Linear(wide, narrow), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(table.dense[-1], 1)).double()


def rows(table: Table) -> tuple[Array, Array]:
    """Return the records [records, columns] and outcomes of a step, always the same."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(table.records, WIDTH))
    return x, draw.integers(0, 2, table.records).astype(np.float64)


def of_pictures() -> nn.Sequential:
    """Return the small network of the bench, for pictures of 28 x 28 x 3."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * 49, 128),
        nn.ReLU(),
        nn.Linear(128, 1),
    )


def pictures(images: Images, outcome: Array) -> tuple[Tensor, Tensor]:
    """Return *images* [records, h, w, channels] and outcomes as PyTorch has them."""
    x = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    return x, torch.from_numpy(outcome.astype(np.float32))
