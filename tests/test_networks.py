"""Networks as tasks: what a person can change, what leaves, what a study may ask."""

import builtins
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.stats import binomtest, kstest

from client import site
from client.door.opened import open_study
from client.learning import sampling, training
from client.learning.training import Design
from client.table import Table
from common import cli, costs, plan
from common.errors import MachineError, StudyError
from common.release import flatten
from common.study import Study
from common.task import State, model_of
from common.tasks.networks import image_network, network_kind, tabular_network
from simulations import plain
from tests import clinics
from tests.test_tasks import study_of, table_of

KINDS = ("image_network", "tabular_network")
PRIVACY = {"epsilon": 4.0, "delta": 1e-5, "noise": "site"}
NETWORKS = {
    "image_network": image_network.IMAGE,
    "tabular_network": tabular_network.TABULAR,
}


def asked(kind: str, changes: Mapping[str, Any], **study: Any) -> Study:
    """Return a small study of *kind* with *changes* to its training."""
    model = dict(clinics.MODELS[kind])
    model["training"] = {**model["training"], **changes}
    needs = clinics.NEEDS.get(kind, {})
    rounds = {"quorum": 1, "maximum": 100}
    return clinics.study(
        **{"rounds": rounds, "model": {"kind": kind, **model}} | needs | study
    )


def begun(study: Study, whole: Table) -> tuple[Any, State]:
    """Return the model's task and its first state."""
    states: dict[str, State] = {}
    for task in plan.tasks(study):
        state = task.start(study, states)
        if task.name in KINDS:
            return task, state
        sums = training.run(task, study, state, Design(whole))
        states[task.name] = task.finish(study, state, sums)
    raise AssertionError


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=10)
@given(seed=st.integers(0, 10**6), scale=st.sampled_from([0.1, 3.0, 1e3]))
def test_a_person_moves_a_private_sum_by_the_clip_at_most(
    kind: str, seed: int, scale: float
) -> None:
    draw = np.random.default_rng(seed)
    study, whole = asked(kind, {"clip": 0.7}, privacy=PRIVACY), table_of(kind, 40, seed)
    person = np.sort(draw.integers(0, 9, 40))
    whole = replace(whole, train=np.ones(40, bool), person=person)
    task, state = begun(study, whole)
    shown = state.arrays["parameters"]
    moved = {**state.arrays, "parameters": draw.normal(size=len(shown)) * scale}
    stays = np.flatnonzero(person != person[draw.integers(40)])
    parts = (whole.values, whole.outcome, whole.train, whole.person, whole.key)
    fewer = replace(
        whole,
        **dict(
            zip(
                ("values", "outcome", "train", "person", "key"),
                (part[stays] for part in parts),
                strict=True,
            )
        ),
        images=whole.images[stays],
    )
    one, other = (
        flatten(task.release(study), training.run(task, study, State(moved), Design(t)))
        for t in (whole, fewer)
    )
    assert np.linalg.norm(one - other) <= costs.noisy(task).clip(study)


