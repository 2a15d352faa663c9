"""Personal layers: what a site keeps of a network for itself, and gains by it."""

import json
import zipfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from flwr.app import Context, Message
from pydantic import ValidationError

import client.app
from client.learning.training import Design, learn
from client.table import Table
from common import personal
from common import study as studies
from common.cli import build
from common.errors import StudyError
from common.learned import card, keras_file
from common.release import Array
from common.sections.networks import Training
from common.study import Study
from common.task import Rows, State
from common.tasks.networks import network_kind, voting
from common.travel import content, packed_arrays
from simulations import plain
from simulations.engines import engine
from simulations.engines.engine import InProcess
from simulations.worth import compare, result
from tests import clinics
from tests.test_model_file import ABOUT, model_file
from tests.test_networks import NETWORKS, PRIVACY, asked, begun
from tests.test_tasks import table_of

LOCAL = {
    "by": "weights",
    "local_steps": 4,
    "batch": 16,
    "rate": 1.0,
    "optimizer": "plain",
}
LAYERS = [
    ("image_network", "head"),
    ("image_network", "normalisation"),
    ("tabular_network", "head"),
]


def small(kind: str, which: str | None, **changes: Any) -> Study:
    return asked(kind, {**LOCAL, "steps": 4, "personal": which, **changes})


def places(study: Study, arrays: Any) -> Any:
    found = personal.places(study, arrays)
    assert found is not None
    return found


@pytest.mark.parametrize(("kind", "which"), LAYERS)
def test_what_is_personal_is_in_no_sum_and_never_moves(kind: str, which: str) -> None:
    study, whole = small(kind, which), table_of(kind, 200)
    tables = clinics.split(whole, np.arange(200) % 2)
    task, state = begun(study, tables[0])
    own = places(study, state.arrays)
    assert 0 < own.sum() < len(own)
    assert task.release(study)["sum"].size == (~own).sum()
    states, kept = plain.learned(study, tables)
    final = states[kind].arrays["parameters"]
    first = begun(study, whole)[1].arrays["parameters"]
    assert (final[own] == first[own]).all()
    assert (final[~own] != first[~own]).mean() > 0.5
    assert all(each is not None and (each != first[own]).any() for each in kept)
    assert not np.array_equal(*kept)


@pytest.mark.parametrize(("kind", "which"), LAYERS)
def test_a_site_goes_on_with_its_own(kind: str, which: str) -> None:
    """The steps of a round are those of a network whose layers are these."""
    study, whole = small(kind, which), table_of(kind, 120)
    task, state = begun(study, whole)
    own = places(study, state.arrays)
    mine = np.random.default_rng(1).normal(size=int(own.sum())) * 0.3
    sums, reached = learn(task, study, state, Design(whole), mine)
    common = personal.without(study)
    shown = state.arrays["parameters"].copy()
    shown[own] = mine
    moved = replace(state, arrays={**state.arrays, "parameters": shown})
    plainly = begun(common, whole)[0].local(
        common, moved, Design(whole).rows(common, task, moved)
    )
    np.testing.assert_array_equal(sums["sum"], plainly["sum"][~own])
    weight = float(plainly["records"][0])
    np.testing.assert_allclose(
        reached, mine + plainly["sum"][own] / weight, rtol=1e-9, atol=1e-12
    )


def skewed() -> list[Table]:
    """Return three sites with the same people, where the outcome is seldom or usual."""
    draw = np.random.default_rng(4)
    found = []
    for seed, shares in enumerate(((1.0, 0.1), (1.0, 1.0), (0.1, 1.0))):
        whole = clinics.table(900, seed)
        stays = draw.random(900) < np.take(shares, whole.outcome.astype(int))
        found.append(clinics.split(whole, np.where(stays, 0, 1))[0])
    return found


def dimmed() -> list[Table]:
    """Return two sites; ill is who has a bright spot, or at the second a dark one."""
    draw, found = np.random.default_rng(7), []
    for seed in (0, 1):
        whole = table_of("image_network", 500, seed)
        films = draw.uniform(0.2, 0.5, (500, 8, 8, 1))
        films[whole.outcome == 1, 2:5, 3:6] += 0.35
        shown = 1.0 - films if seed else films
        found.append(replace(whole, images=shown.astype(np.float32)))
    return found


def lost(study: Study, tables: list[Table]) -> list[float]:
    """Return the loss of each site's test people by the model as that site has it."""
    states, kept = plain.learned(study, tables)
    found = []
    for table, own in zip(tables, kept, strict=True):
        rows: Rows = table.rows("test")
        said = compare.fitted(study, states, own).predict(rows)
        found.append(voting.loss(said, rows.y))
    return found


