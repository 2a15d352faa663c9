"""DICOM and PNG: only pixels and mapped elements leave, and unfit files are refused."""

import io
import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from PIL import Image as Pillow
from pydicom import dcmread, examples
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from client.formats.raw import PERSON, TIME, Raw
from client.formats.resampling import resampled
from common.errors import DataError
from common.schema import Image
from tests.places import CANARY, read, refusal, site

FILM = Image(name="film", size=(8, 8))
SOURCE = {"kind": "dicom", "files": "films/*.dcm", "modality": ["DX", "CT", "MR"]}
COLUMNS = {"film": {"column": "pixels"}}
RAMP = (np.arange(64).reshape(8, 8) * 4).astype(np.uint16)
Change = Callable[[Dataset], object]


def made(change: Change = lambda _: None) -> Dataset:
    """Return a small radiograph, with a name in it that must never leave."""
    film = Dataset()
    film.file_meta = FileMetaDataset()
    film.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    film.SOPClassUID = film.file_meta.MediaStorageSOPClassUID = (
        "1.2.840.10008.5.1.4.1.1.1.1"
    )
    film.SOPInstanceUID = film.file_meta.MediaStorageSOPInstanceUID = "2.25.77"
    film.Modality, film.BurnedInAnnotation = "DX", "NO"
    film.PatientName, film.PatientID, film.PatientAge = CANARY, "p1", "045Y"
    film.PatientComments = CANARY
    film.StudyDate, film.StudyTime = "20240102", "1011"
    film.Rows = film.Columns = 8
    film.SamplesPerPixel, film.PixelRepresentation = 1, 0
    film.PhotometricInterpretation = "MONOCHROME2"
    film.BitsAllocated, film.BitsStored, film.HighBit = 16, 8, 7
    film.PixelData = RAMP.tobytes()
    change(film)
    return film


def shown(folder: Path, film: Dataset, **source: Any) -> Raw:
    (folder / "films").mkdir(exist_ok=True)
    film.save_as(folder / "films" / "a.dcm", enforce_file_format=True)
    (raw,) = read(site(folder, {**SOURCE, **source}, COLUMNS), FILM)
    return raw


def picture(folder: Path, film: Dataset, **source: Any) -> np.ndarray:
    return np.asarray(shown(folder, film, **source).arrays["film"][0, ..., 0])


def setting(**elements: Any) -> Change:
    def change(film: Dataset) -> None:
        for keyword, value in elements.items():
            setattr(film, keyword, value)

    return change


GREY = RAMP / 255


def test_a_film_is_its_pixels_its_person_and_its_time(tmp_path: Path) -> None:
    raw = shown(tmp_path, made())
    assert raw.cells[PERSON].tolist() == ["p1"]
    assert raw.cells[TIME].tolist() == ["2024-01-02T10:11:00"]
    assert set(raw.cells) == {PERSON, TIME, "film"}
    assert raw.arrays["film"].dtype == np.float32
    np.testing.assert_allclose(raw.arrays["film"][0, ..., 0], GREY, atol=1e-6)
    assert CANARY not in f"{raw!r}{raw.cells.to_csv()}"


