"""Pictures of a hospital: whose they are, how they must be, and what errors say."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client import site
from client.table import Table
from client.tables import integration
from common.errors import DataError
from common.study import Study
from tests import clinics

IMAGE = {"name": "film", "size": [6, 5], "channels": 1}
SITE = """\
site = "north"

[sources.films]
kind = "images"
file = "films.csv"
pixels = "films.npz"
person = "patient"
event_time = "taken"

[columns.film]
source = "films"
column = "place"

[columns.ill]
column = "ill"
"""
RECORDS = ["p1,1,3,yes", "p2,1,0,no", "p2,2,1,no", "p3,1,,yes", "p4,1,2,no"]
PIXELS = np.arange(4 * 6 * 5, dtype=np.uint8).reshape(4, 6, 5)


def study(**changes: Any) -> Study:
    return clinics.study(
        **{"variables": [], "image": IMAGE, "model": None, "evaluation": None} | changes
    )


def table(place: Path, pixels: np.ndarray = PIXELS, **changes: str) -> Table:
    lines = ["patient,taken,place,ill", *RECORDS]
    text, settings = "\n".join(lines) + "\n", SITE
    for old, new in changes.values():
        text, settings = text.replace(old, new), settings.replace(old, new)
    (place / "films.csv").write_text(text, encoding="utf-8")
    (place / "site.toml").write_text(settings, encoding="utf-8")
    np.savez_compressed(place / "films.npz", images=pixels)
    return integration.table(site.read(place / "site.toml"), study())


def test_each_record_gets_its_own_picture(tmp_path: Path) -> None:
    whole = table(tmp_path)
    np.testing.assert_allclose(whole.images[..., 0] * 255, PIXELS[[3, 0, 1, 2]])
    assert whole.images.dtype == np.float32
    assert whole.outcome.tolist() == [1, 0, 0, 0]
    assert whole.person.tolist() == [0, 1, 1, 2]
    assert whole.values.shape == (4, 0)


def test_who_has_no_picture_is_left_out_and_counted(tmp_path: Path) -> None:
    lines = [each for each in table(tmp_path).report if each.variable == "film"]
    assert [(each.what, each.count) for each in lines] == [
        ("cells with a missing code", 1),
        ("records without a required value", 1),
    ]


def test_rows_of_a_side_keep_pictures_and_outcomes_together(tmp_path: Path) -> None:
    whole = table(tmp_path)
    rows = whole.rows("train").take(np.array([2, 0]))
    np.testing.assert_array_equal(rows.images, whole.images[[2, 0]])
    np.testing.assert_array_equal(rows.y, whole.outcome[[2, 0]])


@pytest.mark.parametrize(
    ("pixels", "change", "said"),
    [
        (PIXELS[:, :5], ("", ""), "5 x 5 x 1; the study declares 6 x 5 x 1"),
        (PIXELS.astype(float), ("", ""), "float64, and must be uint8 or uint16"),
        (PIXELS[:3], ("", ""), "name no picture of 3; the first is in films.csv line"),
        (PIXELS, ("p1,1,3", "p1,1,-1"), "1 records name no picture of 4"),
        (PIXELS, ("p1,1,3", "p1,1,7261"), "1 records name no picture of 4"),
        (PIXELS, ("p1,1,3", "p1,1,0.5"), "1 records name no picture of 4"),
        (PIXELS, ("films.npz", "film.npz"), "film.npz does not exist"),
        (PIXELS, ('person = "patient"', 'array = "x"\nperson = "patient"'), "no array"),
        (np.array([{}, {}]), ("", ""), "cannot be read as NPZ"),
    ],
)
def test_pictures_that_do_not_fit_are_refused_without_a_value(
    tmp_path: Path, pixels: np.ndarray, change: tuple[str, str], said: str
) -> None:
    with pytest.raises(DataError, match=r"\d") as refused:
        table(tmp_path, pixels, change=change)
    assert said in str(refused.value)
    assert "7261" not in str(refused.value)
    assert "site.toml line" in str(refused.value)


def test_a_file_that_is_no_npz_is_refused(tmp_path: Path) -> None:
    table(tmp_path)
    for content in (b"", b"PK\x03\x04 broken", b"\x93NUMPY"):
        (tmp_path / "films.npz").write_bytes(content)
        with pytest.raises(DataError, match="cannot be read as NPZ"):
            integration.table(site.read(tmp_path / "site.toml"), study())
