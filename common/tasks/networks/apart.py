"""The sites' votes on each site's part, which leave out one that leads astray.

Beside the common steps each site has a way of its own: where the parts of all others
led, along the same slopes. Where most sites find, some rounds in a row, that their
held-out people are ordered better there, all go on from there, and that site's parts
count no more. So a part that is turned around in every round is seen: it is never worse
than the round before, but always than what the others do. Needs each site's own part,
and so no masks.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from common import large_arrays
from common.release import Array, Field, Release, Summands
from common.sections.networks import Training
from common.task import Rows, Shapes, State
from common.tasks.networks import stepping, voting

ERROR = 1.0
"""How many standard errors an order is better by, that it is one vote."""
ROW = 5
"""Rounds in a row in which most sites find it so."""
WAYS = {"first": "firsts", "second": "seconds"}
"""What each way remembers of its steps, and where all of them are kept."""


def release(sites: int) -> Release:
    """Return what a site says of the ways without each of so many *sites*."""
    words = "sites whose held-out people are ordered better without a site, by site"
    return {"without": Field(words, (sites,), "flag")}


def shows(sites: int, size: int) -> Shapes:
    """Return what sites are shown beside the candidate of *size* parameters."""
    return {"ways": (sites, size)}


def begun(sites: int, parameters: Array) -> State:
    """Return what is shown and remembered before the first step."""
    nothing = {name: np.zeros((sites, len(parameters))) for name in WAYS.values()}
    kept = {**nothing, "against": np.zeros(sites), "left": np.zeros(sites)}
    return State({"ways": np.tile(parameters, (sites, 1))}, kept)


def votes(out: Rows, candidate: Array, ways: Sequence[Array]) -> Array:
    """Return where the chances of *ways* order those held *out* better, by site."""
    if not (np.isfinite(candidate).all() and voting.able(out)):
        return np.zeros(len(ways))
    return np.array([_better(out, each, candidate) for each in ways], dtype=np.float64)


def _better(out: Rows, way: Array, candidate: Array) -> bool:
    if not np.isfinite(way).all():
        return False
    _, lost, error = voting.compared(out, way, candidate)
    return -lost > ERROR * error


def together(training: Training, answers: Sequence[Summands]) -> Summands:
    """Return the sum of *answers*, and each site's part of it.

    A part that so many clipped records cannot give is none.
    """
    fair = np.array([_fair(training, each) for each in answers])
    added = {n: np.sum([each[n] for each in answers], axis=0) for n in answers[0]}
    parts = np.stack([each["sum"] for each in answers]) * fair[:, None]
    counts = np.array([float(each["records"][0]) for each in answers]) * fair
    losses = np.array([float(each["loss"][0]) for each in answers]) * fair
    return {**added, "parts": parts, "counts": counts, "losses": losses}


def _fair(training: Training, answer: Summands) -> bool:
    longest = stepping.longest(training, float(answer["records"][0]))
    return large_arrays.norm(answer["sum"]) <= longest


def heard(state: State, total: Summands) -> Summands:
    """Return *total* without the parts of who was left out before."""
    stays = 1.0 - state.kept["left"]
    parts, counts = total["parts"] * stays[:, None], total["counts"] * stays
    return {
        **total,
        "sum": np.sum(parts, axis=0),
        "records": counts.sum(keepdims=True),
        "loss": np.sum(total["losses"] * stays, keepdims=True),
        "parts": parts,
        "counts": counts,
    }


def judged(training: Training, state: State, total: Summands, moved: State) -> State:
    """Return the state *moved* to, with the ways a step further.

    Or where the others led, when most of the sites find it better some rounds in a row.
    Fewer than half of the sites are left out; who is, stays out.
    """
    against = 2 * total["without"] > total["votes"][3]
    row = (state.kept["against"] + 1) * against * (1 - state.kept["left"])
    ways = _further(training, state, total, row)
    worst = int(np.argmax(row))
    kept = {**moved.kept, "left": state.kept["left"], "against": row}
    few = 2 * (kept["left"].sum() + 1) < len(row)
    if row[worst] >= ROW and few:
        return _left_out(worst, ways, moved, kept)
    shown, moments = _whole(ways)
    return State({**moved.arrays, "ways": shown}, {**kept, **moments}, moved.done)


def _further(
    training: Training, state: State, total: Summands, row: Array
) -> list[State]:
    """Return the way without each site, a step further along the others' parts."""
    ways, over = [], 1.0 if training.by == "gradients" else -1.0
    for place in range(len(row)):
        moments = {name: state.kept[all_][place] for name, all_ in WAYS.items()}
        arrays = {**state.arrays, "parameters": state.arrays["ways"][place]}
        others = float(total["records"][0] - total["counts"][place])
        slope = total["sum"] - total["parts"][place]
        way = State(arrays, moments)
        if others > 0:
            way = stepping.onward(training, way, slope, over * others)
        ways.append(way)
    return ways


def _left_out(
    place: int, ways: Sequence[State], moved: State, kept: dict[str, Array]
) -> State:
    """Return the way without the site at *place*: for all, and as if from the start."""
    way, left = ways[place], kept["left"].copy()
    left[place] = 1.0
    parameters = way.arrays["parameters"]
    again = voting.begun(parameters)
    fresh = {**again.kept, **way.kept, "against": np.zeros(len(left)), "left": left}
    shown, moments = _whole([way] * len(ways))
    arrays = {**moved.arrays, **again.arrays, "parameters": parameters, "ways": shown}
    return replace(moved, arrays=arrays, kept={**kept, **fresh, **moments})


def _whole(ways: Sequence[State]) -> tuple[Array, dict[str, Array]]:
    """Return where all *ways* are, and what they remember, as one array each."""
    moments = {
        all_: np.stack([each.kept[name] for each in ways])
        for name, all_ in WAYS.items()
    }
    return np.stack([each.arrays["parameters"] for each in ways]), moments
