"""The sites' votes on each step of a network, and the way back from a bad one.

A fifth of each site's people do not train. In every round the site holds what it is
shown against the best so far, by the order into which it puts those people, and votes
through the same door: is it better, and is it bearable? What half of the sites cannot
bear is taken back: all go on from the best, in shorter steps. So wrong gradients of one
site lead the others astray for a round at most. A site that lies about its votes as
well is not stopped where masks hide them: see docs/limits.md.

Why order and not loss: docs/adr/0022-sites-vote-on-order.md.
"""

import math
from collections.abc import Mapping

import numpy as np

from common.arithmetic import trees
from common.errors import IntegrityError, StudyError
from common.large_arrays import made, zeros
from common.release import Array, Field, Release
from common.sections.networks import MOST, Training
from common.study import Study
from common.task import Flags, Rows, Shapes, State
from common.tasks import crowd
from common.tasks.networks import stepping
from common.written.slips import of_key

HELD_OUT = 0.2
EACH = 3
"""People held out with the outcome, and without it, that an order takes at least."""
SLACK, CHANCE = 0.03, 2.0
"""An area under the ROC curve that is less by so much is borne, and so is one that is
less by so many standard errors: few are held out, and steps go up and down.
"""
EVEN = 0.5
"""The area under the ROC curve of a draw of lots."""
WAIT, SOON = 0.25, 3
"""After a step was taken back a better one comes within so much of all rounds, or so
many.
"""
DOWN, UP = 0.5, 1.1
"""What a step that was taken back, or a better one, does to the length of the next."""
TINY = 1e-7
"""No probability is nearer to 0 and 1."""


def release() -> Release:
    """Return what a vote is."""
    words = (
        "sites whose held-out people are ordered better, bearably, better than by "
        "lots, or at all"
    )
    return {"votes": Field(words, (4,), "flag")}


def shows(size: int) -> Shapes:
    """Return what sites are shown beside the candidate of *size* parameters."""
    return {"best": (size,)}


def begun(parameters: Array) -> State:
    """Return what is shown and remembered before the first step."""
    nothing = {"borne": zeros(len(parameters)), "candidates": np.zeros(1)}
    kept = {**nothing, "pace": np.ones(1), "astray": np.zeros(1)}
    return State({"best": made(np.copy, parameters)}, kept)


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
    """Return one site's vote [4]: better, bearable, better than lots, and its being.

    From probabilities [records] of the outcome of those held *out*. Of one order the
    surer is better. Where fewer than EACH people have the outcome, or lack it, is no
    vote: many records of one are one.
    """
    if not able(out):
        return np.zeros(4)
    if not np.isfinite(candidate).all():
        return np.array([0.0, 0.0, 0.0, 1.0])
    area, lost, error = compared(out, candidate, best)
    surer = loss(candidate, out.y) < loss(best, out.y)
    bearable = lost <= max(SLACK, CHANCE * error)
    better = lost < 0 or (lost == 0 and surer)
    return np.array([better, bearable, area > EVEN, True], dtype=np.float64)


def able(out: Rows) -> bool:
    """Tell whether those held *out* have an order to vote on."""
    having = out.y == 1
    return min(len(np.unique(out.key[has])) for has in (having, ~having)) >= EACH


def compared(out: Rows, candidate: Array, best: Array) -> tuple[float, float, float]:
    """Return the area of a *candidate*, by how much it is less, and the error of that.

    Of those held *out* who are able to vote, and of probabilities that are some.
    """
    now, before = (_above(each, out.y) for each in (candidate, best))
    area = _mean(now)
    return area, _mean(before) - area, _error(now, before)


def paced(training: Training, state: State) -> Training:
    """Return how the next step is taken: shorter after one that was taken back."""
    rate = training.rate * float(state.kept["pace"][0])
    return training.model_copy(update={"rate": rate})


