"""Are there groups of people who are alike? k-means, each step from sums (Lloyd 1982).

A site counts and adds up the records nearest to each centre; the totals give the next
centres. Starts are directions from a public seed, never somebody's row, and several run
side by side. A centre of fewer records than may be told stays where it was: it would be
the values of those few.
"""

import numpy as np
from numpy.typing import NDArray

from common.arithmetic import suppression
from common.encoding import Encoding, columns, shapes
from common.errors import StudyError
from common.release import Array, Field, Release, Summands
from common.sections.analyses import Clusters
from common.sheet import WITHHELD, Cell, Sheet, near
from common.study import Study
from common.task import Findings, Found, Rows, Shapes, State, Task

SETTLED = 1e-10
"""Stop when no centre moves by more, in deviations."""
SHARE = 0.1
"""How far shares are apart that differ: they are told to two decimals."""
WHY = "Withheld: a share of fewer than {} records, or what would tell such a share."


def asked(study: Study) -> Clusters:
    """Return how many groups *study* looks for; raise StudyError when it does not."""
    if study.analysis.clusters is None:
        raise StudyError("this study has no [analysis.clusters]")
    return study.analysis.clusters


def shows(study: Study) -> Shapes:
    """Show the sites the encoding, and the centres of each start."""
    return {**shapes(study), "centres": _shape(study)}


def release(study: Study) -> Release:
    """Declare how many records are nearest to each centre, and their sums."""
    starts, groups, width = _shape(study)
    sums = "sums of their standardised columns"
    far = "sum of squared distances to the nearest centre"
    return {
        "nearest": Field("records nearest to each centre", (starts, groups), "count"),
        "total": Field(sums, (starts, groups, width), "sum"),
        "spread": Field(far, (starts,), "sum"),
    }


def start(study: Study, found: Found) -> State:
    """Draw directions from the study's seed."""
    drawn = np.random.default_rng(asked(study).seed).normal(size=_shape(study))
    length = np.linalg.norm(drawn, axis=2, keepdims=True)
    centres = drawn / np.where(length > 0.0, length, 1.0)
    encoding = Encoding.of(found["describe"].arrays).arrays()
    return State({**encoding, "centres": centres}, kept={"rounds": np.zeros(1)})


def local(study: Study, state: State, rows: Rows) -> Summands:
    """Add up this site's records by the centre that is nearest."""
    starts, groups, width = _shape(study)
    nearest, spread = np.zeros((starts, groups)), np.zeros(starts)
    total = np.zeros((starts, groups, width))
    squares = (rows.x**2).sum(axis=1)
    for place, centres in enumerate(state.arrays["centres"]):
        far = (centres**2).sum(axis=1) - 2.0 * (rows.x @ centres.T)
        which = far.argmin(axis=1)
        belongs = (which[:, None] == np.arange(groups)).astype(np.float64)
        nearest[place], total[place] = belongs.sum(axis=0), belongs.T @ rows.x
        spread[place] = (squares + far.min(axis=1, initial=np.inf)).sum()
    return {"nearest": nearest, "total": total, "spread": spread}


def finish(study: Study, state: State, total: Summands) -> State:
    """Move each centre to the mean of its records; in the end keep the best start."""
    shown, count = state.arrays["centres"], total["nearest"][:, :, None]
    few = count < max(study.disclosure.cell, 1)
    moved = np.where(few, shown, total["total"] / np.maximum(count, 1.0))
    rounds, settled = state.kept["rounds"] + 1, np.abs(moved - shown).max() <= SETTLED
    if not settled and rounds[0] < study.rounds.maximum:
        return State({**state.arrays, "centres": moved}, kept={"rounds": rounds})
    best = int(np.argmin(total["spread"]))
    order = np.argsort(-total["nearest"][best], kind="stable")
    whole = _about_mean(shown[best], {key: each[best] for key, each in total.items()})
    return State(
        {
            **{name: state.arrays[name] for name in shapes(study)},
            "centres": shown[best][order],
            "nearest": total["nearest"][best][order],
            "spread": np.array([total["spread"][best], whole]),
            "settled": np.array([float(settled)]),
        },
        done=True,
    )