def test_a_personal_head_knows_how_common_the_outcome_is_here() -> None:
    """Sites whose outcomes are as usual lose nothing, and the others gain."""
    long = {"steps": 40, "local_steps": 8, "batch": 32, "clip": 5.0}
    common, own = (
        lost(small("tabular_network", which, **long), skewed())
        for which in (None, "head")
    )
    gained = np.array(common) - own
    assert gained[0] > 0.05
    assert gained[2] > 0.05
    assert gained[1] > -0.04


def test_personal_normalisation_meets_other_pictures() -> None:
    long = {"steps": 15, "local_steps": 8, "batch": 32, "clip": 5.0, "local_rate": 0.5}
    film, found = {"name": "film", "size": [8, 8]}, []
    for which in (None, "normalisation"):
        training = {**LOCAL, **long, "personal": which}
        model = {"kind": "image_network", "blocks": [8], "head": "flatten"}
        study = clinics.study(image=film, model={**model, "training": training})
        found.append(lost(study, dimmed()))
    common, own = found
    assert max(own) < 0.7 * min(common)


class Heard(InProcess):
    """A grid that remembers every number of every message."""

    def __init__(self, sites: Iterable[Path]) -> None:
        super().__init__(sites, next(engine.RUN), self._hearing)
        self.numbers: set[bytes] = set()

    def _hearing(self, message: Message, context: Context) -> Message | None:
        reply = client.app.app(message, context)
        for said in (message, reply):
            if not said.has_error():
                self._note(said)
        return reply

    def _note(self, said: Message) -> None:
        if "arrays" not in said.content:
            return
        for packed in content.arrays(said.content).values():
            array = packed_arrays.read(packed)
            flat = np.asarray(array, dtype=array.dtype).reshape(-1)
            self.numbers |= {each.tobytes() for each in flat}


def test_nothing_personal_travels(tmp_path: Path) -> None:
    """Not a number of any site's own layers, in any round, is in any message."""
    study = small("tabular_network", "head")
    paths = clinics.hospitals(tmp_path, study, 80)
    own: list[Array] = []
    keep = client.door.egress.own_layers.keep

    def noted(owner: Any, turn: Any, task: Any, state: State, reached: Any) -> None:
        keep(owner, turn, task, state, reached)
        if reached is not None and task.both:
            own.append(reached)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client.door.egress.own_layers, "keep", noted)
        grid = Heard(paths)
        engine.on(grid, study)
    assert len(own) == 4 * len(paths)
    assert len(grid.numbers) > 100
    for each in np.concatenate(own):
        assert np.float64(each).tobytes() not in grid.numbers


def test_a_simulation_compares_each_site_with_its_own_layers(tmp_path: Path) -> None:
    study = small("tabular_network", "head", steps=8)
    done = result.simulate(
        study, clinics.hospitals(tmp_path, study, 120), engine.in_process()
    )
    told = result.report(done, result.datetime.now(result.UTC), 1.0, "")
    for opened, facts in zip(done.hospitals, told.sites, strict=True):
        assert opened.own is not None
        model = compare.fitted(study, done.outcome.states, opened.own)
        assert facts.together is not None
        assert facts.together.auc == compare.score(model, opened.table)["auc"]
        assert facts.pooled is not None
    assert any("keeps its own last layer" in limit for limit in told.limits)
    with pytest.raises(StudyError, match="each site has its own last layer"):
        compare.fitted(study, done.outcome.states)


