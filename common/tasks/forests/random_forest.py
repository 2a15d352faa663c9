"""Random forests from histograms: every level of every tree is one sum over all sites.

Level by level, each site counts its people by open node, column, bin and class; the sum
decides the splits, so the forest is the one that pooled records give (Breiman 2001). A
threshold is never somebody's value, and a leaf holds so many people or more.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from common.arithmetic import trees
from common.encoding import Encoding, columns, shapes
from common.release import Array, Field, Release, Summands
from common.schema import Number
from common.sheet import Sheet
from common.study import Study
from common.task import Findings, Found, Model, Rows, Shapes, State, Task
from common.tasks.forests import forest_columns
from common.tasks.forests.forest_bins import BINS, asked

NAME = "random_forest"
TINY = 1e-300
"""Instead of 0, where nothing was split."""


def tasks(study: Study) -> tuple[Task, ...]:
    """Return the histogram, and one task for each level but the last."""
    early = range(asked(study).depth - 1)
    return (BINS, *(_grown(_name(study, each), _always(each)) for each in early))


def carries(study: Study) -> Shapes:
    """Show the encoding, where each node cuts, and what each says."""
    set_, inner = asked(study), trees.inner(asked(study).depth)
    every = (set_.trees, 2 * inner + 1, _values(study))
    return {
        **shapes(study),
        "feature": (set_.trees, inner),
        "threshold": (set_.trees, inner),
        "leaf": every,
    }


def predict(study: Study, arrays: Mapping[str, Array], rows: Rows) -> Array:
    """Return the mean over the trees of what a record's leaf says."""
    said = np.zeros((len(rows.x), _values(study)))
    grown = zip(arrays["feature"], arrays["threshold"], arrays["leaf"], strict=True)
    for feature, threshold, leaf in grown:
        said += _told(study, leaf[trees.fall(feature, threshold, rows.x)])
    said /= len(arrays["feature"])
    return said[:, _place(study)]


def explain(study: Study, arrays: Mapping[str, Array], rows: Rows) -> Array:
    """Return what each column adds on the way down, last the roots' (Saabas 2014)."""
    place, size = _place(study), (len(rows.x), rows.x.shape[1] + 1)
    found = np.zeros((*size, _values(study)))[..., place]
    grown = zip(arrays["feature"], arrays["threshold"], arrays["leaf"], strict=True)
    for feature, threshold, leaf in grown:
        says = _told(study, leaf)[:, place]
        found[:, -1] += says[0]
        for who, node, child in trees.steps(feature, threshold, rows.x):
            column = feature[node].astype(np.int64)
            found[who, column] += says[child] - says[node]
    found /= len(arrays["feature"])
    return found


def pruned(arrays: Mapping[str, Array], depth: int) -> dict[str, Array]:
    """Return the forest of this *depth* that grew to the one in *arrays*."""
    feature = arrays["feature"].copy()
    feature[:, trees.inner(depth) :] = -1.0
    return {**arrays, "feature": feature}


def _place(study: Study) -> int | slice:
    """Return what of a leaf is predicted: of a category the chance of each level."""
    return {"binary": 1, "number": 0}.get(study.outcome.kind, slice(None))


def read(study: Study, state: State) -> Findings:
    """Return how large the forest grew, and what each column did for it."""
    grown = state.arrays["feature"] >= 0
    named = zip(columns(study), _importance(state), strict=True)
    return {
        "trees": len(grown),
        "splits": int(grown.sum()),
        "importance": {column.name: float(share) for column, share in named},
    }


def show(study: Study, state: State) -> tuple[Sheet, ...]:
    """Return the columns by what they did for the forest, the most first."""
    named = zip(columns(study), _importance(state), strict=True)
    rows = tuple((column.name, float(share)) for column, share in named)
    ordered = tuple(sorted(rows, key=lambda row: -row[1]))
    note = "Share of the fall in impurity over all splits (Breiman 2001)."
    return (Sheet("What the forest went by", ("column", "share"), ordered, (note,)),)


