"""Middles of what the sites send, which one cannot move far: trimmed mean and median.

Of the mean change per record that each site sends in, number by number (Yin et al.
2018, Byzantine-Robust Distributed Learning, definitions 1 and 2). They need each site's
own numbers, so there are no masks; and every site counts alike, whatever its size.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np

from common.errors import IntegrityError
from common.release import Array, Summands
from common.sections.networks import Training
from common.task import Combine
from common.tasks.networks import apart
from common.written.slips import of_key

FEWEST = 3
"""Of two sites nobody can say which one is wrong."""
TRIMMED = 4
"""One of so many sites is left out at either end, and at least one."""


def combining(training: Training) -> Combine | None:
    """Return how the answers of a round are combined; None where they are added."""
    if training.combine == "mean":
        return None
    if training.combine == "voted":
        return partial(apart.together, training)
    middle = _median if training.combine == "median" else _trimmed
    return lambda answers: _combined(middle(_means(answers)), answers)


def _means(answers: Sequence[Summands]) -> Array:
    """Return the mean of each site that has records, as rows.

    Raises IntegrityError for fewer than three.
    """
    there = [each for each in answers if each["records"][0] > 0]
    if len(there) < FEWEST:
        end = IntegrityError(
            f"{len(there)} sites have records that train: of two nobody can say which "
            "one is wrong",
            fix='combine = "mean"   in [model.training]',
        )
        raise of_key("model.training.combine", end)
    return np.stack([each["sum"] / each["records"][0] for each in there])


def _combined(middle: Array, answers: Sequence[Summands]) -> Summands:
    """Return the sum that so many records of this mean would have."""
    added = {
        name: np.sum([each[name] for each in answers], axis=0) for name in answers[0]
    }
    return {**added, "sum": middle * added["records"]}


def _median(means: Array) -> Array:
    return np.asarray(np.median(means, axis=0))


def _trimmed(means: Array) -> Array:
    cut = max(len(means) // TRIMMED, 1)
    return np.asarray(np.sort(means, axis=0)[cut:-cut].mean(axis=0))
