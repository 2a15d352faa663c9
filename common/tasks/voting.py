"""The sites' votes on each step of a network, and the way back from a bad one.

A fifth of each site's people do not train. In every round the site holds what it is
shown against the best so far, by the loss of those people, and votes through the same
door: is it better, and is it bearable? What half of the sites cannot bear is taken
back: all go on from the best, in shorter steps. So wrong gradients of one site lead
the others astray for a round at most. A site that lies about its votes as well is not
stopped where masks hide them: see docs/limits.md.
"""

import numpy as np

from common import trees
from common.errors import IntegrityError, StudyError
from common.large_arrays import made, zeros
from common.networks import MOST, Training
from common.release import Array, Field, Release
from common.study import Study
from common.task import Flags, Rows, Shapes, State
from common.tasks import crowd, stepping

HELD_OUT = 0.2
BEARABLE, SLACK = 1.1, 0.02
"""A loss so many times the best and a bit more is borne: steps go up and down, and few
are held out. Even odds lose 0.69.
"""
DOWN, UP = 0.5, 1.1
"""What a step that was taken back, or a better one, does to the length of the next."""
TINY = 1e-7
"""No probability is nearer to 0 and 1."""


def release() -> Release:
    """Return what a vote is."""
    words = "sites whose held-out people are predicted better, bearably, or at all"
    return {"votes": Field(words, (3,), "flag")}


def shows(size: int) -> Shapes:
    """Return what sites are shown beside the candidate of *size* parameters."""
    return {"best": (size,)}


def begun(parameters: Array) -> State:
    """Return what is shown and remembered before the first step."""
    nothing = {"borne": zeros(len(parameters)), "candidates": np.zeros(1)}
    return State({"best": made(np.copy, parameters)}, {**nothing, "pace": np.ones(1)})


def split(study: Study, training: Training, rows: Rows) -> tuple[Rows, Rows]:
    """Return who trains and who is held out: by person, the same in every round.

    Too few of either are nobody.
    """
    out = held(training, rows)
    return crowd.enough(study, rows.take(~out)), crowd.enough(study, rows.take(out))


def held(training: Training, rows: Rows) -> Flags:
    """Tell of each record whether its person is held out."""
    (draw,) = trees.draws(rows.key, training.seed * MOST + MOST - 1, 1)
    return np.less(draw, HELD_OUT)


def vote(out: Rows, candidate: Array, best: Array) -> Array:
    """Return one site's vote [3]: better, bearable, and that it votes.

    From probabilities [records] of the outcome of those held *out*; nobody is no vote.
    """
    if not len(out.y):
        return np.zeros(3)
    now, before = loss(candidate, out.y), loss(best, out.y)
    return np.array(
        [now <= before, now <= BEARABLE * before + SLACK, True], dtype=np.float64
    )


def paced(training: Training, state: State) -> Training:
    """Return how the next step is taken: shorter after one that was taken back."""
    rate = training.rate * float(state.kept["pace"][0])
    return training.model_copy(update={"rate": rate})


def judged(training: Training, state: State, votes: Array, moved: State) -> State:
    """Return the state *moved* to, or back at the best when *state* is not borne.

    At the end it is the mean of what was borne of the last quarter of the rounds: the
    very last step has no votes, and is no part of it. Raises StudyError when nobody can
    vote, IntegrityError when more find it better than bear it.
    """
    better, bearable, voters = (float(each) for each in votes)
    if not voters:
        raise StudyError(
            "no site has enough people that are held out to vote",
            fix="votes = false   in [model.training]",
        )
    if not better <= bearable <= voters:
        raise IntegrityError(
            f"{better:.0f} sites vote for better, {bearable:.0f} for bearable, of "
            f"{voters:.0f} that vote",
            likely="a site that sends something else than its vote",
            fix="ask each site for its version; then study without one, in turn",
        )
    number, borne = int(moved.arrays["step"][0]), 2 * bearable > voters
    candidate = state.arrays["parameters"]
    best = candidate if 2 * better > voters else state.arrays["best"]
    late = borne and number > training.steps - max(training.steps // stepping.TAIL, 1)
    kept = {
        **moved.kept,
        "borne": made(lambda b, c: b + c * late, state.kept["borne"], candidate),
        "candidates": state.kept["candidates"] + late,
        "pace": np.minimum(state.kept["pace"] * (UP if borne else DOWN), 1.0),
        "rolled_back": state.kept["rolled_back"] + (not borne),
    }
    parameters = moved.arrays["parameters"]
    if not borne:
        nothing = zeros(len(candidate))
        parameters, kept["first"], kept["second"] = best, nothing, nothing
    if moved.done:
        count = float(kept["candidates"][0])
        parameters = made(lambda b: b / count, kept["borne"]) if count else best
    shown = {**moved.arrays, "parameters": parameters, "best": best}
    return State(shown, kept, moved.done)


def loss(score: Array, y: Array) -> float:
    """Return the mean log loss of probabilities; worse than any where one is none."""
    if not np.isfinite(score).all():
        return float("inf")
    inside = np.clip(score, TINY, 1 - TINY)
    return -float(np.mean(y * np.log(inside) + (1 - y) * np.log1p(-inside)))
