"""Which units of a network are silent for whom in a round: a public draw by person.

Dropout (Srivastava et al. 2014), scaled so that what comes out is the same on average.
The draw follows from the study's seed, the round and who somebody is, so a person's is
the same wherever they are and among whomever, and a study is repeated to the last bit.
It treats each record by itself: its gradient is clipped as without, at the same cost.
"""

import numpy as np

from common.arithmetic import trees
from common.release import Array
from common.sections.networks import MOST
from common.task import Keys

APART = 2**45
"""Beyond all seeds of other draws by person: who is silent has to do with none."""


def scales(key: Keys, seed: int, step: int, rate: float, units: int) -> Array:
    """Return by how much each unit counts for each record [records, units].

    0 with a chance of *rate*, else 1 / (1 - rate). Without a rate there are no units.
    """
    if not rate:
        return np.ones((len(key), 0))
    drawn = trees.draws(key, APART + seed * MOST + step, units)
    kept = np.stack([each >= rate for each in drawn], axis=1)
    return kept / (1.0 - rate)
