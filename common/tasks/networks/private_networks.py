"""A network as a task that keeps a promise: DP-SGD in rounds over all hospitals.

What leaves is the sum of clipped gradients and noise (Abadi et al. 2016). Nothing that
was not released with noise, or is public, is divided by.
"""

import numpy as np

from common.release import Array, Field, Release, Summands
from common.sections.networks import Training
from common.study import Study
from common.task import Findings, Found, Model, Noisy, Rows, State, Task
from common.tasks.networks import (
    network_kind,
    networks,
    private_stopping,
    stepping,
    voting,
)
from common.tasks.networks.network_kind import Network
from common.tasks.private import noised

WEIGHT = 0.9
"""Share of mu^2 beside describe's."""
LOOKS = ("least", "noise")
"""What is told of the looks of a study that may stop early."""


def private(network: Network) -> Model:
    """Return *network* as a model whose rounds keep a promise."""

    def bounded(study: Study, state: State, rows: Rows, bounds: Array) -> Summands:
        parameters = state.arrays["parameters"]
        gradient = network_kind.gradient(network, study, state)
        training = network.training(study)
        if not training.patience:
            return {"gradient": gradient(parameters, rows, bounds)[0]}
        out = voting.held(training, rows)
        score = network.score(study, parameters, rows.take(out))
        looked = private_stopping.seen(score, rows.y[out], bounds[out])
        slope, _ = gradient(parameters, rows.take(~out), bounds[~out])
        return {"gradient": slope, **looked}

    task = Task(
        name=network.name,
        rows="train",
        encoded=network.encoded,
        shows=lambda study: networks.shows(network, study),
        holds=lambda study, state: stepping.hold(network.training(study), state),
        release=lambda study: _release(network, study),
        start=lambda study, found: _start(network, study, found),
        local=lambda study, state, rows: bounded(
            study, state, rows, np.full(len(rows.y), network.training(study).clip)
        ),
        finish=lambda study, state, sums: _finish(network, study, state, sums),
        read=lambda study, state: _read(network, study, state),
        noisy=Noisy(
            each=None,
            clip=lambda study: network.training(study).clip,
            rounds=lambda study: network.training(study).steps,
            weight=WEIGHT,
            bounded=bounded,
            sample=lambda study: network.training(study).sample,
        ),
        loads=network.loads,
    )
    return networks.as_model(network, task)


def learning(training: Training) -> float:
    """Return the share of the people who train that a step is over, on average."""
    return (1.0 - voting.HELD_OUT if training.patience else 1.0) * training.sample


def _release(network: Network, study: Study) -> Release:
    training = network.training(study)
    words = f"sum of the gradients of the loss, each clipped to {training.clip:g}"
    looks = private_stopping.release(training) if training.patience else {}
    size = (network_kind.size(network, study),)
    return {"gradient": Field(words, size, "sum"), **looks}


def _start(network: Network, study: Study, found: Found) -> State:
    sums = found["describe"].arrays
    share = noised.share(study, sums, len(study.variables), 1)
    begun = networks.first(network, study, found, share)
    people = np.array([noised.people(study, sums)])
    state = State(begun.arrays, {**begun.kept, "people": people})
    training = network.training(study)
    if not training.patience:
        return state
    share, trained = noised.paid(study, WEIGHT), float(people[0])
    loud = private_stopping.noise(study, training, share, trained)
    return private_stopping.begun(loud, state)


def _finish(network: Network, study: Study, state: State, total: Summands) -> State:
    """Divide by what is public or has noise itself, never by who was there."""
    training = network.training(study)
    people = float(state.kept["people"][0]) * learning(training)
    moved = stepping.step(training, state, total["gradient"], max(people, 1.0))
    if training.patience:
        moved = private_stopping.judged(training, state, total, moved)
    kept = {**state.kept, **moved.kept}
    reached = networks.after(State(moved.arrays, kept, moved.done))
    stepping.hold(training, reached)
    if not (reached.done and training.patience):
        return reached
    told = {name: reached.kept[name] for name in LOOKS}
    return State({**reached.arrays, **told}, reached.kept, reached.done)


def _read(network: Network, study: Study, state: State) -> Findings:
    """Return what is told of any network, and what the looks saw and were worth."""
    told = networks.read(network, study, state)
    if not network.training(study).patience:
        return told
    least, noise = (float(state.arrays[name][0]) for name in LOOKS)
    drowned = noise > private_stopping.LOUDEST
    return {**told, "least_loss": None if drowned else least, "look_noise": noise}
