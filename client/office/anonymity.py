"""Who stands alone among the records: the small groups that a steward should know of.

Records are grouped by what others may know of a person: every category, and the age in
bands of ten years. A person in a group of fewer than k is known by these alone
(k-anonymity, Sweeney 2002). It is for the steward: nothing of it leaves the hospital.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from client.table import Table
from common.release import Array
from common.schema import Number
from common.study import Study

FEW = 5
"""The k of k-anonymity: people in smaller groups are counted."""
BAND = 10


@dataclass(frozen=True, slots=True)
class Small:
    """A level of a category that few people have."""

    variable: str
    level: str
    people: int


@dataclass(frozen=True, slots=True)
class Groups:
    """How people fall into groups: by which variables, the smallest, and who is few."""

    by: tuple[str, ...]
    groups: int
    smallest: int
    people_in_small: int
    levels: tuple[Small, ...]

    def facts(self) -> dict[str, object]:
        """Return the groups as plain data."""
        return {**asdict(self), "k": FEW}

    def lines(self) -> list[str]:
        """Return the groups for a terminal."""
        if not self.by:
            return ["no category and no age: nothing groups the people"]
        by = ", ".join(self.by)
        return [
            f"{self.groups} groups by {by}; the smallest has {self.smallest}",
            f"{self.people_in_small} people are in groups of fewer than {FEW}",
            *(
                f"{each.people} with {each.variable} {each.level}"
                for each in self.levels
            ),
        ]


def groups(study: Study, table: Table) -> Groups:
    """Return how the people of *table* are grouped by what may be known of them."""
    known = _known(study, table)
    people = pd.Series(table.person)
    if not known:
        return Groups((), 0, 0, 0, ())
    by = people.groupby([*known.values()], dropna=False)
    sizes, small = by.nunique(), by.transform("nunique") < FEW
    return Groups(
        by=tuple(known),
        groups=len(sizes),
        smallest=int(sizes.min()) if len(sizes) else 0,
        people_in_small=int(people[small].nunique()),
        levels=_levels(study, table),
    )


def _known(study: Study, table: Table) -> Mapping[str, pd.Series]:
    """Return what may be known of each record: its categories, and its age in bands."""
    columns = _columns(study, table)
    return {
        variable.name: pd.Series(_banded(variable, columns[variable.name]))
        for variable in study.variables
        if not isinstance(variable, Number) or variable.unit == "a"
    }


def _columns(study: Study, table: Table) -> dict[str, Array]:
    names = [variable.name for variable in study.variables]
    return dict(zip(names, np.transpose(table.values), strict=True))


def _banded(variable: object, values: Array) -> Array:
    return np.floor(values / BAND) if isinstance(variable, Number) else values


def _levels(study: Study, table: Table) -> tuple[Small, ...]:
    found, columns = [], _columns(study, table)
    for variable in study.variables:
        if isinstance(variable, Number):
            continue
        for code, level in enumerate(variable.coded):
            having = columns[variable.name] == code
            people = len({*table.person[having].tolist()})
            if 0 < people < FEW:
                found.append(Small(variable.name, level, people))
    return tuple(found)
