"""A random forest under a promise: trees that chance drew, and one noisy sum of leaves.

Where a tree cuts is drawn by the study's public seed, about the noisy means, so that it
tells nothing (Fletcher & Islam 2017). A person is in one leaf of every tree: with T
trees and one count in each, the person's row has length sqrt(T). Every tree sees
everybody, for then a mean over trees has no more noise the more trees there are; trees
that share the people out among them were worse at every epsilon.
"""

import math

import numpy as np
from scipy.special import softmax

from common import promise
from common.arithmetic import trees
from common.design import Column
from common.encoding import Encoding, bounds, columns, shapes
from common.privacy import mu_of
from common.release import Array, Field, Release, Summands
from common.schema import Number
from common.study import Study
from common.task import Findings, Found, Model, Noisy, Rows, Shapes, State, Task
from common.tasks import describe
from common.tasks.forests import random_forest
from common.tasks.forests.forest_bins import asked
from common.tasks.private import noised

WEIGHT = 0.9
"""Share of mu^2 beside describe's."""
LEVELS = 3
"""Levels of a tree when nothing is known of how many people there are."""
CLEAR = 6.0
"""So many deviations of the noise, or more, are what a leaf's people count for."""
REACH = 1.0
"""A number is cut within so many deviations of its mean: there the people are."""
STRETCH = {"binary": 6.0, "category": 1.5, "number": 2.0}
"""By how much a leaf overstates itself: most of a mean over random trees knows little.
Of classes it is the log odds that are stretched, about those of everybody."""
RAREST = 0.01


def depth(study: Study) -> int:
    """Return how many levels a tree has: from the study alone, whatever the data say.

    Those asked for at most, and no more leaves than sqrt(people) or than stand out of
    the noise.
    """
    kept, levels = promise.of(study), float(LEVELS)
    if kept.expected_people:
        noise = promise.in_total(study, 1.0 / mu_of(kept.epsilon, kept.delta))
        clear = kept.expected_people / (CLEAR * noise)
        levels = math.log2(max(min(clear, math.sqrt(kept.expected_people)), 2.0))
    return min(int(levels), asked(study).depth)


def carries(study: Study) -> Shapes:
    """Show the encoding, where each node cuts, and what each says."""
    count, inner = asked(study).trees, trees.inner(depth(study))
    return {
        **shapes(study),
        "feature": (count, inner),
        "threshold": (count, inner),
        "leaf": (count, 2 * inner + 1, _numbers(study)),
    }


def drawn(study: Study, encoding: Encoding) -> tuple[Array, Array]:
    """Return column and cut of every node [trees, nodes], in units of the design.

    A site draws them itself: nobody can show it other trees.
    """
    shape, every = carries(study)["feature"], columns(study)
    draw = np.random.default_rng([asked(study).seed, *shape])
    feature = draw.integers(0, len(every), shape)
    cut = draw.uniform(-REACH, REACH, shape)
    scale = np.where(encoding.scale > 0.0, encoding.scale, 1.0)
    ends = np.array([bounds(study, each) for each in every])
    halfway = (ends.mean(axis=1) - encoding.centre) / scale
    numeric = np.array([_measured(study, each) for each in every])
    threshold = np.where(numeric[feature], cut, halfway[feature])
    return feature.astype(np.float64), threshold


def _measured(study: Study, column: Column) -> bool:
    return column.kind == "value" and isinstance(
        study.variables[column.variable], Number
    )


def release(study: Study) -> Release:
    """Declare what each leaf of each tree holds, weighed."""
    held = "outcome and its size" if _number(study) else "class"
    leaves = trees.inner(depth(study)) + 1
    size = (asked(study).trees, leaves, _numbers(study))
    return {"leaves": Field(f"records by tree, leaf and {held}, weighed", size, "sum")}


def bounded(study: Study, state: State, rows: Rows, most: Array) -> Summands:
    """Add up the records by leaf, each shortened: its row is no longer than 1."""
    shape = release(study)["leaves"].shape
    feature, threshold = drawn(study, Encoding.of(state.arrays))
    parts = _parts(study, rows.y) * np.minimum(most, 1.0)[:, None]
    parts[~np.isfinite(parts).all(axis=1)] = 0.0
    found = np.zeros(shape)
    for tree in range(shape[0]):
        leaf = trees.fall(feature[tree], threshold[tree], rows.x) - feature.shape[1]
        for place, part in enumerate(parts.T):
            found[tree, :, place] = np.bincount(leaf, part, minlength=shape[1])
    return {"leaves": found * weight(study)}