def _values(study: Study) -> int:
    """Return how many numbers tell of a group of people: classes, or size and sum."""
    return 2 if isinstance(study.outcome, Number) else len(study.outcome.coded)


def _told(study: Study, leaves: Array) -> Array:
    """Return each leaf [records, values] as shares of classes, or as a mean."""
    if study.outcome.kind == "number":
        mean: Array = leaves[:, 1:] / np.maximum(leaves[:, :1], 1.0)
        return mean
    shares: Array = leaves / np.maximum(leaves.sum(axis=1, keepdims=True), 1.0)
    return shares


def _importance(state: State) -> Array:
    gains = state.arrays["importance"]
    shares: Array = gains / max(float(gains.sum()), TINY)
    return shares


def _open(study: Study, level: int) -> int:
    """Return how many nodes of the whole forest one level splits at most."""
    return asked(study).trees * min(trees.inner(level) + 1, asked(study).open_nodes)


def _begun(study: Study, found: Found) -> State:
    """Return a forest of roots: nothing is split, and every root is open."""
    wanted, cut = carries(study), found[BINS.name].arrays
    empty = {name: np.zeros(wanted[name]) for name in ("threshold", "leaf")}
    grown = {
        **Encoding.of(cut).arrays(),
        **empty,
        "cuts": cut["cuts"],
        "feature": np.full(wanted["feature"], -1.0),
    }
    count = asked(study).trees
    roots = np.column_stack([np.arange(count, dtype=np.float64), np.zeros(count)])
    first = {
        "open": roots,
        "columns": forest_columns.drawn(study, 0, roots, cut["scale"]),
    }
    return State({**grown, **first}, kept={"importance": np.zeros(len(columns(study)))})


def _shows(study: Study, level: int) -> Shapes:
    size, tried = _open(study, level), forest_columns.sent(study)
    return {
        **carries(study),
        "cuts": (len(columns(study)), asked(study).bins - 1),
        "open": (size, 2),
        "columns": (size, tried),
    }


def _release(study: Study, level: int) -> Release:
    size = (
        _open(study, level),
        forest_columns.sent(study),
        asked(study).bins,
        _values(study),
    )
    if study.outcome.kind == "number":
        words = "records, and their outcome, by open node, column and bin"
        return {"split": Field(words, size, "sum")}
    words = "records by open node, column, bin and class"
    return {"split": Field(words, size, "count")}


def _local(study: Study, level: int, state: State, rows: Rows) -> Summands:
    """Count the people of each tree by open node, column, bin and outcome."""
    arrays, set_ = state.arrays, asked(study)
    shape = _release(study, level)["split"].shape
    counts, binned = np.zeros(shape), trees.codes(arrays["cuts"], rows.x)
    nodes = arrays["open"].astype(np.int64)
    for tree, drawn in enumerate(trees.draws(rows.key, set_.seed, set_.trees)):
        used = np.flatnonzero(drawn < set_.sample)
        feature, threshold = arrays["feature"][tree], arrays["threshold"][tree]
        slots = np.flatnonzero(nodes[:, 0] == tree)
        at = np.full(2 * len(feature) + 1, -1)
        at[nodes[slots, 1]] = np.arange(len(slots))
        slot = at[trees.fall(feature, threshold, rows.x[used])]
        used, slot = used[slot >= 0], slot[slot >= 0]
        tried = arrays["columns"][slots].astype(np.int64)[slot]
        bins = np.take_along_axis(binned[used], tried, axis=1)
        place = (slot[:, None] * shape[1] + np.arange(shape[1])) * shape[2] + bins
        counts[slots] = _told_apart(
            study, place, rows.y[used], (len(slots), *shape[1:])
        )
    return {"split": counts}


def _told_apart(
    study: Study, place: trees.Whole, outcome: Array, shape: tuple[int, ...]
) -> Array:
    """Add up who is at each *place* [records, columns], by what is told of them."""
    size, values = int(np.prod(shape[:-1])), shape[-1]
    if study.outcome.kind == "number":
        each = np.repeat(outcome, place.shape[1])
        sums = np.bincount(place.ravel(), each, minlength=size)
        found = np.column_stack([np.bincount(place.ravel(), minlength=size), sums])
    else:
        by_class = place * values + outcome.astype(np.int64)[:, None]
        found = np.bincount(by_class.ravel(), minlength=size * values)
    return found.astype(np.float64).reshape(shape)


