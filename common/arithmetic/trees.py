"""Decision trees as plain arrays: how a record falls through them, and the best cut.

A tree of depth D is complete: node i has children 2i + 1 (below the cut) and 2i + 2.
``feature`` [trees, 2^D - 1] is -1 where a node was not split, and a record stays there.
"""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from common.release import Array

Whole = NDArray[np.int64]
Keys = NDArray[np.uint64]

ALIKE = 1e-9
"""Gains this close, as a share of the best, are one: sums differ by rounding."""

_STEP, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def inner(depth: int) -> int:
    """Return how many nodes of a tree may be split."""
    return (1 << depth) - 1


def fall(feature: Array, threshold: Array, x: Array) -> Whole:
    """Return the node in which each record of *x* [records, columns] ends."""
    at = np.zeros(len(x), dtype=np.int64)
    for rows, _, child in steps(feature, threshold, x):
        at[rows] = child
    return at


def steps(
    feature: Array, threshold: Array, x: Array
) -> Iterator[tuple[Whole, Whole, Whole]]:
    """Yield (records, node, child) for each step that records of *x* take down."""
    at, rows = np.zeros(len(x), dtype=np.int64), np.arange(len(x))
    for _ in range(round(math.log2(len(feature) + 1))):
        rows = rows[at[rows] < len(feature)]
        rows = rows[feature[at[rows]] >= 0]
        node = at[rows]
        right = x[rows, feature[node].astype(np.int64)] >= threshold[node]
        at[rows] = 2 * node + 1 + right
        yield rows, node, at[rows]


def codes(cuts: Array, x: Array) -> Whole:
    """Return in which bin each value lies: how many of its column's cuts it reaches."""
    found = [
        np.searchsorted(cut, column, side="right")
        for cut, column in zip(cuts, x.T, strict=True)
    ]
    return np.array(found, dtype=np.int64).reshape(x.shape[::-1]).T


def draws(keys: Keys, seed: int, trees: int) -> Iterator[Array]:
    """Yield for each tree a number in [0, 1) for each key, the same wherever it is.

    splitmix64 (Steele, Lea & Flood 2014, figure 5) of the key and the tree.
    """
    with np.errstate(over="ignore"):
        for tree in range(trees):
            mixed = keys + np.uint64((seed * trees + tree + 1) * _STEP % 2**64)
            mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(_FIRST)
            mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(_SECOND)
            mixed ^= mixed >> np.uint64(31)
            yield (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53


def best(
    counts: Array, fewest: int, *, number: bool
) -> tuple[Whole, Whole, Array, Array]:
    """Return the best split of each node: place of its column, cut, gain, both sides.

    *counts* [nodes, columns, bins, values] holds records by class, or for a *number*
    records and the sum of the outcome. The gain is Gini's, or the fall in squared error
    (Breiman et al. 1984, sections 4.1, 8.4); it is 0 where no cut leaves *fewest*
    records on both sides. The sides are [nodes, 2, values].
    """
    below = counts.cumsum(axis=2)[:, :, :-1]
    above = counts.sum(axis=2, keepdims=True) - below
    whole = _pure(counts.sum(axis=2), number=number)[:, :, None]
    gains = _pure(below, number=number) + _pure(above, number=number) - whole
    few = np.minimum(_size(below, number=number), _size(above, number=number))
    real = (few >= fewest) & (gains > ALIKE * (1.0 + np.abs(whole)))
    gains = np.where(real, gains, 0.0).reshape(len(counts), -1)
    most = gains.max(axis=1, initial=0.0)
    chosen = (gains >= most[:, None] * (1.0 - ALIKE)).argmax(axis=1)
    place, cut = np.divmod(chosen, below.shape[2])
    every = np.arange(len(counts))
    sides = np.stack([below[every, place, cut], above[every, place, cut]], axis=1)
    return place, cut, most, sides


def _size(values: Array, *, number: bool) -> Array:
    return values[..., 0] if number else values.sum(axis=-1)


def _pure(values: Array, *, number: bool) -> Array:
    """Return how well a group is told by its mean: the sum of squares over its size."""
    size = np.maximum(_size(values, number=number), 1.0)
    squares = values[..., 1] ** 2 if number else (values**2).sum(axis=-1)
    pure: Array = squares / size
    return pure
