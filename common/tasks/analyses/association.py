"""What goes with the outcome? One test for each declared variable, and their number.

Which test is a matter of kinds: chi-square between categories, Welch's test or an
analysis of variance between a number and a category, Pearson's r between numbers.
"""

from collections.abc import Sequence

from common.release import Release, Summands
from common.schema import Number
from common.sheet import Cell, Sheet, decimal, probability
from common.study import Study
from common.task import Findings, Rows, State
from common.tasks.analyses import chi_square, compare, correlation, gaps
from common.tasks.named import Pair


def release(study: Study) -> Release:
    """Declare tables and sums of each variable with the outcome."""
    tables, groups, numbers = pairs(study)
    return {
        **chi_square.declare(study, tables),
        **compare.declare(study, groups),
        **correlation.declare(numbers),
    }


def local(study: Study, state: State, rows: Rows) -> Summands:
    """Count and add up this site's records."""
    del state
    tables, groups, numbers = pairs(study)
    return {
        **chi_square.count(study, tables, rows),
        **compare.add(study, groups, rows),
        **correlation.add(study, numbers, rows),
    }


def read(study: Study, state: State) -> Findings:
    """Return one line per variable, the smallest p-value first."""
    return {"outcome": study.outcome.name, "tests": _tests(study, state)}


def show(study: Study, state: State) -> tuple[Sheet, ...]:
    """Return one table of all variables."""
    note = (
        "Strength is from 0 to 1: Cramér's V, the root of eta², or |r|. Each variable "
        "is looked at by itself: what goes with the outcome need not cause it."
    )
    return (listed(study, _tests(study, state), note),)


def listed(study: Study, tests: Sequence[Findings], note: str) -> Sheet:
    """Return the table of *tests*, exact or not."""
    rows = tuple(_row(test) for test in tests)
    columns = ("variable", "records", "test", "strength", "p", *chi_square.CORRECTED)
    return Sheet(f"What goes with {study.outcome.name}", columns, rows, (note,))


def pairs(study: Study) -> tuple[list[Pair], list[Pair], list[Pair]]:
    """Return which pairs have a table, groups of a number, or two numbers."""
    tables: list[Pair] = []
    groups: list[Pair] = []
    numbers: list[Pair] = []
    outcome = study.outcome.name
    for each in study.variables:
        if isinstance(each, Number) and isinstance(study.outcome, Number):
            numbers.append((each.name, outcome))
        elif isinstance(each, Number):
            groups.append((each.name, outcome))
        elif isinstance(study.outcome, Number):
            groups.append((outcome, each.name))
        else:
            tables.append((each.name, outcome))
    return tables, groups, numbers


def _tests(study: Study, state: State) -> list[Findings]:
    tables, groups, numbers = pairs(study)
    sums, tests = state.arrays, []
    for pair in tables:
        found = chi_square.tested(study, pair, sums)
        tests.append(line(pair[0], "chi-square", found, found["cramers_v"]))
    tests += [
        compared(study, pair, compare.tested(study, pair, sums)) for pair in groups
    ]
    for place, pair in enumerate(numbers):
        both, each = sums["both"][place], sums["sums"][place]
        tests.append(correlated(pair, correlation.tested(study, pair, both, each)))
    return ordered(tests)


def compared(study: Study, pair: Pair, found: Findings) -> Findings:
    """Return the line of a number by a category, one of which is the outcome."""
    name = pair[0] if pair[1] == study.outcome.name else pair[1]
    kind = "analysis of variance" if found["t"] is None else "Welch"
    return line(name, kind, found, _root(found["eta_squared"]))


def correlated(pair: Pair, found: Findings) -> Findings:
    """Return the line of two numbers, the second of which is the outcome."""
    return line(pair[0], "Pearson", found, _size(found["r"]))


def ordered(tests: list[Findings]) -> list[Findings]:
    """Return *tests* with corrected p-values, the smallest first."""
    return sorted(chi_square.corrected(tests), key=_order)


def line(name: str, test: str, found: Findings, strength: object) -> Findings:
    """Return what a *test* found of the variable of that *name*, without groups."""
    detail = {key: value for key, value in found.items() if key != "groups"}
    return detail | {"variable": name, "test": test, "strength": strength}


def _root(share: object) -> float | None:
    return share**0.5 if isinstance(share, float) else None


def _size(r: object) -> float | None:
    return abs(r) if isinstance(r, float) else None


def _order(test: Findings) -> tuple[float, str]:
    p = test["p"]
    return p if isinstance(p, float) else 2.0, str(test["variable"])


def _row(test: Findings) -> tuple[Cell, ...]:
    strength = test["strength"]
    values = [p if isinstance(p := test[key], float) else None for key in chi_square.PS]
    return (
        str(test["variable"]),
        int(str(test["records"])),
        str(test["test"]),
        decimal(strength if isinstance(strength, float) else None),
        *map(probability, values),
    )


ASSOCIATION = gaps.beside("association", release, local, read, show)
