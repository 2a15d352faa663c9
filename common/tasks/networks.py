"""A network of any kind as a task: what leaves is a sum of clipped gradients.

Each round every site is shown the weights. It adds up the gradients of its people, each
shortened to the clip, and the mean over all sites gives the next weights: what gradient
descent on pooled records does (McMahan et al. 2017, FedSGD). Under a promise noise is
added to the sum at the door, which makes it DP-SGD (Abadi et al. 2016).

Or each site takes some steps by itself, and the mean of where they led is the step:
FedAvg (McMahan et al. 2017), with a proximal term FedProx (Li et al. 2020), with Adam
FedAdam (Reddi et al. 2021).

The model is the mean of the weights of the last quarter of the rounds, along which the
steps grow shorter: both make it less a matter of chance, and of noise.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from common import encoding, large_arrays, trees
from common.encoding import Encoding
from common.errors import StudyError
from common.networks import MOST, Training
from common.release import Array, Field, Release, Summands
from common.study import Study
from common.task import Findings, Found, Model, Rows, Shapes, State, Task
from common.tasks import (
    class_weights,
    crowd,
    early_stopping,
    local_steps,
    robust,
    stepping,
    voting,
)
from common.tasks.class_weights import Gradient
from common.tasks.describe import level_counts

RAREST = 0.05
"""The first intercept takes the outcome to be no rarer than this."""


@dataclass(frozen=True, slots=True)
class Weight:
    """One array of weights: its shape, and the bound of its first values; 0 for none.

    ``value`` is where it begins then.
    """

    shape: tuple[int, ...]
    bound: float = 0.0
    value: float = 0.0


@dataclass(frozen=True, slots=True)
class Network:
    """One kind of network as functions of its flat parameters; the last is a bias.

    ``gradient(study, parameters, rows, bounds, step)`` returns the sum of the gradients
    of the loss of *rows*, each shortened to its bound [records], and the sum of losses
    [1]; *step* is the round, for who draws. ``score(study, parameters, rows)`` returns
    probabilities [records].
    """

    name: str
    encoded: bool
    training: Callable[[Study], Training]
    weights: Callable[[Study], tuple[Weight, ...]]
    gradient: Callable[[Study, Array, Rows, Array, int], tuple[Array, Array]]
    score: Callable[[Study, Array, Rows], Array]


def model(network: Network) -> Model:
    """Return *network* as a model without a promise: sums leave exact."""

    def task() -> Task:
        return Task(
            name=network.name,
            rows="train",
            encoded=network.encoded,
            shows=lambda study: shows(network, study),
            release=lambda study: _release(network, study),
            start=lambda study, found: _start(network, study, found),
            local=lambda study, state, rows: _local(network, study, state, rows),
            finish=lambda study, state, sums: _finish(network, study, state, sums),
            read=lambda study, state: read(network, study, state),
            combine=lambda study: robust.combining(network.training(study)),
        )

    return as_model(network, task())


def training(study: Study, wanted: Training) -> Training:
    """Return what a study says of learning; raise StudyError for too few rounds."""
    if wanted.steps > study.rounds.maximum:
        raise StudyError(
            f"a network of {wanted.steps} steps needs as many rounds, and the study "
            f"allows {study.rounds.maximum}",
            fix=f"maximum = {wanted.steps}   in [rounds], or fewer steps",
        )
    return wanted


def size(network: Network, study: Study) -> int:
    """Return how many parameters there are."""
    return sum(math.prod(each.shape) for each in network.weights(study))


def cut(parameters: Array, weights: tuple[Weight, ...]) -> list[Array]:
    """Return the flat *parameters* as the arrays that they are."""
    ends = np.cumsum([math.prod(each.shape) for each in weights])
    parts = np.split(parameters, ends[:-1])
    return [part.reshape(w.shape) for part, w in zip(parts, weights, strict=True)]


def as_model(network: Network, fit: Task) -> Model:
    """Return the model that *fit* learns."""

    def predict(study: Study, arrays: Mapping[str, Array], rows: Rows) -> Array:
        return network.score(study, arrays["parameters"], rows)

    return Model(fit, lambda study: _carries(network, study), predict)


def gradient(network: Network, study: Study, state: State) -> Gradient:
    """Return the gradient of the loss that *study* asks for, at this *state*."""
    step = int(state.arrays["step"][0])

    def plain(parameters: Array, rows: Rows, bounds: Array) -> tuple[Array, Array]:
        return network.gradient(study, parameters, rows, bounds, step)

    return class_weights.weighed(network.training(study), plain)


def _carries(network: Network, study: Study) -> Shapes:
    constants = encoding.shapes(study) if network.encoded else {}
    return {**constants, "parameters": (size(network, study),)}


def shows(network: Network, study: Study) -> Shapes:
    """Return what every site is shown in a round."""
    votes = network.training(study).votes
    best = voting.shows(size(network, study)) if votes else {}
    return {**_carries(network, study), "step": (1,), **best}


def _release(network: Network, study: Study) -> Release:
    training, width = network.training(study), (size(network, study),)
    gradients = training.by == "gradients"
    words = "sum of the gradients of the loss" if gradients else "change by local steps"
    each = f"each clipped to {training.clip:g}" if gradients else "by record"
    return {
        "sum": Field(
            f"{words}, {each}", width, "sum", training.clip if gradients else None
        ),
        "loss": Field("sum of the losses", (1,), "sum"),
        "records": Field("records in these sums", (1,), "count"),
        **(voting.release() if training.votes else {}),
        **(early_stopping.release() if training.patience else {}),
    }


def _begun(network: Network, study: Study, share: float) -> Array:
    """Return the first parameters, by the study's public seed.

    He et al. 2015: uniform within each array's bound. The last bias fits the share.
    """
    draw = np.random.default_rng(network.training(study).seed)
    begun, weights = large_arrays.empty(size(network, study)), network.weights(study)
    for each, array in zip(weights, cut(begun, weights), strict=True):
        flat = array.reshape(-1)
        for part in large_arrays.passing(flat):
            drawn = draw.uniform(-1.0, 1.0, len(flat[part]))
            flat[part] = drawn * each.bound + each.value
    inside = min(max(share, RAREST), 1.0 - RAREST)
    array += math.log(inside / (1.0 - inside))
    return begun


def _start(network: Network, study: Study, found: Found) -> State:
    sums = found["describe"].arrays
    counts = level_counts(study, sums, len(study.variables))
    share = float(counts[1] / max(counts.sum(), 1.0))
    begun = first(network, study, found, share)
    return State(begun.arrays, kept={**begun.kept, "records": sums["records"][:1]})


def first(network: Network, study: Study, found: Found, share: float) -> State:
    """Return the state before the first step, for this *share* of outcomes."""
    training = network.training(study)
    parameters = _begun(network, study, class_weights.heard(training, share))
    constants = Encoding.of(found["describe"].arrays).arrays()
    shown = constants if network.encoded else {}
    arrays = {**shown, "parameters": parameters, "step": np.zeros(1)}
    kept = {n: np.zeros(1) for n in stepping.TOLD} | stepping.begun(parameters)
    kept["losses"] = np.zeros(training.steps)
    if training.patience:
        kept |= early_stopping.begun(parameters)
    best = voting.begun(parameters) if training.votes else State({})
    return State({**arrays, **best.arrays}, {**kept, **best.kept})


def _local(network: Network, study: Study, state: State, rows: Rows) -> Summands:
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
    votes = voting.vote(held, candidate, best)
    return {**_trained(network, study, state, learning), "votes": votes}


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
        slopes = gradient(network, study, state)
        return local_steps.taken(study, training, state, rows, slopes)
    drawn = _drawn(study, training, state, rows)
    bounds = np.full(len(drawn.y), training.clip)
    shown = state.arrays["parameters"]
    slope, loss = gradient(network, study, state)(shown, drawn, bounds)
    records = np.array([len(drawn.y)], dtype=np.float64)
    return {"sum": slope, "loss": loss, "records": records}


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


def _finish(network: Network, study: Study, state: State, total: Summands) -> State:
    training, records = network.training(study), float(total["records"][0])
    over = max(records, 1.0) * (1.0 if training.by == "gradients" else -1.0)
    step, kept = int(state.arrays["step"][0]), dict(state.kept)
    pace = voting.paced(training, state) if training.votes else training
    if stepping.possible(training, float(state.kept["records"][0]), total):
        kept["losses"] = state.kept["losses"].copy()
        kept["losses"][step] = float(total["loss"][0]) / max(records, 1.0)
        moved = stepping.step(pace, state, total["sum"], over)
    else:
        kept["taken_back"] = state.kept["taken_back"] + 1.0
        moved = stepping.step(pace, state, None)
    if training.votes:
        moved = voting.judged(training, state, total["votes"], moved)
    if training.patience:
        moved = early_stopping.judged(training, state, total, moved)
    reached = State(moved.arrays, {**kept, **moved.kept}, moved.done)
    stepping.sound(training, reached.kept)
    return after(reached)


def after(state: State) -> State:
    """Return *state* with what is told of its way, once it has come to its end.

    What only a next step would need is as large as the network, each, and let go then.
    """
    if not state.done:
        return state
    told = {name: state.kept[name] for name in ("losses", *stepping.TOLD)}
    kept = {n: each for n, each in state.kept.items() if n not in stepping.KEPT}
    return State({**state.arrays, **told}, kept, state.done)


def read(network: Network, study: Study, state: State) -> Findings:
    """Return how large the network is, and the loss of each round where it is known."""
    steps = int(state.arrays["step"][0])
    losses = state.arrays["losses"][:steps]
    return {
        "parameters": size(network, study),
        "steps": steps,
        "losses": [float(each) for each in losses] if losses.any() else None,
        **{name: int(state.arrays[name][0]) for name in stepping.TOLD},
    }
