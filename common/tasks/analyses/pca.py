"""In which directions do people differ most? Principal components from one sum.

The sums of products of the standardised columns give the covariance of pooled records,
and its eigenvectors are the components (Pearson 1901). No record gets a score: a site
can compute those of its own people from the loadings.
"""

import numpy as np

from common.encoding import Encoding, columns, shapes
from common.release import Array, Field, Release, Summands
from common.sheet import Sheet, decimal
from common.study import Study
from common.task import Findings, Found, Rows, Shapes, State, Task
from common.tasks.describe import deviation


def shows(study: Study) -> Shapes:
    """Show the sites the encoding."""
    return shapes(study)


def release(study: Study) -> Release:
    """Declare sums of the standardised columns and of their products."""
    width = len(columns(study))
    triangle = (width * (width + 1) // 2,)
    return {
        "records": Field("records that train", (1,), "count"),
        "total": Field("sums of the standardised columns", (width,), "sum"),
        "product": Field("sums of the products of each two", triangle, "sum"),
    }


def start(study: Study, found: Found) -> State:
    """Show the constants that describe found.

    Kept is by how much a level that they do not tell varies more than they say.
    """
    sums = found["describe"].arrays
    encoding = Encoding.of(sums)
    own = [deviation(study, sums, column) for column in columns(study)]
    told = np.where(encoding.scale > 0.0, encoding.scale, 1.0)
    wider = np.where(np.isnan(own) | (np.array(own) == 0.0), 1.0, own / told)
    return State(encoding.arrays(), kept={"wider": wider})


def local(study: Study, state: State, rows: Rows) -> Summands:
    """Add up this site's records."""
    del study, state
    product = rows.x.T @ rows.x
    return {
        "records": np.array([len(rows.x)], dtype=np.float64),
        "total": rows.x.sum(axis=0),
        "product": product[np.triu_indices(len(product))],
    }


def finish(study: Study, state: State, total: Summands) -> State:
    """Keep components [components, columns] and their variances, the largest first."""
    width = len(columns(study))
    count, mean = total["records"][0], total["total"] / max(total["records"][0], 1.0)
    upper: Array = np.zeros((width, width))
    upper[np.triu_indices(width)] = total["product"]
    products = upper + np.triu(upper, 1).T
    about = (products - count * np.outer(mean, mean)) / max(count - 1.0, 1.0)
    covariance = about / np.outer(state.kept["wider"], state.kept["wider"])
    variances, components = turned(covariance)
    kept = {"components": components, "variances": variances.clip(0.0)}
    return State({**state.arrays, **kept, "records": total["records"]}, done=True)


def turned(covariance: Array) -> tuple[Array, Array]:
    """Return variances and components [components, columns], the largest first.

    A component has no direction of its own: its largest loading is made positive.
    """
    variances, vectors = np.linalg.eigh(covariance)
    largest = vectors[np.abs(vectors).argmax(axis=0), np.arange(len(vectors))]
    return variances[::-1], (vectors * np.where(largest < 0.0, -1.0, 1.0)).T[::-1]


def read(study: Study, state: State) -> Findings:
    """Return each component that was asked for: its share of variance, its loadings."""
    names = [column.name for column in columns(study)]
    variances, shares = state.arrays["variances"], _shares(state)
    return {
        "records": int(state.arrays["records"][0]),
        "components": [
            {
                "variance": float(variances[place]),
                "share": float(shares[place]),
                "loadings": dict(zip(names, map(float, loadings), strict=True)),
            }
            for place, loadings in enumerate(_asked(study, state))
        ],
    }


def show(study: Study, state: State) -> tuple[Sheet, ...]:
    """Return the loadings of each component, under its share of the variance."""
    found, shares = _asked(study, state), _shares(state)
    heads = [
        f"component {place + 1} ({100 * share:.0f} %)"
        for place, share in enumerate(shares[: len(found)])
    ]
    rows = tuple(
        (column.name, *(decimal(float(loading)) for loading in found[:, place]))
        for place, column in enumerate(columns(study))
    )
    note = (
        "Of standardised columns, gaps filled; in brackets the share of the variance. "
        f"Together: {100 * shares[: len(found)].sum():.0f} %."
    )
    title = "The directions in which people differ most"
    return (Sheet(title, ("column", *heads), rows, (note,)),)


def _asked(study: Study, state: State) -> Array:
    return state.arrays["components"][: study.analysis.pca]


def _shares(state: State) -> Array:
    variances = state.arrays["variances"]
    shares: Array = variances / max(variances.sum(), np.finfo(np.float64).tiny)
    return shares


PCA = Task(
    name="pca",
    rows="train",
    encoded=True,
    shows=shows,
    release=release,
    start=start,
    local=local,
    finish=finish,
    read=read,
    show=show,
)
