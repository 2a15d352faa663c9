"""The demo with privacy promised: through the real apps, with budget and noise."""

import json
from pathlib import Path

import pytest

from common import terminal
from common.cli import build


@pytest.mark.parametrize(
    ("noise", "alone"),
    [("site", pytest.approx(1.0)), ("shared", pytest.approx(1.81, abs=0.05))],
)
def test_the_demo_promises_and_says_what_is_left_without_masks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], noise: str, alone: float
) -> None:
    command = ["demo", "--epsilon", "1", "--noise", noise, "--out", str(tmp_path / "d")]
    assert terminal.run(build(), [*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    promised = found["privacy"]
    assert promised["epsilon"] == 1.0
    assert promised["delta"] == 1e-5
    assert promised["noise"] == noise
    assert promised["epsilon_if_masking_fails"] == alone
    assert "one person at one site" in promised["unit"]
    assert found["together"]["accuracy"] > 0.75
    assert found["max_abs_coefficient_difference"] > 0.01
    assert not any("none" in str(limit) for limit in found["limits"])


def test_a_hospital_that_grants_less_refuses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "d")
    assert terminal.run(build(), ["demo", "--epsilon", "1", "--out", out]) == 0
    place = tmp_path / "d" / "hospitals"
    site = min(place.glob("*/site.toml"))
    text = site.read_text(encoding="utf-8")
    site.write_text(text.replace("epsilon = 1.0", "epsilon = 0.9"), encoding="utf-8")
    study = str(place / "study.toml")
    code = terminal.run(
        build(), ["simulate", "run", study, "--data", str(place), "--out", out]
    )
    assert code != 0
    assert "budget" in capsys.readouterr().err
