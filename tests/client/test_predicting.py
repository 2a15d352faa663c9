"""What a model says at a hospital is what it said, with reasons that add up."""

import csv
import json
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from client import site
from client.bedside import predicting
from client.numbers import persons
from client.tables import integration
from common import encoding
from common.cli import build
from common.errors import DataError, IdentityError, UsageError
from common.learned import model_file
from common.study import Study
from simulations import plain
from simulations.worth import compare
from tests import clinics, residents

ABOUT = {"created": "2026-11-23", "sites": ["north"], "measures": {}, "limits": []}
STUDY = clinics.study()
HEADER = "patient,visit,age,chol,pain,sex"


def learned(place: Path, study: Study = STUDY) -> tuple[Path, Path]:
    """Return a hospital's site.toml and a model that its records gave."""
    path = clinics.folder(place, clinics.lines(80))
    table = integration.table(site.read(path), study)
    states = plain.run(study, [table])
    made = model_file.of(study, states, ABOUT)
    return path, model_file.write(made, place / "model")


def newcomers(path: Path, *records: str) -> Path:
    file = path.parent / "new.csv"
    file.write_text("\n".join([HEADER, *records]) + "\n")
    return file


@pytest.mark.parametrize(
    "kind", ["logistic", "random_forest", "rbf_svm", "svm", "tabular_network"]
)
def test_it_says_what_the_study_said(tmp_path: Path, kind: str) -> None:
    study = clinics.study(model={"kind": kind, **clinics.MODELS[kind]})
    path, model = learned(tmp_path, study)
    local = site.read(path)
    table = integration.table(local, study)
    said = predicting.predict(local, predicting.read_model(local, model))
    expected = compare.fitted(study, plain.run(study, [table])).predict
    everyone = np.concatenate([expected(table.rows(s)) for s in ("train", "test")])
    np.testing.assert_allclose(np.sort(said.expected), np.sort(everyone))


def test_new_people_need_no_outcome_and_reasons_add_up(tmp_path: Path) -> None:
    path, model = learned(tmp_path)
    file = newcomers(path, "n1,v,60,250,mild,f", "n2,v,40,,none,m")
    local = site.read(path)
    said = predicting.predict(local, predicting.read_model(local, model), file)
    assert said.expected.shape == (2,)
    assert said.parts is not None
    assert said.ends is not None
    odds = np.log(said.expected / (1 - said.expected))
    np.testing.assert_allclose(said.parts.sum(axis=1), odds)
    low, high = said.ends.T
    assert ((low < said.expected) & (said.expected < high)).all()
    one = said.of(persons.pseudonym(local.home, "n2"))
    text = predicting.text(one)
    assert f"{said.expected[1]:.3f}" in text
    assert "no diagnosis" in text
    with pytest.raises(DataError, match="no record is of that person"):
        said.of(persons.pseudonym(local.home, "n3"))


KINDS = {
    "multinomial": {"ridge": 1.0},
    "random_forest": clinics.MODELS["random_forest"],
}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_of_a_category_it_says_the_chance_of_each_level(
    tmp_path: Path, kind: str
) -> None:
    levels = ["none", "mild", "severe"]
    outcome = {"kind": "category", "name": "pain", "levels": levels}
    variables = [each for each in clinics.VARIABLES if each["name"] != "pain"]
    model = {"kind": kind, **KINDS[kind]}
    study = clinics.study(variables=variables, outcome=outcome, model=model)
    path, made = learned(tmp_path, study)
    local, common = site.read(path), predicting.read_model(site.read(path), made)
    said = predicting.predict(local, common)
    table = integration.table(local, study)
    rows = [
        encoding.seen(study, common.model.fit, common.arrays, table.rows(side))
        for side in ("train", "test")
    ]
    expected = np.vstack([common.model.predict(study, common.arrays, e) for e in rows])
    assert np.allclose(np.sort(said.chances, axis=0), np.sort(expected, axis=0))
    np.testing.assert_allclose(said.chances.sum(axis=1), 1.0)
    np.testing.assert_allclose(said.expected, said.chances.max(axis=1))
    whole = said.expected
    if kind == "multinomial":
        odds = np.log(said.chances)
        whole = odds.max(axis=1) - odds.mean(axis=1)
    np.testing.assert_allclose(said.parts.sum(axis=1), whole)
    file = newcomers(path, "n1,v,60,250,,f", "n2,v,40,9000,,m")
    out = tmp_path / "said.csv"
    given = ["client", "predict", str(made), "--site", str(path), "--data", str(file)]
    ran = CliRunner().invoke(build(), [*given, "--out", str(out), "--json"])
    assert ran.exit_code == 0, ran.output
    first, second = csv.DictReader(out.read_text().splitlines())
    chances = [float(first[f"chance of {level}"]) for level in levels]
    assert first["class"] == levels[int(np.argmax(chances))]
    assert sum(chances) == pytest.approx(1.0, abs=1e-5)
    assert "outside the declared range: chol" in second["class"]
    assert second["chance of mild"] == ""
    ran = CliRunner().invoke(build(), [*given, "--person", "n1", "--json"])
    (one,) = json.loads(ran.stdout)["records"]
    assert one["class"] == first["class"]
    assert one["expected"] == pytest.approx(one["chances"][one["class"]])
    ran = CliRunner().invoke(build(), [*given, "--person", "n1"])
    assert ran.stdout.count(f"{one['class']}: ") == 1


