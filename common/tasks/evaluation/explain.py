"""What a model looks at: how much worse it gets without a variable, and where it leads.

Both are sums over people who test, of any model. *Permutation importance* (Breiman
2001, section 10; Fisher, Rudin & Dominici 2019): the squared error when the values of
one variable are exchanged among the people of a hospital, as no value may leave it.
*Partial dependence* (Friedman 2001, section 8.2): the mean prediction if everybody had
one value of a variable and kept the rest.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from common.arithmetic.trees import draws
from common.encoding import Encoding, columns, seen
from common.errors import IntegrityError
from common.release import Array, Field, Release, Summands
from common.schema import Category, Number, values
from common.study import Study
from common.task import Findings, Found, Rows, Shapes, State, Task, kept, model_of
from common.tasks.evaluation import evaluate, explain_shown
from common.tasks.evaluation.explain_shown import APART, POINTS

REPEATS = 5
"""Times that the values of a variable are exchanged, of which the mean is told."""
SEED = 0

Group = tuple[str, slice]


def groups(study: Study) -> tuple[Group, ...]:
    """Return each declared variable and its places: a text has one for each bucket."""
    found, start = list[Group](), 0
    for each in study.declared:
        end = start + len(values((each,)))
        found.append((each.name, slice(start, end)))
        start = end
    return tuple(found)


def varied(study: Study) -> tuple[tuple[int, Number | Category], ...]:
    """Return each variable of which values are tried, with its place: no text's."""
    places = {each.name: place for place, each in enumerate(study.variables)}
    return tuple(
        (places[each.name], each)
        for each in study.declared
        if isinstance(each, Number | Category)
    )


def tried(study: Study) -> tuple[int, ...]:
    """Return how many values of each of them are tried: the levels of a category."""
    return tuple(
        len(each.levels) if isinstance(each, Category) else POINTS
        for _, each in varied(study)
    )


def shows(study: Study) -> Shapes:
    """Show the model, and the values that are tried, one variable after the other."""
    return {**model_of(study).carries(study), "tried": (sum(tried(study)),)}


def release(study: Study) -> Release:
    """Declare squared errors by variable, and predictions by value and level."""
    width = len(study.outcome.levels) if isinstance(study.outcome, Category) else 1
    shape = (sum(tried(study)), width)
    error = "sum of squared errors"
    return {
        "records": Field("test records", (1,), "count"),
        "error": Field(f"{error} of the prediction", (1,), "sum"),
        "exchanged": Field(
            f"{error}, a variable's values exchanged", (len(groups(study)),), "sum"
        ),
        "dependence": Field("sum of predictions, were a value all's", shape, "sum"),
    }


def start(study: Study, found: Found) -> State:
    """Show the model that was learned, and values around the means that are known."""
    fitted = found[model_of(study).fit.name].arrays
    carried = {name: fitted[name] for name in model_of(study).carries(study)}
    known = Encoding.of(found["describe"].arrays)
    middle = {
        column.variable: (known.centre[index], known.scale[index])
        for index, column in enumerate(columns(study))
        if column.kind == "value"
    }
    every = [
        _values(each, *middle.get(place, (0.0, 0.0))) for place, each in varied(study)
    ]
    tested = found["evaluate"].arrays if "evaluate" in found else {}
    hidden = bool(tested) and evaluate.withheld(study, tested)
    shown = {**carried, "tried": np.concatenate(every)}
    return State(shown, kept={"hidden": np.array([float(hidden)])})


def local(study: Study, state: State, rows: Rows) -> Summands:
    """Add up this site's test records, over and over."""
    _check(study, state.arrays["tried"])
    clean = rows.values
    return {
        "records": np.array([float(len(rows.y))]),
        "error": np.array([_error(study, state, rows, clean)]),
        "exchanged": np.array(
            [_exchanged(study, state, rows, place) for _, place in groups(study)]
        ),
        "dependence": np.array(
            [
                _predicted(study, state, rows, each).sum(axis=0)
                for each in _forced(study, state.arrays["tried"], clean)
            ]
        ).reshape(release(study)["dependence"].shape),
    }


