"""Does a number differ between groups? Means, Welch's test and analysis of variance.

A site adds up each group's records, distances from mid-range and their squares; from
the sums follow the tests of pooled records (Welch 1947 for two groups, Fisher's F for
any). A group of fewer records than may be told is left out of what is shown, and so are
the tests: from them and the mean of everybody its own mean could be computed. Who is in
no group counts as one.
"""

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from common.arithmetic.suppression import Told
from common.release import Array, Field, Release, Summands
from common.sheet import WITHHELD, Cell, Sheet, decimal, estimate, near, probability
from common.study import Study
from common.task import Findings, Rows, State
from common.tasks import named
from common.tasks.analyses import chi_square, gaps
from common.tasks.named import Pair

LEVEL = 0.975
"""The quantile at the upper end of a 95 % interval."""
KEYS = ("f", "degrees", "p", "eta_squared", "difference", "interval", "t")


def declare(study: Study, pairs: Sequence[Pair]) -> Release:
    """Declare three sums for each group of each pair of a number and a category."""
    found: dict[str, Field] = {}
    for pair in pairs:
        (number, group), shape = pair, (len(named.declared(study, pair[1]).coded),)
        of, name = f"{number} by {group}", _name(pair)
        found[f"{name}: records"] = Field(f"records with {of}", shape, "count")
        found[f"{name}: total"] = Field(f"sums of {of}, from mid-range", shape, "sum")
        found[f"{name}: square"] = Field(f"sums of squares of {of}", shape, "sum")
    return found


def add(study: Study, pairs: Sequence[Pair], rows: Rows) -> Summands:
    """Add up this site's groups; a record with a gap is in none."""
    found: dict[str, Array] = {}
    for pair in pairs:
        size = len(named.declared(study, pair[1]).coded)
        far = named.distances(study, rows, pair[:1])[:, 0]
        codes = named.codes(study, rows, pair[1])
        known = ~np.isnan(far) & ~np.isnan(codes)
        group, far = codes[known].astype(np.int64), far[known]
        for key, weight in (("records", far**0), ("total", far), ("square", far**2)):
            sums = np.bincount(group, weight, minlength=size)
            found[f"{_name(pair)}: {key}"] = sums.astype(np.float64)
    return found


def tested(study: Study, pair: Pair, sums: Summands) -> Findings:
    """Return each group's size, mean and deviation, and the tests between them."""
    count, mean, square = _moments(study, pair, sums)
    found: Findings = {"variables": list(pair), "records": int(count.sum())}
    if not named.coarse(study, pair[1], count.sum()):
        return found | dict.fromkeys(KEYS) | {"groups": [], "withheld": True}
    told = gaps.groups(study, pair, count, sums)
    groups = _groups(study, pair, told, (mean, square))
    if any(each["count"] is None for each in groups):
        return found | dict.fromkeys(KEYS) | {"groups": groups}  # tests tell of each
    seen = count > 0
    return {
        **found,
        "groups": groups,
        **_variance(count[seen], mean[seen], square[seen]),
        **_welch(count, mean, square),
    }


def release(study: Study) -> Release:
    """Declare the sums of the pairs that *study* asks for."""
    return declare(study, pairs(study))


def pairs(study: Study) -> tuple[Pair, ...]:
    """Return the pairs of a number and a category that *study* asks for."""
    return study.analysis.compare or ()


def local(study: Study, state: State, rows: Rows) -> Summands:
    """Add up this site's records."""
    del state
    return add(study, pairs(study), rows)


def read(study: Study, state: State) -> Findings:
    """Return the comparison of each pair, with p-values corrected for their number."""
    tests = [tested(study, pair, state.arrays) for pair in pairs(study)]
    return {"tests": chi_square.corrected(tests)}


def show(study: Study, state: State) -> tuple[Sheet, ...]:
    """Return one table of all tests, then the groups of each."""
    tests, least = read(study, state)["tests"], study.disclosure.cell
    note = f"Withheld: fewer than {least} records, or what would tell of such a group."
    return sheets(study, tests if isinstance(tests, list) else [], (), note)


def sheets(
    study: Study, tests: Sequence[Findings], notes: tuple[str, ...], withheld: str
) -> tuple[Sheet, ...]:
    """Return the table of *tests*, exact or not, and one of the groups of each.

    *withheld* says why a group is not told.
    """
    columns = ("number by group", "records", "difference (95 %)", "F", "p")
    first = Sheet(
        "Which numbers differ between groups",
        (*columns, *chi_square.CORRECTED, "eta²"),
        tuple(_row(test) for test in tests),
        ("Of two groups p is Welch's, which allows for unequal deviations.", *notes),
    )
    told = (_listed(study, test, withheld) for test in tests if test["groups"])
    return (first, *told)