def _finish(study: Study, level: int, state: State, total: Summands) -> State:
    """Split every open node where it tells most, and open the largest children."""
    number, fewest = study.outcome.kind == "number", asked(study).min_leaf
    tried = total["split"][:, : forest_columns.considered(study)]
    place, cut, gain, sides = trees.best(tried, fewest, number=number)
    arrays = {name: array.copy() for name, array in state.arrays.items()}
    used = arrays["open"][:, 0] >= 0
    tree, node = arrays["open"].astype(np.int64).T
    column = arrays["columns"][np.arange(len(place)), place].astype(np.int64)
    leaves = total["split"][:, 0].sum(axis=1)
    arrays["leaf"][tree[used], node[used]] = leaves[used]
    split = used & (gain > 0.0)
    at, column = (tree[split], node[split]), column[split]
    arrays["feature"][at] = column
    arrays["threshold"][at] = arrays["cuts"][column, cut[split]]
    for side in (0, 1):
        arrays["leaf"][at[0], 2 * at[1] + 1 + side] = sides[split][:, side]
    importance = state.kept["importance"].copy()
    np.add.at(importance, column, gain[split])
    if level + 1 == asked(study).depth:
        kept = {name: arrays[name] for name in carries(study)}
        return State({**kept, "importance": importance}, done=True)
    children = _children(study, level + 1, (*at, sides[split]))
    drawn = forest_columns.drawn(study, level + 1, children, arrays["scale"])
    following = {**arrays, "open": children, "columns": drawn}
    return State(following, kept={"importance": importance}, done=True)


def _children(study: Study, level: int, split: tuple[Array, ...]) -> Array:
    """Return the nodes to open at *level* [open, 2], the largest first to be chosen.

    A node that is pure, or too small to be split again, is never opened.
    """
    tree, node, sides = split
    fewest, number = asked(study).min_leaf, study.outcome.kind == "number"
    every = np.column_stack([np.repeat(tree, 2), (2 * node[:, None] + (1, 2)).ravel()])
    values = sides.reshape(-1, sides.shape[-1])
    size = values[:, 0] if number else values.sum(axis=1)
    mixed = number | ((values > 0).sum(axis=1) > 1)
    worth = np.flatnonzero(mixed & (size >= 2 * fewest))
    chosen = worth[np.argsort(-size[worth], kind="stable")][: _open(study, level)]
    found = np.full((_open(study, level), 2), -1.0)
    found[: len(chosen)] = every[np.sort(chosen)]
    return found


def _name(study: Study, level: int) -> str:
    last = level + 1 == asked(study).depth
    return NAME if last else f"{NAME}_level_{level + 1}"


def _always(level: int) -> Callable[[Study], int]:
    return lambda _study: level


def _start(study: Study, level: int, found: Found) -> State:
    if not level:
        return _begun(study, found)
    before = found[_name(study, level - 1)]
    return State(before.arrays, kept=before.kept)


def _grown(name: str, level: Callable[[Study], int]) -> Task:
    """Return the task that splits the nodes of one *level*."""
    return Task(
        name=name,
        rows="train",
        encoded=True,
        shows=lambda study: _shows(study, level(study)),
        release=lambda study: _release(study, level(study)),
        start=lambda study, found: _start(study, level(study), found),
        local=lambda study, state, rows: _local(study, level(study), state, rows),
        finish=lambda study, state, sums: _finish(study, level(study), state, sums),
        read=lambda _study, _state: {},
    )


RANDOM_FOREST = Model(
    fit=replace(
        _grown(NAME, lambda study: asked(study).depth - 1), read=read, show=show
    ),
    carries=carries,
    predict=predict,
    before=tasks,
    explain=explain,
    scale="chance",
)
