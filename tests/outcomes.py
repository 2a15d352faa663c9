"""Two runs of one study are the same when no bit of what they came to differs."""

import numpy as np

from server.conduct.rounds import Outcome


def same(one: Outcome, other: Outcome) -> None:
    """Assert that both had the same sites and rounds, and the same final states."""
    assert one.roster == other.roster
    assert one.rounds == other.rounds
    for task, state in other.states.items():
        for key, array in state.arrays.items():
            assert np.array_equal(one.states[task].arrays[key], array), (task, key)