def test_a_mapped_element_is_a_cell_and_no_other_is(tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    made().save_as(tmp_path / "films" / "a.dcm", enforce_file_format=True)
    (raw,) = read(site(tmp_path, SOURCE, {"age": {"column": "PatientAge"}}))
    assert raw.cells["age"].tolist() == ["45"]
    assert not raw.arrays
    with pytest.raises(DataError, match="a keyword of DICOM"):
        read(site(tmp_path, SOURCE, {"age": {"column": "PatientYears"}}))


def test_a_newborn_is_of_age_nought(tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    film = made(setting(PatientAge="000Y"))
    film.save_as(tmp_path / "films" / "a.dcm", enforce_file_format=True)
    (raw,) = read(site(tmp_path, SOURCE, {"age": {"column": "PatientAge"}}))
    assert raw.cells["age"].tolist() == ["0"]


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (setting(PhotometricInterpretation="MONOCHROME1"), 1 - GREY),
        (setting(PatientOrientation=["R", "F"]), GREY[:, ::-1]),
        (setting(PatientOrientation=["L", "H"]), GREY[::-1]),
        (setting(ImageOrientationPatient=[1, 0, 0, 0, 1, 0]), GREY),
        (setting(ImageOrientationPatient=[-1, 0, 0, 0, 1, 0]), GREY[:, ::-1]),
        (setting(RescaleSlope=-1, RescaleIntercept=255), 1 - GREY),
        (
            setting(WindowCenter=64.5, WindowWidth=65),
            np.clip((RAMP - 32.0) / 64, 0, 1),
        ),
        (
            setting(
                WindowCenter=[64, 9], WindowWidth=[64, 9], VOILUTFunction="LINEAR_EXACT"
            ),
            np.clip((RAMP - 32.0) / 64, 0, 1),
        ),
        (
            setting(WindowCenter=128, WindowWidth=64, VOILUTFunction="SIGMOID"),
            1 / (1 + np.exp(-4 * (RAMP - 128.0) / 64)),
        ),
    ],
)
def test_it_is_what_a_radiologist_sees(
    tmp_path: Path, change: Change, wanted: np.ndarray
) -> None:
    """Rescale, window, black, and the patient's left: PS3.3 C.7.6.1, C.11.1, C.11.2."""
    np.testing.assert_allclose(picture(tmp_path, made(change)), wanted, atol=1e-5)


def test_the_window_of_the_site_comes_first(tmp_path: Path) -> None:
    film = made(setting(WindowCenter=10, WindowWidth=20))
    found = picture(tmp_path, film, window=[64.5, 65.0])
    np.testing.assert_allclose(found, np.clip((RAMP - 32.0) / 64, 0, 1), atol=1e-6)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (setting(BurnedInAnnotation="YES"), "burnt into its pixels"),
        (lambda film: film.__delitem__("BurnedInAnnotation"), "does not say whether"),
        (lambda film: film.add_new(0x60003000, "OW", b"\0\0"), "an overlay"),
        (setting(Modality="SC"), "a modality that site.toml does not name"),
        (setting(NumberOfFrames=2), "several frames"),
        (setting(PatientOrientation=["A", "F"]), "not the front"),
        (setting(PhotometricInterpretation="PALETTE COLOR"), "neither grey nor RGB"),
        (setting(Rows=9), "damaged"),
        (setting(Rows=60_000, Columns=60_000), "one that cannot be"),
        (setting(WindowCenter=1, WindowWidth=0), "a window that is none"),
        (lambda film: film.__delitem__("PixelData"), "no pixels"),
    ],
)
def test_what_may_not_be_used_is_refused_with_its_reason(
    tmp_path: Path, change: Change, match: str
) -> None:
    with pytest.raises(DataError, match="1 of 1 DICOM files are refused") as no:
        shown(tmp_path, made(change))
    assert match in str(no.value)
    assert "first file 1" in str(no.value)
    assert CANARY not in str(no.value)


def test_a_steward_vouches_for_unmarked_files_or_takes_one_out(tmp_path: Path) -> None:
    film = made(lambda each: each.__delitem__("BurnedInAnnotation"))
    found = picture(tmp_path, film, unmarked="accept")
    np.testing.assert_allclose(found, GREY, atol=1e-6)
    made().save_as(tmp_path / "films" / "b.dcm", enforce_file_format=True)
    assert len(shown(tmp_path, film, leave_out=["a.dcm"]).cells) == 1
    with pytest.raises(DataError, match="every file was left out"):
        shown(tmp_path, film, leave_out=["a.dcm", "b.dcm"])


