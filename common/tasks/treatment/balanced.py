"""How alike the arms of a treatment are, as it may be told: no level of few in an arm.

The standardised difference of a level and the sizes of both arms give how many have it
in each: only one pair of numbers fits. So a level of too few in an arm is not told, nor
another level that would give it away.
"""

from collections.abc import Mapping

import numpy as np

from common.arithmetic import suppression
from common.encoding import Encoding, columns
from common.release import Array
from common.study import Study
from common.task import Findings
from common.tasks.treatment import effects
from common.tasks.treatment.treatment_models import covariates


def told(study: Study, arrays: Mapping[str, Array]) -> list[Findings]:
    """Return each covariate's difference; None for a level that would tell of few."""
    every = [columns(study)[place] for place in covariates(study)]
    found = effects.balance([each.name for each in every], arrays)
    hidden = _hidden(study, arrays)
    nothing = {"before": None, "after": None, "withheld": True}
    return [line | nothing if at in hidden else line for at, line in enumerate(found)]


def _hidden(study: Study, arrays: Mapping[str, Array]) -> set[int]:
    """Return the places of covariates that are levels or gaps and may not be told."""
    arms, places = arrays["arms"][0], list(covariates(study))
    encoding = Encoding.of(dict(arrays))
    scale, centre = encoding.scale[places], encoding.centre[places]
    having = np.rint(arrays["plain"][:, 0] * scale + arms[:, None] * centre)
    of: dict[int, list[int]] = {}
    for at, column in enumerate(columns(study)[place] for place in places):
        if column.kind != "value":
            of.setdefault(column.variable, []).append(at)
    hidden: set[int] = set()
    for group in of.values():
        own = having[:, group]
        rest = (arms - own.sum(axis=1))[:, None]
        table = np.maximum(np.hstack([own, rest]), 0.0).T
        lines = suppression.table(table, study.disclosure.cell)[:-1]
        hidden |= {at for at, line in zip(group, lines, strict=True) if None in line}
    return hidden
