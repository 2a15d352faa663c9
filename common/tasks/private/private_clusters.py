"""Groups of people who are alike, by a fixed number of noisy k-means rounds.

Lloyd's steps from noisy counts and sums (Blum, Dwork, McSherry & Nissim 2005), five of
them, as Su, Cao, Li, Bertino & Jin 2016 found to be enough. A record adds to the group
whose centre is nearest: 1, and its columns, shortened together to sqrt(2 d). Seeds are
public directions, far apart from each other, and never somebody's row. A centre whose
group is no larger than the noise begins anew beside the largest.
"""

import math
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from common.arithmetic.intervals import Z
from common.encoding import Encoding, bounds, columns, shapes
from common.release import Array, Field, Release, Summands
from common.sheet import WITHHELD, Cell, Sheet, near
from common.study import Study
from common.task import Findings, Found, Noisy, Rows, Shapes, State, Task, added
from common.tasks.analyses import clusters
from common.tasks.private import one_release
from common.tasks.private.noisy_descent import shortened
from common.tasks.private.one_release import CLEAR, WEIGHT

ROUNDS: Final = 5
"""Steps, each with as much noise as the number of them asks for."""
SHARES: Final = {"nearest": 0.2, "total": 0.75, "spread": 0.05}
"""How a row's squared length is shared out: most tells where centres are."""
REACH: Final = 2.0
"""Squared length of a record, over that of a usual one, from where it is shortened."""
SEEDS: Final = 500
"""Public directions of which the seeds are chosen, each farthest from those before."""


def shows(study: Study) -> Shapes:
    """Show the sites the encoding, and the centres."""
    return {**shapes(study), "centres": _shape(study)}


def release(study: Study) -> Release:
    """Declare how many are nearest to each centre, their columns and squared length."""
    groups, width = _shape(study)
    return {
        "nearest": Field("records nearest to each centre, weighed", (groups,), "sum"),
        "total": Field("sums of their columns, weighed", (groups, width), "sum"),
        "spread": Field("sum of squared lengths, weighed", (1,), "sum"),
    }


def weights(study: Study) -> dict[str, float]:
    """Return by what each part is multiplied: then no record's row is longer than 1."""
    width = float(len(columns(study)))
    lengths = {"nearest": 1.0, "total": math.sqrt(width), "spread": width}
    return one_release.weights(SHARES, lengths)


def rounds(study: Study) -> int:
    """Return how many steps are taken, whatever the data say."""
    return min(ROUNDS, study.rounds.maximum)


def each(study: Study, state: State, rows: Rows) -> Array:
    """Return each record in the place of its nearest centre, weighed."""
    x, by = shortened(rows.x / math.sqrt(REACH)), weights(study)
    centres = state.arrays["centres"]
    far = [((x - centre) ** 2).sum(axis=1) for centre in centres]
    belongs = np.argmin(far, axis=0)[:, None] == np.arange(len(centres))
    placed = belongs[:, :, None] * x[:, None, :]
    return np.column_stack(
        [
            belongs * by["nearest"],
            placed.reshape(len(x), centres.size) * by["total"],
            (x**2).sum(axis=1) * by["spread"],
        ]
    )


def start(study: Study, found: Found) -> State:
    """Begin at public directions, far apart, half as long as a usual record."""
    groups, width = _shape(study)
    draw = np.random.default_rng(clusters.asked(study).seed)
    drawn = draw.normal(size=(max(SEEDS, groups), width))
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    chosen = [0]
    while len(chosen) < groups:
        beside = (drawn @ drawn[chosen].T).max(axis=1)
        chosen.append(int(np.argmin(beside)))
    centres = drawn[chosen] * math.sqrt(width / REACH) / 2.0
    encoding = Encoding.of(found["describe"].arrays).arrays()
    kept = {"rounds": np.zeros(1), "seeds": centres}
    return State({**encoding, "centres": centres}, kept=kept)


def finish(study: Study, state: State, total: Summands) -> State:
    """Move each centre that is clear of the noise to the mean of its records.

    One that is not is set beside the largest group, to share it: in its own direction.
    """
    by, seeds = weights(study), state.kept["seeds"]
    sums = {name: total[name] / by[name] for name in SHARES}
    clear = sums["nearest"] > CLEAR * deviation(study, "nearest")
    size = np.where(clear, sums["nearest"], 1.0)[:, None]
    means = shortened(sums["total"] / size)
    largest = means[np.argmax(sums["nearest"])] if clear.any() else np.zeros(1)
    moved = np.where(clear[:, None], means, largest + seeds)
    done = state.kept["rounds"] + 1
    if done[0] < rounds(study):
        kept = {"rounds": done, "seeds": seeds}
        return State({**state.arrays, "centres": moved}, kept=kept)
    order = np.argsort(-sums["nearest"], kind="stable")
    return State(
        {
            **{name: state.arrays[name] for name in shapes(study)},
            "centres": moved[order],
            "nearest": sums["nearest"][order],
            "explained": np.array([_explained(sums, clear, moved)]),
        },
        done=True,
    )


