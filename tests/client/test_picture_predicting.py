"""A network at a hospital: what it says of a folder of pictures, and where it looks."""

import csv
import json
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from numpy.typing import NDArray
from PIL import Image as Pillow
from pydicom.dataset import Dataset
from scipy.special import expit

from client import site
from client.bedside import heat_maps, picture_folder, picture_predicting
from client.numbers import persons
from client.tables import integration, withdrawals
from common.arithmetic import calibration
from common.cli import build
from common.errors import DataError
from common.learned import model_file
from common.learned.model_file import Learned
from common.tasks.networks import image_network
from simulations import plain
from tests import clinics
from tests.client.test_dicom import made

SIDE, SPOT, PEOPLE = 24, 5, 240
SITE = """\
site = "north"

[sources.films]
kind = "images"
file = "films.csv"
pixels = "films.npz"
person = "patient"

[sources.scans]
kind = "dicom"
files = "scans/*"
modality = ["DX"]

[columns.film]
source = "films"
column = "place"

[columns.ill]
source = "films"
column = "ill"
"""
MODEL = {
    "kind": "image_network",
    "blocks": [8, 8],
    "training": {"steps": 60, "rate": 0.03, "clip": 100.0},
}
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Hospital:
    site: Path
    model: Path
    learned: Learned


def films(count: int, seed: int) -> tuple[Pixels, NDArray[Any], NDArray[Any]]:
    """Return dim noisy films, which have a bright spot, and the corner of each."""
    draw = np.random.default_rng(seed)
    shown = draw.integers(40, 110, (count, SIDE, SIDE))
    ill, corners = draw.random(count) < 0.5, draw.integers(0, SIDE - SPOT, (count, 2))
    for film, has, (row, column) in zip(shown, ill, corners, strict=True):
        film[row : row + SPOT, column : column + SPOT] += 120 * has
    return shown.astype(np.uint8), ill, corners


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Hospital:
    """Return a hospital whose films decided its model by a bright spot alone."""
    place = tmp_path_factory.mktemp("north")
    pixels, ill, _ = films(PEOPLE, 1)
    np.savez(place / "films.npz", images=pixels)
    rows = [f"p{n},{n},{'yes' if each else 'no'}" for n, each in enumerate(ill)]
    (place / "films.csv").write_text("\n".join(["patient,place,ill", *rows]) + "\n")
    (place / "site.toml").write_text(SITE)
    image = {"name": "film", "size": [SIDE, SIDE], "channels": 1}
    rounds = {"quorum": 1, "maximum": 60}
    study = clinics.study(variables=[], image=image, model=MODEL, rounds=rounds)
    states = plain.run(
        study, [integration.table(site.read(place / "site.toml"), study)]
    )
    about = {"created": "2026-11-23", "sites": ["north"], "measures": {}, "limits": []}
    learned = model_file.of(study, states, about)
    return Hospital(
        place / "site.toml", model_file.write(learned, place / "model"), learned
    )


def ran(hospital: Hospital, data: Path, out: Path, *more: str) -> Result:
    given = ["client", "predict", str(hospital.model), "--site", str(hospital.site)]
    arguments = [*given, "--data", str(data), "--out", str(out), *more]
    return CliRunner().invoke(build(), arguments)


