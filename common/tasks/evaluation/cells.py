"""What an evaluation tells of people by what was so and what was said: no small cell.

A row of two cells, whose sum is told, has a small one where 1 to least - 1 records are
in it. Then neither is told, and in each share the small one counts as half of least: a
share so made says that a cell is small, and never how small. Ends of intervals hold all
that it may be. A zero is told, for nobody is behind it.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import product

import numpy as np

from common.arithmetic import intervals, scores
from common.arithmetic.intervals import Interval
from common.arithmetic.scores import Table
from common.release import Array
from common.study import Study
from common.task import Findings

Share = Callable[[Table], tuple[float, float]]
Pair = tuple[float, float]
STEPS = (1.0, 2.0, 5.0, 10.0)
FEW = 10
"""Chances in fewer bins than these may be solved for how many records have each."""
SURE = 1.0
"""Where chances leave fewer records in doubt, their sums are numbers of records."""
SHARED = 3.0
"""With fewer records in such a bin on average, chances are each record's own."""


@dataclass(frozen=True, slots=True)
class Row:
    """Two cells of a row as they are told: about so many, and all that they may be.

    ``known`` says that ``about`` are the counts themselves.
    """

    about: Pair
    may: tuple[Pair, ...]
    known: bool


def least(study: Study) -> int:
    """Return the fewest records that a cell of *study* may be told of."""
    return study.disclosure.cell


def at_home(study: Study) -> Study:
    """Return *study* as a hospital may ask its own people: nothing is withheld."""
    every = study.disclosure.model_copy(update={"min_cell": 1})
    return study.model_copy(update={"disclosure": every})


def note(study: Study) -> str:
    """Say what was done with what is smaller."""
    return (
        f"What 1 to {least(study) - 1} records are behind is withheld: in a share such "
        "a cell counts as half of the fewest, and its interval holds all it may be."
    )


def short(study: Study) -> str:
    """Say the same beside a figure."""
    fewest = least(study)
    return f"1 to {fewest - 1} records in a cell count as {fewest / 2:g}"


def small(count: float, fewest: int) -> bool:
    """Return whether a cell of *count* records may not be told."""
    return 0 < count < fewest


def row(first: float, second: float, fewest: int) -> Row:
    """Return a row of two cells, whose sum is known, as it may be told.

    Where the sum is so small that the other cell would bound a small one, or a small
    one can only be 1, both count as half.
    """
    whole = first + second
    if not small(first, fewest) and not small(second, fewest):
        return Row((first, second), ((first, second),), known=True)
    if whole < 2 * fewest or fewest < 3:  # noqa: PLR2004 - 1 or 2 in a small cell
        halves = (whole / 2, whole / 2)
        return Row(halves, ((0.0, whole), halves, (whole, 0.0)), known=False)
    fills = (fewest / 2, 1.0, fewest - 1.0)
    may = tuple(
        (fill, whole - fill) if small(first, fewest) else (whole - fill, fill)
        for fill in fills
    )
    return Row(may[0], may, known=False)


@dataclass(frozen=True, slots=True)
class Told:
    """Those with the outcome, found or missed, and those without, called or not."""

    having: Row
    without: Row

    @property
    def about(self) -> Table:
        """The table by which shares are told."""
        (hits, misses), (alarms, rejections) = self.having.about, self.without.about
        return Table(hits, misses, alarms, rejections)

    @property
    def known(self) -> bool:
        """Whether that table is of the counts themselves."""
        return self.having.known and self.without.known

    def interval(self, of: Share) -> Interval | None:
        """Return from where to where a share is, *of* a table as part and whole."""
        every = [
            intervals.share(*of(Table(*have, *lack)))
            for have, lack in product(self.having.may, self.without.may)
        ]
        ends = [each for each in every if each]
        if not ends:
            return None
        return min(low for low, _ in ends), max(high for _, high in ends)

    def counts(self) -> dict[str, int | None]:
        """Return the four cells, None for one that is not told."""
        known = {
            "hits": self.having.known,
            "misses": self.having.known,
            "alarms": self.without.known,
            "rejections": self.without.known,
        }
        told = asdict(self.about).items()
        return {name: int(count) if known[name] else None for name, count in told}


def told(at: Table, fewest: int) -> Told:
    """Return the table *at* one threshold as it may be told."""
    return Told(row(at.hits, at.misses, fewest), row(at.alarms, at.rejections, fewest))


AREA = ("auc", "auc_error_bound", "auc_interval")
"""The area under the ROC curve: where chances count records, a record is many pairs."""
SHARES: dict[str, Share] = {
    "accuracy": lambda at: (at.hits + at.rejections, at.records),
    "sensitivity": lambda at: (at.hits, at.hits + at.misses),
    "specificity": lambda at: (at.rejections, at.rejections + at.alarms),
    "ppv": lambda at: (at.hits, at.hits + at.alarms),
    "npv": lambda at: (at.rejections, at.rejections + at.misses),
}
"""Each share that has an interval, as a part of a whole."""


def step(share: float) -> float:
    """Return the least of ..., 0.1, 0.2, 0.5, 1, 2, 5, ... that is *share* or more."""
    if share <= 0.0:
        return 0.0
    power = 10.0 ** math.floor(math.log10(share))
    return next(each * power for each in STEPS if each * power >= share * (1 - 1e-9))


def rounded(value: float | None, share: float) -> float | None:
    """Return *value* as a multiple of the step for *share*."""
    grain = step(share)
    if value is None or not grain:
        return value
    return float(round(round(value / grain) * grain, 12))


def area(negatives: Array, positives: Array, fewest: int) -> tuple[float, float] | None:
    """Return the area under the ROC curve, and the bound of its error, as told.

    It is a number of pairs; it is rounded so that it tells of no fewer than *fewest*,
    and the bound holds that too.
    """
    found = scores.area(negatives, positives)
    if found is None or fewest <= 1:
        return found
    share = fewest / float(negatives.sum() * positives.sum())
    value = rounded(found[0], share)
    bound = math.ceil(found[1] / step(share) + 0.5) * step(share)
    return min(max(value or 0.0, 0.0), 1.0), min(round(bound, 12), 1.0)


def counted(said: Array, fewest: int) -> bool:
    """Return whether what chances add up to counts records: of few chances, or sure.

    *said* [..., bins] are records by their chance. A sum of chances is a number of
    records where nearly all are 0 or 1, and tells how many have each where few are.
    """
    bins = said.shape[-1]
    ends = np.r_[0.0, scores.edges(bins), 1.0]
    middle = (ends[:-1] + ends[1:]) / 2
    middle[[0, -1]] = 0.0, 1.0
    doubt = float((said * middle * (1.0 - middle)).sum())
    together = said.reshape(-1, bins).sum(axis=0)
    used = int(np.count_nonzero(together))
    few = used < FEW and together.sum() >= SHARED * used
    return fewest > 1 and bool(few or doubt < SURE)


def blurred(found: Findings, names: tuple[str, ...], digits: int) -> Findings:
    """Return *found* with the numbers of these *names* to so many digits."""
    changed: Findings = {}
    for name in names:
        value = found.get(name)
        if isinstance(value, float):
            changed[name] = float(f"{value:.{digits}g}")
        elif isinstance(value, tuple | list):
            changed[name] = tuple(float(f"{each:.{digits}g}") for each in value)
    return {**found, **changed}
