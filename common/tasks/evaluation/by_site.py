"""How good the model is at each site by itself: what that site lets everybody know.

A site works its own figures out, rounds them, and puts them into its own place of the
sum: the sum over sites shows each. Numbers of records are bands, so that these figures
do not add up to a total's. A site that keeps its figures leaves zeros.
"""

from functools import partial
from typing import cast

import numpy as np

from common.arithmetic import follow_up
from common.errors import IntegrityError
from common.release import Array, Field, Release, Summands
from common.sheet import Sheet, near
from common.study import Study
from common.task import Findings, Found, Model, Rows, Shapes, State, Task, kept
from common.tasks.evaluation import evaluate, left_out

NAME = "by_site"
BANDS = np.outer(10.0 ** np.arange(8), (1.0, 2.0, 5.0)).ravel()
"""Where bands of records begin; each ends below the next."""

HELD = 1e-9
"""How far a figure may be off that has been masked."""

KINDS = {
    "binary": ("auc", "accuracy", "expected", "brier"),
    "category": ("auc", "accuracy", "log_loss", "brier"),
    "number": ("r_squared", "rmse"),
    "survival": ("c_index",),
}
"""What is told by the kind of outcome."""

RECORDS = "records"
ENDS = {
    **dict.fromkeys(("auc", "accuracy", "c_index"), (0.0, 1.0)),
    **dict.fromkeys(("expected", "log_loss", "rmse"), (0.0, np.inf)),
    "brier": (0.0, 2.0),
    "r_squared": (-np.inf, 1.0),
    RECORDS: (0.0, float(BANDS[-1])),
}
"""Between which a measure lies."""
DECIMALS = 2
OWN, UNSEEN = "own", "unseen"
NOT_RELEASED = "not released"


def task(model: Model) -> Task:
    """Return the task in which each site tells how good *model* is there."""
    return Task(
        name=NAME,
        rows="test",
        encoded=model.fit.encoded,
        shows=partial(_shows, model),
        release=_release,
        start=partial(_start, model),
        local=partial(_local, model),
        finish=_held,
        read=read,
        show=show,
    )


def _measures(study: Study) -> tuple[str, ...]:
    return (RECORDS, *KINDS[study.outcome.kind])


def _parts(study: Study) -> tuple[str, ...]:
    """Return of which models is told: the study's, and those that leave sites out."""
    left = study.evaluation and study.evaluation.leave_out
    return (OWN, UNSEEN) if left else (OWN,)


def _shows(model: Model, study: Study) -> Shapes:
    shown = dict(model.carries(study))
    if UNSEEN in _parts(study):
        apart = left_out.carried(study, model).items()
        shown |= {f"{UNSEEN} {name}": shape for name, shape in apart}
    return shown


def _release(study: Study) -> Release:
    count, measures = len(study.study.sites), len(_measures(study))
    shape = (count, len(_parts(study)), measures, 3)
    words = "this site's own figures on its test records: how good the model is here"
    return {
        "told": Field(f"{words}, 1 for what is told", shape, "flag"),
        "value": Field(f"{words}, rounded, with their intervals", shape, "sum"),
    }


def _start(model: Model, study: Study, found: Found) -> State:
    fitted = found[model.fit.name].arrays
    shown = {name: fitted[name] for name in model.carries(study)}
    if UNSEEN in _parts(study):
        apart = left_out.learned(study, model, found).items()
        shown |= {f"{UNSEEN} {name}": array for name, array in apart}
    return State(shown)


def _local(model: Model, study: Study, state: State, rows: Rows) -> Summands:
    """Work out this site's figures, into its own place."""
    shape = _release(study)["told"].shape
    told, value = np.zeros(shape), np.zeros(shape)
    for part, name in enumerate(_parts(study)):
        for inside, score in _predicted(model, study, state, rows, name):
            for site in np.unique(inside.site[inside.site >= 0]):
                here = inside.site == site
                known = _figures(study, score[here], inside.take(here))
                told[site, part] = ~np.isnan(known)
                value[site, part] = np.nan_to_num(known)
    return {"told": told, "value": value}


def _predicted(
    model: Model, study: Study, state: State, rows: Rows, part: str
) -> list[tuple[Rows, Array]]:
    if part == OWN:
        return [(rows, model.predict(study, state.arrays, rows))]
    before = f"{UNSEEN} "
    arrays = {
        name.removeprefix(before): array
        for name, array in state.arrays.items()
        if name.startswith(before)
    }
    return left_out.predicted(study, model, State(arrays), rows)


def _figures(study: Study, score: Array, rows: Rows) -> Array:
    """Return value, low and high of each measure, rounded; NaN for what is not told."""
    known = np.full((len(_measures(study)), 3), np.nan)
    if not rows.tells or _few(study, rows):
        return known
    counts = evaluate.counted(study, score, rows)
    found = evaluate.read(_strict(study, rows), State(counts, done=True))
    for place, name in enumerate(_measures(study)):
        if name == RECORDS:
            known[place] = _band(len(rows.y))
        elif found.get(name) is not None:
            three = np.array(left_out.told(found, name), dtype=np.float64)
            known[place] = _rounded(three)
    return known


def _fewest(study: Study, rows: Rows) -> int:
    """Return the strictest floor of study and site."""
    rules = study.disclosure
    return max(rules.cell, rules.min_people, rows.fewest)