@pytest.mark.parametrize("length", [0, 100, 131, 200, 400, -1])
def test_half_a_file_is_damaged_and_no_trace(tmp_path: Path, length: int) -> None:
    buffer = io.BytesIO()
    made().save_as(buffer, enforce_file_format=True)
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / f"{CANARY}.dcm").write_bytes(buffer.getvalue()[:length])
    with pytest.raises(DataError, match="refused") as no:
        read(site(tmp_path, SOURCE, COLUMNS), FILM)
    assert CANARY not in str(no.value)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("CT_small.dcm", (128, 128)),
        ("MR_small.dcm", (64, 64)),
        ("J2K_pixelrep_mismatch.dcm", None),
    ],
)
def test_files_that_pydicom_ships_are_read(
    tmp_path: Path, name: str, size: tuple[int, int] | None
) -> None:
    """Real scanners: a CT in Hounsfield units, an MR, a compressed one of 512 x 512."""
    there = get_testdata_file(name, download=False)
    if there is None:
        pytest.skip(f"pydicom here does not ship {name}")
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / name).write_bytes(Path(there).read_bytes())
    local = site(tmp_path, {**SOURCE, "unmarked": "accept"}, COLUMNS)
    (raw,) = read(local, Image(name="film", size=size or (64, 64)))
    found = raw.arrays["film"]
    assert found.shape == (1, *(size or (64, 64)), 1)
    assert 0.0 <= found.min() < found.max() <= 1.0
    assert found.std() > 0.001
    assert raw.cells[PERSON].tolist() == [dcmread(there).PatientID]


