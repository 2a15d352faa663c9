"""The constant part of a linear model: one for everybody, or one for each site.

Weights are one for each column of the design and then the intercepts. Somebody of no
site that the study names, as at a hospital that uses the model, has the mean of them.
"""

import numpy as np

from common.encoding import columns
from common.release import Array
from common.study import Study
from common.task import Rows


def names(study: Study) -> tuple[str, ...]:
    """Return the names of the intercepts: one, or one for each site of the study."""
    if getattr(study.model, "site_intercepts", None):
        return tuple(f"(intercept of {site})" for site in study.study.sites)
    return ("(intercept)",)


def width(study: Study) -> int:
    """Return the number of weights: one a column, and the intercepts."""
    return len(columns(study)) + len(names(study))


def note(study: Study) -> str:
    """Return what a release says where a sum holds numbers of single sites."""
    return "; those of an intercept are one site's" * (len(names(study)) > 1)


def of(study: Study, rows: Rows) -> Array:
    """Return the columns of the intercepts [records, intercepts].

    Of several intercepts a record has its own site's; one of no known site has the mean
    of them all.
    """
    count = len(names(study))
    ones = np.full((len(rows.x), count), 1.0 / count)
    if count > 1 and len(rows.site):
        known = rows.site >= 0
        ones[known] = np.eye(count)[rows.site[known]]
    return ones


def eta(x: Array, ones: Array, weights: Array) -> Array:
    """Return intercept + w.x of each record."""
    inside = x.shape[1]
    found: Array = x @ weights[:inside] + ones @ weights[inside:]
    return found


def elsewhere(study: Study, weights: Array) -> Array:
    """Return *weights* with one intercept, as for somebody of no site of the study."""
    inside = len(columns(study))
    found: Array = np.r_[weights[:inside], weights[inside:].mean()]
    return found
