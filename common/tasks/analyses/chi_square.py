"""Do two categories go together? Pearson's test on one summed contingency table each.

Every site counts by the same declared levels, so the sum is the table of pooled records
and the test is the pooled test. Levels that nobody has are dropped from a table first.
Many pairs are many tests: each p-value also stands corrected for their number.
"""

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from common.arithmetic import suppression
from common.arithmetic.multiplicity import benjamini_hochberg, holm
from common.release import Array, Field, Release, Summands
from common.sheet import WITHHELD, Cell, Sheet, decimal, probability
from common.study import Study
from common.task import Findings, Rows, State
from common.tasks import named
from common.tasks.analyses import gaps
from common.tasks.named import Pair

RARE = 5.0
"""Below so many expected records in a cell p is approximate (Cochran 1954)."""
RARELY = "Fewer than 5 records are expected in a cell: p is approximate for {}."
FINE = "Not told, for cuts part it into more bins than a tenth of the records: {}."
HIDDEN = (
    "Not told, for with the totals it would tell a cell that is withheld, or what the "
    "few have who lack one of both: {}. Fewer levels have more records each, and with "
    'missing = "exclude" nobody lacks one.'
)
YATES = "Yates' correction for two levels each lowers chi-square and raises p: {}."


def declare(study: Study, pairs: Sequence[Pair]) -> Release:
    """Declare one table of counts for each pair, its levels by their codes."""
    return {
        name(pair): Field(f"records by {pair[0]} and {pair[1]}", shape, "count")
        for pair, shape in zip(pairs, _shapes(study, pairs), strict=True)
    }


def count(study: Study, pairs: Sequence[Pair], rows: Rows) -> Summands:
    """Count this site's records in each table; a record with a gap is in none."""
    return {
        name(pair): _table(
            np.column_stack([named.codes(study, rows, name) for name in pair]), shape
        )
        for pair, shape in zip(pairs, _shapes(study, pairs), strict=True)
    }


def tested(study: Study, pair: Pair, sums: Summands) -> Findings:
    """Return statistic, degrees, p-value and strength; None where unknown.

    Or what is withheld: all of it for too fine ``cuts``; the test for one of its
    ``cells``, which with the totals it could tell.
    """
    counts = sums[name(pair)]
    records = int(counts.sum())
    found: Findings = {"variables": list(pair), "records": records}
    if not all(named.coarse(study, name, records) for name in pair):
        return found | dict.fromkeys(KEYS) | {"withheld": "cuts"}
    if _hidden(gaps.table(study, pair, counts, sums)):
        return found | dict.fromkeys(KEYS) | {"withheld": "cells"}
    return found | _pearson(counts, records)


def _hidden(told: list[suppression.Told]) -> bool:
    return any(cell is None for line in told for cell in line)


def release(study: Study) -> Release:
    """Declare the tables of the pairs that *study* asks for."""
    return declare(study, pairs(study))


def pairs(study: Study) -> tuple[Pair, ...]:
    """Return the pairs of variables that *study* asks for."""
    return study.analysis.chi_square or ()


def local(study: Study, state: State, rows: Rows) -> Summands:
    """Count this site's records."""
    del state
    return count(study, pairs(study), rows)


def read(study: Study, state: State) -> Findings:
    """Return each pair's test, and its table without the cells that tell too much."""
    tests = _tests(study, state)
    for found, pair in zip(tests, pairs(study), strict=True):
        if found.get("withheld") != "cuts":
            found["table"] = _told(study, pair, state.arrays)
    return {"tests": tests}


def show(study: Study, state: State) -> tuple[Sheet, ...]:
    """Return one table of all tests, then what was counted for each."""
    tests = _tests(study, state)
    columns = ("variables", "records", "chi-square", "degrees", "p", *CORRECTED)
    rows = tuple(
        (
            " and ".join(pair),
            *(_cell(found[key]) for key in ("records", "statistic", "degrees")),
            *(_p(found[key]) for key in PS),
            decimal(v if isinstance(v := found["cramers_v"], float) else None),
        )
        for pair, found in zip(pairs(study), tests, strict=True)
    )
    title, notes = "Which categories go together", _notes(tests)
    first = Sheet(title, (*columns, "Cramér's V"), rows, notes)
    shown = [
        _counted(study, state, pair)
        for pair, found in zip(pairs(study), tests, strict=True)
        if found.get("withheld") != "cuts"
    ]
    return (first, *shown)


