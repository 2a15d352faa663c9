"""Steps of gradient descent that a site takes by itself, from where the round began.

Each step goes along the mean of clipped gradients, so a round moves a site by at most
steps x rate x clip, whatever its records are.
"""

import numpy as np

from common import large_arrays
from common.arithmetic import trees
from common.release import Array, Summands
from common.sections.networks import MOST, Training
from common.study import Study
from common.task import Rows, State
from common.tasks import crowd
from common.tasks.networks.class_weights import Gradient


def taken(
    study: Study, training: Training, state: State, rows: Rows, gradient: Gradient
) -> tuple[Summands, Array]:
    """Return how far local steps over batches of *rows* lead, times how much it counts.

    And the parameters that they lead to.

    A site without records stays where it is, and counts as none. So does one with a
    batch of too few people: a single step along one record is that record. With a
    proximal term each step is pulled back to where the round began (Li et al. 2020,
    FedProx).
    """
    shown = state.arrays["parameters"]
    batches = _batches(training, state, rows)
    if any(crowd.few(study, batch) for batch in batches):
        batches, rows = [], rows.take(np.zeros(0, dtype=np.int64))
    weight = float(min(len(rows.y), training.most))
    reached, losses = large_arrays.made(np.copy, shown), np.zeros(1)
    for batch in batches:
        count, bounds = len(batch.y), np.full(len(batch.y), training.clip)
        total, loss = gradient(reached, batch, bounds)
        for part in large_arrays.passing(total, reached, shown):
            back = training.proximal * (reached[part] - shown[part])
            reached[part] -= training.local_rate * (total[part] / count + back)
        losses += loss / count
    sums = {
        "sum": large_arrays.made(lambda r, s: (r - s) * weight, reached, shown),
        "loss": losses / training.local_steps * weight,
        "records": np.array([weight]),
    }
    return sums, reached


def _batches(training: Training, state: State, rows: Rows) -> list[Rows]:
    """Return the batches of a round: everyone in turn, in an order of public draws."""
    count = len(rows.y)
    if not count:
        return []
    wanted, step = training.local_steps * training.batch, int(state.arrays["step"][0])
    turns = -(-wanted // count)
    draws = trees.draws(rows.key, training.seed * MOST + step, turns)
    order = np.concatenate([np.argsort(draw, kind="stable") for draw in draws])[:wanted]
    return [rows.take(part) for part in np.split(order, training.local_steps)]