def _moments(study: Study, pair: Pair, sums: Summands) -> tuple[Array, Array, Array]:
    """Return size, mean and sum of squares about it [groups], in the number's unit."""
    low, high = named.number(study, pair[0]).range
    half, name = (high - low) / 2, _name(pair)
    keys = ("records", "total", "square")
    count, total, square = (sums[f"{name}: {key}"] for key in keys)
    around = total / np.maximum(count, 1.0)
    about = np.maximum(square - around * total, 0.0)
    return count, (low + high) / 2 + half * around, half**2 * about


def _groups(
    study: Study, pair: Pair, told: Told, about: tuple[Array, Array]
) -> list[Findings]:
    """Return each group, without those whose size may not be told."""
    levels = named.declared(study, pair[1]).coded
    every = zip(levels, told, *about, strict=True)
    return [{"level": level} | _group(*found) for level, *found in every]


def _group(count: int | None, mean: float, square: float) -> Findings:
    found: Findings = {"count": count, "mean": None, "std": None, "interval": None}
    if not count:
        return found
    found["mean"] = float(mean)
    if count > 1:
        deviation = math.sqrt(square / (count - 1))
        half = float(stats.t.ppf(LEVEL, count - 1)) * deviation / math.sqrt(count)
        found |= {"std": deviation, "interval": [mean - half, mean + half]}
    return found


def _variance(count: Array, mean: Array, square: Array) -> Findings:
    """Return Fisher's F over all groups that have records."""
    records, groups = count.sum(), len(count)
    within, degrees = square.sum(), (groups - 1, int(records) - groups)
    if groups < 2 or degrees[1] < 1 or within <= 0.0:  # noqa: PLR2004 - one compares nothing
        return dict.fromkeys(("f", "degrees", "p", "eta_squared"))
    across = float(count @ (mean - count @ mean / records) ** 2)
    ratio = across / degrees[0] / (within / degrees[1])
    return {
        "f": float(ratio),
        "degrees": list(degrees),
        "p": float(stats.f.sf(ratio, *degrees)),
        "eta_squared": float(across / (across + within)),
    }


def _welch(count: Array, mean: Array, square: Array) -> Findings:
    """Return Welch's test of two groups, the second against the first."""
    none: Findings = dict.fromkeys(("difference", "interval", "t"))
    if len(count) != 2 or (count < 2).any():  # noqa: PLR2004 - of two groups, two records
        return none
    parts = square / (count - 1) / count
    error = math.sqrt(parts.sum())
    if error <= 0.0:
        return none
    degrees = float(parts.sum() ** 2 / (parts**2 / (count - 1)).sum())
    difference = float(mean[1] - mean[0])
    half = float(stats.t.ppf(LEVEL, degrees)) * error
    t = difference / error
    return {
        "difference": difference,
        "interval": [difference - half, difference + half],
        "t": t,
        "degrees": degrees,
        "p": float(2 * stats.t.sf(abs(t), degrees)),
    }


def _row(test: Findings) -> tuple[Cell, ...]:
    """Return the line of one test."""
    number, group = (str(name) for name in _list(test["variables"]))
    return (
        f"{number} by {group}",
        int(str(test["records"])),
        estimate(_float(test["difference"]), _ends(test["interval"])),
        decimal(_float(test["f"])),
        *(probability(_float(test[key])) for key in chi_square.PS),
        decimal(_float(test["eta_squared"])),
    )


def _listed(study: Study, test: Findings, note: str) -> Sheet:
    """Return a table of the groups of one test."""
    number, group = (str(name) for name in _list(test["variables"]))
    unit = named.number(study, number).unit
    groups = [each for each in _list(test["groups"]) if isinstance(each, dict)]
    rows = tuple(
        (
            str(each["level"]),
            WITHHELD if each["count"] is None else each["count"],
            estimate(each["mean"], _ends(each["interval"])),
            None if each["std"] is None else near(each["std"], each["std"]),
        )
        for each in groups
    )
    hidden = any(each["count"] is None for each in groups)
    columns = (group, "records", f"mean, {unit} (95 %)", "deviation")
    notes = (note,) if hidden else ()
    return Sheet(f"{number} by {group}", columns, rows, notes, part=True)


def _ends(found: object) -> tuple[float, float] | None:
    """Return an interval of the findings."""
    if not isinstance(found, list):
        return None
    low, high = found
    return float(low), float(high)


def _list(found: object) -> list[object]:
    return found if isinstance(found, list) else []


def _float(found: object) -> float | None:
    return found if isinstance(found, float) else None


def _name(pair: Pair) -> str:
    return f"{pair[0]} by {pair[1]}"


COMPARE = gaps.beside("compare", release, local, read, show)
