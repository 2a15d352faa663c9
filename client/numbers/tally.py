"""What was changed in a column, as counts that add up, and when that is too much.

Whether a unit is wrong shows in the whole column only. So a part of it is counted, the
counts are added, and the sum is judged.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from client.formats.bounds import Seen
from client.formats.raw import Place
from client.numbers.ways import Way
from client.site import CHECK
from client.table import Count
from common.errors import DataError
from common.schema import Number

NOTHING = Seen()
LOST = "samples outside the range: taken as lost"


@dataclass(frozen=True, slots=True)
class Tally:
    """What was changed in some cells of one column: counts that add up.

    ``first`` says where the first cell stands that could not be read, ``dates`` how
    such dates are written. ``fits`` counts the cells that other declared units would
    bring into the range, ``commas`` those that would be numbers with a decimal comma.
    """

    cells: int = 0
    missing: int = 0
    unreadable: int = 0
    foreign: int = 0
    commas: int = 0
    first: str = ""
    dates: str = ""
    known: int = 0
    below: int = 0
    above: int = 0
    old: int = 0
    units: Mapping[str, int] = field(default_factory=dict)
    fits: Mapping[str, int] = field(default_factory=dict)
    samples: Seen = NOTHING

    def __add__(self, other: "Tally") -> "Tally":
        """Return the tally of both parts; the first unreadable cell is self's."""
        return Tally(
            self.cells + other.cells,
            self.missing + other.missing,
            self.unreadable + other.unreadable,
            self.foreign + other.foreign,
            self.commas + other.commas,
            self.first or other.first,
            self.dates or other.dates,
            self.known + other.known,
            self.below + other.below,
            self.above + other.above,
            self.old + other.old,
            Counter(self.units) + Counter(other.units),
            Counter(self.fits) + Counter(other.fits),
            self.samples + other.samples,
        )

    @property
    def outside(self) -> int:
        """Cells outside the declared range."""
        return self.below + self.above


def judge(way: Way, tally: Tally) -> tuple[Count, ...]:
    """Return what was changed in the whole column, as counts.

    Raises DataError when too many cells cannot be read, or lie outside the range.
    """
    _refuse_unreadable(way, tally)
    for seen in (tally, tally.samples):
        if seen.outside > way.study.quality.out_of_range * seen.known:
            raise _outside(way, seen)
    name, oldest = way.read, way.site.mapping.oldest
    to = way.declared
    counts = (
        Count("missing", name, "cells with a missing code", tally.missing),
        Count("codes", name, "cells not readable", tally.unreadable),
        *(
            Count("units", name, f"cells from {unit} to {to}", count)
            for unit, count in sorted(tally.units.items())
        ),
        Count("samples", name, "samples with a missing code", tally.samples.coded),
        Count("samples", name, LOST, tally.samples.outside),
        Count("ranges", name, "cells outside the range", tally.outside),
        Count("ages", name, f"ages above {oldest}: taken as {oldest + 1}", tally.old),
    )
    return tuple(count for count in counts if count.count)


def _refuse_unreadable(way: Way, tally: Tally) -> None:
    count = tally.unreadable
    if count <= way.study.quality.unreadable * tally.cells:
        return
    likely, fix = _spelled(way, tally)
    raise DataError(
        f"{way.site.name}: {count} of {tally.cells} cells of {way.name} "
        f"are {_problem(way, tally)}",
        where=f"{tally.first} is the first; "
        f"mapped in {way.site.where('columns', way.name)}",
        likely=likely,
        fix=fix,
        then=f"{CHECK}{way.site.path}",
    )


def _problem(way: Way, tally: Tally) -> str:
    if tally.foreign:
        return "in no declared unit, or not numbers"
    if way.column.elapsed:
        return f"no dates as {way.dates}"
    return "not numbers" if isinstance(way.variable, Number) else "no declared level"


def _spelled(way: Way, tally: Tally) -> tuple[str, str]:
    """Return why cells cannot be read, and what would change that."""
    table = Place(way.site, way.site.mapping.source_of(way.column)).table
    most = tally.unreadable > tally.cells / 2
    if tally.commas == tally.unreadable:
        return "a decimal comma", f'decimal = ","   in {table}'
    if way.column.elapsed and most:
        said = f'dates = "{tally.dates or "%d.%m.%Y"}"'
        fix = f"in [columns.{way.read}] say{'' if tally.dates else ', e.g.'}   {said}"
        return "this column writes dates otherwise", fix
    word = "missing" if isinstance(way.variable, Number) else "levels"
    word = "unit_names" if tally.foreign else word
    likely = "a spelling or a code for missing that site.toml does not list"
    fix = f"correct the cell, or list its text under `{word}` of [columns.{way.name}]"
    return likely, fix


def _outside(way: Way, tally: Tally | Seen) -> DataError:
    """Say that the unit is probably wrong, and which one would fit."""
    least = (1 - way.study.quality.out_of_range) * tally.known
    fitting = [unit for unit, count in tally.fits.items() if count >= least]
    likely = (
        f"the values are in {fitting[0]}: then they fit"
        if fitting
        else "another unit, an undeclared missing code, or a shifted column"
    )
    fix = (
        f'unit = "{fitting[0]}"'
        if fitting
        else "correct `unit`, or list the code under `missing`"
    )
    variable = way.variable
    span = ""
    if isinstance(variable, Number):
        span = f"{variable.range[0]:g} to {variable.range[1]:g} {variable.unit}"
    side = "above" if tally.above > tally.below else "below"
    share = tally.outside / tally.known
    samples = isinstance(tally, Seen)
    what = f"the samples of {way.name}" if samples else way.name
    return DataError(
        f"{way.site.name}: {share:.0%} of {what} lie outside {span}, "
        f"most of them {side}",
        where=way.site.where("columns", way.name),
        likely=likely,
        fix=f"in [columns.{way.name}]:   {fix}",
        then=f"{CHECK}{way.site.path}",
    )
