"""Chest X-rays dealt to four hospitals: together as good as pooled, and with noise.

What needs PneumoniaMNIST looks for it in CONSILIUM_FILMS, or beside the repository, and
is skipped where it is not.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from client import site
from client.table import Table
from client.tables import integration
from common import plan
from common import study as studies
from common.errors import DataError, IntegrityError
from common.study import Study
from common.task import State
from simulations import plain
from simulations.dealt import films
from simulations.engines import engine
from simulations.worth import compare, result

ROOT = Path(__file__).parents[2]
GIVEN = os.environ.get("CONSILIUM_FILMS")
DATA = Path(GIVEN) if GIVEN else ROOT.parent / "shared" / "data" / films.NPZ
needs_data = pytest.mark.skipif(
    not DATA.is_file(), reason=f"set CONSILIUM_FILMS to {films.NPZ} of MedMNIST v2"
)


@dataclass(frozen=True)
class Clinics:
    study: Study
    tables: list[Table]

    def auc(self, states: dict[str, State]) -> float:
        rows = plain.pooled(self.tables).rows("test")
        found = compare.fitted(self.study, states).predict(rows)
        return float(roc_auc_score(rows.y, found))


def opened(place: Path, epsilon: float | None = None) -> Clinics:
    study = studies.read(films.write(DATA, place, epsilon))
    places = [place / name / "site.toml" for name in films.SITES]
    return Clinics(
        study, [integration.table(site.read(each), study) for each in places]
    )


def test_what_is_not_the_published_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no readable file"):
        films.write(tmp_path / films.NPZ, tmp_path / "out")
    (tmp_path / films.NPZ).write_bytes(b"edited")
    with pytest.raises(IntegrityError, match="is not"):
        films.write(tmp_path / films.NPZ, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@needs_data
def test_every_film_is_at_one_hospital_with_its_own_label(tmp_path: Path) -> None:
    clinics, whole = opened(tmp_path), films.read(DATA)
    pictures = np.concatenate([each.images for each in clinics.tables])
    outcome = np.concatenate([each.outcome for each in clinics.tables])
    order = np.argsort(whole.site, kind="stable")
    np.testing.assert_array_equal(
        np.rint(pictures[..., 0] * 255).astype(np.uint8), whole.pixels[order]
    )
    np.testing.assert_array_equal(outcome, whole.ill[order])
    trains = np.concatenate([each.train for each in clinics.tables])
    assert (int(trains.sum()), int((~trains).sum())) == (4708, 624)
    common = [float(each.outcome.mean()) for each in clinics.tables]
    assert common == sorted(common, reverse=True)
    assert common[0] > 0.9
    assert common[-1] < 0.4


@needs_data
@pytest.mark.slow
def test_together_is_as_good_as_pooled(tmp_path: Path) -> None:
    clinics = opened(tmp_path)
    pooled = compare.reference(clinics.study, clinics.tables)
    rows = plain.pooled(clinics.tables).rows("test")
    best = roc_auc_score(rows.y, pooled.predict(rows))
    done = result.simulate(clinics.study, result.folders(tmp_path), engine.in_process())
    assert best > 0.945
    assert clinics.auc(dict(done.outcome.states)) > best - 0.01


@needs_data
@pytest.mark.slow
@pytest.mark.parametrize(("epsilon", "least"), [(8.0, 0.88), (2.0, 0.75)])
def test_a_promise_costs_some_of_it(
    tmp_path: Path, epsilon: float, least: float
) -> None:
    clinics = opened(tmp_path, epsilon)
    noise = plain.gaussian(np.random.default_rng(1))
    states = plain.run(clinics.study, clinics.tables, noise)
    assert clinics.auc(states) > least
    task = plan.find(clinics.study, "evaluate")
    assert task.read(clinics.study, states["evaluate"])["auc"] > least - 0.05
