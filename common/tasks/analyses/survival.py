"""How long until the event, and do groups differ? Kaplan-Meier and log-rank.

A site counts who had the event in each interval of the declared grid, and who was last
seen in it, by group. From the sums follow the curve (Kaplan & Meier 1958), its interval
on the log-log scale from Greenwood's variance, and the test that groups have one curve
(Mantel 1966). All curves are of the same people, those whose every group is known, and
groups are told at the same times: so one curve less another is of nobody else.
"""

import math
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from common.arithmetic import follow_up, suppression
from common.arithmetic.intervals import Z
from common.errors import StudyError
from common.release import Array, Field, Release, Summands
from common.schema import Category, Survival
from common.sheet import Cell, Sheet
from common.study import Study
from common.task import Findings, Rows, State, once

Kept = NDArray[np.bool_]

EVERYBODY = "everybody"
ALL = "(everybody)"
"""The array of everybody: no variable can have this name."""
HALF = 0.5


def groups(study: Study) -> tuple[tuple[int, Category], ...]:
    """Return (variable, declaration) of every category whose levels are compared."""
    places = {each.name: place for place, each in enumerate(study.variables)}
    asked = [places[name] for name in study.analysis.survival or ()]
    every = [(place, study.variables[place]) for place in asked]
    return tuple((place, each) for place, each in every if isinstance(each, Category))


def release(study: Study) -> Release:
    """Declare events and those last seen by interval: of everybody and of groups."""
    shape = (2, len(outcome_of(study).grid))
    what = "records last seen, and with the event, by interval"
    declared = {ALL: Field(what, shape, "count")}
    for _, each in groups(study):
        by = (len(each.levels), *shape)
        declared[each.name] = Field(f"{what}, by {each.name}", by, "count")
    return declared


def local(study: Study, state: State, rows: Rows) -> Summands:
    """Count this site's records whose level in every variable asked for is known."""
    del state
    count = len(outcome_of(study).grid)
    known = ~np.isnan(rows.x[:, [index for index, _ in groups(study)]]).any(axis=1)
    summands = {ALL: _counts(rows.y[known], count)}
    for index, each in groups(study):
        level = rows.x[:, index]
        found = [
            _counts(rows.y[known & (level == code)], count)
            for code in range(len(each.levels))
        ]
        summands[each.name] = np.array(found)
    return summands


def read(study: Study, state: State) -> Findings:
    """Return the curve of everybody, and those of groups with a test for each."""
    outcome = outcome_of(study)
    return {
        "event": outcome.name,
        "unit": outcome.unit,
        "everybody": _everybody(study, state),
        "groups": [_compared(study, each, state) for _, each in groups(study)],
    }


def show(study: Study, state: State) -> tuple[Sheet, ...]:
    """Show the shares without the event, and the tests."""
    return sheets(study, cast("dict[str, Any]", read(study, state)), "Log-rank test.")


def sheets(study: Study, found: dict[str, Any], test: str) -> tuple[Sheet, ...]:
    """Return what was *found* as tables; *test* says how groups were compared."""
    outcome = outcome_of(study)
    lines = [_line(EVERYBODY, found["everybody"])]
    tests: list[tuple[Cell, ...]] = []
    for each in found["groups"]:
        name = each["variable"]
        lines += [_line(f"{name} = {one['name']}", one) for one in each["levels"]]
        tests.append((name, *each["log_rank"].values()))
    columns = ("who", "records", "events", "median", "by", "share", "from", "to")
    last = "by the last time at which enough people are watched, and its 95 % interval"
    by = " and ".join(each["variable"] for each in found["groups"])
    whose = f" Of people whose {by} {'is' if len(tests) == 1 else 'are'} known."
    notes = (
        f"Times in {outcome.unit}; the share without {outcome.name} {last}."
        + whose * bool(by),
    )
    sheet = Sheet(f"How long without {outcome.name}", columns, tuple(lines), notes)
    heads = ("groups by", "chi-square", "degrees", "p")
    differ = Sheet("Do groups differ over time?", heads, tuple(tests), (test,))
    return (sheet, differ) if tests else (sheet,)


def outcome_of(study: Study) -> Survival:
    """Return the time until an event; raise StudyError where the outcome is none."""
    if not isinstance(study.outcome, Survival):
        raise StudyError(f"survival needs a time until an event: {study.outcome.name}")
    return study.outcome


def _counts(codes: Array, count: int) -> Array:
    """Return [last seen or event, intervals] of people with these *codes*."""
    known = codes[~np.isnan(codes)]
    place, came = follow_up.interval(known), follow_up.came(known)
    sides = [np.bincount(place[came == side], minlength=count) for side in (0, 1)]
    return np.array(sides, dtype=np.float64)