def weight(study: Study) -> float:
    """Return by what all is multiplied: then no record's row is longer than 1."""
    return 1.0 / math.sqrt(asked(study).trees * (2 if _number(study) else 1))


def _parts(study: Study, outcome: Array) -> Array:
    """Return each record's numbers of a leaf: its class, or its size and outcome.

    A number is measured from mid-range in half ranges.
    """
    if isinstance(study.outcome, Number):
        middle, half = describe.middle(study.outcome), describe.half(study.outcome)
        away = ((outcome - middle) / half).clip(-1.0, 1.0)
        return np.column_stack([np.ones(len(away)), away])
    classes: Array = (outcome[:, None] == range(_numbers(study))).astype(np.float64)
    return classes


def _numbers(study: Study) -> int:
    """Return how many numbers a leaf holds: of each class, or of size and outcome."""
    outcome = study.outcome
    return 2 if isinstance(outcome, Number) else len(outcome.coded)


def finish(study: Study, state: State, total: Summands) -> State:
    """Let each node say what its people were like, as far as it is not the noise."""
    noise = float(state.arrays["noise"][0]) / weight(study)
    held, spread = _nodes(total["leaves"] / weight(study), noise)
    says = (_mean if _number(study) else _odds)(study, held, spread)
    feature, threshold = drawn(study, Encoding.of(state.arrays))
    grown = {"feature": feature, "threshold": threshold, "leaf": says}
    return State({**state.arrays, **grown}, done=True)


def _nodes(leaves: Array, noise: float) -> tuple[Array, Array]:
    """Return what each node holds [trees, nodes, numbers], and how far noise goes."""
    levels, spread = [leaves], [np.full(leaves.shape[1], noise)]
    while levels[0].shape[1] > 1:
        levels.insert(0, levels[0][:, ::2] + levels[0][:, 1::2])
        spread.insert(0, np.hypot(spread[0][::2], spread[0][1::2]))
    return np.concatenate(levels, axis=1), np.concatenate(spread)


def _odds(study: Study, held: Array, spread: Array) -> Array:
    """Return the shares of the classes at each node, leaning on those of everybody."""
    sizes = held[:, 0].mean(axis=0).clip(1.0)
    usual = (sizes / sizes.sum()).clip(RAREST, 1.0 - RAREST)
    known = held.clip(0.0)
    whole = known.sum(axis=-1, keepdims=True) + spread[:, None]
    share = (known + spread[:, None] * usual) / whole
    share = share.clip(RAREST, 1.0 - RAREST)
    far = STRETCH[study.outcome.kind] * (np.log(share) - np.log(usual))
    return np.asarray(softmax(np.log(usual) + far, axis=-1))


def _mean(study: Study, held: Array, spread: Array) -> Array:
    """Return 1 and the mean outcome at each node, leaning on that of everybody."""
    outcome = study.outcome
    size, total = held[:, 0].mean(axis=0)
    usual = float(np.clip(total / max(size, 1.0), -1.0, 1.0))
    away = held[..., 1] - usual * held[..., 0]
    moved = away / (held[..., 0].clip(0.0) + spread)
    mean = (usual + STRETCH["number"] * moved).clip(-1.0, 1.0)
    if isinstance(outcome, Number):
        mean = describe.middle(outcome) + describe.half(outcome) * mean
    return np.stack([np.ones_like(mean), mean], axis=-1)


def _number(study: Study) -> bool:
    return study.outcome.kind == "number"


def read(study: Study, state: State) -> Findings:
    """Return how large the forest is: of its columns chance alone decided."""
    del state
    return {"trees": asked(study).trees, "depth": depth(study)}


def _shows(study: Study) -> Shapes:
    return {**shapes(study), "noise": (1,)}


def _start(study: Study, found: Found) -> State:
    noise = promise.of_share(study, 1.0, noised.paid(study, WEIGHT))
    constants = Encoding.of(found["describe"].arrays).arrays()
    return State({**constants, "noise": np.array([noise])})


PRIVATE_FOREST = Model(
    fit=Task(
        name=random_forest.NAME,
        rows="train",
        encoded=True,
        shows=_shows,
        release=release,
        start=_start,
        local=lambda study, state, rows: bounded(
            study, state, rows, np.ones(len(rows.y))
        ),
        finish=finish,
        read=read,
        noisy=Noisy(
            each=None,
            clip=lambda _study: 1.0,
            rounds=lambda _study: 1,
            weight=WEIGHT,
            bounded=bounded,
        ),
    ),
    carries=carries,
    predict=random_forest.predict,
    explain=random_forest.explain,
    scale="chance",
)
