"""Is a number predicted as well for everyone? Error, bias and R² for each group.

A bias is the mean of what is predicted less what is so: where it differs from group to
group, somebody's number is told too high. A group of too few records is not told, nor
what would give it away.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.arithmetic import scores
from common.arithmetic.intervals import Z
from common.release import Array, Field, Release, Summands
from common.sheet import Cell, Sheet, estimate, near
from common.study import Study
from common.task import Findings, Rows
from common.tasks.evaluation import cells, subgroups

MEASURES = ("rmse", "bias", "r_squared")
SUMS = "sums of the error, its square, the outcome and its square, by group"


def release(study: Study) -> Release:
    """Declare records and sums by group [groups], [groups, 4]; nothing without any."""
    count = len(subgroups.groups(study))
    if not count:
        return {}
    return {
        "group_records": Field("test records, by group", (count,), "count"),
        "group_sums": Field(f"{SUMS}, in half ranges", (count, 4), "sum"),
    }


def counted(study: Study, error: Array, outcome: Array, rows: Rows) -> Summands:
    """Return what leaves of *rows* with this *error* and *outcome* in half ranges."""
    known = subgroups.groups(study)
    if not known:
        return {}
    inside = np.array([rows.values[:, index] == level for index, level, _ in known])
    each = np.column_stack([error, error**2, outcome, outcome**2])
    member = inside.astype(np.float64)
    return {"group_records": member.sum(axis=1), "group_sums": member @ each}


def read(study: Study, arrays: Summands, half: float) -> Findings:
    """Return each group's measures, and how far a variable's groups are apart.

    *half* is half the declared range of the outcome. Nothing where no group was asked.
    """
    every = subgroups.groups(study)
    if not every:
        return {}
    listed: list[Findings] = [
        {"variable": index, "name": name, "records": None} for index, _, name in every
    ]
    for place in np.flatnonzero(_told(study, arrays)):
        records = float(arrays["group_records"][place])
        listed[place] |= _measured(records, arrays["group_sums"][place], half)
    gaps = [_gaps(study, listed, index) for index in sorted({g[0] for g in every})]
    return {"subgroups": listed, "fairness": gaps}


def _told(study: Study, arrays: Summands) -> NDArray[np.bool_]:
    """Return which groups are told.

    Those of enough records; and of a variable no more than leave nobody, or enough, of
    everybody's: whose level is not known is in no group.
    """
    own, fewest = arrays["group_records"], cells.least(study)
    told: NDArray[np.bool_] = own >= max(fewest, 1)
    of = np.array([index for index, _, _ in subgroups.groups(study)])
    for index in set(of.tolist()):
        same = np.flatnonzero((of == index) & told)
        for place in same[own[same].argsort(kind="stable")]:
            rest = float(arrays["records"][0] - own[told & (of == index)].sum())
            if not cells.small(rest, fewest):
                break
            told[place] = False
    return told


def _measured(records: float, sums: Array, half: float) -> Findings:
    """Return root mean squared error, bias with its interval, and R² of one group."""
    off, square, total, squares = (float(each) for each in sums / records)
    spread, bias = squares - total**2, half * off
    reach = Z * half * math.sqrt(max(square - off**2, 0.0) / max(records - 1.0, 1.0))
    return {
        "records": int(records),
        "rmse": half * math.sqrt(max(square, 0.0)),
        "bias": bias,
        "bias_interval": [bias - reach, bias + reach],
        "r_squared": 1.0 - square / spread if spread > np.finfo(float).eps else None,
    }


def _gaps(study: Study, listed: list[Findings], index: int) -> Findings:
    told = [e for e in listed if e["variable"] == index and e["records"] is not None]
    apart = {name: scores.gap(told, name) for name in MEASURES}
    return {"variable": study.variables[index].name, **apart}


def show(found: dict[str, Any]) -> tuple[Sheet, ...]:
    """Return each group by itself, and how far the groups of a variable are apart."""
    if not found.get("subgroups"):
        return ()
    rows = tuple(_row(each) for each in found["subgroups"])
    note = (
        "Bias: what is predicted less what is so, on average. A group of too few "
        "records is left empty, and so is what would give it away."
    )
    heads = ("group", "records", "RMSE", "bias (95 %)", "R²")
    apart = tuple(
        (each["variable"], *(_figure(each[name], each["rmse"]) for name in MEASURES))
        for each in found["fairness"]
    )
    names = ("variable", "RMSE", "bias", "R²")
    fair = "Largest difference between groups; 0 is equal."
    return (
        Sheet("By group", heads, rows, (note,)),
        Sheet("How far groups are apart", names, apart, (fair,)),
    )


def _row(found: Findings) -> tuple[Cell, ...]:
    if found["records"] is None:
        return (str(found["name"]), *[None] * 4)
    rmse, bias, share = (found[name] for name in MEASURES)
    ends = found["bias_interval"]
    return (
        str(found["name"]),
        int(str(found["records"])),
        _figure(rmse, rmse),
        estimate(float(str(bias)), tuple(ends)) if isinstance(ends, list) else None,
        _figure(share, 1.0),
    )


def _figure(value: object, scale: object) -> Cell:
    """Return a number with about three digits of what is as large as *scale*."""
    if not isinstance(value, float):
        return None
    return near(value, abs(scale) / 10 if isinstance(scale, float) and scale else 0.1)
