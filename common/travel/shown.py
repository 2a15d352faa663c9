"""What a site is shown is held to its declaration, as what goes out is."""

import numpy as np

from common import large_arrays
from common.errors import IntegrityError
from common.study import Study
from common.task import State, Task


def check_state(task: Task, study: Study, state: State) -> None:
    """Raise IntegrityError unless *state* is what *task* may show its sites.

    What comes in is held to its declaration as what goes out is: a state of another
    shape could make a sum over many people a sum over one.
    """
    shapes = task.shows(study)
    if set(shapes) != set(state.arrays):
        raise IntegrityError(f"a state of {task.name} has other arrays than declared")
    for name, shape in shapes.items():
        array = state.arrays[name]
        if array.shape != shape or array.dtype != np.float64:
            what = f"{array.dtype}{array.shape}, declared float64{shape}"
            raise IntegrityError(f"the state {name} of {task.name} is {what}")
        if not large_arrays.finite(array):
            raise IntegrityError(f"the state {name} of {task.name} is not finite")
    task.holds(study, state)
