"""What privacy costs: the figures that are claimed, and the command that shows them."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from common.cli import build
from server.reports import curve as curves
from simulations import private
from simulations.private import Hospitals, Point

GIVEN = os.environ.get("CONSILIUM_HEART_DATA")
BESIDE = Path(__file__).parents[3] / "shared" / "data" / "heart_disease"
DATA = Path(GIVEN) if GIVEN else BESIDE
needs_data = pytest.mark.skipif(
    not GIVEN and not DATA.is_dir(),
    reason="set CONSILIUM_HEART_DATA to the folder of the UCI processed.*.data files",
)
FEW = 6
"""Repeats of the fast tests, which leave a margin for so few."""


@pytest.fixture(scope="module")
def breast() -> Hospitals:
    return private.opened(None)


@pytest.fixture(scope="module")
def heart() -> Hospitals:
    return private.opened(DATA)


def reached(
    asked: Hospitals, noise: private.Kind, epsilon: float, repeats: int
) -> Point:
    (point,) = private.curve(asked, noise, repeats, [epsilon])
    return point


BREAST = [("shared", 1.0, 0.93), ("shared", 0.5, 0.88), ("site", 1.0, 0.91)]
HEART = [("shared", 1.0, 0.765), ("site", 1.0, 0.74)]


@pytest.mark.parametrize(("noise", "epsilon", "least"), BREAST)
def test_breast_cancer_is_told_apart_under_a_promise(
    breast: Hospitals, noise: private.Kind, epsilon: float, least: float
) -> None:
    assert reached(breast, noise, epsilon, FEW).accuracy >= least - 0.01


@pytest.mark.slow
@pytest.mark.parametrize(("noise", "epsilon", "least"), BREAST)
def test_breast_cancer_reaches_what_is_claimed(
    breast: Hospitals, noise: private.Kind, epsilon: float, least: float
) -> None:
    assert reached(breast, noise, epsilon, 20).accuracy >= least


@needs_data
@pytest.mark.parametrize(("noise", "epsilon", "least"), HEART)
def test_heart_disease_is_told_apart_under_a_promise(
    heart: Hospitals, noise: private.Kind, epsilon: float, least: float
) -> None:
    assert reached(heart, noise, epsilon, FEW).average >= least - 0.01


@needs_data
@pytest.mark.slow
@pytest.mark.parametrize(("noise", "epsilon", "least"), HEART)
def test_heart_disease_reaches_what_is_claimed(
    heart: Hospitals, noise: private.Kind, epsilon: float, least: float
) -> None:
    assert reached(heart, noise, epsilon, 20).average >= least


def test_the_promise_is_what_the_curve_says(breast: Hospitals) -> None:
    study = private.promising(breast, "shared", 0.5)
    assert study.privacy != "none"
    assert study.privacy.epsilon == 0.5
    assert study.privacy.delta == 1e-5
    assert study.privacy.colluders == 1
    assert study.privacy.expected_people == 400
    assert private.promising(breast, "site", None).privacy == "none"


def test_the_same_curve_comes_twice(breast: Hospitals) -> None:
    once, again = (reached(breast, "site", 1.0, 2) for _ in range(2))
    assert once == again


def test_records_that_say_nothing_give_a_coin(breast: Hospitals) -> None:
    """The curve would see a model that was tested on whom it learned from."""
    draw = np.random.default_rng(0)
    shuffled = [
        replace(table, outcome=draw.permutation(table.outcome))
        for table in breast.tables
    ]
    nothing = replace(breast, tables=tuple(shuffled))
    assert reached(nothing, "shared", 2.0, FEW).accuracy < 0.72


def test_one_command_draws_the_curve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(private.curve, "__defaults__", ((1.0, None),))
    options = ["--repeats", "2", "--json", "--out", str(tmp_path / "drawn")]
    said = CliRunner().invoke(build(), ["simulate", "curve", *options])
    assert said.exit_code == 0, said.output
    facts = json.loads(said.stdout)
    assert facts == json.loads((tmp_path / "drawn" / "curve.json").read_text())
    assert [point["epsilon"] for point in facts["points"]] == [1.0, None]
    page = (tmp_path / "drawn" / "curve.html").read_text()
    assert page.count('class="dot"') == 2
    assert "<svg" in page
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_a_curve_of_one_spot_is_drawn() -> None:
    spot = curves.Spot("1", 0.9, (0.88, 0.92))
    one = curves.Curve("t & u", "epsilon", "accuracy", (spot,), ())
    page = curves.page(one)
    assert "t &amp; u" in page
    assert "0.900" in page