def test_a_spot_that_decides_lights_up(hospital: Hospital) -> None:
    pixels, ill, corners = films(40, 2)
    pictures = pixels[..., None].astype(np.float32) / 255
    shown = hospital.learned.arrays["parameters"]
    chance = image_network.scored(hospital.learned.study, shown, pictures)
    assert np.mean((chance >= 0.5) == ill) > 0.95
    heat = image_network.heat(hospital.learned.study, shown, pictures)
    assert heat.shape == (40, SIDE, SIDE)
    assert heat.min() >= 0
    assert heat.max() <= 1
    ratios = []
    for each, (row, column) in zip(heat[ill], corners[ill], strict=True):
        found = np.unravel_index(each.argmax(), each.shape)
        assert np.abs(found - np.array([row, column]) - SPOT // 2).max() <= SPOT
        near = np.zeros_like(each, dtype=bool)
        near[
            max(row - 3, 0) : row + SPOT + 3, max(column - 3, 0) : column + SPOT + 3
        ] = 1
        ratios.append(each[near].mean() / each[~near].mean())
    assert min(ratios) > 1.5
    assert np.mean(ratios) > 3


def test_a_folder_of_any_kind_is_read_as_a_study_reads_it(
    hospital: Hospital, tmp_path: Path
) -> None:
    folder = tmp_path / "today"
    folder.mkdir()
    pixels, _, _ = films(3, 3)
    Pillow.fromarray(pixels[0]).save(folder / "a.png")
    np.savez(folder / "b.npz", images=pixels[1:])
    scan(pixels[0]).save_as(folder / "c", enforce_file_format=True)
    said = ran(hospital, folder, tmp_path / "said.csv", "--json")
    assert said.exit_code == 0, said.output
    told = json.loads(said.stdout)["pictures"]
    assert [each["picture"] for each in told] == [1, 2, 3, 4]
    expected = image_network.scored(
        hospital.learned.study,
        hospital.learned.arrays["parameters"],
        pixels[[0, 1, 2, 0], ..., None].astype(np.float32) / 255,
    )
    found = [each["expected"] for each in told]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    rows = list(csv.DictReader((tmp_path / "said.csv").read_text().splitlines()))
    assert [row["file"] for row in rows] == ["a.png", "b.npz", "b.npz", "c"]
    assert [row["place"] for row in rows] == ["0", "0", "1", "0"]
    assert [row["class"] for row in rows] == [each["class"] for each in told]
    assert stat.S_IMODE((tmp_path / "said.csv").stat().st_mode) == 0o600


def scan(pixels: Pixels, modality: str = "DX") -> Dataset:
    def change(film: Dataset) -> None:
        film.Modality, film.BitsAllocated, film.BitsStored, film.HighBit = (
            modality,
            16,
            8,
            7,
        )
        film.Rows, film.Columns = pixels.shape
        film.PixelData = pixels.astype("<u2").tobytes()

    return made(change)


def test_what_no_study_reads_is_refused_alone(
    hospital: Hospital, tmp_path: Path
) -> None:
    folder = tmp_path / "today"
    folder.mkdir()
    pixels, _, _ = films(1, 4)
    scan(pixels[0], "US").save_as(folder / "a.dcm", enforce_file_format=True)
    Pillow.fromarray(pixels[0, :9, :9]).save(folder / "b.png")
    np.savez(folder / "c.npz", images=pixels[:, :, :9])
    np.savez(folder / "d.npz", others=pixels)
    (folder / "e.txt").write_text("a name that must not be quoted")
    Pillow.fromarray(pixels[0]).save(folder / "f.png")
    said = ran(hospital, folder, tmp_path / "said.csv")
    assert said.exit_code == 0, said.output
    for reason in ("modality", "is smaller", "24 x 24", "no array", "damaged"):
        assert said.stdout.count(reason) == 1, said.stdout
    assert "6 pictures, nothing said of 5" in said.stdout
    assert "must not be quoted" not in said.output
    assert "f.png" not in said.stdout


def test_heat_maps_are_for_the_owner_only(hospital: Hospital, tmp_path: Path) -> None:
    pixels, _, _ = films(2, 5)
    np.savez(tmp_path / "new.npz", images=pixels)
    maps = ["--heat-maps", str(tmp_path / "maps")]
    said = ran(hospital, tmp_path / "new.npz", tmp_path / "said.csv", *maps)
    assert said.exit_code == 0, said.output
    found = sorted((tmp_path / "maps").iterdir())
    assert [each.name for each in found] == ["000001.png", "000002.png"]
    assert {stat.S_IMODE(each.stat().st_mode) for each in found} == {0o600}
    assert stat.S_IMODE((tmp_path / "maps").stat().st_mode) == 0o700
    assert "000002.png" in (tmp_path / "said.csv").read_text()


def test_a_heat_map_is_the_picture_beside_its_colours() -> None:
    grey = np.full((4, 4, 1), 0.5, dtype=np.float32)
    heat = np.zeros((4, 4))
    heat[0, 0] = 1.0
    shown = heat_maps.drawn(grey, heat)
    assert shown.shape == (320, 640, 3)
    np.testing.assert_array_equal(shown[0, 0], [128, 128, 128])
    np.testing.assert_array_equal(shown[0, 320], [204, 82, 51])
    np.testing.assert_array_equal(shown[-1, -1], [128, 128, 128])


@pytest.mark.parametrize("name", ["=1+1.png", "+a.png", "-a.png", "@a.png"])
def test_a_name_is_never_a_formula(tmp_path: Path, name: str) -> None:
    told = [picture_predicting.Told(1, name, 0, refused="is no picture")]
    picture_predicting.write(told, tmp_path / "said.csv")
    (row,) = csv.DictReader((tmp_path / "said.csv").read_text().splitlines())
    assert row["file"] == f"'{name}"


def test_heat_maps_need_pictures(hospital: Hospital, tmp_path: Path) -> None:
    given = ["client", "predict", str(hospital.model), "--site", str(hospital.site)]
    said = CliRunner().invoke(build(), [*given, "--heat-maps", str(tmp_path)])
    assert "--data FOLDER" in str(said.exception)
    said = ran(hospital, tmp_path, tmp_path / "said.csv", "--person", "p1")
    assert "--person looks among the records" in str(said.exception)
    with pytest.raises(DataError, match="no file"):
        list(
            picture_folder.read(
                site.read(hospital.site), clinics_image(hospital), tmp_path
            )
        )


def clinics_image(hospital: Hospital) -> Any:
    return image_network.asked(hospital.learned.study)[1]


def test_a_calibrated_chance_is_told_beside_the_models(hospital: Hospital) -> None:
    line = {"intercept": 0.5, "slope": 0.4}
    about = {**hospital.learned.about, "calibration": line}
    sure = Learned(hospital.learned.study, hospital.learned.arrays, about)
    local, file = site.read(hospital.site), hospital.site.parent / "films.npz"
    for each in picture_predicting.predict(local, sure, file)[:5]:
        assert each.expected is not None
        odds = np.log(each.expected / (1 - each.expected))
        assert each.calibrated == pytest.approx(expit(0.5 + 0.4 * odds), rel=1e-3)


def test_calibration_finds_how_a_score_is_off() -> None:
    draw = np.random.default_rng(6)
    score = draw.normal(0, 2, 40_000)
    true = expit(-0.7 + 0.5 * score)
    outcome = draw.random(len(score)) < true
    place = np.digitize(score, np.linspace(-8, 8, 199))
    sums = {
        "positives": np.bincount(place, outcome, 200),
        "negatives": np.bincount(place, ~outcome, 200),
        "said": np.bincount(place, expit(score), 200),
    }
    line = calibration.fitted(sums)
    assert line is not None
    assert line["intercept"] == pytest.approx(-0.7, abs=0.05)
    assert line["slope"] == pytest.approx(0.5, abs=0.03)
    mended = calibration.corrected(expit(score), line)
    assert np.abs(mended - true).max() < 0.03


@pytest.mark.parametrize("few", [[9.0, 0.0], [0.0, 9.0]])
def test_no_calibration_is_made_of_few_or_of_all_apart(few: list[float]) -> None:
    positives, negatives = np.array(few), np.array([900.0, 0.0])
    said = np.array([90.0, 8.0])
    none = {"positives": positives, "negatives": negatives, "said": said}
    assert calibration.fitted(none) is None
    apart = {**none, "positives": np.array([0.0, 900.0])}
    assert calibration.fitted({**apart, "said": np.array([90.0, 800.0])}) is None


def test_nothing_is_said_of_the_film_of_a_person_who_withdrew(
    hospital: Hospital, tmp_path: Path
) -> None:
    """A DICOM file says whose it is; the person's number is in no message."""
    path = tmp_path / "site.toml"
    path.write_text(f'home = "state"\n{SITE}')
    folder = tmp_path / "given"
    folder.mkdir()
    for number in ("p1", "p2", " p1 "):

        def whose(film: Dataset, number: str = number) -> None:
            film.PatientID = number
            film.Rows = film.Columns = SIDE
            film.PixelData = np.zeros((SIDE, SIDE), dtype=np.uint16).tobytes()

        made(whose).save_as(folder / f"{number}.dcm", enforce_file_format=True)
    local = site.read(path)
    told = picture_predicting.predict(local, hospital.learned, folder)
    assert not any(each.refused for each in told)
    assert local.home is not None
    withdrawals.add(local.home, persons.pseudonym(local.home, "p1"))
    told = picture_predicting.predict(local, hospital.learned, folder)
    gone = "is of a person who withdrew"
    assert [each.refused for each in told] == [gone, gone, ""]
    facts = picture_predicting.facts(told, tmp_path / "out.csv")
    assert facts["refused"] == len([gone, gone])
    assert "p1" not in picture_predicting.text(told, tmp_path / "out.csv")
