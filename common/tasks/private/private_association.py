"""What goes with the outcome, when sums have noise? One test for each variable.

Each variable adds one block to one release: a table, sums by group, or the moments of
two numbers, as the analyses of that kind have it under a promise. So all of a record is
no longer than 1, and every p-value knows of the noise.
"""

from collections.abc import Sequence

from common.release import Array
from common.schema import Number
from common.sheet import Sheet
from common.study import Study
from common.task import Findings, State
from common.tasks.analyses import association
from common.tasks.private import (
    one_release,
    private_chi_square,
    private_compare,
    private_correlation,
)
from common.tasks.private.one_release import Block, Told

NOTE = (
    "Sums have noise, which every p-value holds beside chance. Strength is without the "
    "noise's part, from 0 to 1: Cramér's V, the root of eta², or |r|; what would be "
    "noise alone is not told. Each variable is looked at by itself: what goes with the "
    "outcome need not cause it."
)


def read(study: Study, state: State) -> Findings:
    """Return one line per variable, the smallest p-value first."""
    return {"outcome": study.outcome.name, "tests": _tests(study, state)}


def show(study: Study, state: State) -> tuple[Sheet, ...]:
    """Return one table of all variables."""
    return (association.listed(study, _tests(study, state), NOTE),)


def _blocks(study: Study) -> Sequence[Block]:
    tables, groups, numbers = association.pairs(study)
    return [
        *(private_chi_square.block(study, pair) for pair in tables),
        *(private_compare.block(study, pair) for pair in groups),
        *(private_correlation.block(pair) for pair in numbers),
    ]


def _numbers(study: Study) -> Sequence[str]:
    """Return the numbers that are measured by scales: all, where there is one."""
    _, groups, numbers = association.pairs(study)
    asked = {name for pair in (*groups, *numbers) for name in pair}
    return [
        each.name
        for each in study.everything
        if isinstance(each, Number) and each.name in asked
    ]


def _tests(study: Study, state: State) -> list[Findings]:
    tables, groups, numbers = association.pairs(study)
    totals = one_release.totals(study, _blocks, state)
    every, noise = iter(totals.values()), one_release.noise(study, len(totals))
    tests = [
        _table(pair[0], next(every), (noise, seed)) for seed, pair in enumerate(tables)
    ]
    for pair in groups:
        found = private_compare.tested(study, state, pair, (next(every), noise))
        tests.append(association.compared(study, pair, found))
    for pair in numbers:
        found = private_correlation.tested(pair, next(every), noise)
        tests.append(association.correlated(pair, found))
    return association.ordered(tests)


def _table(name: str, counts: Array, drawn: tuple[float, int]) -> Findings:
    """Return the line of a table; *drawn* are the noise in a cell, and a seed."""
    noise, seed = drawn
    found = {
        "records": round(max(float(counts.sum()), 0.0)),
        **private_chi_square.tested(counts, noise, seed),
    }
    strength = private_chi_square.strength(counts, noise)
    return association.line(name, "chi-square", found, strength)


PRIVATE_ASSOCIATION = one_release.task(
    "association", _blocks, _numbers, Told(read, show)
)
