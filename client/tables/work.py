"""Records on their way through the steps of cleaning: clean columns, keys, counts."""

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from client.formats.raw import Arrays
from client.numbers.columns import Flags
from client.numbers.ways import pictures
from client.table import Count
from common.release import Array
from common.study import Study
from common.task import Images, no_images


@dataclass(frozen=True, slots=True, repr=False)
class Work:
    """A table on its way through the steps: clean columns, keys and counts so far.

    ``frame`` holds one float column per variable and outcome. ``keys`` holds person,
    folded, event, when and trains of each record; ``arrays`` what is no number, by
    record.
    """

    frame: pd.DataFrame
    keys: pd.DataFrame
    arrays: Arrays
    report: tuple[Count, ...]

    def keep(self, chosen: Flags, step: str, variable: str, what: str) -> "Work":
        """Return the work without the records outside *chosen*, counted.

        This work is empty from then on: its columns are let go one by one.
        """
        lost = len(chosen) - int(np.count_nonzero(chosen))
        if not lost:
            return self
        return Work(
            _only(self.frame, chosen),
            _only(self.keys, chosen),
            {name: array[chosen] for name, array in self.arrays.items()},
            (*self.report, Count(step, variable, what, lost)),
        )

    def note(self, step: str, variable: str, what: str, count: int) -> "Work":
        """Return the work with one more line in its report, if it counts any."""
        line = (Count(step, variable, what, count),) if count else ()
        return replace(self, report=(*self.report, *line))

    def changed(
        self, name: str, values: "pd.Series[float]", marks: dict[str, "pd.Series[bool]"]
    ) -> "Work":
        """Return the work with other *values* of one variable, and *marks* of it."""
        frame, keys = self.frame.assign(**{name: values}), self.keys.assign(**marks)
        return replace(self, frame=frame, keys=keys)

    def let_go(self, names: Collection[str]) -> None:
        """Let go of keys that no step to come looks at."""
        for name in names:
            self.keys.pop(name)

    def values(self, study: Study) -> Array:
        """Return the numbers of the variables of *study* [records, variables].

        They stand by columns, each of which the work lets go: none is held twice.
        """
        values = np.empty((len(self.frame), len(study.variables)), order="F")
        for place, variable in enumerate(study.variables):
            values[:, place] = self.frame.pop(variable.name)
        return values

    def images(self, study: Study) -> Images:
        """Return the pictures that *study* declares, or none."""
        names = [each.name for each in pictures(study)]
        found = [self.arrays[name] for name in names if name in self.arrays]
        return found[0].astype(np.float32) if found else no_images()

    def __repr__(self) -> str:
        """Return a count only: a work may end up in a log line."""
        return f"<Work of {len(self.frame)} records>"


def _only(frame: pd.DataFrame, chosen: Flags) -> pd.DataFrame:
    """Return the *chosen* rows, numbered anew; *frame* has no columns afterwards."""
    kept = {name: frame.pop(name).to_numpy()[chosen] for name in [*frame]}
    return pd.DataFrame(kept, copy=False)