def risk_of(counts: Array) -> Array:
    """Return how many were still watched when each interval began, [..., intervals]."""
    both = counts.sum(axis=-2)
    later: Array = np.cumsum(both[..., ::-1], axis=-1)[..., ::-1]
    return later


def curve(counts: Array) -> tuple[Array, Array, Array]:
    """Return the share without the event after each interval, and its 95 % interval.

    In an interval events come first. NaN where nobody was watched any more.
    """
    events, risk = counts[1], risk_of(counts)
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


def told(parts: Array, least: int) -> Kept:
    """Return after which intervals all *parts* [parts, 2, intervals] are told.

    Of each part, as many as *least* are still watched when the interval begins, and as
    many left since the last time told, by the event and without it; or nobody. So it
    is with those who are left after the last time told.
    """
    risk = risk_of(parts)
    enough: Kept = np.all(_enough(risk, least), axis=0)
    before = np.roll(parts, 1, axis=2)[:, 0]  # the event comes first in an interval
    before[:, 0] = 0.0
    left = np.array([before, parts[:, 1]])
    since, kept = np.zeros(left.shape[:2]), np.zeros(risk.shape[1], dtype=bool)
    for place in range(len(kept)):
        since += left[..., place]
        kept[place] = enough[place] and _enough(since, least).all()
        if kept[place]:
            since[:] = 0.0
    return _ended(parts, kept & risk.any(axis=0), least)


def _ended(parts: Array, kept: Kept, least: int) -> Kept:
    """Return *kept* without the last times after which few are left of a part."""
    for place in np.flatnonzero(kept)[::-1]:
        rest = parts[..., place:].sum(axis=2) - parts[..., place] * [0.0, 1.0]
        if _enough(rest, least).all():
            break
        kept[place] = False
    return kept


def _enough(counts: Array, least: int) -> Kept:
    """Return which *counts* stand for nobody, or for *least* people or more."""
    enough: Kept = (counts == 0) | (counts >= least)
    return enough


def _curve(study: Study, name: str, counts: Array, kept: Kept) -> Findings:
    """Return one curve where it is *kept*."""
    outcome, (share, low, high) = outcome_of(study), curve(counts)
    points: list[Findings] = [
        {
            "time": end,
            "at_risk": int(risk) if known else None,
            "share": _known(share[place], known),
            "low": _known(low[place], known),
            "high": _known(high[place], known),
        }
        for place, (end, risk, known) in enumerate(
            zip(outcome.grid, risk_of(counts), kept, strict=True)
        )
    ]
    return {
        "name": name,
        "records": int(counts.sum()),
        "events": int(counts[1].sum()),
        "median": median(outcome, np.where(kept, share, np.nan)),
        "curve": points,
    }


def _withheld(study: Study, name: str, counts: Array) -> Findings:
    """Return of too few people nothing but the name."""
    nothing = np.zeros(counts.shape[1], dtype=bool)
    found = _curve(study, name, counts, nothing)
    return found | {"records": None, "events": None}


def _known(value: float, known: bool) -> float | None:  # noqa: FBT001 - a mask's value
    return float(value) if known and math.isfinite(value) else None


def _few(study: Study, counts: Array) -> Kept:
    """Return which groups [groups, 2, intervals] may not be told.

    Those of too few people with the event or without, and what would give them away.
    """
    hidden = [
        suppression.told(each, study.disclosure.cell) for each in counts.sum(axis=2).T
    ]
    return np.array([None in pair for pair in zip(*hidden, strict=True)])


def _everybody(study: Study, state: State) -> Findings:
    counts, least = state.arrays[ALL], study.disclosure.cell
    if not _enough(counts.sum(axis=1), least).all():
        return _withheld(study, EVERYBODY, counts)
    return _curve(study, EVERYBODY, counts, told(counts[None], least))


def _compared(study: Study, each: Category, state: State) -> Findings:
    counts, few = state.arrays[each.name], _few(study, state.arrays[each.name])
    rest = counts[few].sum(axis=0, keepdims=True)
    kept = told(np.concatenate([counts[~few], rest]), study.disclosure.cell)
    curves = [
        _withheld(study, level, own) if hidden else _curve(study, level, own, kept)
        for level, own, hidden in zip(each.levels, counts, few, strict=True)
    ]
    test = dict.fromkeys(TEST) if few.any() else log_rank(counts)
    return {"variable": each.name, "levels": curves, "log_rank": test}


TEST = ("statistic", "degrees", "p")


def log_rank(counts: Array) -> dict[str, float | int | None]:
    """Return the test that all groups [groups, 2, intervals] have the same curve."""
    present = counts[counts.sum(axis=(1, 2)) > 0]
    risk, events = risk_of(present), present[:, 1]
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
