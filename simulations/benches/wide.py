"""A study of many numbers, and people dealt to sites of equal size: to measure on."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from client.table import Table
from common.release import Array
from common.study import Study

LIMIT = 6.0
"""Every number is declared from minus this to this."""


def study(
    width: int, sites: int, outcome: Mapping[str, object], model: Mapping[str, object]
) -> Study:
    """Return a study of *width* numbers at so many *sites*."""
    names = [f"x{index}" for index in range(width)]
    return Study.model_validate(
        {
            "format": 1,
            "privacy": "none",
            "study": {
                "name": "bench",
                "title": "Benchmark",
                "purpose": "to measure",
                "contact": "nobody@consortium.example",
                "expires": "2030-12-31",
                "sites": [f"site-{index}" for index in range(sites)],
            },
            "variables": [
                {"kind": "number", "name": name, "unit": "1", "range": [-LIMIT, LIMIT]}
                for name in names
            ],
            "outcome": {"name": "outcome", **outcome},
            "model": model,
            "rounds": {"quorum": sites},
            "evaluation": {"test": 0.1},
        }
    )


def values(people: int, width: int, draw: np.random.Generator) -> Array:
    """Return the numbers [people, width] of everybody, within what is declared."""
    return draw.normal(size=(people, width)).clip(-LIMIT, LIMIT)


def dealt(x: Array, y: Array, train: NDArray[np.bool_], sites: int) -> list[Table]:
    """Return everybody as the tables of so many *sites*."""
    return [
        Table(
            values=x[part],
            outcome=y[part],
            train=train[part],
            person=part,
            key=part.astype(np.uint64),
            people={"train": 1, "test": 1},
            report=(),
            site=np.full(len(part), place),
        )
        for place, part in enumerate(np.array_split(np.arange(len(y)), sites))
    ]
