"""Steps of a network's weights: the mean at the end, and what lies in memory."""

import tracemalloc

import numpy as np
import pytest

from common import large_arrays
from common.sections.networks import Training
from common.task import State
from common.tasks.networks import stepping

STEPS, COUNT = 8, 2**20


def begun(count: int) -> State:
    parameters = np.linspace(-1.0, 1.0, count)
    arrays = {"parameters": parameters, "step": np.zeros(1)}
    return State(arrays, stepping.begun(parameters))


@pytest.mark.parametrize("optimizer", sorted(stepping.MOMENTS))
def test_the_last_weights_are_the_mean_of_the_last_quarter(optimizer: str) -> None:
    training = Training(steps=STEPS, optimizer=optimizer, rate=0.1)
    longer = training.model_copy(update={"steps": STEPS + 1})
    state, seen, draw = begun(9), [], np.random.default_rng(0)
    for number in range(STEPS):
        slope, before = draw.normal(size=9), state
        state = stepping.step(training, before, slope)
        if number == STEPS - 1:  # where it leads, of a study that is longer by a step
            scale = (1 / STEPS) / (2 / (STEPS + 1))
            shown = before.arrays["parameters"]
            way = stepping.step(longer, before, slope).arrays["parameters"] - shown
            seen.append(shown + scale * way)
        else:
            seen.append(state.arrays["parameters"])
    assert state.done
    assert not state.kept
    mean = np.mean(seen[-STEPS // stepping.TAIL :], axis=0)
    np.testing.assert_allclose(state.arrays["parameters"], mean, rtol=1e-12)


def test_the_last_step_adds_twice_the_network_and_changes_nothing_before() -> None:
    training = Training(steps=1, optimizer="adam", rate=0.1)
    state, slope = begun(COUNT), np.ones(COUNT)
    before = {n: a.copy() for n, a in (state.arrays | state.kept).items()}
    tracemalloc.start()
    try:
        stepping.step(training, state, slope)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    blocks = 8 * 8 * large_arrays.SOME
    assert peak < 2.1 * slope.nbytes + blocks
    for name, array in (state.arrays | state.kept).items():
        np.testing.assert_array_equal(array, before[name])