def _strict(study: Study, rows: Rows) -> Study:
    """Return *study* with that floor for the cells behind a figure."""
    rules = study.disclosure.model_copy(update={"min_cell": _fewest(study, rows)})
    return study.model_copy(update={"disclosure": rules})


def _few(study: Study, rows: Rows) -> bool:
    """Return whether too few people here have an outcome that somebody here has.

    Figures of them alone would tell of single ones, and those of one outcome alone that
    everybody here has it; of a number, those besides its commonest value. The floor is
    the strictest one of study and site.
    """
    kind, fewest = study.outcome.kind, _fewest(study, rows)
    if kind == "number":
        values, counts = np.unique(rows.y, return_counts=True)
        others = rows.y != values[counts.argmax()]
        return len(np.unique(rows.key[others])) < fewest
    own = follow_up.came(rows.y) if kind == "survival" else rows.y
    people = [len(np.unique(rows.key[own == each])) for each in np.unique(own)]
    return len(people) < 2 or min(people) < fewest  # noqa: PLR2004 - another outcome


def _band(records: int) -> tuple[float, float, float]:
    place = int(np.searchsorted(BANDS, records, side="right"))
    low = float(BANDS[max(place - 1, 0)])
    return low, low, float(BANDS[min(place, len(BANDS) - 1)])


def _rounded(value: Array) -> Array:
    """Return *value* to two decimals, or to three digits where it is large."""
    step = 10.0 ** (np.floor(np.log10(np.maximum(np.abs(value), 1.0))) - DECIMALS)
    rounded: Array = np.rint(value / step) * step
    return rounded


def _held(study: Study, state: State, total: Summands) -> State:
    """Return the figures of all sites; raise IntegrityError for what no site can tell.

    What one site writes into the place of another that tells nothing is not seen.
    """
    told, value = total["told"], total["value"]
    ends = np.array([ENDS[name] for name in _measures(study)])
    inside = (value >= ends[:, :1] - HELD) & (value <= ends[:, 1:] + HELD)
    fits = np.where(told == 1.0, inside, (told == 0.0) & (value == 0.0))
    wrong = np.flatnonzero(~fits.all(axis=(1, 2, 3)))
    if len(wrong):
        names = ", ".join(study.study.sites[place] for place in wrong)
        raise IntegrityError(
            f"what is told of the model at {names} is none of its measures",
            likely=f"a site that writes into the place of {names}, or another version",
            fix="ask each site for its version; or study without by_site",
        )
    return kept(study, state, total)


def read(study: Study, state: State) -> Findings:
    """Return the figures that each site tells, None for a site that tells none."""
    return {
        "sites": [
            {"name": site, "released": told[OWN] is not None, **told}
            for site, told in figures(study, state).items()
        ]
    }


def figures(study: Study, state: State) -> dict[str, dict[str, Findings | None]]:
    """Return by site what it tells of the model, and of those that leave sites out."""
    told, value = state.arrays["told"], state.arrays["value"]
    known = np.where(told == 1.0, value, np.nan)
    return {
        site: {
            part: _named(study, known[place, index])
            if told[place, index].any()
            else None
            for index, part in enumerate(_parts(study))
        }
        for place, site in enumerate(study.study.sites)
    }


def _named(study: Study, known: Array) -> Findings:
    found: Findings = {}
    for name, three in zip(_measures(study), known, strict=True):
        value, low, high = (None if np.isnan(e) else float(e) for e in three)
        found[name] = value
        if low is not None and high is not None:
            found["records_band" if name == RECORDS else f"{name}_interval"] = [
                low,
                high,
            ]
    return found


def show(study: Study, state: State) -> tuple[Sheet, ...]:
    """Show each site's figures, and which sites tell none."""
    names = _measures(study)[1:]
    rows = tuple(
        (site if part == OWN else f"{site}, not seen", *_line(each, names))
        for site, told in figures(study, state).items()
        for part, each in told.items()
    )
    heads = tuple(left_out.MEASURES[name] for name in names)
    rules = study.disclosure
    fewest = max(rules.cell, rules.min_people)
    few = f"fewer test people with an outcome than {fewest}, or than its own floor"
    note = (
        f"What each site released of itself, rounded. {NOT_RELEASED.capitalize()}: "
        f"its own rules say so, it was missing, or it has {few}."
    )
    unseen = "Not seen: by the fit that has not learned from this site."
    notes = (note, unseen) if UNSEEN in _parts(study) else (note,)
    columns = ("site", "test records", *heads)
    return (Sheet("At each site by itself", columns, rows, notes),)


def _line(found: Findings | None, names: tuple[str, ...]) -> list[str | None]:
    if found is None:
        return [NOT_RELEASED, *[None] * len(names)]
    low, high = cast("list[float]", found["records_band"])
    return [f"{low:,.0f} to {high - 1:,.0f}", *(_cell(found, name) for name in names)]


def _cell(found: Findings, name: str) -> str | None:
    value, ends = found.get(name), found.get(f"{name}_interval")
    if not isinstance(value, float):
        return None
    if not isinstance(ends, list):
        return _said(value)
    return f"{_said(value)} ({_said(ends[0])} to {_said(ends[1])})"


def _said(value: float) -> str:
    """Return a figure with the digits to which it was rounded."""
    return str(near(value, max(abs(value), 1.0) / 10))
