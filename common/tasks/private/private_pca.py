"""Principal components of a Gram with noise, and how far noise has turned them.

Dwork, Talwar, Thakurta & Zhang 2014 ("Analyze Gauss"): the sum of a record's products,
of columns shortened together to sqrt(2 d), moves by 2 d at most, and Gaussian noise in
its upper triangle is private for every use of it. The covariance is brought back to
columns of variance 1, each as far as its own stands out of the noise: so the constants
of the encoding, which are noisy too, and who was shortened matter little. How far off
variances and directions are is told by the same noise, drawn again on what was found.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from common.encoding import Encoding, columns
from common.release import Array, Field, Release, Summands
from common.sheet import Cell, Sheet, decimal
from common.study import Study
from common.task import Findings, Found, Noisy, Rows, State, Task, added
from common.tasks.analyses import pca
from common.tasks.linear import newton
from common.tasks.private import noised, one_release
from common.tasks.private.noisy_descent import shortened
from common.tasks.private.one_release import CLEAR, WEIGHT

SHARES: Final = {"records": 0.05, "total": 0.1, "product": 0.85}
"""How a row's squared length is shared out: components are made of the last."""
REACH: Final = 2.0
"""Squared length of a record, over that of a usual one, from where it is shortened."""
ALIKE: Final = 1.0
"""The variance of the guess that all columns vary alike, in squares of that mean."""
LEAST: Final = 0.1
"""A column is taken to vary by no less, in what columns vary by on average."""
DRAWS: Final = 99
"""How often noise is drawn again, by a public seed."""
SURE: Final = 0.95
LOST: Final = 60.0
"""A component that noise turns by so many degrees may have any direction."""


@dataclass(frozen=True, slots=True)
class Component:
    """One direction: its variance, ``margin`` beside it, and its share of all.

    ``turned`` is by how many degrees noise turns it, 19 times of 20 by no more; None
    where it may have any direction.
    """

    variance: float
    margin: float
    share: float
    loadings: Array
    turned: float | None


def release(study: Study) -> Release:
    """Declare the same sums as without a promise, weighed, with noise."""
    return {
        name: Field(f"{field.meaning}, weighed", field.shape, "sum")
        for name, field in pca.release(study).items()
    }


def weights(study: Study) -> dict[str, float]:
    """Return by what each part is multiplied: then no record's row is longer than 1."""
    width = float(len(columns(study)))
    lengths = {"records": 1.0, "total": math.sqrt(width), "product": width}
    return one_release.weights(SHARES, lengths)


def each(study: Study, state: State, rows: Rows) -> Array:
    """Return the columns of each record, shortened, and their products, weighed."""
    del state
    x, by = shortened(rows.x / math.sqrt(REACH)), weights(study)
    one, other = np.triu_indices(x.shape[1])
    products = x[:, one] * x[:, other] * _double(x.shape[1])
    parts = {"records": np.ones((len(x), 1)), "total": x, "product": products}
    return np.column_stack([parts[name] * by[name] for name in SHARES])


def finish(study: Study, state: State, total: Summands) -> State:
    """Keep the components, and how far the same noise moves them when drawn again.

    A variance is told without what the noise has added to it.
    """
    width, by = len(columns(study)), weights(study)
    records = float(total["records"][0]) / by["records"]
    size = max(records, 2.0)
    mean = total["total"] / by["total"] / size
    upper = total["product"] / by["product"] / _double(width)
    about = newton.symmetric(upper, width) - size * np.outer(mean, mean)
    covariance, noise = about / (size - 1.0), deviation(study) / (size - 1.0)
    variances, components = pca.turned(scaled(covariance, noise))
    made, margin, turned = moved(covariance, noise)
    variances = variances - made
    whole = CLEAR * noise * math.sqrt(width) < np.trace(covariance)
    told = {"variances": variances, "margin": margin, "turned": turned}
    told |= {"components": components, "records": np.array([records])}
    told["clear"] = np.array([float(whole)])
    return State({**state.arrays, **told}, done=True)


def deviation(study: Study) -> float:
    """Return the deviation of the noise in a sum of squares; of products 1/sqrt(2)."""
    return one_release.noise(study, 1) / weights(study)["product"]