def read(study: Study, state: State) -> Findings:
    """Return what each variable is worth, the most first, and where it leads.

    Nothing where sums of chances would tell of cells that the evaluation withholds.
    """
    arrays = state.arrays
    if arrays["hidden"][0]:
        told: Findings = {"records": int(arrays["records"][0]), "error": None}
        return told | {"importance": [], "dependence": []}
    records = max(float(arrays["records"][0]), 1.0)
    error = float(arrays["error"][0]) / records
    without = arrays["exchanged"] / records
    lines: list[Findings] = [
        {"variable": name, "error": float(each), "more": float(each) - error}
        for (name, _), each in zip(groups(study), without, strict=True)
    ]
    lines.sort(key=lambda line: -float(str(line["more"])))
    return {
        "records": int(arrays["records"][0]),
        "error": error,
        "importance": lines,
        "dependence": list(_dependence(study, arrays, records)),
    }


def _values(variable: Number | Category, mean: float, deviation: float) -> Array:
    """Return the values of a variable that are tried: within its declared range."""
    if isinstance(variable, Category):
        return np.arange(len(variable.levels), dtype=np.float64)
    low, high = variable.range
    spread = APART * deviation
    return np.linspace(max(mean - spread, low), min(mean + spread, high), POINTS)


def _check(study: Study, every: Array) -> None:
    """Raise IntegrityError for a value that no record could have."""
    parts = np.split(every, np.cumsum(tried(study))[:-1])
    for (_, variable), part in zip(varied(study), parts, strict=True):
        low, high = (
            (0, len(variable.levels) - 1)
            if isinstance(variable, Category)
            else variable.range
        )
        if ((part < low) | (part > high)).any():
            raise IntegrityError(f"a value to try of {variable.name} cannot be its own")


def _forced(study: Study, every: Array, clean: Array) -> Iterator[Array]:
    """Yield *clean* as if all people had one value, for each that is tried."""
    places = np.repeat([place for place, _ in varied(study)], tried(study))
    for place, value in zip(places, every, strict=True):
        forced = clean.copy()
        forced[:, place] = value
        yield forced


def _exchanged(study: Study, state: State, rows: Rows, place: slice) -> float:
    """Return the mean squared error, added up, with a variable's values exchanged.

    Each person gets those of the next one in an order that is drawn by a public seed.
    """
    total = 0.0
    for draw in draws(rows.key, SEED + place.start, REPEATS):
        order = np.argsort(draw, kind="stable")
        mixed = rows.values.copy()
        mixed[order, place] = rows.values[np.roll(order, 1), place]
        total += _error(study, state, rows, mixed)
    return total / REPEATS


def _error(study: Study, state: State, rows: Rows, clean: Array) -> float:
    predicted = _predicted(study, state, rows, clean)
    if predicted.shape[1] > 1:
        true = np.eye(predicted.shape[1])[rows.y.astype(np.int64)]
    else:
        true = rows.y[:, None]
    return float(((predicted - true) ** 2).sum())


def _predicted(study: Study, state: State, rows: Rows, clean: Array) -> Array:
    """Return predictions [records, 1 or levels], had *rows* these *clean* values."""
    model = model_of(study)
    if not len(rows.y):
        return np.zeros((0, release(study)["dependence"].shape[1]))
    other = seen(study, model.fit, state.arrays, replace(rows, x=clean, values=clean))
    found = model.predict(study, state.arrays, other)
    return found if found.ndim > 1 else found[:, None]


def _dependence(
    study: Study, arrays: Mapping[str, Array], records: float
) -> Iterator[Findings]:
    ends = np.cumsum(tried(study))
    means = arrays["dependence"] / records
    every = zip(varied(study), ends, tried(study), strict=True)
    for (_, variable), end, count in every:
        own = slice(end - count, end)
        at: list[object] = arrays["tried"][own].tolist()
        if isinstance(variable, Category):
            at = list(variable.levels)
        yield {
            "variable": variable.name,
            "at": at,
            "expected": means[own].tolist(),
        }


def _finish(study: Study, state: State, total: Summands) -> State:
    """Keep the sums, the values that were tried, and whether any of it may be told."""
    done, tried = kept(study, state, total), {"tried": state.arrays["tried"]}
    return replace(done, arrays={**done.arrays, **tried, **state.kept})


EXPLAIN = Task(
    name="explain",
    rows="test",
    encoded=True,
    shows=shows,
    release=release,
    start=start,
    local=local,
    finish=_finish,
    read=read,
    show=lambda study, state: explain_shown.sheets(read(study, state)),
)