def read(study: Study, state: State) -> Findings:
    """Return each group: its size and its centre, in the units of the study.

    A group of too few records is withheld, with another where it would give it away,
    and so is a share that stands for too few of a group.
    """
    names = [column.name for column in columns(study)]
    return {
        "settled": bool(state.arrays["settled"][0]),
        "explained": _explained(state),
        "groups": [
            {
                "records": size,
                "centre": None
                if size is None
                else dict(zip(names, means, strict=True)),
            }
            for size, means in _told(study, state)
        ],
    }


def show(study: Study, state: State) -> tuple[Sheet, ...]:
    """Return one column for each group, the largest first."""
    told, every = _told(study, state), columns(study)
    scale = Encoding.of(state.arrays).scale
    rows: list[tuple[Cell, ...]] = [("records", *(size for size, _ in told))]
    for place, column in enumerate(every):
        width = scale[place] / 10 if column.kind == "value" else SHARE
        rows.append((column.name, *(near(means[place], width) for _, means in told)))
    shown = tuple(
        tuple(WITHHELD if cell is None else cell for cell in row) for row in rows
    )
    explained = f"{100 * _explained(state):.0f} % of the variance"
    hidden = any(cell == WITHHELD for row in shown for cell in row)
    notes = [
        f"Means in each column's unit, shares of levels. Between groups: {explained}.",
        "" if state.arrays["settled"][0] else "The groups were still changing.",
        WHY.format(study.disclosure.cell) if hidden else "",
    ]
    heads = ("column", *(f"group {place + 1}" for place in range(len(told))))
    return (Sheet("Groups of people who are alike", heads, shown, _said(notes)),)


def _said(notes: list[str]) -> tuple[str, ...]:
    return tuple(note for note in notes if note)


def _shape(study: Study) -> tuple[int, int, int]:
    """Return how many starts, groups of each, and columns there are."""
    return asked(study).starts, asked(study).groups, len(columns(study))


def _told(study: Study, state: State) -> list[tuple[int | None, list[float | None]]]:
    """Return size and centre [columns] of each group, in the units of the study."""
    encoding, least = Encoding.of(state.arrays), study.disclosure.cell
    centres = state.arrays["centres"] * encoding.scale + encoding.centre
    sizes = suppression.told(state.arrays["nearest"], least)
    open_ = np.column_stack(
        [
            np.ones(len(sizes), dtype=bool)
            if column.kind == "value"
            else _shares(state.arrays["nearest"], centres[:, place], least)
            for place, column in enumerate(columns(study))
        ]
    )
    return [
        (size, [float(m) if ok and size is not None else None for m, ok in means])
        for size, means in zip(sizes, map(zip, centres, open_), strict=True)
    ]


def _shares(sizes: Array, share: Array, least: int) -> NDArray[np.bool_]:
    """Return in which groups a share may be told: who has the level, and who has not.

    How many of all records have it is known, so this is a table with its totals.
    """
    having = np.rint(sizes * share)
    told = suppression.table(np.column_stack([having, sizes - having]), least)
    return np.array([None not in line for line in told])


def _about_mean(centres: Array, total: Summands) -> float:
    """Return the sum of squared distances to the mean of all, from the same sums."""
    count, sums = total["nearest"], total["total"]
    within = 2.0 * (centres * sums).sum() - count @ (centres**2).sum(axis=1)
    squares, mean = total["spread"] + within, sums.sum(axis=0)
    return float(squares - mean @ mean / max(count.sum(), 1.0))


def _explained(state: State) -> float:
    """Return the share of the variance that lies between the groups."""
    within, whole = state.arrays["spread"]
    return float(1.0 - within / whole) if whole > 0.0 else 0.0


CLUSTERS = Task(
    name="clusters",
    rows="train",
    encoded=True,
    shows=shows,
    release=release,
    start=start,
    local=local,
    finish=finish,
    read=read,
    show=show,
)
