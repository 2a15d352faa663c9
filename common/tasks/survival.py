"""How long until the event, and do groups differ? Kaplan-Meier curves and log-rank tests.

A site counts who had the event in each interval of the declared grid, and who was last
seen in it, by group. From the sums follow the curve (Kaplan & Meier 1958), its interval
on the log-log scale from Greenwood's variance, and the test that groups have one curve
(Mantel 1966).
"""

import math
from collections.abc import Mapping

import numpy as np
from scipy import stats

from common import follow_up
from common.errors import StudyError
from common.intervals import Z
from common.release import Array, Field, Release, Summands
from common.schema import Category, Survival
from common.sheet import Sheet
from common.study import Study
from common.task import Findings, Rows, State, Task

EVERYBODY = "everybody"
HALF = 0.5


def groups(study: Study) -> tuple[tuple[int, Category], ...]:
    """Return (variable, declaration) of every category whose levels are compared."""
    asked = study.analysis.survival or ()
    every = enumerate(study.variables)
    return tuple(
        (index, each)
        for index, each in every
        if each.name in asked and isinstance(each, Category)
    )


def release(study: Study) -> Release:
    """Declare events and those last seen by interval: of everybody and of groups."""
    shape = (2, len(_outcome(study).grid))
    what = "records last seen, and with the event, by interval"
    declared = {EVERYBODY: Field(what, shape, "count")}
    for _, each in groups(study):
        by = (len(each.levels), *shape)
        declared[each.name] = Field(f"{what}, by {each.name}", by, "count")
    return declared


def local(study: Study, state: State, rows: Rows) -> Summands:
    """Count this site's records; one without a level is only among everybody."""
    del state
    count = len(_outcome(study).grid)
    summands = {EVERYBODY: _counts(rows.y, count)}
    for index, each in groups(study):
        level = rows.x[:, index]
        found = [_counts(rows.y[level == code], count) for code in range(len(each.levels))]
        summands[each.name] = np.array(found)
    return summands


def finish(study: Study, state: State, total: Summands) -> State:
    """Keep the counts: one round is enough."""
    del study, state
    return State(dict(total), done=True)


def read(study: Study, state: State) -> Findings:
    """Return the curve of everybody, and those of groups with a test for each."""
    outcome, arrays = _outcome(study), state.arrays
    return {
        "event": outcome.name,
        "unit": outcome.unit,
        "everybody": _curve(outcome, EVERYBODY, arrays[EVERYBODY]),
        "groups": [_compared(outcome, each, arrays) for _, each in groups(study)],
    }


def show(study: Study, state: State) -> tuple[Sheet, ...]:
    """Show the shares without the event, and the tests."""
    outcome = _outcome(study)
    curves = [(EVERYBODY, state.arrays[EVERYBODY])]
    for _, each in groups(study):
        levels = zip(each.levels, state.arrays[each.name], strict=True)
        curves += [(f"{each.name} = {level}", counts) for level, counts in levels]
    rows = tuple(_line(name, counts, outcome) for name, counts in curves)
    columns = ("who", "records", "events", "median", f"by {outcome.grid[-1]:g}", "to")
    unit = f"Times in {outcome.unit}; the last two are a 95 % interval of the share"
    notes = (f"{unit} without {outcome.name} at the end of the grid.",)
    sheet = Sheet(f"How long without {outcome.name}", columns, rows, notes)
    if not groups(study):
        return (sheet,)
    tests = tuple(
        (each.name, *_log_rank(state.arrays[each.name]).values())
        for _, each in groups(study)
    )
    heads = ("groups by", "chi-square", "degrees", "p")
    return sheet, Sheet("Do groups differ over time?", heads, tests, ("Log-rank test.",))


def _outcome(study: Study) -> Survival:
    if not isinstance(study.outcome, Survival):
        raise StudyError(f"survival needs a time until an event: {study.outcome.name}")
    return study.outcome


