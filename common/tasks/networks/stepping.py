"""One step of a network's weights along a mean gradient, or a mean change.

``plain`` goes straight, ``momentum`` keeps nine tenths of the last step, ``adam`` is
Kingma and Ba 2015, whose second moment forgets after some 100 steps here.
"""

from collections.abc import Mapping

import numpy as np

from common import large_arrays
from common.errors import IntegrityError
from common.release import Array, Summands
from common.sections.networks import Training
from common.task import State
from common.written.slips import of_key

MOMENTUM, SECOND, TINY = 0.9, 0.99, 1e-8
ROUNDING = 1e-6
"""How much longer a sum may be than its parts, for it is rounded."""
FEW = 0.1
HUGE = 1e6
"""No weight of a network that has learned something is as large."""
NOTHING = np.zeros(0)
MIDDLES = ("trimmed", "median")
TOLD = ("taken_back", "rolled_back")
"""Counts of rounds that went back: by what a sum cannot be; by the sites' votes."""
KEPT = ("first", "second", "tail")
MOMENTS = {"plain": (), "momentum": KEPT[:1], "adam": KEPT[:2]}
"""What each optimizer remembers of the steps before."""
TAIL = 4
"""The model is the mean of the last 1/TAIL of the steps."""


def begun(parameters: Array) -> dict[str, Array]:
    """Return what is remembered before the first step."""
    nothing = large_arrays.zeros(len(parameters))
    return {"first": nothing, "second": nothing, "tail": nothing}


def step(
    training: Training, state: State, slope: Array | None, over: float = 1.0
) -> State:
    """Return the state a step further down *slope* / *over*; the last is a mean.

    Without a slope the round is taken back: the weights stay where they were. After
    the last step nothing is remembered of the way.
    """
    number = int(state.arrays["step"][0]) + 1
    reached, kept = state.arrays["parameters"], dict(state.kept)
    if slope is not None:
        reached, moments = _moved(training, state, slope, over)
        kept |= moments
    done = number >= training.steps
    last = max(training.steps // TAIL, 1)
    if number > training.steps - last:
        over = last if done else 1
        kept["tail"] = large_arrays.made(
            lambda tail, now: (tail + now) / over, state.kept["tail"], reached
        )
    if done:
        reached = kept["tail"]
    arrays = {**state.arrays, "parameters": reached, "step": np.array([float(number)])}
    return State(arrays, {} if done else {name: kept[name] for name in KEPT}, done)


def onward(training: Training, state: State, slope: Array, over: float) -> State:
    """Return *state* moved along *slope* / *over*, and what is remembered of the way.

    Its step is not counted: it is a way beside the common one.
    """
    reached, moments = _moved(training, state, slope, over)
    return State({**state.arrays, "parameters": reached}, {**state.kept, **moments})


def _moved(
    training: Training, state: State, slope: Array, over: float
) -> tuple[Array, dict[str, Array]]:
    """Return where a step leads, and what is remembered of it.

    Some numbers at a time: what lies between would be as large as a network again.
    """
    shown, number = state.arrays["parameters"], int(state.arrays["step"][0]) + 1
    left = (training.steps - number + 1) / training.steps
    rate = training.rate * min(1.0, 2 * left)
    names = MOMENTS[training.optimizer]
    later = names if number < training.steps else ()
    kept = {name: large_arrays.like(shown) for name in later}
    reached, old = large_arrays.like(shown), [state.kept[name] for name in names]
    for part in large_arrays.passing(reached, shown, slope, *old, *kept.values()):
        before = {name: state.kept[name][part] for name in names}
        way, after = _way(training, before, slope[part] / over, number)
        reached[part] = shown[part] - rate * way
        for name in later:
            kept[name][part] = after[name]
    return reached, kept


def _way(
    training: Training, before: Mapping[str, Array], slope: Array, number: int
) -> tuple[Array, dict[str, Array]]:
    """Return the direction of a step, and the moments that are remembered of it."""
    if training.optimizer == "plain":
        return slope, {}
    if training.optimizer == "momentum":
        first = MOMENTUM * before["first"] + slope
        return first, {"first": first}
    first = MOMENTUM * before["first"] + (1 - MOMENTUM) * slope
    second = SECOND * before["second"] + (1 - SECOND) * slope**2
    usual = np.sqrt(second / (1 - SECOND**number)) + TINY
    way = first / (1 - MOMENTUM**number) / usual
    return way, {"first": first, "second": second}


def possible(training: Training, most: float, total: Summands) -> bool:
    """Tell whether *most* records that are clipped can have given this *total*.

    A sum is no longer than all of its parts, and no more records can count than there
    are: who multiplies its part, or counts itself often, is seen so. Which site it was
    is not, for only the sum is known.
    """
    if training.combine in MIDDLES:
        return True  # each site's part was seen, and a far one is left out
    records = float(total["records"][0])
    long = large_arrays.norm(total["sum"])
    return records <= most and long <= longest(training, records)


def longest(training: Training, records: float) -> float:
    """Return how long a sum over so many *records* is at most."""
    reach = training.clip
    if training.by == "weights":
        reach *= training.local_steps * training.local_rate
    return reach * records * (1.0 + ROUNDING)


def hold(training: Training, state: State) -> None:
    """Raise IntegrityError for a step that the study has not, or weights without end.

    Beyond HUGE what a network says is no number any more, and its slope is none.
    """
    step = float(state.arrays["step"][0])
    if not (step.is_integer() and 0 <= step <= training.steps):
        raise IntegrityError(
            f"the state shows step {step:g}, and the study has {training.steps}",
            likely="an aggregator of another version, or one that cheats",
            fix="ask the aggregator's operator; nothing was computed",
        )
    for name in ("parameters", "best", "ways"):
        array = state.arrays.get(name, NOTHING).reshape(-1)
        if large_arrays.farthest(array) > HUGE:
            end = IntegrityError(
                f"the state has {name} beyond {HUGE:g}: such a network says nothing",
                likely="the rate in [model.training] is far too high, or an aggregator "
                "that cheats",
                fix=f"rate = {training.rate / 100:g}   in [model.training]",
            )
            raise of_key("model.training.rate", end)


def sound(training: Training, kept: Mapping[str, Array]) -> None:
    """Raise IntegrityError when more than a tenth of all totals were taken back."""
    rounds = float(kept["taken_back"][0])
    if rounds > training.steps * FEW:
        end = IntegrityError(
            f"{rounds:.0f} of {training.steps} rounds had sums that their records "
            "cannot give",
            likely="a site multiplies its part, or clips to another length",
            fix="ask each site for its version, and study without one, in turn",
        )
        raise of_key("model.training.clip", end)
