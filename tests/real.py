"""Published data as studies of any kind of outcome, dealt to sites of unequal size.

Breast cancer, diabetes and wine come with scikit-learn; the four heart hospitals are
read by the mapping of the demonstration, with thirteen variables and their gaps.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import datasets

from client.table import Table
from common.study import Study
from simulations import plain
from simulations.dealt import heart_richer
from tests import clinics
from tests.simulations.test_heart import DATA, GIVEN

NAMES = ("breast_cancer", "diabetes", "wine", "heart")
SITES = (1, 2, 4, 10)
SHARES = {1: (1.0,), 2: (0.8, 0.2), 4: (0.45, 0.3, 0.17, 0.08)}
SHARES[10] = (0.3, 0.2, 0.12, 0.1, 0.08, 0.07, 0.05, 0.04, 0.03, 0.01)
"""How unequal the sites are, by how many there are."""

NUMBER = {"breast_cancer": "v23", "diabetes": "", "wine": "v0", "heart": "age"}
"""The number that is predicted; of diabetes it is its target."""
LEVELS = {"breast_cancer": "v23", "diabetes": "", "wine": "", "heart": "cp"}
"""What is told apart in several levels; of wine its target, of a number its thirds."""

DEALT = [*(pytest.param(few, marks=pytest.mark.slow) for few in (1, 2)), 4, 10]
"""The same, where one is enough of a default run to see another number break it."""

Outcome = str
"""A kind of outcome: binary, number, category or survival."""


@dataclass(frozen=True)
class Published:
    """Clean values [records, variables] as they are declared, and a target."""

    variables: tuple[dict[str, Any], ...]
    values: np.ndarray
    target: np.ndarray

    def column(self, name: str) -> int:
        """Return the place of a variable."""
        return [each["name"] for each in self.variables].index(name)


@cache
def read(name: str) -> Published:
    """Return a data set in the order of a site effect; skip where heart is absent."""
    if name == "heart":
        return _heart()
    found = getattr(datasets, f"load_{name}")()
    x, y = found.data, found.target.astype(float)
    first = (x[:, 0] - x[:, 0].mean()) / x[:, 0].std()
    order = np.argsort(first + np.random.default_rng(0).normal(size=len(x)))
    every = enumerate(x.T)
    numbers = tuple(number(f"v{place}", column) for place, column in every)
    return Published(numbers, x[order], y[order])


def _heart() -> Published:
    if not GIVEN and not DATA.is_dir():
        pytest.skip("set CONSILIUM_HEART_DATA to the folder of the UCI files")
    with tempfile.TemporaryDirectory() as place:
        hospitals = heart_richer.opened(DATA, Path(place))
    whole = plain.pooled(hospitals.tables)
    declared = hospitals.study.model_dump(exclude_none=True)["variables"]
    return Published(tuple(declared), whole.values, whole.outcome)


def number(name: str, values: np.ndarray) -> dict[str, Any]:
    """Declare a number as somebody would who knows about how large it is."""
    low, high = float(values.min()), float(values.max())
    room = max((high - low) / 4, 1.0)
    return {
        "kind": "number",
        "name": name,
        "unit": "1",
        "range": [low - room, high + room],
    }


def study(
    data: str, kind: Outcome, sites: int, few: int | None = None, **changes: Any
) -> Study:
    """Return a study of the first *few* variables of *data*, all by default."""
    found, taken = read(data), _taken(data, kind, few)
    _, y = _rows(data, kind, few)
    outcome = dict(clinics.OUTCOMES[kind])
    if kind == "number":
        most = float(np.ceil(y.max()))
        outcome = {**clinics.COUNT, "name": "outcome", "range": [0.0, most]}
    if data == "heart" and kind == "category":
        pain = found.variables[found.column("cp")]
        outcome = {**outcome, "levels": pain["levels"]}
    names = [f"site-{place}" for place in range(sites)]
    given = {
        "study": {**clinics.ABOUT, "sites": names},
        "variables": [_declared(found.variables[at], few) for at in taken],
        "outcome": outcome,
    }
    return clinics.study(**{**given, **changes})


def _declared(variable: dict[str, Any], few: int | None) -> dict[str, Any]:
    """Return a variable; of a few no column tells of gaps, which others may share."""
    if few is None:
        return variable
    fill = "mean" if variable["kind"] == "number" else "mode"
    return {**variable, "missing": fill} | (
        {"indicator": False} if fill == "mean" else {}
    )


def tables(data: str, kind: Outcome, sites: int, few: int | None = None) -> list[Table]:
    """Return the records dealt to so many sites, seven of ten of which train."""
    x, y = _rows(data, kind, few)
    train = np.random.default_rng(1).random(len(y)) < 0.7
    return clinics.dealt(clinics.rows(x, y, train), places(len(y), sites))


def places(records: int, sites: int) -> np.ndarray:
    """Return the site of each record: neighbours are together, and sites unequal."""
    ends = np.rint(np.cumsum(SHARES[sites]) * records)
    found: np.ndarray = np.searchsorted(ends, np.arange(records), side="right")
    return found.clip(max=sites - 1)


def _taken(data: str, kind: Outcome, few: int | None) -> Sequence[int]:
    """Return which variables are looked at: not the outcome."""
    found = read(data)
    out = {"number": NUMBER, "category": LEVELS}.get(kind, {}).get(data, "")
    every = [at for at, each in enumerate(found.variables) if each["name"] != out]
    return every[:few]


@cache
def _rows(data: str, kind: Outcome, few: int | None) -> tuple[np.ndarray, np.ndarray]:
    found = read(data)
    return found.values[:, _taken(data, kind, few)], _outcome(data, kind)


def _outcome(data: str, kind: Outcome) -> np.ndarray:
    found = read(data)
    if kind in {"number", "category"}:
        name = {"number": NUMBER, "category": LEVELS}[kind][data]
        y = found.values[:, found.column(name)] if name else found.target
        if kind == "number" or len(np.unique(y)) < len(y) / 20:
            return y
        return np.searchsorted(np.quantile(y, [1 / 3, 2 / 3]), y).astype(float)
    told = {"wine": 0.5, "diabetes": float(np.median(found.target))}
    y = (found.target > told.get(data, 0.5)).astype(float)
    if kind == "binary":
        return y
    draw = np.random.default_rng(0)
    time = draw.exponential(900 * np.exp(y - 0.5))
    return 2 * np.minimum(time // 150, 6) + (draw.random(len(y)) < 0.7)
