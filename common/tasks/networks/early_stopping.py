"""When to stop learning: once people who do not train are predicted no better.

A fifth of each site's people are held out, by person. Every few rounds their number and
the sum of their losses leave through the same door, and only all sites' mean is judged
(Prechelt 1998, "Early stopping - but when?"). The model is that of the least loss.
"""

import numpy as np

from common.errors import IntegrityError, StudyError
from common.large_arrays import made
from common.release import Array, Field, Release, Summands
from common.sections.networks import Training
from common.task import Rows, State
from common.tasks.networks import voting
from common.written.slips import of_key

BETTER = 1e-4
"""A mean loss that is less by no more than this is no better."""
WORST, TINY = 20.0, 1e-6
"""No record's loss counts as more; even odds lose 0.69. Sums are rounded."""


def release() -> Release:
    """Return what leaves beside the sums of a step; 0 in rounds without a look."""
    return {
        "held_out": Field(
            "people's records held out, in rounds that look", (1,), "count"
        ),
        "held_loss": Field("sum of the losses of these", (1,), "sum", each=WORST),
    }


def begun(parameters: Array) -> dict[str, Array]:
    """Return what is remembered before the first look."""
    return {
        "least": np.array([WORST]),
        "least_at": made(np.copy, parameters),
        "waited": np.zeros(1),
    }


def looks(training: Training, step: int) -> bool:
    """Tell whether a round looks at those held out, at what it is shown."""
    return step > 0 and step % training.every == 0


def seen(score: Array, held: Rows) -> Summands:
    """Return what leaves of those *held* out with this *score*."""
    if not len(held.y):
        return unseen()
    records = float(len(held.y))
    return {
        "held_out": np.array([records]),
        "held_loss": np.array([min(voting.loss(score, held.y), WORST) * records]),
    }


def unseen() -> Summands:
    """Return what leaves in a round that does not look."""
    return {"held_out": np.zeros(1), "held_loss": np.zeros(1)}


def judged(training: Training, state: State, total: Summands, moved: State) -> State:
    """Return the state *moved* to, or its end at the least loss.

    Raises StudyError when no site holds out enough people, IntegrityError for losses
    that so many people cannot have.
    """
    if not looks(training, int(state.arrays["step"][0])):
        return moved
    records = float(total["held_out"][0])
    if not records:
        end = StudyError(
            "no site has enough people that are held out",
            fix="patience = 0   in [model.training]",
        )
        raise of_key("model.training.patience", end)
    loss, most = float(total["held_loss"][0]) / records, float(state.kept["records"][0])
    if not (0.0 <= loss <= WORST * (1 + TINY) and records <= most):
        wrong = IntegrityError(
            f"{records:.0f} records held out, of {most:.0f} that train, have a mean "
            f"loss of {loss:.3g}, which lies between 0 and {WORST:g}",
            likely="a site that sends something else than the loss of its people",
            fix="ask each site for its version; then study without one, in turn",
        )
        raise of_key("model.training.patience", wrong)
    kept = {name: state.kept[name] for name in ("least", "least_at", "waited")}
    if loss < float(kept["least"][0]) - BETTER:
        shown = made(np.copy, state.arrays["parameters"])
        kept = {"least": np.array([loss]), "least_at": shown, "waited": np.zeros(1)}
    else:
        kept["waited"] = kept["waited"] + 1.0
    ends = float(kept["waited"][0]) >= training.patience
    at = {"parameters": kept["least_at"]} if ends else {}
    done = moved.done or ends
    return State({**moved.arrays, **at}, {**moved.kept, **kept}, done)
