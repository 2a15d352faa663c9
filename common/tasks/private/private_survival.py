"""How long until the event, when counts have noise? Curves and a test that know of it.

A record is in one cell for everybody and one for each variable: its interval of the
grid, and event or last seen. Kaplan and Meier's (1958) product is made of the noisy
counts as they are, so that noise averages out, and the curve is then the nearest that
never rises (isotonic regression). Its interval holds Greenwood's variance and that of
the noise in every count before. Groups are compared by the log-rank excess, against
tables that chance and noise make of groups with one curve: Monte Carlo.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np
from scipy import optimize

from common.arithmetic import follow_up
from common.arithmetic.intervals import Z, widened
from common.release import Array, Field
from common.schema import Category
from common.sheet import Sheet
from common.study import Study
from common.task import Findings, Rows, State
from common.tasks.analyses import survival
from common.tasks.analyses.survival import Kept
from common.tasks.private import log_rank, one_release
from common.tasks.private.one_release import CLEAR, Block, Told

WIDEST = 700.0
"""A factor of e to this is beyond any share; of more it is no number any more."""


@dataclass(frozen=True, slots=True)
class Curve:
    """The share without the event after each interval, its interval, who was watched.

    ``kept`` is up to which interval more are watched than noise may be.
    """

    share: Array
    ends: tuple[tuple[float, float], ...]
    risk: Array
    kept: Kept


def block(study: Study, name: str) -> Block:
    """Return the block of a variable's levels; of everybody as if of one level."""
    every = {each.name: (at, each) for at, each in survival.groups(study)}
    shape = (2, len(survival.outcome_of(study).grid))
    what = "records last seen, and with the event, by interval"
    levels = len(every[name][1].levels) if name in every else 1

    def row(study: Study, state: State, rows: Rows) -> Array:
        del state
        level = rows.x[:, every[name][0]] if name in every else np.zeros(len(rows.y))
        known = _known(study, rows)
        y = np.where(known, rows.y, 0.0)
        side = follow_up.came(y) * shape[1] + follow_up.interval(y)
        cell = level * 2 * shape[1] + side
        placed = cell[:, None] == np.arange(levels * 2 * shape[1])
        found: Array = (placed & known[:, None]).astype(np.float64)
        return found

    meaning = f"{what}, by {name}" if name in every else what
    return Block(name, Field(meaning, (levels, *shape), "sum"), row)


def curve(counts: Array, noise: float) -> Curve:
    """Return the curve of *counts* [2, intervals], each with *noise*."""
    risk, after = survival.risk_of(counts), np.arange(counts.shape[1], 0, -1)
    clear = risk > CLEAR * noise * np.sqrt(2.0 * after)
    kept = np.logical_and.accumulate(clear)
    safe = np.where(kept, risk, 1.0)
    left = np.where(kept, 1.0 - counts[1] / safe, 1.0).clip(0.0)
    falls = optimize.isotonic_regression(np.cumprod(left), increasing=False)
    share = np.asarray(falls.x, dtype=np.float64).clip(0.0, 1.0)
    events = np.where(kept, counts[1].clip(0.0), 0.0)
    rest = np.maximum(safe - events, 1.0)
    chance = np.cumsum(events / (safe * rest))
    moved = Z * share * noise * _moved(events, safe, rest)
    every = zip(share, chance, moved, strict=True)
    return Curve(share, tuple(_ends(*each) for each in every), risk, kept)


def read(study: Study, state: State) -> Findings:
    """Return the curve of everybody, and those of groups with a test for each."""
    outcome = survival.outcome_of(study)
    totals = one_release.totals(study, _blocks, state)
    noise = one_release.noise(study, len(totals))
    (everybody,) = totals[survival.ALL]
    return {
        "event": outcome.name,
        "unit": outcome.unit,
        "everybody": _told(study, survival.EVERYBODY, everybody, noise),
        "groups": [
            _compared(study, each, totals[each.name], noise)
            for _, each in survival.groups(study)
        ],
        "deviation": noise,
    }