def deviation(study: Study, name: str) -> float:
    """Return the deviation of the noise in a number of a part, without its weight."""
    return one_release.noise(study, 1, rounds(study)) / weights(study)[name]


def read(study: Study, state: State) -> Findings:
    """Return each group that is clear of the noise: size, centre, and their margins."""
    names = [column.name for column in columns(study)]
    explained = float(state.arrays["explained"][0])
    return {
        "rounds": rounds(study),
        "records_margin": Z * deviation(study, "nearest"),
        "explained": explained if math.isfinite(explained) else None,
        "groups": [
            {
                "records": size,
                "centre": None
                if size is None
                else dict(zip(names, means, strict=True)),
                "margin": None if size is None else dict(zip(names, wide, strict=True)),
            }
            for size, means, wide in _told(study, state)
        ],
    }


def show(study: Study, state: State) -> tuple[Sheet, ...]:
    """Return one column for each group, the largest first."""
    told, found = _told(study, state), read(study, state)
    rows: list[tuple[Cell, ...]] = [
        ("records", *(WITHHELD if size is None else size for size, _, _ in told))
    ]
    rows += [
        (column.name, *(_cell(size, means[at], wide[at]) for size, means, wide in told))
        for at, column in enumerate(columns(study))
    ]
    heads = ("column", *(f"group {place + 1}" for place in range(len(told))))
    said = tuple(_notes(found, withheld=any(size is None for size, _, _ in told)))
    return (Sheet("Groups of people who are alike", heads, tuple(rows), said),)


def _notes(found: Findings, *, withheld: bool) -> Iterator[str]:
    """Yield what a reader should know of the noise, and of what is not there."""
    yield (
        "Means in each column's unit, shares of levels, each \N{PLUS-MINUS SIGN} the "
        "noise of 19 times in 20; of a count that is "
        f"{found['records_margin']:.0f}. By {found['rounds']} noisy steps: other seeds "
        "may end elsewhere. Who is far from the mean of all counts as nearer."
    )
    if isinstance(explained := found["explained"], float):
        yield f"Between groups: about {100 * explained:.0f} % of the variance."
    if withheld:
        yield f"Withheld: a group of no more than {CLEAR:g} deviations of the noise."


def _shape(study: Study) -> tuple[int, int]:
    """Return how many groups and columns there are."""
    return clusters.asked(study).groups, len(columns(study))


def _told(
    study: Study, state: State
) -> list[tuple[int | None, list[float], list[float]]]:
    """Return size, centre and its margin [columns] of each group, in their units."""
    encoding, counted = Encoding.of(state.arrays), deviation(study, "nearest")
    moved, longer = deviation(study, "total"), math.sqrt(REACH)
    ends = np.array([bounds(study, column) for column in columns(study)]).T
    found: list[tuple[int | None, list[float], list[float]]] = []
    for size, centre in zip(
        state.arrays["nearest"], state.arrays["centres"], strict=True
    ):
        clear = size > CLEAR * counted
        noise = np.sqrt(moved**2 + (centre * counted) ** 2) / max(float(size), 1.0)
        means = longer * centre * encoding.scale + encoding.centre
        means = means.clip(*ends)  # no mean, and no share, is beyond what may be
        wide = Z * longer * noise * encoding.scale
        told = round(float(size)) if clear else None
        found.append((told, means.tolist(), wide.tolist()))
    return found


def _cell(size: int | None, mean: float, margin: float) -> Cell:
    if size is None:
        return WITHHELD
    width = margin if margin > 0.0 else 0.01
    return f"{near(mean, width)} \N{PLUS-MINUS SIGN} {near(margin, width)}"


def _explained(sums: Summands, clear: NDArray[np.bool_], centres: Array) -> float:
    """Return about the share of the variance between groups; NaN where none is known.

    The squared length of a mean has the noise's own in it, which is not taken out.
    """
    size = np.where(clear, sums["nearest"], 0.0)
    count = float(size.sum())
    if np.count_nonzero(clear) < 2:  # noqa: PLR2004 - between one there is nothing
        return math.nan
    mean = size @ centres / count
    whole = float(sums["spread"][0]) - count * float(mean @ mean)
    between = float(size @ ((centres - mean) ** 2).sum(axis=1))
    return min(between / whole, 1.0) if whole > 0.0 else math.nan


PRIVATE_CLUSTERS = Task(
    name="clusters",
    rows="train",
    encoded=True,
    shows=shows,
    release=release,
    start=start,
    local=added(each, release),
    finish=finish,
    read=read,
    show=show,
    noisy=Noisy(each=each, clip=lambda _study: 1.0, rounds=rounds, weight=WEIGHT),
)
