"""A hospital's clean records in memory, in a form that will not print itself."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from common.release import Array
from common.task import Images, Keys, Rows, Sites, Split, no_images


@dataclass(frozen=True, slots=True)
class Count:
    """One line of the cleaning report: how many cells or records a step changed.

    ``fix`` is what to change if that was not meant; empty where nothing is doubtful.
    """

    step: str
    variable: str
    what: str
    count: int
    fix: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class Table:
    """Clean values [records, variables], outcome [records], and who trains.

    A category is the index of its level and a gap is NaN. Records of one person have
    one code in ``person``, which says nothing else, and one number in ``key``, which
    stays the same whoever else is here. ``people`` counts the people who
    train and who test: a person's records are never on both sides. ``site`` is the
    place of the record's site among the study's, empty where that is not told.
    ``outside`` counts those whom only the cohort leaves out. ``images`` [records,
    height, width, channels] are from 0 to 1, none without any.
    """

    values: Array
    outcome: Array
    train: NDArray[np.bool_]
    person: NDArray[np.int64]
    key: Keys
    people: dict[Split, int]
    report: tuple[Count, ...]
    site: Sites = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    outside: int = 0
    images: Images = field(default_factory=no_images)

    def __repr__(self) -> str:
        """Return counts only: a table may end up in a log line."""
        records, variables = self.values.shape
        return f"<Table of {records} records and {variables} variables>"

    def rows(self, split: Split) -> Rows:
        """Return the clean values and outcomes of the people who train, or who test."""
        site = self.site if len(self.site) else np.full(len(self.train), -1)
        every = (self.outcome, self.key, self.values, site, self.images)
        return Rows(self.values, *every).take(self._side(split))

    def persons(self, split: Split) -> NDArray[np.int64]:
        """Return the code of the person behind each of these records."""
        return self.person[self._side(split)]

    def _side(self, split: Split) -> NDArray[np.bool_]:
        return self.train if split == "train" else ~self.train
