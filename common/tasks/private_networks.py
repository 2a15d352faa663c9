"""A network as a task that keeps a promise: DP-SGD in rounds over all hospitals.

What leaves is the sum of clipped gradients and noise (Abadi et al. 2016). Nothing that
was not released with noise, or is public, is divided by.
"""

import numpy as np

from common.release import Array, Field, Release, Summands
from common.study import Study
from common.task import Found, Model, Noisy, Rows, State, Task
from common.tasks import network_kind, networks, noised, stepping
from common.tasks.network_kind import Network

WEIGHT = 0.9
"""Share of mu^2 beside describe's."""


def private(network: Network) -> Model:
    """Return *network* as a model whose rounds keep a promise."""

    def bounded(study: Study, state: State, rows: Rows, bounds: Array) -> Summands:
        parameters = state.arrays["parameters"]
        gradient = network_kind.gradient(network, study, state)
        return {"gradient": gradient(parameters, rows, bounds)[0]}

    task = Task(
        name=network.name,
        rows="train",
        encoded=network.encoded,
        shows=lambda study: networks.shows(network, study),
        release=lambda study: _release(network, study),
        start=lambda study, found: _start(network, study, found),
        local=lambda study, state, rows: bounded(
            study, state, rows, np.full(len(rows.y), network.training(study).clip)
        ),
        finish=lambda study, state, sums: _finish(network, study, state, sums),
        read=lambda study, state: networks.read(network, study, state),
        noisy=Noisy(
            each=None,
            clip=lambda study: network.training(study).clip,
            rounds=lambda study: network.training(study).steps,
            weight=WEIGHT,
            bounded=bounded,
            sample=lambda study: network.training(study).sample,
        ),
    )
    return networks.as_model(network, task)


def _release(network: Network, study: Study) -> Release:
    training = network.training(study)
    words = f"sum of the gradients of the loss, each clipped to {training.clip:g}"
    return {"gradient": Field(words, (network_kind.size(network, study),), "sum")}


def _start(network: Network, study: Study, found: Found) -> State:
    sums = found["describe"].arrays
    share = noised.share(study, sums, len(study.variables), 1)
    begun = networks.first(network, study, found, share)
    people = np.array([noised.people(study, sums)])
    return State(begun.arrays, kept={**begun.kept, "people": people})


def _finish(network: Network, study: Study, state: State, total: Summands) -> State:
    """Divide by what is public or has noise itself, never by who was there."""
    training = network.training(study)
    people = float(state.kept["people"][0]) * training.sample
    moved = stepping.step(training, state, total["gradient"], max(people, 1.0))
    kept = {**state.kept, **moved.kept}
    return networks.after(State(moved.arrays, kept, moved.done))
