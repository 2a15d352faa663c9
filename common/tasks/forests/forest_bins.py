"""Where a forest may cut: quantiles of all records, on edges that the study declares.

One fine histogram of each column, summed over the sites, tells where equal shares of
the records lie. A cut is the edge of a part of the declared range, at a place where
nobody's value can be.
"""

import numpy as np

from common.arithmetic import trees
from common.encoding import Encoding, bounds, columns, shapes
from common.errors import StudyError
from common.release import Array, Field, Release, Summands
from common.sections.models import RandomForest
from common.study import Study
from common.task import Rows, State, Task

FINE = 256
"""Parts of the declared range from which the bins are made."""

OFFSET = (5.0**0.5 - 1.0) / 2.0
"""Edges lie at an irrational place in their part: no measured value is an edge."""


def asked(study: Study) -> RandomForest:
    """Return the study's settings; raise StudyError when it grows no forest."""
    if not isinstance(study.model, RandomForest):
        raise StudyError("a forest was asked of a study without one")
    return study.model


def release(study: Study) -> Release:
    """Declare one fine histogram for each column of the design."""
    shape = (len(columns(study)), FINE + 1)
    return {"fine": Field("records by part of each column's range", shape, "count")}


def local(study: Study, state: State, rows: Rows) -> Summands:
    """Count this site's records in each fine part of each column."""
    found = trees.codes(_fine(study, Encoding.of(state.arrays)), rows.x)
    counts = [np.bincount(column, minlength=FINE + 1) for column in found.T]
    return {"fine": np.array(counts, dtype=np.float64)}


def _fine(study: Study, encoding: Encoding) -> Array:
    """Return the edges of the fine parts [columns, FINE], in units of the design."""
    parts = (np.arange(FINE) + OFFSET) / FINE
    edges = [bounds(study, column) for column in columns(study)]
    raw = np.array([low + (high - low) * parts for low, high in edges])
    scale = np.where(encoding.scale > 0.0, encoding.scale, 1.0)
    spread: Array = (raw - encoding.centre[:, None]) / scale[:, None]
    return spread


def finish(study: Study, state: State, total: Summands) -> State:
    """Cut each column where equal shares of all records lie on either side."""
    encoding = Encoding.of(state.arrays)
    fine, count = _fine(study, encoding), asked(study).bins
    shares = np.arange(1, count) / count
    below = total["fine"].cumsum(axis=1)
    places = [
        np.searchsorted(row, shares * row[-1]).clip(max=FINE - 1) for row in below
    ]
    cuts = np.take_along_axis(fine, np.array(places), axis=1)
    return State({**encoding.arrays(), "cuts": cuts}, done=True)


BINS = Task(
    name="random_forest_bins",
    rows="train",
    encoded=True,
    shows=shapes,
    release=release,
    start=lambda _study, found: State(Encoding.of(found["describe"].arrays).arrays()),
    local=local,
    finish=finish,
    read=lambda _study, _state: {},
)