def show(study: Study, state: State) -> tuple[Sheet, ...]:
    """Show the shares without the event, and the tests."""
    found = cast("dict[str, Any]", read(study, state))
    test = (
        f"Log-rank test by {log_rank.TABLES:,} tables of groups with one curve, which "
        f"have the noise too. No smaller p can be told than "
        f"{1 / (log_rank.TABLES + 1):.4f}. A group within the noise is in no test."
    )
    first, *rest = survival.sheets(study, found, test)
    note = (
        f"Counts have noise of deviation {found['deviation']:.1f} an interval, which "
        "the 95 % intervals hold beside chance. A curve is made to fall, and ends "
        f"where {CLEAR:g} deviations of the noise may be all who are watched."
    )
    last = Sheet(first.title, first.columns, first.rows, (*first.notes, note))
    return (last, *rest)


def clear(counts: Array, noise: float) -> bool:
    """Return whether *counts* are of more records than the noise in them may be."""
    return bool(counts.sum() > CLEAR * noise * math.sqrt(counts.size))


def _blocks(study: Study) -> Sequence[Block]:
    names = [survival.ALL, *(each.name for _, each in survival.groups(study))]
    return [block(study, name) for name in names]


def _known(study: Study, rows: Rows) -> Kept:
    """Return whose time and level in every variable asked for are known."""
    places = [at for at, _ in survival.groups(study)]
    every = np.column_stack([rows.x[:, places], rows.y])
    return np.atleast_1d(~np.isnan(every).any(axis=1))


def _moved(events: Array, risk: Array, rest: Array) -> Array:
    """Return the length of the gradient of the log of each share by all counts.

    An event lowers its own interval's share, and whoever is there later raises it.
    """
    upto = np.tri(len(events))
    later = np.cumsum(events / (risk * rest))
    seen = np.minimum(later[:, None], later)  # by the count of interval j, up to t
    own = seen - upto / rest
    moved: Array = np.sqrt((seen**2).sum(axis=1) + (own**2).sum(axis=1))
    return moved


def _ends(share: float, chance: float, moved: float) -> tuple[float, float]:
    """Return the interval of a share: of chance on the log-log scale, and of noise."""
    around = (share, share)
    if 0.0 < share < 1.0:
        half = max(Z * math.sqrt(chance) / math.log(share), -WIDEST)
        around = share ** math.exp(-half), share ** math.exp(half)
    found = widened(share, around, moved)
    return found or (0.0, 1.0)


def _told(study: Study, name: str, counts: Array, noise: float) -> Findings:
    """Return one curve as far as it is clear of the noise."""
    outcome, found = survival.outcome_of(study), curve(counts, noise)
    enough = clear(counts, noise)
    points = [
        {
            "time": end,
            "at_risk": round(float(found.risk[at])) if known else None,
            **dict(
                zip(("share", "low", "high"), values if known else NOTHING, strict=True)
            ),
        }
        for at, end in enumerate(outcome.grid)
        for known in [bool(found.kept[at]) and enough]
        for values in [(float(found.share[at]), *found.ends[at])]
    ]
    share = np.where(found.kept & enough, found.share, np.nan)
    return {
        "name": name,
        "records": round(float(counts.sum())) if enough else None,
        "events": round(max(float(counts[1].sum()), 0.0)) if enough else None,
        "median": survival.median(outcome, share),
        "curve": points,
    }


NOTHING: Final = (None, None, None)


def _compared(study: Study, each: Category, counts: Array, noise: float) -> Findings:
    """Return the curves of a variable's levels, and the test of the clear ones."""
    every = zip(each.levels, counts, strict=True)
    present = np.array([group for group in counts if clear(group, noise)])
    return {
        "variable": each.name,
        "levels": [_told(study, level, group, noise) for level, group in every],
        "log_rank": log_rank.tested(present, noise),
    }


PRIVATE_SURVIVAL = one_release.task(
    "survival", _blocks, lambda _study: (), Told(read, show)
)
