"""What a perfect cleaning would find in a planted export, told without any cleaning.

It reads the records as they were planted, not as they were written, so that it shares
neither code nor input with the cleaning that it is held against.
"""

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

from common.errors import UsageError
from common.schema import Number
from simulations.dealt.breast_study import (
    COHORT,
    DIAGNOSIS,
    LEAST_OF_EACH,
    LEAST_PEOPLE,
    TEST_SHARE,
    Cells,
)
from simulations.dealt.dialects import Declared, Dialect

Copy = Literal["", "same", "blanked", "nameless"]
Line = tuple[str, str, str]
"""Step, variable and words of a line in the cleaning report."""

NOTE = (
    "What a perfect cleaning finds. The measures and diagnoses are those of real "
    "people in the Wisconsin Diagnostic Breast Cancer data; hospitals, person numbers "
    "and every planted mistake are made up. counts: the lines of the cleaning report. "
    "people: their clean values in the order of variables, in the declared units, null "
    "for a gap; the people in the order of the clean table."
)
MISSING = "cells with a missing code"
OUTSIDE = "cells outside the range"
NEVER = "records: never measured here"
READ = ("read", "", "records read")
NAMELESS = ("person", "", "records without a person")
SAME = ("duplicates", "", "registered twice with the same content")
BLANKED = (
    "duplicates",
    "",
    "registered twice with other content: the most complete is kept",
)
STRANGER = ("cohort", COHORT.variable, "records outside the cohort")
UNDIAGNOSED = ("gaps", DIAGNOSIS.name, "records without a required value")
TRAINS = ("done", "", "records that train")
TESTS = ("done", "", "records that test")
SEEDS = 1000


@dataclass(frozen=True, slots=True)
class Record:
    """One line of an export: what is true, what typos show instead, whose copy it is.

    ``cells`` holds None where nothing true can be recovered; a typo stands in one of
    those, in the declared unit. A ``blanked`` copy lacks a cell, a ``nameless`` one the
    person's number.
    """

    person: str
    number: int
    visit: date
    cells: Cells
    typos: Mapping[str, float] = field(default_factory=dict)
    copy: Copy = ""

    def shown(self, name: str) -> float | str | None:
        """Return what the export shows under the variable *name*."""
        return self.typos.get(name, self.cells[name])


@dataclass(frozen=True, slots=True)
class Planted:
    """A hospital's records in the order of its file."""

    dialect: Dialect
    declared: tuple[Declared, ...]
    records: tuple[Record, ...]


def split_seed(hospitals: Sequence[Planted]) -> int:
    """Return the first seed whose test people are fair to each of *hospitals*.

    Raises UsageError when no seed is: a hospital has hardly anyone of one diagnosis.
    """
    for seed in range(SEEDS):
        if all(_fair(hospital, seed) for hospital in hospitals):
            return seed
    raise UsageError(
        "these hospitals cannot all train and test on both diagnoses",
        fix="deal the people with another --seed",
    )


def text(hospitals: Sequence[Planted], seed: int) -> str:
    """Return ``truth.json`` for *hospitals*, whose test people *seed* draws."""
    names = [variable.name for variable in hospitals[0].declared]
    found = {each.dialect.site: _hospital(each, seed) for each in hospitals}
    whole = {"note": NOTE, "variables": names, "hospitals": found}
    return json.dumps(whole, ensure_ascii=False) + "\n"


def _hospital(planted: Planted, seed: int) -> dict[str, object]:
    names = [variable.name for variable in planted.declared]
    people = {
        record.person: [record.cells[name] for name in names]
        for record in _registered(planted)
        if _fate(record, seed) in (TRAINS, TESTS)
    }
    tally = Counter(itertools.chain(_record_lines(planted, seed), _cell_lines(planted)))
    keys = ("step", "variable", "what", "count")
    counts = [
        dict(zip(keys, (*line, count), strict=True)) for line, count in tally.items()
    ]
    return {"counts": counts, "people": people}


def _registered(planted: Planted) -> list[Record]:
    """Return one record a person: complete, and of equals the last in the file."""
    last: dict[str, Record] = {}
    for record in planted.records:
        if record.copy in ("", "same"):
            last.pop(record.person, None)
            last[record.person] = record
    return list(last.values())


def _record_lines(planted: Planted, seed: int) -> Iterator[Line]:
    """Yield the lines in which each record counts as a whole."""
    copies = {"same": SAME, "blanked": BLANKED, "nameless": NAMELESS}
    for record in planted.records:
        yield READ
        if record.copy:
            yield copies[record.copy]
    for record in _registered(planted):
        yield _fate(record, seed)


def _fate(record: Record, seed: int) -> Line:
    """Return the line that counts a person's one record in the end."""
    bound, size = COHORT.at_least, record.cells[COHORT.variable]
    if bound is None or not isinstance(size, float) or size < bound:
        return STRANGER
    if record.cells[DIAGNOSIS.name] is None:
        return UNDIAGNOSED
    return TESTS if _draw(record.person, seed) < TEST_SHARE else TRAINS


def _draw(person: str, seed: int) -> float:
    """Return the person's number in [0, 1): the head of SHA-256 of ``seed:person``."""
    digest = hashlib.sha256(f"{seed}:{person}".encode()).hexdigest()
    return int(digest[:16], 16) / 16**16


def _cell_lines(planted: Planted) -> Iterator[Line]:
    """Yield the lines in which each single cell counts, copies included."""
    for record, variable in itertools.product(planted.records, planted.declared):
        name = variable.name
        if name == planted.dialect.absent:
            yield "columns", name, NEVER
        elif record.shown(name) is None:
            yield "missing", name, MISSING
        elif isinstance(variable, Number):
            yield from _number_lines(
                planted.dialect, variable, typo=name in record.typos
            )


def _number_lines(dialect: Dialect, variable: Number, *, typo: bool) -> Iterator[Line]:
    unit = dialect.unit(variable)
    if unit != variable.unit:
        yield "units", variable.name, f"cells from {unit} to {variable.unit}"
    if typo:
        yield "ranges", variable.name, OUTSIDE


def _fair(planted: Planted, seed: int) -> bool:
    """Tell whether enough people with each diagnosis train, and enough test."""
    people = [(_fate(each, seed), each.cells) for each in _registered(planted)]
    for side in (TRAINS, TESTS):
        having = Counter(
            cells[DIAGNOSIS.name] for fate, cells in people if fate == side
        )
        fewest = min(having[level] for level in DIAGNOSIS.levels)
        if fewest < LEAST_OF_EACH or having.total() < LEAST_PEOPLE:
            return False
    return True