CORRECTED = ("p (Holm)", "q (BH)")
"""What stands beside a p-value, corrected for the number of tests."""
PS = ("p", "p_holm", "q")
KEYS = ("statistic", "degrees", "p", "correction", "cramers_v", "least_expected")


def _tests(study: Study, state: State) -> list[Findings]:
    return corrected([tested(study, pair, state.arrays) for pair in pairs(study)])


def corrected(tests: list[Findings]) -> list[Findings]:
    """Return *tests* with their p-values corrected for how many they are."""
    values = [p if isinstance(p := found["p"], float) else None for found in tests]
    both = zip(tests, holm(values), benjamini_hochberg(values), strict=True)
    return [found | {"p_holm": one, "q": other} for found, one, other in both]


def _told(study: Study, pair: Pair, sums: Summands) -> Findings:
    """Return a table without the cells that tell too much.

    What is expected in each cell gives away the totals: it stands there only where
    every cell is told.
    """
    counts, levels = sums[name(pair)], [named.declared(study, each) for each in pair]
    across, down = counts.sum(axis=1), counts.sum(axis=0)
    told = gaps.table(study, pair, counts, sums)
    known = counts.any() and not _hidden(told)
    expected = np.outer(across, down) / max(counts.sum(), 1.0)
    return {
        "rows": list(levels[0].coded),
        "columns": list(levels[1].coded),
        "counts": told,
        "expected": expected.tolist() if known else None,
    }


def _notes(tests: list[Findings]) -> tuple[str, ...]:
    """Say which tests are approximate, and which were not told."""
    rare = [
        found
        for found in tests
        if isinstance(least := found["least_expected"], float) and least < RARE
    ]
    fine = [found for found in tests if found.get("withheld") == "cuts"]
    hidden = [found for found in tests if found.get("withheld") == "cells"]
    yates = [found for found in tests if found["correction"]]
    said = ((RARELY, rare), (YATES, yates), (HIDDEN, hidden), (FINE, fine))
    return tuple(text.format(_listed(which)) for text, which in said if which)


def _listed(tests: list[Findings]) -> str:
    return ", ".join(
        " and ".join(map(str, pair))
        for found in tests
        if isinstance(pair := found["variables"], list)
    )


def _counted(study: Study, state: State, pair: Pair) -> Sheet:
    """Return a table of counts; what is withheld is None."""
    least = study.disclosure.cell
    rows, columns = (named.declared(study, name).coded for name in pair)
    told = gaps.table(study, pair, state.arrays[name(pair)], state.arrays)
    note = f"Withheld: fewer than {least} records, or what would tell such a count."
    return Sheet(
        f"Records by {pair[0]} and {pair[1]}",
        (pair[0], *(f"{pair[1]} = {level}" for level in columns)),
        tuple(
            (level, *(WITHHELD if cell is None else cell for cell in line))
            for level, line in zip(rows, told, strict=True)
        ),
        (note,) if _hidden(told) else (),
        part=True,
    )


def name(pair: Pair) -> str:
    """Return under which name the table of a pair travels."""
    return f"{pair[0]} x {pair[1]}"


def _shapes(study: Study, pairs: Sequence[Pair]) -> list[tuple[int, ...]]:
    names = {name for pair in pairs for name in pair}
    levels = {name: len(named.declared(study, name).coded) for name in names}
    return [(levels[row], levels[column]) for row, column in pairs]


def _table(two: Array, shape: tuple[int, ...]) -> Array:
    known = two[~np.isnan(two).any(axis=1)].astype(np.int64)
    counts = np.zeros(shape)
    np.add.at(counts, (known[:, 0], known[:, 1]), 1.0)
    return counts


def _pearson(counts: Array, records: int) -> Findings:
    seen = counts[counts.sum(axis=1) > 0][:, counts.sum(axis=0) > 0]
    smaller = min(seen.shape) - 1
    if smaller < 1:
        return dict.fromkeys(KEYS)
    found = stats.chi2_contingency(seen)
    plain = stats.chi2_contingency(seen, correction=False).statistic
    return {
        "statistic": float(found.statistic),
        "degrees": int(found.dof),
        "p": float(found.pvalue),
        "correction": "yates" if found.dof == 1 else None,
        "cramers_v": math.sqrt(float(plain) / records / smaller),
        "least_expected": float(found.expected_freq.min()),
    }


def _cell(found: object) -> Cell:
    return found if isinstance(found, str | int | float) else None


def _p(found: object) -> Cell:
    return probability(found if isinstance(found, float) else None)


CHI_SQUARE = gaps.beside("chi_square", release, local, read, show)