def test_poisson_sampling_draws_each_person_alone() -> None:
    person = np.repeat(np.arange(4000), 2)
    counts = []
    for _ in range(60):
        chosen = sampling.draw(person, 0.1)
        np.testing.assert_array_equal(chosen[::2] + 1, chosen[1::2])
        counts.append(len(chosen) // 2)
    found = binomtest(sum(counts), 60 * 4000, 0.1)
    assert found.pvalue > 1e-6
    spread = (np.array(counts) - 400) / np.sqrt(4000 * 0.1 * 0.9)
    assert kstest(spread, "norm").pvalue > 1e-6
    assert len(sampling.draw(person, 1.0)) == 8000


def test_records_of_a_person_share_the_clip() -> None:
    bounds = sampling.bounds(np.array([5, 2, 5, 5]), 3.0)
    np.testing.assert_allclose(bounds / (1 - sampling.ROUNDING), [1, 3, 1, 1])


@pytest.mark.parametrize("floor", ["study", "site"])
def test_no_step_is_along_fewer_people_than_the_floor(floor: str) -> None:
    """A step along one record is that record: its gradient tells every number of it."""
    local = {"by": "weights", "local_steps": 2, "batch": 4}
    study, whole = asked("tabular_network", local), table_of("tabular_network")
    whole = replace(whole, key=np.repeat(whole.key[::2], 2)[: len(whole.key)])
    task, state = begun(study, whole)
    own = 4 if floor == "site" else 0
    if floor == "study":
        few = study.disclosure.model_copy(update={"min_people": 4})
        study = study.model_copy(update={"disclosure": few})
    sums = training.run(task, study, state, Design(whole, own))
    assert not any(array.any() for array in sums.values())


def test_a_batch_below_the_floor_is_refused_at_once() -> None:
    with pytest.raises(ValidationError, match="fewer than 10 people"):
        asked(
            "tabular_network",
            {"by": "weights", "batch": 9},
            disclosure={"min_people": 10, "min_sites": 1},
        )


@pytest.mark.parametrize("draws", [0, 400])
def test_a_sample_is_held_to_the_floor_of_the_site(draws: int) -> None:
    study, whole = asked("tabular_network", {"sample": 0.5}), clinics.table(200)
    task, state = begun(study, whole)
    sums = training.run(task, study, state, Design(whole, draws))
    assert (sums["records"][0] == 0) == bool(draws)


@pytest.mark.parametrize("kind", KINDS)
def test_a_round_of_weights_is_bounded_by_its_steps(kind: str) -> None:
    local = {"by": "weights", "local_steps": 5, "batch": 16, "local_rate": 0.2}
    study, whole = asked(kind, {**local, "clip": 0.5}), table_of(kind)
    task, state = begun(study, whole)
    sums = training.run(task, study, state, Design(whole))
    records = float(sums["records"][0])
    assert records == whole.train.sum()
    assert 0 < np.linalg.norm(sums["sum"]) <= 5 * 0.2 * 0.5 * records * (1 + 1e-9)
    capped = asked(kind, {**local, "clip": 0.5, "most": 10})
    assert training.run(task, capped, state, Design(whole))["records"][0] == 10


@pytest.mark.parametrize("kind", KINDS)
def test_one_local_step_over_everyone_is_a_step_of_gradients(kind: str) -> None:
    whole = table_of(kind)
    everyone = {"batch": int(whole.train.sum()), "local_rate": 0.3, "rate": 1.0}
    weights = {"by": "weights", "steps": 4, "optimizer": "plain", **everyone}
    gradients = {"steps": 4, "optimizer": "plain", "rate": 0.3}
    found = [
        plain.run(asked(kind, each), [whole])[kind].arrays["parameters"]
        for each in (weights, gradients)
    ]
    np.testing.assert_allclose(*found, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_proximal_term_keeps_a_site_near(kind: str) -> None:
    whole, far = table_of(kind), []
    for proximal in (0.0, 3.0):
        local = {"by": "weights", "local_steps": 20, "proximal": proximal}
        study = asked(kind, local)
        task, state = begun(study, whole)
        sums = training.run(task, study, state, Design(whole))
        far.append(np.linalg.norm(sums["sum"]))
    assert far[1] < 0.9 * far[0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_is_the_same_people_wherever_they_are(kind: str) -> None:
    study, whole = asked(kind, {"sample": 0.4, "steps": 6}), table_of(kind, 200)
    places = np.random.default_rng(0).integers(0, 3, 200)
    dealt = plain.run(study, clinics.split(whole, places))[kind]
    pooled = plain.run(study, [whole])[kind]
    key = "parameters"
    np.testing.assert_allclose(dealt.arrays[key], pooled.arrays[key], atol=1e-5)
    again = plain.run(study, [whole])[kind]
    np.testing.assert_array_equal(again.arrays[key], pooled.arrays[key])


@pytest.mark.parametrize("kind", KINDS)
def test_a_study_means_the_same_after_it_travelled(kind: str) -> None:
    for changes in ({}, {"by": "weights", "local_steps": 3}):
        study = asked(kind, changes)
        assert Study.model_validate_json(study.canonical()) == study
    with pytest.raises(ValueError, match="local_steps are read only"):
        asked(kind, {"local_steps": 3})


def test_too_few_people_in_a_sample_are_nobody() -> None:
    study = asked("tabular_network", {"sample": 0.05}, disclosure={"min_people": 30})
    whole = table_of("tabular_network", 200)
    task, state = begun(study, whole)
    sums = training.run(task, study, state, Design(whole))
    assert not any(each.any() for each in sums.values())


def test_the_first_weights_are_a_public_draw() -> None:
    study, whole = study_of("image_network"), table_of("image_network")
    first = begun(study, whole)[1].arrays["parameters"]
    np.testing.assert_array_equal(first, begun(study, whole)[1].arrays["parameters"])
    other = asked("image_network", {"seed": 1})
    assert not np.array_equal(first, begun(other, whole)[1].arrays["parameters"])


def test_the_original_network_has_its_numbers() -> None:
    original = {"blocks": [32, 64, 128], "groups": 0, "padding": "valid"}
    head = {"head": "flatten", "dense": [512]}
    image = {"name": "film", "size": [150, 150], "channels": 3}
    study = clinics.study(
        image=image, model={"kind": "image_network", **original, **head}
    )
    assert network_kind.size(image_network.IMAGE, study) == 19_034_177
    small = clinics.study(image=image, model={"kind": "image_network", **original})
    assert network_kind.size(image_network.IMAGE, small) == 93_377


@pytest.mark.parametrize(
    ("kind", "changes", "said"),
    [
        ("image_network", {"image": None}, "needs pictures"),
        (
            "image_network",
            {"image": {"name": "film", "size": [4, 4]}, "blocks": [4, 4, 4]},
            "leave nothing of pictures of 4 x 4",
        ),
        ("tabular_network", {"rounds": {"quorum": 1, "maximum": 2}}, "maximum = 3"),
    ],
)
def test_what_cannot_be_is_refused_with_its_fix(
    kind: str, changes: dict[str, Any], said: str
) -> None:
    model = {"kind": kind, **clinics.MODELS[kind]}
    for key in ("blocks",):
        if key in changes:
            model[key] = changes.pop(key)
    study = clinics.study(**{"model": model} | clinics.NEEDS.get(kind, {}) | changes)
    fit = model_of(study).fit
    with pytest.raises(StudyError, match=said):
        fit.release(study)


@pytest.mark.parametrize(
    ("kind", "lacks"), [("image_network", "keras"), ("tabular_network", "torch")]
)
def test_who_lacks_the_extra_is_told_its_name(
    kind: str, lacks: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith(("common.tasks",)) and rest and rest[2] is not None:
            wanted = {"book_keeping", "Clipped"} & set(rest[2])
            if wanted:
                raise ImportError(lacks)
        return real(name, *rest)

    module = {"image_network": image_network, "tabular_network": tabular_network}[kind]
    module._built.cache_clear()
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MachineError, match=r"consilium\[networks\]"):
        plain.run(study_of(kind), [table_of(kind)])
    module._built.cache_clear()


@pytest.mark.parametrize("said", [{"by": "weights"}, {"combine": "median"}])
def test_what_no_noise_makes_private_is_refused(said: dict[str, Any]) -> None:
    model = {"kind": "tabular_network", "training": {"steps": 3, **said}}
    with pytest.raises(ValidationError, match="has no private form"):
        clinics.study(model=model, privacy=PRIVACY)


def test_the_floor_of_a_site_holds_in_every_run(tmp_path: Path) -> None:
    """A run encodes anew, and keeps the floor that site.toml says."""
    study = clinics.study()
    path = clinics.folder(tmp_path, clinics.lines(60), approved=study.digest())
    path.write_text("min_people = 17\n" + path.read_text())
    opened = open_study(site.read(path), study, clinics.TODAY)
    describe = plan.find(study, "describe")
    for each in (opened, opened.of_run("one"), opened.of_run("two")):
        assert each.design.rows(study, describe, State({})).fewest == 17


def test_keras_on_another_backend_is_refused_by_name() -> None:
    """Our rules are TensorFlow's; what else a user does with Keras is not."""
    kind = "image_network"
    words = (
        "from common.errors import MachineError\n"
        "from common.sections.networks import ImageNetwork\n"
        "from common.schema import Image\n"
        "from common.tasks.networks.image_network import _built\n"
        "image = Image(name='film', size=(8, 8), channels=1)\n"
        "try:\n"
        f"    _built(ImageNetwork(kind='{kind}', blocks=(4,)), image)\n"
        "except MachineError as told:\n"
        "    print(told.what, told.hints['fix'])\n"
    )
    done = subprocess.run(  # noqa: S603 - this Python, our own words
        [sys.executable, "-c", words],
        env={**os.environ, "KERAS_BACKEND": "torch"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Keras here on torch" in done.stdout
    assert "export KERAS_BACKEND=tensorflow" in done.stdout


def test_the_command_runs_keras_on_tensorflow() -> None:
    assert cli.ENVIRONMENT["KERAS_BACKEND"] == image_network.BACKEND