def test_a_masked_study_tests_each_site_with_its_own(tmp_path: Path) -> None:
    names = ["east", "north", "south"]
    about = {**clinics.ABOUT, "sites": names}
    rounds = {"quorum": 3, "maximum": 100, "deadline_seconds": 2}
    training = {**LOCAL, "steps": 6, "personal": "head"}
    model = {"kind": "tabular_network", "dense": [4], "training": training}
    study = clinics.study(study=about, rounds=rounds, model=model)
    assert study.masked
    paths = clinics.hospitals(tmp_path, study, 100)
    done = result.simulate(study, paths, engine.in_process())
    tables = [opened.table for opened in done.hospitals]
    states, own = plain.learned(study, tables)
    brier = 0.0
    for opened, expected in zip(done.hospitals, own, strict=True):
        np.testing.assert_allclose(opened.own, expected, atol=1e-6)
        fitted = compare.fitted(study, states, expected)
        rows = opened.table.rows("test")
        brier += float(((fitted.predict(rows) - rows.y) ** 2).sum())
    found = done.outcome.states["evaluate"].arrays["brier"][0]
    assert found == pytest.approx(brier, rel=1e-5)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"personal": "head"}, "personal is read only with by"),
        ({"personal": "head", "by": "weights", "votes": True}, "go back to an earlier"),
        ({"personal": "head", "by": "weights", "patience": 1}, "go back to an earlier"),
        ({"personal": "tail", "by": "weights"}, "'head' or 'normalisation'"),
    ],
)
def test_what_has_no_personal_layers_is_refused(said: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Training(**said)


def test_a_study_says_on_which_line_its_layers_cannot_be_personal(
    tmp_path: Path,
) -> None:
    path = tmp_path / "small.toml"
    text = TOML.replace("PERSONAL", 'by = "weights"\npersonal = "normalisation"')
    path.write_text(text)
    line = 1 + text.splitlines().index('personal = "normalisation"')
    with pytest.raises(StudyError, match="no layers of normalisation") as caught:
        studies.read(path)
    assert caught.value.hints["where"] == f"{path} line {line}"
    assert caught.value.hints["fix"] == 'personal = "head"'
    path.write_text(text.replace('"normalisation"', '"head"'))
    said = CliRunner().invoke(build(), ["study", "check", str(path)])
    assert "stays    each site's own last layer: it is in no sum" in said.output


def test_what_is_found_after_a_study_was_read_has_a_line_as_well(
    tmp_path: Path,
) -> None:
    path = tmp_path / "small.toml"
    text = TOML.replace("PERSONAL", "steps = 100")
    path.write_text(text)
    said = CliRunner().invoke(build(), ["study", "check", str(path)])
    assert isinstance(said.exception, StudyError)
    line = 1 + text.splitlines().index("steps = 100")
    assert said.exception.hints["where"] == f"{path} line {line}"
    assert said.exception.hints["fix"].startswith("maximum = 100")


def test_groups_of_none_are_not_personal() -> None:
    with pytest.raises(ValidationError, match="without groups nothing is normalised"):
        clinics.study(
            image=clinics.IMAGE,
            model={
                "kind": "image_network",
                "groups": 0,
                "training": {**LOCAL, "personal": "normalisation"},
            },
        )


def test_a_promise_has_no_personal_layers() -> None:
    with pytest.raises(ValidationError, match="personal has no private form"):
        asked("tabular_network", {**LOCAL, "personal": "head"}, privacy=PRIVACY)


def test_who_is_left_out_has_no_layers_of_its_own() -> None:
    tested = {"test": 0.3, "leave_out": 1}
    with pytest.raises(ValidationError, match="has no head for a site that does not"):
        asked("tabular_network", {**LOCAL, "personal": "head"}, evaluation=tested)


def test_an_older_study_has_the_digest_that_it_had() -> None:
    study = asked("tabular_network", LOCAL)
    pictures = asked("image_network", {})
    for key in (b"personal", b"convolution", b"pool"):
        assert key not in study.canonical() + pictures.canonical()


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize(("kind", "which"), LAYERS)
def test_the_card_and_the_command_say_what_the_common_model_lacks(
    kind: str, which: str, tmp_path: Path
) -> None:
    study, whole = small(kind, which), table_of(kind, 120)
    states = plain.run(study, [whole])
    made = model_file.of(study, states, {**ABOUT, "measures": {}})
    words = personal.named(study)
    assert f"keeps its own {words}" in card.of(made).decode()
    path = model_file.write(made, tmp_path)
    arguments = ["study", "export", str(path), "--to", "onnx", "--out", str(tmp_path)]
    said = CliRunner().invoke(build(), arguments)
    assert "public first draw" in said.output
    graph = onnx.load(tmp_path / "model.onnx")
    kept = {each.key: each.value for each in graph.metadata_props}
    assert kept == personal.about(study)
    assert kept["lacks"] == graph.doc_string == personal.told(study)
    if kind == "image_network":
        arguments[4] = "keras"
        assert CliRunner().invoke(build(), arguments).exit_code == 0
        with zipfile.ZipFile(tmp_path / "model.keras") as file:
            assert json.loads(file.read(keras_file.ABOUT)) == kept
        whole_again = keras.models.load_model(tmp_path / "model.keras")
        assert whole_again.count_params() == len(made.arrays["parameters"])
    assert "lacks" not in personal.about(personal.without(study))
    network = NETWORKS[kind]
    assert network_kind.personal(network, study) is not None


TOML = """\
format = 1
privacy = "none"
[study]
name = "small"
title = "A small study"
purpose = "to test"
contact = "test@consortium.example"
expires = 2030-12-31
sites = ["north", "south", "west"]
[[variables]]
kind = "number"
name = "age"
unit = "a"
range = [0, 120]
[outcome]
kind = "binary"
name = "ill"
levels = ["no", "yes"]
positive = "yes"
[model]
kind = "tabular_network"
[model.training]
PERSONAL
[rounds]
quorum = 3
maximum = 60
[evaluation]
test = 0.3
"""
