"""What a site contributes to one round of a network: by gradients, or by weights."""

import numpy as np

from common.arithmetic import trees
from common.release import Array, Summands
from common.sections.networks import MOST, Training
from common.study import Study
from common.task import Rows, State
from common.tasks import crowd
from common.tasks.networks import (
    apart,
    early_stopping,
    local_steps,
    network_kind,
    voting,
)
from common.tasks.networks.network_kind import Network


def local(network: Network, study: Study, state: State, rows: Rows) -> Summands:
    """Return what leaves of *rows* in one round."""
    training = network.training(study)
    if training.patience:
        return _watched(network, study, state, rows)
    if not training.votes:
        return _trained(network, study, state, rows)
    learning, held = voting.split(study, training, rows)
    candidate, best = (
        network.score(study, state.arrays[name], held)
        for name in ("parameters", "best")
    )
    found = {"votes": voting.vote(held, candidate, best)}
    if training.combine == "voted":
        ways = [network.score(study, each, held) for each in state.arrays["ways"]]
        found["without"] = apart.votes(held, candidate, ways)
    return {**_trained(network, study, state, learning), **found}


def _watched(network: Network, study: Study, state: State, rows: Rows) -> Summands:
    """Return what a site with people held out contributes, and at times their loss."""
    training = network.training(study)
    learning, held = voting.split(study, training, rows)
    seen = early_stopping.unseen()
    if early_stopping.looks(training, int(state.arrays["step"][0])):
        score = network.score(study, state.arrays["parameters"], held)
        seen = early_stopping.seen(score, held)
    return {**_trained(network, study, state, learning), **seen}


def _trained(network: Network, study: Study, state: State, rows: Rows) -> Summands:
    """Return what the records that train contribute."""
    training = network.training(study)
    if training.by == "weights":
        return both(network, study, state, rows)[0]
    drawn = _drawn(study, training, state, rows)
    bounds = np.full(len(drawn.y), training.clip)
    shown = state.arrays["parameters"]
    slope, loss = network_kind.gradient(network, study, state)(shown, drawn, bounds)
    records = np.array([len(drawn.y)], dtype=np.float64)
    return {"sum": slope, "loss": loss, "records": records}


def both(
    network: Network, study: Study, state: State, rows: Rows
) -> tuple[Summands, Array]:
    """Return what leaves after some steps of a site, and its personal layers then.

    In *state* are the site's own, with which it goes on. Of them nothing is in what
    leaves; the steps of all other layers depend on them.
    """
    training, own = network.training(study), network_kind.personal(network, study)
    slopes = network_kind.gradient(network, study, state)
    sums, reached = local_steps.taken(study, training, state, rows, slopes)
    if own is None:
        return sums, reached[:0]
    return {**sums, "sum": sums["sum"][~own]}, reached[own]


def _drawn(study: Study, training: Training, state: State, rows: Rows) -> Rows:
    """Return the people of this step, drawn by who they are; nobody when too few are.

    The draw is public and the same wherever a person is: without a promise nothing is
    gained by hiding it, and a study can be repeated to the last bit.
    """
    if training.sample == 1.0:
        return rows
    step = int(state.arrays["step"][0])
    (draw,) = trees.draws(rows.key, training.seed * MOST + step, 1)
    return crowd.enough(study, rows.take(draw < training.sample))
