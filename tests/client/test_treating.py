"""What is expected under each treatment: as two fits to pooled rows tell it."""

import csv
import stat
from pathlib import Path

import numpy as np
import pytest
import statsmodels.api as sm
from click.testing import CliRunner

from client import site
from client.bedside import predicting, treating
from client.bedside.treating import Imagined
from client.numbers import persons
from common.cli import build
from common.encoding import Encoding, encode
from common.errors import StudyError, UsageError
from common.learned import exporting, model_file
from common.learned.model_file import Learned
from common.study import Study
from common.task import Rows
from common.tasks.treatment import treatments
from simulations import plain
from tests import clinics, test_treatment

ABOUT = {"created": "2026-11-23", "sites": ["north"], "measures": {}, "limits": []}
HEADER = "patient,visit,age,chol,pain,sex"
NEW = ("n1,v,60,250,mild,f", "n2,v,40,,none,", "n3,v,50,9000,mild,m")


def learned(kind: str = "binary", ridge: float = 0.0) -> tuple[Learned, Rows]:
    """Return what a study of an effect learned, and the rows that it saw."""
    study, whole = test_treatment.study(kind, ridge=ridge), test_treatment.table(kind)
    made = model_file.treated(study, plain.run(study, [whole]), ABOUT)
    rows = whole.rows("train")
    x = encode(study, Encoding.of(made.arrays), rows.x)
    return made, Rows(x, rows.y, values=rows.x)


@pytest.mark.parametrize("kind", ["binary", "number"])
def test_each_arm_is_a_fit_of_its_own_to_pooled_rows(kind: str) -> None:
    made, rows = learned(kind)
    design = np.column_stack([rows.x[:, :-1], np.ones(len(rows.x))])
    treated = rows.values[:, 3] == 1
    said = treatments.predict(made.study, made.arrays, rows)
    ends = treatments.interval(made.study, made.arrays, rows)
    errors = []
    for arm, inside in enumerate((~treated, treated)):
        y, x = rows.y[inside], design[inside]
        if kind == "binary":
            fit = sm.GLM(y, x, family=sm.families.Binomial()).fit(tol=1e-14)
        else:
            fit = sm.OLS(y, x).fit()
        told = fit.get_prediction(design)
        mean = told.predicted_mean if kind == "binary" else told.predicted
        np.testing.assert_allclose(said[:, arm], mean, atol=1e-8)
        np.testing.assert_allclose(ends[:, arm], told.conf_int(), rtol=1e-6)
        errors.append(told.se_mean if kind == "number" else told.se)
    change = treatments.difference(made.study, made.arrays, rows)
    np.testing.assert_allclose(change[:, 0], said[:, 1] - said[:, 0])
    half = (change[:, 2] - change[:, 1]) / 2
    np.testing.assert_allclose(half, 1.959964 * np.hypot(*errors), rtol=1e-6)


def test_with_a_ridge_the_residuals_are_those_of_the_ridge_fit() -> None:
    made, rows = learned("number", ridge=5.0)
    low, high = made.study.outcome.range
    said = treatments.predict(made.study, made.arrays, rows)
    treated = (rows.values[:, 3] == 1).astype(int)
    left = rows.y - said[np.arange(len(rows.y)), treated]
    for arm, block in enumerate(treatments.ARMS):
        squares = float((left[treated == arm] ** 2).sum()) / ((high - low) / 2) ** 2
        free = treatments._free(made.arrays, block)
        found = treatments._variance(made.study, made.arrays, block) * free
        assert found == pytest.approx(squares, rel=1e-8)


def hospital(place: Path, study: Study) -> tuple[Path, Path, Path]:
    """Return a hospital, the model of *study*, and a file of new people."""
    path = clinics.folder(place, clinics.lines(20))
    states = plain.run(study, [test_treatment.table()])
    model = model_file.write(model_file.treated(study, states, ABOUT), place / "model")
    file = place / "new.csv"
    file.write_text("\n".join([HEADER, *NEW]) + "\n")
    return path, model, file


def imagined(place: Path) -> tuple[Imagined, Path]:
    path, model, file = hospital(place, test_treatment.study())
    local = site.read(path)
    return treating.predict(local, predicting.read_model(local, model), file), path


def test_at_a_hospital_the_treatment_of_a_record_does_not_matter(
    tmp_path: Path,
) -> None:
    said, path = imagined(tmp_path)
    assert said.outside == ("", "", "chol")
    told = said.facts()
    assert [*told[0]["expected"]] == ["female", "male"]
    assert "expected" in told[1], "no treatment is on that record"
    assert told[2] == {"outside": "chol"}
    one = treating.text(said.of(persons.pseudonym(site.read(path).home, "n2")))
    assert "ill, male: " in one
    assert "cannot know" in one


def test_a_guess_without_support_is_said_to_be_one(tmp_path: Path) -> None:
    said, _ = imagined(tmp_path)
    said.chance[:2] = 0.04, 0.97
    assert "had male: what follows it is a guess" in treating.text(said)
    assert "had female: what follows it is a guess" in treating.text(said)
    assert not said.facts()[0]["supported"]


def test_the_command_writes_both_and_takes_no_other_model(tmp_path: Path) -> None:
    path, model, file = hospital(tmp_path, test_treatment.study())
    out = tmp_path / "said.csv"
    given = ["client", "predict", str(model), "--site", str(path), "--data", str(file)]
    ran = CliRunner().invoke(build(), [*given, "--treatments", "--out", str(out)])
    assert ran.exit_code == 0, ran.output
    head, *lines = list(csv.reader(out.read_text().splitlines()))
    assert head[:4] == ["record", "female", "low", "high"]
    assert len(lines) == len(NEW)
    assert "9000" not in out.read_text()
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    ran = CliRunner().invoke(build(), [*given, "--treatments", "--person", "n1"])
    assert "the change: " in ran.stdout
    ran = CliRunner().invoke(build(), [*given, "--json"])
    assert isinstance(ran.exception, UsageError)
    assert "add --treatments" in str(ran.exception)


def test_a_study_of_an_effect_writes_a_file(tmp_path: Path) -> None:
    """What follows a treatment is a file of its own, like a model's."""
    study = test_treatment.study()
    learned_ = model_file.treated(study, plain.run(study, [test_treatment.table()]), {})
    model_file.write(learned_, tmp_path)
    assert {each.name for each in tmp_path.iterdir()} == {
        "treatments.json",
        "treatments.safetensors",
    }
    again = model_file.read(tmp_path / "treatments.json")
    assert again.part == model_file.TREATED
    for name, array in learned_.arrays.items():
        np.testing.assert_array_equal(again.arrays[name], array)
    with pytest.raises(StudyError, match="have no other form"):
        exporting.write(again, "onnx", tmp_path)
