"""Which columns a node of a forest may choose from: drawn for each (Breiman 2001)."""

import math

import numpy as np

from common.arithmetic import trees
from common.encoding import columns
from common.release import Array
from common.study import Study
from common.tasks.forests.forest_bins import asked


def considered(study: Study) -> int:
    """Return of how many columns a node chooses: sqrt(d), or d/3 for a number."""
    width = len(columns(study))
    usual = width / 3 if study.outcome.kind == "number" else math.sqrt(width)
    return min(asked(study).columns or max(round(usual), 1), width)


def sent(study: Study) -> int:
    """Return of how many columns people are counted: of the most that are tried."""
    tried = study.selection.columns if study.selection else None
    return min(max(tried), len(columns(study))) if tried else considered(study)


def drawn(study: Study, level: int, nodes: Array, scale: Array) -> Array:
    """Draw the columns that each of *nodes* may choose from, those that vary first.

    By the study's public seed, and only at the server: sites are shown what was drawn.
    """
    draw = np.random.default_rng([asked(study).seed, level])
    first = trees.inner(level)
    dice = draw.random((asked(study).trees, 2**level, len(scale))) + (scale <= 0.0)
    here = dice[nodes[:, 0].astype(np.int64), nodes[:, 1].astype(np.int64) - first]
    return np.argsort(here, axis=1)[:, : sent(study)].astype(np.float64)
