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

Some layers may be personal: each site keeps its own between the rounds, and the others
never see them (Arivazhagan et al. 2019 of the last layer, FedPer; Li et al. 2021 of the
normalisation, FedBN). In the state, and in the model, these are as they began.
"""

import math
from collections.abc import Mapping

import numpy as np

from common import encoding, large_arrays
from common.encoding import Encoding
from common.release import Array, Field, Release, Summands
from common.study import Study
from common.task import Findings, Found, Model, Rows, Shapes, State, Task
from common.tasks.describe import level_counts
from common.tasks.networks import (
    apart,
    class_weights,
    early_stopping,
    network_rounds,
    robust,
    stepping,
    voting,
)
from common.tasks.networks.network_kind import Network, cut, personal, size

TOLD = ("losses", "left", *stepping.TOLD)
"""What is told of the way, once it has come to its end."""
RAREST = 0.05
"""The first intercept takes the outcome to be no rarer than this."""


def model(network: Network) -> Model:
    """Return *network* as a model without a promise: sums leave exact."""

    def task() -> Task:
        return Task(
            name=network.name,
            rows="train",
            encoded=network.encoded,
            shows=lambda study: shows(network, study),
            holds=lambda study, state: stepping.hold(network.training(study), state),
            release=lambda study: _release(network, study),
            start=lambda study, found: _start(network, study, found),
            local=lambda study, state, rows: network_rounds.local(
                network, study, state, rows
            ),
            both=lambda study, state, rows: network_rounds.both(
                network, study, state, rows
            ),
            finish=lambda study, state, sums: _finish(network, study, state, sums),
            read=lambda study, state: read(network, study, state),
            combine=lambda study: robust.combining(network.training(study)),
            loads=network.loads,
        )

    return as_model(network, task())


def as_model(network: Network, fit: Task) -> Model:
    """Return the model that *fit* learns."""

    def predict(study: Study, arrays: Mapping[str, Array], rows: Rows) -> Array:
        return network.score(study, arrays["parameters"], rows)

    return Model(
        fit,
        lambda study: _carries(network, study),
        predict,
        stays=lambda study: personal(network, study),
    )


def _carries(network: Network, study: Study) -> Shapes:
    constants = encoding.shapes(study) if network.encoded else {}
    return {**constants, "parameters": (size(network, study),)}


def shows(network: Network, study: Study) -> Shapes:
    """Return what every site is shown in a round."""
    training, sites = network.training(study), len(study.study.sites)
    best = voting.shows(size(network, study)) if training.votes else {}
    voted = training.combine == "voted"
    ways = apart.shows(sites, size(network, study)) if voted else {}
    return {**_carries(network, study), "step": (1,), **best, **ways}


def _release(network: Network, study: Study) -> Release:
    training, own = network.training(study), personal(network, study)
    sites = len(study.study.sites)
    width = (size(network, study) if own is None else int(np.count_nonzero(~own)),)
    gradients = training.by == "gradients"
    words = "sum of the gradients of the loss" if gradients else "change by local steps"
    each = f"each clipped to {training.clip:g}" if gradients else "by record"
    each += "" if own is None else f", all but the personal {training.personal}"
    return {
        "sum": Field(
            f"{words}, {each}", width, "sum", training.clip if gradients else None
        ),
        "loss": Field("sum of the losses", (1,), "sum"),
        "records": Field("records in these sums", (1,), "count"),
        **(voting.release() if training.votes else {}),
        **(apart.release(sites) if training.combine == "voted" else {}),
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
    if training.votes:
        best = voting.begun(parameters)
        arrays, kept = {**arrays, **best.arrays}, {**kept, **best.kept}
    if training.combine == "voted":
        ways = apart.begun(len(study.study.sites), parameters)
        arrays, kept = {**arrays, **ways.arrays}, {**kept, **ways.kept}
    return State(arrays, kept)


def _finish(network: Network, study: Study, state: State, total: Summands) -> State:
    training = network.training(study)
    if training.combine == "voted":
        total = apart.heard(state, total)
    records = float(total["records"][0])
    over = max(records, 1.0) * (1.0 if training.by == "gradients" else -1.0)
    step, kept = int(state.arrays["step"][0]), dict(state.kept)
    pace = voting.paced(training, state) if training.votes else training
    if stepping.possible(training, float(state.kept["records"][0]), total):
        kept["losses"] = state.kept["losses"].copy()
        kept["losses"][step] = float(total["loss"][0]) / max(records, 1.0)
        moved = stepping.step(pace, state, _whole(network, study, total), over)
    else:
        kept["taken_back"] = state.kept["taken_back"] + 1.0
        moved = stepping.step(pace, state, None)
    if training.votes:
        moved = voting.judged(training, state, total["votes"], moved)
    if training.combine == "voted":
        moved = apart.judged(pace, state, total, moved)
    if training.patience:
        moved = early_stopping.judged(training, state, total, moved)
    arrays = _unmoved(network, study, state, moved.arrays)
    reached = State(arrays, {**kept, **moved.kept}, moved.done)
    stepping.sound(training, reached.kept)
    stepping.hold(training, reached)
    return after(reached)


def _whole(network: Network, study: Study, total: Summands) -> Array:
    """Return the sum of all sites by parameter; of the personal ones there is none."""
    own = personal(network, study)
    if own is None:
        return total["sum"]
    found = np.zeros(len(own))
    found[~own] = total["sum"]
    return found


def _unmoved(
    network: Network, study: Study, state: State, reached: Mapping[str, Array]
) -> Mapping[str, Array]:
    """Return what was *reached* with the personal layers as they were, to the bit."""
    own = personal(network, study)
    if own is None:
        return reached
    parameters = np.where(own, state.arrays["parameters"], reached["parameters"])
    return {**reached, "parameters": parameters}


def after(state: State) -> State:
    """Return *state* with what is told of its way, once it has come to its end.

    What only a next step would need is as large as the network, each, and let go then.
    """
    if not state.done:
        return state
    told = {n: state.kept[n] for n in TOLD if n in state.kept}
    shown = {n: each for n, each in state.arrays.items() if n != "ways"}
    let_go = (*stepping.KEPT, *apart.WAYS.values())
    kept = {n: each for n, each in state.kept.items() if n not in let_go}
    return State({**shown, **told}, kept, state.done)


def read(network: Network, study: Study, state: State) -> Findings:
    """Return how large the network is, and the loss of each round where it is known."""
    steps = int(state.arrays["step"][0])
    losses = state.arrays["losses"][:steps]
    return {
        "parameters": size(network, study),
        "steps": steps,
        "losses": [float(each) for each in losses] if losses.any() else None,
        **{name: int(state.arrays[name][0]) for name in stepping.TOLD},
        **_astray(study, state),
    }


def _astray(study: Study, state: State) -> Findings:
    """Return the names of the sites that were left out, where sites vote on that."""
    if "left" not in state.arrays:
        return {}
    pairs = zip(sorted(study.study.sites), state.arrays["left"], strict=True)
    return {"left_out": [name for name, out in pairs if out]}