def scaled(covariance: Array, noise: float) -> Array:
    """Return the *covariance* of columns that vary alike, as far as is known of each.

    *noise* is the deviation in each variance; in all together they vary as many as
    they are.
    """
    own = np.diag(covariance)
    mean = max(float(own.mean()), noise / math.sqrt(len(own)))
    known = [noised.leaning(v, noise, (mean, ALIKE * mean**2)) for v in own]
    spread = np.sqrt(np.maximum(known, LEAST * mean))
    alike: Array = covariance / np.outer(spread, spread)
    return alike


def moved(covariance: Array, noise: float) -> tuple[Array, Array, Array]:
    """Return what noise adds to each variance, and how far else it moves them.

    And by how many degrees it turns directions: both 19 times of 20 by no more. Noise
    makes the largest variances larger, and drawn again by about as much again (Efron
    1979).
    """
    draw, width = np.random.default_rng(0), len(covariance)
    variances, components = pca.turned(scaled(covariance, noise))
    apart, turns = [], []
    for _ in range(DRAWS):
        upper = draw.normal(0.0, noise, width * (width + 1) // 2) / _double(width)
        again = pca.turned(scaled(covariance + newton.symmetric(upper, width), noise))
        apart.append(again[0] - variances)
        along = np.abs((again[1] * components).sum(axis=1)).clip(max=1.0)
        turns.append(np.degrees(np.arccos(along)))
    made = np.mean(apart, axis=0)
    margin = np.quantile(np.abs(apart - made), SURE, axis=0)
    return made, margin, np.quantile(turns, SURE, axis=0)


def found(study: Study, state: State) -> list[Component]:
    """Return each component that was asked for and varies by more than the noise."""
    records, variances = float(state.arrays["records"][0]), state.arrays["variances"]
    counted = one_release.noise(study, 1) / weights(study)["records"]
    if records <= CLEAR * counted or not state.arrays["clear"][0]:
        return []
    whole = float(variances.sum())
    asked = zip(
        *(state.arrays[name] for name in ("margin", "turned", "components")),
        strict=True,
    )
    return [
        Component(
            float(variances[at]),
            float(margin),
            min(float(variances[at]) / whole, 1.0),
            loadings,
            float(turned) if turned < LOST else None,
        )
        for at, (margin, turned, loadings) in enumerate(asked)
        if at < (study.analysis.pca or 0) and variances[at] > margin
    ]


def read(study: Study, state: State) -> Findings:
    """Return each component: its share, and its loadings where it has a direction."""
    names = [column.name for column in columns(study)]
    return {
        "records": round(max(float(state.arrays["records"][0]), 0.0)),
        "components": [
            {
                "variance": one.variance,
                "margin": one.margin,
                "share": one.share,
                "turned": one.turned,
                "loadings": None
                if one.turned is None
                else dict(zip(names, map(float, one.loadings), strict=True)),
            }
            for one in found(study, state)
        ],
    }


def show(study: Study, state: State) -> tuple[Sheet, ...]:
    """Return the loadings of each component, under its share of the variance."""
    every = found(study, state)
    heads = [f"component {at + 1} ({_said(one)})" for at, one in enumerate(every)]
    rows = tuple(
        (column.name, *(_loading(one, at) for one in every))
        for at, column in enumerate(columns(study))
    )
    note = (
        "Of standardised columns, gaps filled, who is far from the mean counted as "
        "nearer. In brackets the share of the variance, and by how many degrees the "
        "noise turns a component at most, 19 times of 20. A component without numbers "
        "may have any direction; one that is not there varies no more than the noise."
    )
    title = "The directions in which people differ most"
    return (Sheet(title, ("column", *heads), rows, (note,)),)


def _double(width: int) -> Array:
    """Return the factors by which a triangle is as long as the whole square."""
    one, other = np.triu_indices(width)
    return np.where(one == other, 1.0, math.sqrt(2.0))


def _said(one: Component) -> str:
    angle = "any direction" if one.turned is None else f"{one.turned:.0f}°"
    return f"{100 * one.share:.0f} %, {angle}"


def _loading(one: Component, at: int) -> Cell:
    return None if one.turned is None else decimal(float(one.loadings[at]))


def _start(study: Study, found: Found) -> State:
    del study
    return State(Encoding.of(found["describe"].arrays).arrays())


PRIVATE_PCA = Task(
    name="pca",
    rows="train",
    encoded=True,
    shows=pca.shows,
    release=release,
    start=_start,
    local=added(each, release),
    finish=finish,
    read=read,
    show=show,
    noisy=Noisy(
        each=each,
        clip=lambda _study: 1.0,
        rounds=lambda _study: 1,
        weight=WEIGHT,
    ),
)
