"""A model that was written down says what it said, here and in other programs."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnxruntime
import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge
from sklearn.svm import LinearSVC

from common.cli import build
from common.encoding import seen
from common.errors import ConsiliumError, IdentityError, IntegrityError, StudyError
from common.learned import exporting, model_file
from common.learned.model_file import Learned
from common.registry import MODELS
from common.release import Array
from common.schema import Image
from common.sections.networks import ImageNetwork
from common.task import Rows
from common.tasks.networks import image_network
from simulations import plain
from simulations.worth import compare
from tests import clinics
from tests.test_tasks import study_of, table_of

KINDS = ["linear", "logistic", "poisson", "random_forest", "svm"]
TABLES = sorted(set(MODELS) - {"image_network"})
LIKE: dict[str, Callable[[], Any]] = {
    "linear": Ridge,
    "logistic": LogisticRegression,
    "multinomial": LogisticRegression,
    "poisson": PoissonRegressor,
    "svm": LinearSVC,
}
"""What scikit-learn has of the same form."""
ABOUT = {
    "created": "2026-11-23T00:00:00+00:00",
    "sites": ["north", "south"],
    "simulated": True,
    "limits": ["not for use"],
}


def learned(kind: str) -> tuple[Learned, Rows, Array]:
    """Return a model, the clean rows of people who test, and what it says of them."""
    study, whole = study_of(kind), table_of(kind, 300)
    states = plain.run(study, [whole])
    rows = whole.rows("test")
    expected = compare.fitted(study, states).predict(rows)
    measures = {"auc": 0.8, "records": 90}
    made = model_file.of(study, states, {**ABOUT, "measures": measures})
    return made, rows, expected


def design(model: Learned, rows: Rows) -> Rows:
    return seen(model.study, model.model.fit, model.arrays, rows)


@pytest.mark.parametrize("kind", sorted(MODELS))
def test_it_comes_back_as_it_was(tmp_path: Path, kind: str) -> None:
    made, rows, expected = learned(kind)
    back = model_file.read(model_file.write(made, tmp_path))
    assert back.study == made.study
    assert back.about == made.about
    found = back.model.predict(back.study, back.arrays, design(back, rows))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("kind", TABLES)
def test_onnx_says_the_same_from_raw_values(tmp_path: Path, kind: str) -> None:
    made, rows, expected = learned(kind)
    path = exporting.write(made, "onnx", tmp_path)
    (found,) = onnxruntime.InferenceSession(path).run(None, {"values": rows.x})
    hospital = np.exp(expected) if kind == "cox" else expected  # hazard ratios
    np.testing.assert_allclose(found, hospital, rtol=1e-6)
    assert np.isnan(rows.x).any()


def test_onnx_says_the_chance_of_each_level_of_a_forest(tmp_path: Path) -> None:
    model = {"kind": "random_forest", **clinics.MODELS["random_forest"]}
    study = clinics.study(outcome=clinics.STAGE, model=model)
    whole = clinics.table(300, outcome="category")
    states = plain.run(study, [whole])
    rows = whole.rows("test")
    made = model_file.of(study, states, {**ABOUT, "measures": {}})
    path = exporting.write(made, "onnx", tmp_path)
    (found,) = onnxruntime.InferenceSession(path).run(None, {"values": rows.x})
    expected = compare.fitted(study, states).predict(rows)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_allclose(expected.sum(axis=1), 1.0)


def test_onnx_adds_what_a_residual_layer_adds(tmp_path: Path) -> None:
    kind = {**clinics.MODELS["tabular_network"], "dense": [6, 6], "residual": True}
    study = clinics.study(model={"kind": "tabular_network", **kind})
    whole = table_of("tabular_network", 300)
    states = plain.run(study, [whole])
    rows = whole.rows("test")
    made = model_file.of(study, states, {**ABOUT, "measures": {}})
    path = exporting.write(made, "onnx", tmp_path)
    (found,) = onnxruntime.InferenceSession(path).run(None, {"values": rows.x})
    expected = compare.fitted(study, states).predict(rows)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


# Keras 3 itself calls numpy 2 as before: nothing of ours.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize(
    "asked",
    [
        {"head": "average", "blocks": [4, 6]},
        {"head": "flatten", "padding": "valid", "groups": 0},
        {"blocks": [4, 6, 8], "convolution": "separable"},
        {"blocks": [4, 6], "convolution": "separable", "pool": "stride"},
        {"blocks": [4, 6], "pool": "average", "padding": "valid", "head": "flatten"},
        {"blocks": [4, 6], "pool": "stride", "padding": "valid", "groups": 0},
        {
            "blocks": [4, 6],
            "convolution": "separable",
            "pool": "stride",
            "padding": "valid",
            "head": "flatten",
        },
    ],
    ids=str,
)
@pytest.mark.parametrize("size", [(13, 10), (16, 11)])
def test_keras_and_onnx_alone_say_the_same_of_pictures(
    tmp_path: Path, asked: dict[str, object], size: tuple[int, int]
) -> None:
    kind = {**clinics.MODELS["image_network"], "dense": [5], **asked}
    model = ImageNetwork.model_validate({"kind": "image_network", **kind})
    film = Image(name="film", size=size)
    study = study_of("image_network")
    study = study.model_copy(update={"model": model, "image": film})
    films = np.random.default_rng(2).random((60, *size, 1)).astype(np.float32)
    whole = replace(table_of("image_network", 60), images=films)
    states = plain.run(study, [whole])
    rows = whole.rows("test")
    made = model_file.of(study, states, {**ABOUT, "measures": {}})
    path = exporting.write(made, "keras", tmp_path)
    found = keras.models.load_model(path).predict(rows.images, verbose=0)[:, 0]
    session = onnxruntime.InferenceSession(exporting.write(made, "onnx", tmp_path))
    (drawn,) = session.run(None, {"pictures": rows.images})
    expected = compare.fitted(study, states).predict(rows)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_allclose(drawn, expected, rtol=1e-5)
    assert np.ptp(expected) > 0
    shown = states["image_network"].arrays["parameters"]
    warm = image_network.heat(study, shown, rows.images)
    assert warm.shape == (len(rows.images), *size)
    assert 0.0 <= warm.min() <= warm.max() <= 1.0


def test_only_pictures_have_a_file_of_keras(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="no file of Keras"):
        exporting.write(learned("logistic")[0], "keras", tmp_path)


@pytest.mark.parametrize("kind", sorted(exporting.SKLEARN))
def test_scikit_learn_says_the_same(tmp_path: Path, kind: str) -> None:
    made, rows, expected = learned(kind)
    said = json.loads(exporting.write(made, "sklearn-json", tmp_path).read_text())
    assert said["class"].endswith(LIKE[kind].__name__)
    found = told(LIKE[kind](), said["attributes"], design(made, rows).x)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert next(each["name"] for each in said["columns"]) == "age"


def test_scikit_learn_says_the_same_of_two_levels(tmp_path: Path) -> None:
    outcome = {**clinics.STAGE, "levels": ["none", "some"]}
    model = {"kind": "multinomial", "ridge": 1.0}
    study, whole = clinics.study(outcome=outcome, model=model), clinics.table(300)
    states = plain.run(study, [whole])
    made = model_file.of(study, states, {**ABOUT, "measures": {}})
    rows = whole.rows("test")
    said = json.loads(exporting.write(made, "sklearn-json", tmp_path).read_text())
    found = told(LogisticRegression(), said["attributes"], design(made, rows).x)
    expected = compare.fitted(study, states).predict(rows)
    np.testing.assert_allclose(found, expected[:, 1], rtol=1e-9)


def told(theirs: Any, attributes: dict[str, Any], x: Array) -> Array:
    """Return what the model of scikit-learn with these attributes says of *x*."""
    for name, value in attributes.items():
        setattr(theirs, name, np.array(value))
    if isinstance(theirs, PoissonRegressor):  # its link is made where it fits
        return np.asarray(np.exp(x @ theirs.coef_ + theirs.intercept_))
    if isinstance(theirs, LinearSVC):
        return np.asarray(expit(theirs.decision_function(x)))
    if isinstance(theirs, LogisticRegression):
        chances = theirs.predict_proba(x)
        return np.asarray(chances if chances.shape[1] > 2 else chances[:, 1])
    return np.asarray(theirs.predict(x))


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_columns_add_is_the_prediction(kind: str) -> None:
    made, rows, expected = learned(kind)
    encoded = design(made, rows)
    assert made.model.explain
    parts = made.model.explain(made.study, made.arrays, encoded)
    whole = parts.sum(axis=1)
    link = {"logistic": logit, "svm": logit, "poisson": np.log}
    wanted = link.get(kind, lambda p: p)(expected)
    np.testing.assert_allclose(whole, wanted, rtol=1e-9, atol=1e-9)


def test_an_interval_holds_the_expectation_and_narrows_with_people() -> None:
    widths = []
    for people in (200, 2000):
        study, whole = study_of("logistic"), table_of("logistic", people)
        states = plain.run(study, [whole])
        made = model_file.of(study, states, ABOUT)
        rows = whole.rows("test")
        expected = compare.fitted(study, states).predict(rows)
        assert made.model.interval
        ends = made.model.interval(study, made.arrays, design(made, rows))
        assert ((ends[:, 0] < expected) & (expected < ends[:, 1])).all()
        widths.append((ends[:, 1] - ends[:, 0]).mean())
    assert widths[1] < widths[0] / 2


def test_a_signature_is_the_aggregators_or_refused(tmp_path: Path) -> None:
    key, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    made, _, _ = learned("logistic")
    signed = model_file.write(made, tmp_path / "signed", key)
    plainly = model_file.write(made, tmp_path / "plain")
    assert model_file.is_signed(signed)
    assert not model_file.is_signed(plainly)
    assert model_file.read(signed, key.public_key()).about == made.about
    with pytest.raises(IdentityError, match="signature"):
        model_file.read(signed, other.public_key())
    with pytest.raises(IdentityError, match="signature"):
        model_file.read(plainly, key.public_key())


def test_a_flipped_byte_of_the_numbers_is_seen(tmp_path: Path) -> None:
    made, _, _ = learned("logistic")
    path = model_file.write(made, tmp_path)
    arrays = tmp_path / model_file.ARRAYS
    whole = arrays.read_bytes()
    for place in np.linspace(0, len(whole) - 1, 25).astype(int):
        broken = bytearray(whole)
        broken[place] ^= 1
        arrays.write_bytes(broken)
        with pytest.raises(IntegrityError, match="is not what"):
            model_file.read(path)


def test_another_study_than_the_digest_says_is_seen(tmp_path: Path) -> None:
    made, _, _ = learned("logistic")
    path = model_file.write(made, tmp_path)
    path.write_text(path.read_text().replace("A small study", "B small study"))
    with pytest.raises(IntegrityError, match="another study"):
        model_file.read(path)


def test_a_card_says_for_whom_and_how_good(tmp_path: Path) -> None:
    made, _, _ = learned("logistic")
    text = exporting.write(made, "card", tmp_path).read_text()
    for words in ("A small study", "AUC", "0.8", "0 to 120 a", "not for use", "north"):
        assert words in text
    assert "\x1b" not in text


def test_a_card_has_intervals_and_says_what_is_no_chance(tmp_path: Path) -> None:
    made, _, _ = learned("svm")
    told = {"auc_interval": [0.71, 0.86], "odd": 3, "brier": 0.2}
    about = {**made.about, "records": 1200}
    about["measures"] = made.about["measures"] | told
    text = exporting.write(replace(made, about=about), "card", tmp_path).read_text()
    assert "- **Learned from** 1,200 records" in text
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    named = [row.split(" | ")[0][2:] for row in rows]
    assert "| AUC, area under the ROC curve | 0.8 | 0.71 to 0.86 |" in rows
    assert named[-3:] == ["AUC, area under the ROC curve", "Brier score", "odd"]
    assert "no chance" in text


def test_the_command_writes_every_form(tmp_path: Path) -> None:
    made, _, _ = learned("logistic")
    path = model_file.write(made, tmp_path)
    for form, (name, _) in exporting.FORMS.items():
        if form == "keras":  # of pictures only
            continue
        out = tmp_path / "new" / form  # folders are made
        given = ["study", "export", str(path), "--to", form, "--out", str(out)]
        ran = CliRunner().invoke(build(), given)
        assert ran.exit_code == 0, ran.output
        assert (out / name).stat().st_size > 100


def test_what_is_no_model_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConsiliumError, match=r"model\.json cannot be read"):
        model_file.read(tmp_path / "model.json")
    made, _, _ = learned("random_forest")
    path = model_file.write(made, tmp_path)
    with pytest.raises(ConsiliumError, match="has no like in scikit-learn"):
        exporting.sklearn_json(made)
    (tmp_path / "model.json").write_text("{}")
    with pytest.raises(IntegrityError):
        model_file.read(path)


def test_every_kind_is_written_and_read() -> None:
    assert set(KINDS) <= set(MODELS)
    assert clinics.MODELS.keys() >= set(KINDS)
