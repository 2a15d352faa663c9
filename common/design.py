"""Which columns variables become: a function of their declaration alone."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from common.schema import Category, Number


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the design matrix: a value, a level against the first, or a gap."""

    name: str
    variable: int
    kind: Literal["value", "level", "gap"]
    level: int = 0


def columns(variables: Iterable[Number | Category]) -> tuple[Column, ...]:
    """Return the columns of the design matrix, variable by variable."""
    every = enumerate(variables)
    return tuple(each for one in every for each in _columns_of(*one))


def _columns_of(index: int, variable: Number | Category) -> list[Column]:
    name, gap = variable.name, Column(f"{variable.name} missing", index, "gap")
    if isinstance(variable, Number):
        value = Column(name, index, "value")
        return [value, gap] if variable.indicator else [value]
    levels = [
        Column(f"{name} = {level}", index, "level", number)
        for number, level in enumerate(variable.levels)
        if number
    ]
    return [*levels, gap] if variable.missing == "level" else levels
