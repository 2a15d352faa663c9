"""Are there enough people for a sum: of a sample, of a batch, of those held out?

The door looks at how many train and test here. What a formula takes of them by itself
is held to the same floor: the stricter one of study and site.
"""

import numpy as np

from common.study import Study
from common.task import Rows


def few(study: Study, rows: Rows) -> bool:
    """Tell whether *rows* are of fewer people than the floor."""
    people = len(np.unique(rows.key))
    return people < max(study.disclosure.min_people, rows.fewest)


def enough(study: Study, rows: Rows) -> Rows:
    """Return *rows*, or none of them when they are of too few people."""
    return rows.take(np.full(len(rows.y), not few(study, rows)))