def _counts(codes: Array, count: int) -> Array:
    """Return [last seen or event, intervals] of people with these *codes*."""
    known = codes[~np.isnan(codes)]
    place, came = follow_up.interval(known), follow_up.came(known)
    sides = [np.bincount(place[came == side], minlength=count) for side in (0, 1)]
    return np.array(sides, dtype=np.float64)


def _risk(counts: Array) -> Array:
    """Return how many were still watched when each interval began, [..., intervals]."""
    both = counts.sum(axis=-2)
    later: Array = np.cumsum(both[..., ::-1], axis=-1)[..., ::-1]
    return later


def curve(counts: Array) -> tuple[Array, Array, Array]:
    """Return the share without the event after each interval, and its 95 % interval.

    In an interval events come first. NaN where nobody was watched any more.
    """
    events, risk = counts[1], _risk(counts)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.cumprod(np.where(risk > 0, 1.0 - events / risk, np.nan))
        variance = np.cumsum(events / (risk * (risk - events)))
        half = Z * np.sqrt(variance) / np.log(share)
        low, high = share ** np.exp(-half), share ** np.exp(half)
    certain = share >= 1.0
    low, high = np.where(certain, 1.0, low), np.where(certain, 1.0, high)
    return share, np.fmin(low, high), np.fmax(low, high)


def median(outcome: Survival, share: Array) -> float | None:
    """Return the first end of an interval by which half had the event, or None."""
    reached = np.flatnonzero(share <= HALF)
    return outcome.grid[int(reached[0])] if len(reached) else None


def _curve(outcome: Survival, name: str, counts: Array) -> Findings:
    share, low, high = curve(counts)
    return {
        "name": name,
        "records": int(counts.sum()),
        "events": int(counts[1].sum()),
        "median": median(outcome, share),
        "time": list(outcome.grid),
        "at_risk": [int(each) for each in _risk(counts)],
        "share": [_told(each) for each in share],
        "low": [_told(each) for each in low],
        "high": [_told(each) for each in high],
    }


def _told(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _compared(
    outcome: Survival, each: Category, arrays: Mapping[str, Array]
) -> Findings:
    named = zip(each.levels, arrays[each.name], strict=True)
    curves = [_curve(outcome, level, counts) for level, counts in named]
    return {
        "variable": each.name,
        "levels": curves,
        "log_rank": _log_rank(arrays[each.name]),
    }


def _log_rank(counts: Array) -> dict[str, float | int | None]:
    """Return the test that all groups [groups, 2, intervals] have the same curve."""
    present = counts[counts.sum(axis=(1, 2)) > 0]
    risk, events = _risk(present), present[:, 1]
    everyone, died = risk.sum(axis=0), events.sum(axis=0)
    use = everyone > 1
    share = risk[:, use] / everyone[use]
    excess = (events[:, use] - share * died[use]).sum(axis=1)[:-1]
    spread = died * (everyone - died) / np.maximum(everyone - 1, 1)
    weighted = share * spread[use]
    matrix = (np.diag(weighted.sum(axis=1)) - weighted @ share.T)[:-1, :-1]
    degrees = len(present) - 1
    if degrees < 1 or np.linalg.matrix_rank(matrix) < degrees:
        return {"statistic": None, "degrees": None, "p": None}
    statistic = float(excess @ np.linalg.solve(matrix, excess))
    p = float(stats.chi2.sf(statistic, degrees))
    return {"statistic": statistic, "degrees": degrees, "p": p}


def _line(name: str, counts: Array, outcome: Survival) -> tuple[str | float | None, ...]:
    share, low, high = curve(counts)
    ends = (_told(low[-1]), _told(high[-1]))
    return (name, int(counts.sum()), int(counts[1].sum()), median(outcome, share), *ends)


SURVIVAL = Task(
    name="survival",
    rows="train",
    encoded=False,
    shows=lambda _study: {},
    release=release,
    start=lambda _study, _found: State({}),
    local=local,
    finish=finish,
    read=read,
    show=show,
)
