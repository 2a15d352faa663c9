"""How long until the event, and do groups differ? Kaplan-Meier and log-rank.

A site counts who had the event in each interval of the declared grid, and who was last
seen in it, by group. From the sums follow the curve (Kaplan & Meier 1958), its interval
on the log-log scale from Greenwood's variance, and the test that groups have one curve
(Mantel 1966).
"""

import math
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from common import follow_up, suppression
from common.errors import StudyError
from common.intervals import Z
from common.release import Array, Field, Release, Summands
from common.schema import Category, Survival
from common.sheet import Cell, Sheet
from common.study import Study
from common.task import Findings, Rows, State, once

EVERYBODY = "everybody"
HALF = 0.5


def groups(study: Study) -> tuple[tuple[int, Category], ...]:
    """Return (variable, declaration) of every category whose levels are compared."""
    places = {each.name: place for place, each in enumerate(study.variables)}
    asked = [places[name] for name in study.analysis.survival or ()]
    every = [(place, study.variables[place]) for place in asked]
    return tuple((place, each) for place, each in every if isinstance(each, Category))


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
        found = [
            _counts(rows.y[level == code], count) for code in range(len(each.levels))
        ]
        summands[each.name] = np.array(found)
    return summands


def read(study: Study, state: State) -> Findings:
    """Return the curve of everybody, and those of groups with a test for each."""
    outcome = _outcome(study)
    return {
        "event": outcome.name,
        "unit": outcome.unit,
        "everybody": _everybody(study, state),
        "groups": [_compared(study, each, state) for _, each in groups(study)],
    }


def show(study: Study, state: State) -> tuple[Sheet, ...]:
    """Show the shares without the event, and the tests."""
    outcome, found = _outcome(study), cast("dict[str, Any]", read(study, state))
    lines = [_line(EVERYBODY, found["everybody"])]
    tests: list[tuple[Cell, ...]] = []
    for each in found["groups"]:
        name = each["variable"]
        lines += [_line(f"{name} = {one['name']}", one) for one in each["levels"]]
        tests.append((name, *each["log_rank"].values()))
    columns = ("who", "records", "events", "median", "by", "share", "from", "to")
    last = "by the last time at which enough people are watched, and its 95 % interval"
    notes = (f"Times in {outcome.unit}; the share without {outcome.name} {last}.",)
    sheet = Sheet(f"How long without {outcome.name}", columns, tuple(lines), notes)
    heads, note = ("groups by", "chi-square", "degrees", "p"), ("Log-rank test.",)
    differ = Sheet("Do groups differ over time?", heads, tuple(tests), note)
    return (sheet, differ) if tests else (sheet,)


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
        left = np.where(risk > 0, 1.0 - events / risk, np.nan)
        share = np.asarray(np.cumprod(left), dtype=np.float64)
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


def told(counts: Array, least: int) -> NDArray[np.bool_]:
    """Return after which intervals a curve is told: each step stands for *least*.

    A step is told once as many people had the event since the step before, or nobody
    had, and as many are still watched when its interval begins.
    """
    risk, since, kept = _risk(counts), 0.0, np.zeros(counts.shape[1], dtype=bool)
    for place, events in enumerate(counts[1]):
        since += events
        kept[place] = risk[place] >= least and (since == 0 or since >= least)
        since = 0.0 if kept[place] else since
    return kept


def _curve(study: Study, name: str, counts: Array, *, few: bool) -> Findings:
    """Return one curve; of too *few* people nothing but the name."""
    outcome, (share, low, high) = _outcome(study), curve(counts)
    kept = told(counts, study.disclosure.cell) & ~few
    points: list[Findings] = [
        {
            "time": end,
            "at_risk": int(risk) if known else None,
            "share": _known(share[place], known),
            "low": _known(low[place], known),
            "high": _known(high[place], known),
        }
        for place, (end, risk, known) in enumerate(
            zip(outcome.grid, _risk(counts), kept, strict=True)
        )
    ]
    return {
        "name": name,
        "records": None if few else int(counts.sum()),
        "events": None if few else int(counts[1].sum()),
        "median": median(outcome, np.where(kept, share, np.nan)),
        "curve": points,
    }


def _known(value: float, known: bool) -> float | None:  # noqa: FBT001 - a mask's value
    return float(value) if known and math.isfinite(value) else None


def _few(study: Study, counts: Array) -> list[bool]:
    """Return which groups [groups, 2, intervals] may not be told.

    Those of too few records or events, and what would give them away.
    """
    hidden = [
        suppression.told(each, study.disclosure.cell)
        for each in (counts.sum(axis=(1, 2)), counts[:, 1].sum(axis=1))
    ]
    return [None in pair for pair in zip(*hidden, strict=True)]


def _everybody(study: Study, state: State) -> Findings:
    counts = state.arrays[EVERYBODY]
    few = bool(min(counts.sum(), counts[1].sum()) < study.disclosure.cell)
    return _curve(study, EVERYBODY, counts, few=few)


def _compared(study: Study, each: Category, state: State) -> Findings:
    counts = state.arrays[each.name]
    few = _few(study, counts)
    named = zip(each.levels, counts, few, strict=True)
    curves = [_curve(study, level, own, few=hidden) for level, own, hidden in named]
    test = dict.fromkeys(TEST) if any(few) else _log_rank(counts)
    return {"variable": each.name, "levels": curves, "log_rank": test}


TEST = ("statistic", "degrees", "p")


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
        return dict.fromkeys(TEST)
    statistic = float(excess @ np.linalg.solve(matrix, excess))
    p = float(stats.chi2.sf(statistic, degrees))
    return {"statistic": statistic, "degrees": degrees, "p": p}


def _line(name: str, found: Findings) -> tuple[Cell, ...]:
    """Return what a table shows of a curve: its size, median, and last told point."""
    points = [each for each in cast("Points", found["curve"]) if each["share"]]
    last = points[-1] if points else {}
    keys = ("time", "share", "low", "high")
    size = cast("list[Cell]", [found[key] for key in ("records", "events", "median")])
    return (name, *size, *(last.get(key) for key in keys))


Points = list[dict[str, float | None]]


SURVIVAL = once("survival", release, local, read, show)
