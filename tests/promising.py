"""Published data under a promise, at four sites, and how often it is told right."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from client.table import Table
from common import plan
from common.study import Study
from common.task import Findings, State
from simulations import plain
from tests import clinics, real, test_analyses_of_real_data

SITES = ["a", "b", "c", "d"]
FOUR = clinics.ABOUT | {"sites": SITES}
SHARED = {"epsilon": 1.0, "delta": 1e-5, "noise": "shared"}


def study(data: str, epsilon: float | None = None, **changes: Any) -> Study:
    """Return a study of *data* at *epsilon*; exact where that is None."""
    given = {
        "study": FOUR,
        "rounds": {"quorum": 4, "deadline_seconds": 2},
        "model": None,
        "evaluation": None,
        "variables": variables(data),
        "outcome": clinics.BINARY,
        "privacy": SHARED | {"epsilon": epsilon} if epsilon else "none",
    }
    return clinics.study(**{**given, **changes})


def variables(data: str) -> list[dict[str, Any]]:
    """Return the variables of *data*, declared as somebody would who knows them."""
    found = real.read(data)
    if data == "heart":
        return list(found.variables)
    return [
        test_analyses_of_real_data.number(each["name"], pd.Series(column))
        for each, column in zip(found.variables, found.values.T, strict=True)
    ]


def tables(data: str) -> list[Table]:
    """Return the records of *data*, all of which train, dealt to four sites."""
    found = real.read(data)
    y = (found.target > 0.5).astype(float)
    whole = clinics.rows(found.values, y, np.ones(len(y)))
    places = np.random.default_rng(0).integers(0, len(SITES), len(y))
    return clinics.dealt(whole, places)


def states(asked: Study, dealt: list[Table], times: int) -> Iterator[State]:
    """Yield what the last task of *asked* ends with, each time with other noise."""
    name = plan.tasks(asked)[-1].name
    for seed in range(times):
        noise = plain.gaussian(np.random.default_rng(seed))
        yield plain.run(asked, dealt, noise)[name]


def told(asked: Study, dealt: list[Table], times: int = 1) -> list[Findings]:
    """Return what the last task of *asked* finds, each time with other noise."""
    task = plan.tasks(asked)[-1]
    return [task.read(asked, state) for state in states(asked, dealt, times)]


def exact(asked: Study, dealt: list[Table]) -> Findings:
    """Return what the exact form of *asked* finds."""
    task = plan.tasks(asked)[-1]
    return task.read(asked, plain.run(asked, dealt)[task.name])