def test_of_a_time_it_says_a_hazard_ratio_with_its_interval(tmp_path: Path) -> None:
    model = {"kind": "cox", **clinics.MODELS["cox"]}
    study = clinics.study(outcome=clinics.DEATH, model=model)
    states = plain.run(study, [clinics.table(300, outcome="survival")])
    made = model_file.write(model_file.of(study, states, ABOUT), tmp_path / "model")
    path = clinics.folder(tmp_path, clinics.lines(80))
    file = newcomers(path, "n1,v,80,300,mild,f", "n2,v,30,200,none,m")
    local = site.read(path)
    said = predicting.predict(local, predicting.read_model(local, made), file)
    assert said.parts is not None
    assert said.ends is not None
    np.testing.assert_allclose(said.parts.sum(axis=1), np.log(said.expected))
    assert ((said.ends[:, 0] < said.expected) & (said.expected < said.ends[:, 1])).all()
    assert said.expected[0] > 1.0 > said.expected[1], "the older has it sooner"
    one = predicting.text(said.of(persons.pseudonym(local.home, "n1")))
    assert f"hazard ratio of death: {said.expected[0]:.3f}, 95 %" in one
    assert "no chance and no time" in one


def test_nothing_is_said_of_whom_the_model_never_saw(tmp_path: Path) -> None:
    path, model = learned(tmp_path)
    file = newcomers(path, "n1,v,60,250,mild,f", "n2,v,40,9000,none,m")
    local = site.read(path)
    said = predicting.predict(local, predicting.read_model(local, model), file)
    assert said.outside == ("", "chol")
    assert [*said.facts()[0], *said.facts()[1]] == ["expected", "outside"]
    predicting.write(said, tmp_path / "said.csv")
    text = (tmp_path / "said.csv").read_text()
    assert "outside the declared range: chol" in text
    one = predicting.text(said.of(persons.pseudonym(local.home, "n2")))
    assert "outside the declared range: chol" in one
    assert "9000" not in text + one


def test_an_age_beyond_its_range_is_no_age_of_the_oldest(tmp_path: Path) -> None:
    """95 counts as 90, as when the model learned; 150 is a slip of the pen."""
    path, model = learned(tmp_path)
    file = newcomers(path, "n1,v,90,250,mild,f", "n2,v,95,250,mild,f", "n3,v,150,,,f")
    local = site.read(path)
    said = predicting.predict(local, predicting.read_model(local, model), file)
    assert said.outside == ("", "", "age")
    assert said.expected[0] == said.expected[1]


def test_another_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    path, model = learned(tmp_path)
    local = site.read(path)
    made = predicting.read_model(local, model)
    with pytest.raises(UsageError, match=r"none\.csv does not exist") as caught:
        predicting.predict(local, made, tmp_path / "none.csv")
    assert caught.value.hints["fix"] == "correct --data"


SAYS = {
    "linear": ("prediction, in chol.", "own value varies more"),
    "random_forest": ("prediction, in chol.", "no diagnosis"),
    "svm": ("prediction, in margin.", "no chance"),
}


@pytest.mark.parametrize("kind", sorted(SAYS))
def test_a_reader_is_told_what_the_figures_are(tmp_path: Path, kind: str) -> None:
    model, declared = {"kind": kind, **clinics.MODELS[kind]}, clinics.VARIABLES
    asked: dict[str, Any] = {"model": model}
    if kind != "svm":
        asked["outcome"] = {
            k: declared[1][k] for k in ("kind", "name", "unit", "range")
        }
        asked["variables"] = [each for each in declared if each["name"] != "chol"]
    path, made = learned(tmp_path, clinics.study(**asked))
    local = site.read(path)
    said = predicting.predict(local, predicting.read_model(local, made))
    text = predicting.text(said)
    assert all(words in text for words in SAYS[kind])
    assert ("own value varies" in text) == (kind == "linear")


def test_a_member_of_a_consortium_takes_signed_models_only(tmp_path: Path) -> None:
    _, model = learned(tmp_path / "alone")
    path = residents.found(tmp_path / "net", STUDY)
    local = site.read(path)
    with pytest.raises(IdentityError, match="signature"):
        predicting.read_model(local, model)


def test_the_command_writes_a_line_for_each_record(tmp_path: Path) -> None:
    path, model = learned(tmp_path)
    file = newcomers(path, "n1,v,60,250,mild,f", "n2,v,40,,none,m")
    out = tmp_path / "said.csv"
    given = ["client", "predict", str(model), "--site", str(path), "--data", str(file)]
    ran = CliRunner().invoke(build(), [*given, "--out", str(out), "--json"])
    assert ran.exit_code == 0, ran.output
    assert json.loads(ran.stdout)["records"] == 2
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert [row["record"] for row in rows] == ["1", "2"]
    assert {row["class"] for row in rows} <= {"yes", "no"}
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    ran = CliRunner().invoke(build(), [*given, "--person", "n1"])
    assert "(everybody)" in ran.stdout


def test_without_errors_no_interval_is_told(tmp_path: Path) -> None:
    elastic = clinics.study(model={"kind": "logistic", "ridge": 1.0, "l1_share": 0.5})
    path, model = learned(tmp_path, elastic)
    local = site.read(path)
    said = predicting.predict(local, predicting.read_model(local, model))
    predicting.write(said, tmp_path / "said.csv")
    told = predicting.text(said) + (tmp_path / "said.csv").read_text()
    assert "nan" not in told
    assert "95 % interval" not in told
