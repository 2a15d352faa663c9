"""What a hospital gained: its own model and the common one, on its own test people."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from client import site
from client.bedside import gaining, predicting
from client.bedside.gaining import Gain
from client.tables import integration
from common.cli import build
from common.errors import StudyError
from common.learned import model_file
from common.learned.model_file import Learned
from common.study import Study
from common.task import State
from simulations import plain
from simulations.worth import compare
from tests import clinics

ABOUT = {"created": "2026-11-23", "sites": ["north"], "measures": {}, "limits": []}


def gained(place: Path, study: Study, people: int = 80) -> tuple[Gain, Path, Path]:
    """Let a hospital and two larger ones learn; return what the first one gained."""
    path = clinics.folder(place, clinics.lines(people))
    local = site.read(path)
    others = [clinics.table(200, seed) for seed in (4, 5)]
    states = plain.run(study, [integration.table(local, study), *others])
    made = model_file.of(study, states, ABOUT)
    model = model_file.write(made, place / "model")
    return gaining.gain(local, predicting.read_model(local, model)), path, model


@pytest.mark.parametrize("kind", ["logistic", "random_forest", "svm"])
def test_alone_and_together_are_measured_on_the_same_people(
    tmp_path: Path, kind: str
) -> None:
    study = clinics.study(model={"kind": kind, **clinics.MODELS[kind]})
    found, path, model = gained(tmp_path, study)
    table = integration.table(site.read(path), study)
    own = compare.fitted(study, plain.run(study, [table]))
    common = predicting.read_model(site.read(path), model)
    rows = table.rows("test")
    assert found.records == len(rows.y)
    for measured, predict in (
        (found.alone, own.predict),
        (found.together, compare.fitted(study, _states(common)).predict),
    ):
        assert measured is not None
        brier = np.mean((predict(rows) - rows.y) ** 2)
        assert measured["brier"] == pytest.approx(brier, abs=1e-12)
    assert found.alone != found.together


def _states(learned: Learned) -> dict[str, State]:
    return {learned.model.fit.name: State(dict(learned.arrays))}


def test_a_private_study_is_compared_with_an_exact_fit(tmp_path: Path) -> None:
    study = clinics.study(privacy={"epsilon": 5.0, "delta": 1e-5, "noise": "site"})
    found, _, _ = gained(tmp_path, study)
    assert found.alone is not None
    assert found.alone["records"] == found.together["records"]


def test_a_hospital_that_can_fit_nothing_is_told_why(tmp_path: Path) -> None:
    study = clinics.study(model={"kind": "logistic", "ridge": 0.0})
    found, _, _ = gained(tmp_path, study, people=12)
    assert found.alone is None
    assert found.why in found.text()
    assert "together" in found.text()


def test_without_test_people_nothing_is_compared(tmp_path: Path) -> None:
    study = clinics.study()
    states = plain.run(study, [clinics.table(60, 3)])
    learned = model_file.of(study, states, ABOUT)
    local = site.read(clinics.folder(tmp_path, clinics.lines(1)))
    assert not integration.table(local, study).people["test"]
    with pytest.raises(StudyError, match="so nothing can be compared"):
        gaining.gain(local, learned)


def test_the_command_shows_both(tmp_path: Path) -> None:
    found, path, model = gained(tmp_path, clinics.study())
    given = ["client", "gain", str(model), "--site", str(path)]
    ran = CliRunner().invoke(build(), given)
    assert ran.exit_code == 0, ran.output
    assert "area under the ROC curve" in ran.stdout
    assert "nothing was sent" in ran.stdout
    told = json.loads(CliRunner().invoke(build(), [*given, "--json"]).stdout)
    assert told["together"]["auc"] == found.together["auc"]
