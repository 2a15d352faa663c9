"""Can withheld counts be solved for, from all that a report tells? By linear programs.

Whoever reads a report knows that people of each kind (levels of all variables, or none)
are no fewer than nobody. Every count that is told is a sum of kinds. A count is found
out where the most and the least that it can be are the same.
"""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog

from client.table import Table
from common import plan
from common.release import Array
from common.study import Study
from simulations import plain
from tests import clinics

LEAST = 5
NAMES = ("pain", "sex", "ill")
LEVELS = {"pain": 3, "sex": 2, "ill": 2}
PAIRS = list(itertools.combinations(NAMES, 2))
KINDS = list(itertools.product(range(4), range(3), range(2)))
"""People by the place of their level; the last of pain and sex is none."""

Count = tuple[Array, float, float | None]
"""Which kinds are counted, how many they are, and what is told."""


def asked() -> Study:
    changes: dict[str, Any] = {"model": None, "evaluation": None}
    rules = {"min_people": 1, "min_cell": LEAST, "min_sites": 1}
    pairs = {"chi_square": [list(pair) for pair in PAIRS], "association": True}
    kept = [v for v in clinics.VARIABLES if v["name"] in NAMES]
    return clinics.study(**changes, disclosure=rules, variables=kept, analysis=pairs)


def people(seed: int) -> Table:
    """Return few people, of whom some have rare levels and some lack a value."""
    draw = np.random.default_rng(seed)
    size = int(draw.integers(30, 150))
    chances = [draw.dirichlet(np.full(n, 0.7)) for n in (3, 2, 2)]
    values = np.column_stack([draw.choice(len(p), size, p=p) for p in chances])
    x = values[:, :2].astype(float)
    x[draw.random(x.shape) < draw.choice([0.0, 0.03, 0.1])] = np.nan
    return clinics.rows(x, values[:, 2].astype(float), np.ones(size))


def kinds(of: dict[str, int]) -> Array:
    """Return which kinds have these levels."""
    places = [(NAMES.index(name), level) for name, level in of.items()]
    return np.array([all(k[at] == level for at, level in places) for k in KINDS], float)


def both(pair: list[str]) -> Array:
    """Return which kinds have a value of both variables."""
    places = [(NAMES.index(name), LEVELS[name]) for name in pair]
    return np.array([all(k[at] < none for at, none in places) for k in KINDS], float)


def told(study: Study, whole: Table) -> Iterator[tuple[Array, float | None]]:
    """Yield which kinds each count of the report is of, and what it tells."""
    states = plain.run(study, [whole])
    said: dict[str, Any] = {
        name: plan.find(study, name).read(study, states[name])
        for name in ("describe", "chi_square", "association")
    }
    tables, tests = said["chi_square"]["tests"], said["association"]["tests"]
    yield kinds({}), said["describe"]["records"]
    for name, line in zip(NAMES, said["describe"]["variables"], strict=True):
        for level, count in enumerate(line["levels"].values()):
            yield kinds({name: level}), count
        yield kinds({name: LEVELS[name]}), line["missing"]
    for (one, other), test in zip(PAIRS, tables, strict=True):
        counts = np.array(test["table"]["counts"], dtype=object)
        for (i, j), count in np.ndenumerate(counts):
            yield kinds({one: i, other: j}), count
        yield both([one, other]), test["records"]
    for test in tests:
        yield both([test["variable"], "ill"]), test["records"]


def counts(study: Study, whole: Table) -> Iterator[Count]:
    """Yield every count that the report could tell, with what it does tell."""
    codes = np.column_stack([whole.values, whole.outcome])
    placed = np.where(np.isnan(codes), [3, 2, 2], codes).astype(int)
    many = np.array([(placed == kind).all(axis=1).sum() for kind in KINDS], float)
    for which, count in told(study, whole):
        yield which, float(which @ many), count


def most(sign: float, which: Array, known: list[Count]) -> float:
    """Return the most (-1) or the least (1) that a count can be."""
    sums = np.array([each for each, _, _ in known])
    equal = np.array([number for _, number, _ in known])
    found = linprog(sign * which, A_eq=sums, b_eq=equal, bounds=(0, None))
    if found.status == 3:  # no end
        return float("inf")
    assert found.status == 0, found.message
    return float(sign * found.fun)


@pytest.mark.parametrize("seed", [*range(20), 330, 394, 477, 647, 749])
def test_no_withheld_count_can_be_solved_for(seed: int) -> None:
    every = list(counts(asked(), people(seed)))
    known = [each for each in every if each[2] is not None]
    assert all(number == count for _, number, count in known)
    for which, number, count in every:
        if count is None and 0 < number < LEAST:
            least, greatest = most(1.0, which, known), most(-1.0, which, known)
            assert least - 1e-6 <= number <= greatest + 1e-6
            assert greatest - least > 0.5
