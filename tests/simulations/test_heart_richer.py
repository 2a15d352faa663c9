"""The heart hospitals with richer inputs: the figures that the documents give."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from common import study
from common.cli import build
from common.encoding import columns
from simulations.dealt import heart_richer
from simulations.dealt.heart_richer import Hospitals
from tests.simulations.test_heart import DATA, needs_data


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory: pytest.TempPathFactory) -> Hospitals:
    return heart_richer.opened(DATA, tmp_path_factory.mktemp("richer"))


def test_the_study_asks_for_thirteen_variables_and_says_its_name(
    tmp_path: Path,
) -> None:
    path = tmp_path / "study.toml"
    path.write_text(heart_richer.document())
    asked = study.read(path)
    assert asked.study.name == "heart-disease-richer"
    assert len(asked.variables) == 13
    assert asked.model.site_intercepts
    assert all(each.missing != "exclude" for each in asked.variables)
    assert "thal missing" in {each.name for each in columns(asked)}


def test_richer_inputs_are_of_the_heart_files_only(tmp_path: Path) -> None:
    asked = ["demo", "--richer", "--out", str(tmp_path / "out")]
    found = CliRunner().invoke(build(), asked)
    assert found.exit_code == 2
    assert "--data" in found.output


@needs_data
def test_flambys_people_test_and_all_others_train(hospitals: Hospitals) -> None:
    sizes = [(int(t.train.sum()), int((~t.train).sum())) for t in hospitals.tables]
    assert sizes == [(199, 104), (205, 89), (107, 16), (155, 45)]
    pairs = zip(hospitals.tables, hospitals.complete, strict=True)
    assert all(complete[~table.train].all() for table, complete in pairs)


@needs_data
@pytest.mark.slow
def test_richer_inputs_are_right_more_often(hospitals: Hospitals) -> None:
    compared = heart_richer.compared(hospitals)
    lines = {str(row[0]): [float(c) for c in row[1:] if c] for row in compared.rows}
    *_, average, pooled = lines["richer inputs, FLamby's split"]
    assert average >= 0.84
    assert pooled >= 0.82
    *_, average, pooled = lines["richer inputs, 40 other splits: mean"]
    assert average >= 0.84
    assert pooled >= 0.82
    *_, average, pooled = lines["richer inputs, hospital left out"]
    assert average >= 0.78
    assert pooled >= 0.78