def test_every_file_that_pydicom_ships_is_read_or_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Ultrasound in colour, waveforms, reports, damaged ones: a picture or a reason."""
    from pydicom.data import get_testdata_files  # noqa: PLC0415

    folder = Path(get_testdata_file("CT_small.dcm", download=False)).parent
    chosen = [each for each in get_testdata_files() if Path(each).parent == folder]
    small = [p for p in map(Path, chosen) if p.is_file() and p.stat().st_size < 200_000]
    assert len(small) > 30
    (tmp_path / "films").mkdir()
    source = {**SOURCE, "unmarked": "accept"}
    read_well = 0
    with caplog.at_level(logging.DEBUG), warnings.catch_warnings():
        warnings.simplefilter("error")
        for each in small:
            (tmp_path / "films" / "a.dcm").write_bytes(each.read_bytes())
            local = site(tmp_path, source, COLUMNS)
            said = refusal(lambda: read(local, FILM))  # noqa: B023 - called at once
            read_well += not said
            assert not said or "refused" in said
    assert read_well >= 10
    assert not [each for each in caplog.records if each.name.startswith("pydicom")]


def test_pydicom_itself_reads_the_same_pixels(tmp_path: Path) -> None:
    there = examples.get_path("ct")
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "ct.dcm").write_bytes(there.read_bytes())
    source = {**SOURCE, "unmarked": "accept", "window": [40.0, 400.0]}
    size = dcmread(there).pixel_array.shape
    (raw,) = read(site(tmp_path, source, COLUMNS), Image(name="film", size=size))
    given = dcmread(there)
    hounsfield = given.pixel_array * float(given.RescaleSlope)
    hounsfield += float(given.RescaleIntercept)
    wanted = np.clip((hounsfield - 39.5) / 399 + 0.5, 0, 1)
    np.testing.assert_allclose(raw.arrays["film"][0, ..., 0], wanted, atol=1e-6)


@given(some.data())
@settings(deadline=None, max_examples=60)
def test_any_damage_ends_in_a_picture_or_one_sentence(data: some.DataObject) -> None:
    """Bytes are cut, changed and doubled anywhere in a file with a canary in it."""
    import tempfile  # noqa: PLC0415 - one folder for each example

    buffer = io.BytesIO()
    made().save_as(buffer, enforce_file_format=True)
    content = bytearray(buffer.getvalue())
    for _ in range(data.draw(some.integers(1, 6))):
        place = data.draw(some.integers(0, len(content) - 1))
        content[place] = data.draw(some.integers(0, 255))
    cut = data.draw(some.integers(1, len(content)))
    with tempfile.TemporaryDirectory() as folder:
        films = Path(folder) / "films"
        films.mkdir()
        (films / "a.dcm").write_bytes(bytes(content[:cut]))
        local = site(Path(folder), SOURCE, COLUMNS)
        parts: list[Raw] = []
        said = refusal(lambda: parts.extend(read(local, FILM)))
        assert all(np.isfinite(raw.arrays["film"]).all() for raw in parts)
        assert CANARY[:4] not in said
        assert not said or "refused" in said


@given(some.integers(1, 5), some.integers(1, 5), some.integers(0, 40))
def test_resampling_keeps_the_mean(height: int, width: int, more: int) -> None:
    draw = np.random.default_rng(more)
    big = draw.random((height + more, width + 2 * more, 1)).astype(np.float32)
    small = resampled(big, height, width)
    assert small.shape == (height, width, 1)
    assert small.mean() == pytest.approx(big.mean(), abs=1e-5)


def test_resampling_by_a_whole_factor_is_the_mean_of_blocks() -> None:
    big = np.arange(64, dtype=np.float32).reshape(8, 8, 1)
    blocks = big.reshape(4, 2, 2, 4, 1).mean(axis=(1, 3))
    np.testing.assert_allclose(resampled(big, 4, 2), blocks)
    with pytest.raises(ValueError, match="smaller than"):
        resampled(big, 9, 8)


PNG = {
    "kind": "png",
    "file": "films.csv",
    "folder": "films",
    "person": "who",
    "missing": ["none"],
}
LISTED = {"film": {"column": "file"}}


def pngs(folder: Path, lines: str = "a,1.png\nb,\nc,2.png\nd,none\n") -> list[Raw]:
    (folder / "films").mkdir(exist_ok=True)
    Pillow.fromarray(RAMP.astype(np.uint8)).save(folder / "films" / "1.png")
    Pillow.fromarray((RAMP * 257).astype(np.uint16)).save(folder / "films" / "2.png")
    (folder / "films.csv").write_text("who,file\n" + lines, encoding="utf-8")
    return read(site(folder, PNG, LISTED), FILM)


def test_pngs_of_8_and_16_bits_are_the_same_picture(tmp_path: Path) -> None:
    (raw,) = pngs(tmp_path)
    assert raw.cells[PERSON].tolist() == ["a", "b", "c", "d"]
    films = raw.arrays["film"][..., 0]
    np.testing.assert_allclose(films[0], GREY, atol=1e-6)
    np.testing.assert_allclose(films[2], GREY, atol=1e-6)
    assert not films[1].any()
    assert not films[3].any()


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("3.png", None, "is not there"),
        ("../films.csv", None, "names no file of the folder"),
        (".3.png", b"", "names no file of the folder"),
        ("3.png", CANARY.encode(), "damaged, or no PNG"),
        ("3.png", "palette", "neither grey nor RGB"),
        ("3.png", "half", "damaged, or no PNG"),
        ("3.png", "colour", "other channels"),
        ("3.png", "small", "smaller than the study's"),
    ],
)
def test_a_png_that_does_not_fit_is_said_by_the_line_of_the_list(
    tmp_path: Path, name: str, content: object, match: str
) -> None:
    (tmp_path / "films").mkdir()
    if isinstance(content, bytes):
        (tmp_path / "films" / name).write_bytes(content)
    elif content:
        shapes = {
            "palette": Pillow.fromarray(RAMP.astype(np.uint8)).convert("P"),
            "half": Pillow.fromarray(RAMP.astype(np.uint8)),
            "colour": Pillow.new("RGB", (8, 8)),
            "small": Pillow.new("L", (8, 7)),
        }
        shapes[str(content)].save(tmp_path / "films" / name)
    if content == "half":
        whole = (tmp_path / "films" / name).read_bytes()
        (tmp_path / "films" / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=match) as no:
        pngs(tmp_path, f"a,1.png\n{CANARY},{name}\n")
    assert "films.csv line 3" in str(no.value)
    assert CANARY not in str(no.value)


@given(some.binary(max_size=200), some.integers(0, 120))
@settings(deadline=None, max_examples=40)
def test_any_bytes_are_a_png_or_one_sentence(noise: bytes, cut: int) -> None:
    import tempfile  # noqa: PLC0415

    buffer = io.BytesIO()
    Pillow.fromarray(RAMP.astype(np.uint8)).save(buffer, "PNG")
    content = buffer.getvalue()[:cut] + noise
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "films").mkdir()
        (Path(folder) / "films" / "3.png").write_bytes(content)
        said = refusal(lambda: pngs(Path(folder), "a,3.png\n"))
        assert not said or "films.csv line 2" in said