def judged(training: Training, state: State, votes: Array, moved: State) -> State:
    """Return the state *moved* to, or back at the best when *state* is not borne.

    At the end it is the mean of what was borne of the last quarter of the rounds: the
    very last step has no votes, and is no part of it. Raises StudyError when nobody can
    vote, IntegrityError when votes cannot be so, or when nothing was learned.
    """
    better, bearable, useful, voters = (float(each) for each in votes)
    _countable(better, bearable, useful, voters)
    number, borne = int(moved.arrays["step"][0]), 2 * bearable > voters
    candidate, improved = state.arrays["parameters"], 2 * better > voters
    best = candidate if improved else state.arrays["best"]
    astray = state.kept["astray"]
    late = borne and number > training.steps - max(training.steps // stepping.TAIL, 1)
    kept = {
        **moved.kept,
        "borne": made(lambda b, c: b + c * late, state.kept["borne"], candidate),
        "candidates": state.kept["candidates"] + late,
        "pace": np.minimum(state.kept["pace"] * (UP if borne else DOWN), 1.0),
        "rolled_back": state.kept["rolled_back"] + (not borne),
        "astray": (astray + (not borne or astray > 0)) * (not improved),
    }
    _recovers(training, kept)
    parameters = moved.arrays["parameters"]
    if not borne:
        nothing = zeros(len(candidate))
        parameters, kept["first"], kept["second"] = best, nothing, nothing
    if moved.done:
        _learned(useful, voters)
        count = float(kept["candidates"][0])
        parameters = made(lambda b: b / count, kept["borne"]) if count else best
    shown = {**moved.arrays, "parameters": parameters, "best": best}
    return State(shown, kept, moved.done)


def _countable(better: float, bearable: float, useful: float, voters: float) -> None:
    """Raise unless these can be votes, and somebody's."""
    if not voters:
        end = StudyError(
            "no site has enough people that are held out to vote",
            likely=f"it takes {EACH} with the outcome and {EACH} without it, of a "
            "fifth of a site's people that train, and as many as its floor says",
            fix="votes = false   in [model.training]",
        )
        raise of_key("model.training.votes", end)
    if not (better <= bearable <= voters and useful <= voters):
        wrong = IntegrityError(
            f"{better:.0f} sites vote for better, {bearable:.0f} for bearable, "
            f"{useful:.0f} for better than lots, of {voters:.0f} that vote",
            likely="a site that sends something else than its vote",
            fix="ask each site for its version; then study without one, in turn",
        )
        raise of_key("model.training.votes", wrong)


def _recovers(training: Training, kept: Mapping[str, Array]) -> None:
    """Raise IntegrityError when a step was taken back, and none since is better.

    Of honest sites one is soon: from the best so far, in steps that are short enough.
    """
    rounds, back = (int(kept[name][0]) for name in ("astray", "rolled_back"))
    if rounds > max(training.steps * WAIT, SOON):
        end = IntegrityError(
            f"{back} of {training.steps} rounds led to a model that half of the sites "
            f"cannot bear, and none of the last {rounds} to a better one than before",
            likely="a site turns its part around; or the rate in [model.training] is "
            "too high",
            fix="a smaller rate in [model.training]; or ask each site for its "
            "version, and study without one, in turn",
        )
        raise of_key("model.training.rate", end)


def _learned(useful: float, voters: float) -> None:
    """Raise IntegrityError when most of the sites say that nothing was learned.

    Steps that are wrong from the first on are never worse than one before.
    """
    if 2 * useful < voters:
        end = IntegrityError(
            f"{useful:.0f} of {voters:.0f} sites find their held-out people ordered "
            "better than by lots in the last round",
            likely="a site turns its part around in every round; or the variables say "
            "nothing of the outcome; or [model.training] has too few steps",
            fix="study without one site, in turn; or votes = false   in "
            "[model.training]",
        )
        raise of_key("model.training.votes", end)


def _above(score: Array, y: Array) -> tuple[Array, Array]:
    """Return of each record that has the outcome the share of the others below it.

    And of each that lacks it the share above it; ties count half. The mean of either
    is the area under the ROC curve.
    """
    having, lacking = score[y == 1], score[y != 1]
    return _below(having, lacking), 1.0 - _below(lacking, having)


def _below(those: Array, others: Array) -> Array:
    """Return the share of *others* that is below each of *those*."""
    line = np.sort(others)
    ends = [np.searchsorted(line, those, side) for side in ("left", "right")]
    return np.asarray((ends[0] + ends[1]) / (2.0 * len(others)))


def _mean(above: tuple[Array, Array]) -> float:
    """Return the area under the ROC curve."""
    return float(above[0].mean())


def _error(now: tuple[Array, Array], before: tuple[Array, Array]) -> float:
    """Return the standard error of the difference of two areas over the same people.

    DeLong et al. 1988, "Comparing the areas under two or more correlated ROC curves".
    """
    parts = (np.var(n - b, ddof=1) / len(n) for n, b in zip(now, before, strict=True))
    return math.sqrt(sum(float(each) for each in parts))


def loss(score: Array, y: Array) -> float:
    """Return the mean log loss of probabilities; worse than any where one is none."""
    if not np.isfinite(score).all():
        return float("inf")
    inside = np.clip(score, TINY, 1 - TINY)
    return -float(np.mean(y * np.log(inside) + (1 - y) * np.log1p(-inside)))
