"""A machine without what a network runs on says so before anything is read or sent."""

import sys
from pathlib import Path

import pytest

from client import site
from client.door.opened import open_study
from client.office import review
from common import plan
from common.errors import MachineError
from common.study import Study
from common.tasks import networks
from tests import clinics

LAYERS = {
    "tabular_network": "common.tasks.networks.torch_layers",
    "image_network": "common.tasks.networks.keras_layers",
}


def _take_away(name: str, patch: pytest.MonkeyPatch) -> None:
    """Let the module *name* be none, though another test has loaded it."""
    patch.delattr(networks, name.rpartition(".")[2], raising=False)
    patch.setitem(sys.modules, name, None)


def lacking(kind: str, patch: pytest.MonkeyPatch) -> Study:
    """Return a study of a network on a machine where its library is not installed."""
    _take_away(LAYERS[kind], patch)
    model = {"kind": kind, "training": {"steps": 3}}
    return clinics.study(model=model, **clinics.NEEDS.get(kind, {}))


@pytest.mark.parametrize("kind", LAYERS)
def test_what_a_study_runs_on_is_asked_for_by_name(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = lacking(kind, monkeypatch)
    with pytest.raises(MachineError, match=f"an? {kind} runs on ") as found:
        plan.load(study)
    assert found.value.hints["fix"] == "pip install 'consilium[networks]'"


def test_a_study_without_a_network_needs_no_library(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in LAYERS.values():
        _take_away(name, monkeypatch)
    plan.load(clinics.study())


def test_a_site_without_the_library_does_not_open_the_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing has left then, and no approval and no budget is spent."""
    study = lacking("tabular_network", monkeypatch)
    (path, *_) = clinics.hospitals(tmp_path, study, 60)
    (path.parent / "export.csv").unlink()
    with pytest.raises(MachineError, match="runs on PyTorch"):
        open_study(site.read(path), study, clinics.TODAY)


def test_the_dry_run_says_what_is_lacking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = lacking("tabular_network", monkeypatch)
    (path, *_) = clinics.hospitals(tmp_path, study, 60)
    told = review.check(site.read(path), study, clinics.TODAY)
    what = "a tabular_network runs on PyTorch, which is not installed"
    assert told.facts()["lacking"] == what
    assert f"lacking  {what}: this site would refuse" in told.text()
    assert "fix     pip install 'consilium[networks]'" in told.text()
    monkeypatch.undo()
    whole = review.check(site.read(path), study, clinics.TODAY)
    assert whole.facts()["lacking"] is None
    assert "lacking" not in whole.text()
