"""When to stop learning under a promise: every look is part of a round that is charged.

A fifth of each site's people are held out, by who they are. In each round the sum of
the clipped gradients of all others leaves, and in the same vector, with the same noise,
that of the losses of those held out. Each person is in one of the two and moves it by
the clip at most, so the vector as a whole moves no further than without looks, and a
round costs what it costs.

The loss of so many rounds as lie between two looks is judged as one, whose noise is
less. At the end of a study fewer rounds were charged than were planned: how many is
decided by what was released with noise, and all of them stay within the plan (fully
adaptive composition of Gaussian releases; Smith and Thakurta 2022).
"""

import math

import numpy as np

from common import promise
from common.release import Array, Field, Release, Summands
from common.sections.networks import Training
from common.study import Study
from common.task import State
from common.tasks.networks import early_stopping, voting

MOST = 2.0
"""No record's loss counts as more; even odds lose 0.69."""
CENTRE = MOST / 2
LOUDEST = 0.1
"""A look whose noise has a greater deviation in a mean loss is not judged."""


def release(training: Training) -> Release:
    """Return what leaves beside the gradients."""
    words = f"sum of losses of people held out, {MOST:g} at most, less {CENTRE:g}, "
    return {"held_loss": Field(f"{words}times {training.clip:g}", (1,), "sum")}


def seen(score: Array, outcome: Array, bounds: Array) -> Summands:
    """Return what leaves of people held out with this *score*: each up to its bound.

    A record whose score is not finite counts as nothing.
    """
    inside = np.clip(score, voting.TINY, 1 - voting.TINY)
    loss = -np.log(np.where(outcome == 1, inside, 1 - inside))
    part = bounds * (np.minimum(loss, MOST) - CENTRE) / CENTRE
    return {"held_loss": np.array([np.where(np.isfinite(score), part, 0.0).sum()])}


def noise(study: Study, training: Training, share: float, people: float) -> float:
    """Return the deviation of the noise in a look's mean loss, for that many people.

    *share* is the network's of mu^2.
    """
    total = promise.of_share(study, training.clip, share / training.steps)
    out = voting.HELD_OUT * people
    return total * CENTRE / training.clip / out / math.sqrt(training.every)


def begun(loud: float, state: State) -> State:
    """Return *state* as it is before the first look, whose noise is so *loud*."""
    window = np.zeros_like(state.arrays["parameters"])
    kept = {"heard": np.zeros(1), "window": window, "noise": np.array([loud])}
    return State(state.arrays, {**state.kept, **kept})


def judged(training: Training, state: State, total: Summands, moved: State) -> State:
    """Return the state *moved* to, or its end at the least loss, after each look.

    A loss is less if it is so by more than the noise of a look. The model is the mean
    of the weights between two looks. What drowns in noise is not judged: learning then
    goes on to its last step.
    """
    loud = float(state.kept["noise"][0])
    if loud > LOUDEST:
        return moved
    kept = {
        "heard": state.kept["heard"] + total["held_loss"],
        "window": state.kept["window"] + state.arrays["parameters"],
    }
    if int(moved.arrays["step"][0]) % training.every:
        return State(moved.arrays, {**moved.kept, **kept}, moved.done)
    people = voting.HELD_OUT * float(state.kept["people"][0])
    parts = training.clip * people * training.every
    loss = CENTRE + CENTRE * float(kept["heard"][0]) / parts
    least, waited = float(state.kept["least"][0]), state.kept["waited"] + 1.0
    told = {"waited": waited}
    if loss < least - max(early_stopping.BETTER, loud):
        best = kept["window"] / training.every
        told = {"least": np.array([loss]), "least_at": best, "waited": np.zeros(1)}
    kept = {"heard": np.zeros(1), "window": np.zeros_like(kept["window"]), **told}
    ends = float(told["waited"][0]) >= training.patience
    at = {"parameters": state.kept["least_at"]} if ends else {}
    arrays, done = {**moved.arrays, **at}, moved.done or ends
    return State(arrays, {**moved.kept, **kept}, done)
