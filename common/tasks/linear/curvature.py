"""What the curvature of a fit tells of few: how many have a level, and how many two.

Errors of a model's weights, and the interval of what it expects, are made of sums of
products of columns. Of columns that are 0 or 1 these are counts: of a linear model
exactly, of others about, each record with a weight. So they are given away with a
model only where none of the counts is small.
"""

from collections.abc import Mapping

import numpy as np

from common.arithmetic import suppression
from common.encoding import Encoding, columns
from common.release import Array
from common.schema import Number
from common.study import Study
from common.tasks.describe import level_counts
from common.tasks.linear import newton

ERRORS = ("curvature", "square", "residual")
"""What of a learned state tells how sure its weights are, and no prediction needs."""
NOBODY = 1e-6
"""A share of all records that is less is rounding."""


def given(
    study: Study, arrays: Mapping[str, Array], described: Mapping[str, Array]
) -> dict[str, Array]:
    """Return the *arrays* of a learned state that may be given away with the model.

    *described* is what describe found, of an exact study.
    """
    kept = {name: arrays[name] for name in sorted(arrays)}
    if "curvature" not in kept or study.disclosure.cell <= 1:
        return kept
    if not _hidden(study, described) and not _few(study, kept):
        return kept
    return {name: array for name, array in kept.items() if name not in ERRORS}


def _hidden(study: Study, described: Mapping[str, Array]) -> bool:
    """Return whether describe withholds how many have a level."""
    return any(
        None in suppression.told(level_counts(study, dict(described), place), least)
        for least in [study.disclosure.cell]
        for place, each in enumerate(study.variables)
        if not isinstance(each, Number)
    )


def _few(study: Study, arrays: Mapping[str, Array]) -> bool:
    """Return whether few have, or lack, one column or two; unknown without intercepts.

    The curvature C of standardised columns z is brought back to M' C M of what they
    were made of, a = centre + scale z; a record counts as it does on average.
    """
    curvature = newton.symmetric(arrays["curvature"], len(arrays["weights"]))
    encoding, width = Encoding.of(dict(arrays)), len(columns(study))
    if len(curvature) == width:
        return False
    asked = np.array([each.kind != "value" for each in columns(study)], dtype=bool)
    places = np.flatnonzero(asked & (encoding.scale > 0.0))
    back = np.zeros((len(curvature), len(places) + 1))
    back[places, np.arange(len(places))] = encoding.scale[places]
    back[width:, :-1] = encoding.centre[places]
    back[width:, -1] = 1.0
    both = back.T @ curvature @ back
    records = float(arrays["records"][0])
    both *= records / both[-1, -1]
    own = np.diag(both)
    lacking = own[:, None] - both
    cells = np.stack([both, lacking, records - own - lacking.T])
    return bool(((cells > NOBODY * records) & (cells < study.disclosure.cell)).any())
