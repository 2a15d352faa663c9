"""Writes radiographs the way four hospitals keep them: NPZ, PNG, DICOM.

Some files are not fit for a study and stand among the others, as they do in an archive:
burnt-in names, no word about burnt-in names, an overlay, half a file.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from simulations.invented.radiographs import Picture
from simulations.invented.stays import Stay
from simulations.invented.tables import CANARY, write_lines
from simulations.invented.wards import Ward

if TYPE_CHECKING:  # an extra
    from pydicom.dataset import Dataset

STEP, ZERO = 16, 100
"""Counts of a detector for one grey, and what it counts in the dark."""
LISTED = ("Patient", "Taken", "Picture")
ROOT = "2.25"
UNFIT = ("burnt", "silent", "overlay", "half")
HALF = 700
MIRRORED, NEGATIVE = range(1, 9999, 4), range(2, 9999, 5)
DX = "1.2.840.10008.5.1.4.1.1.1.1"
LITTLE = "1.2.840.10008.1.2.1"


def seen(ward: Ward, picture: Picture) -> Picture:
    """Return *picture* as the ward's scanner sees it: its own gain and offset."""
    return np.clip(np.round(picture * ward.gain + ward.offset), 0, 255).astype(np.uint8)


def write_npz(folder: Path, ward: Ward, stays: Sequence[Stay]) -> None:
    """Write ``radiographs.npz``, and whose each picture of it is."""
    chosen = [(stay, stay.filed.picture) for stay in stays if stay.filed]
    shown = np.stack([seen(ward, picture) for _, picture in chosen])
    np.savez(folder / "radiographs.npz", images=shown)
    places = range(len(chosen))
    _list(folder, ward, [stay for stay, _ in chosen], [str(each) for each in places])


def write_png(folder: Path, ward: Ward, stays: Sequence[Stay]) -> None:
    """Write a PNG for each stay into ``radiographs``, and whose each of them is."""
    from PIL import Image  # noqa: PLC0415 - an extra

    (folder / "radiographs").mkdir(parents=True, exist_ok=True)
    chosen = [(stay, stay.filed.picture) for stay in stays if stay.filed]
    names = [f"r{place:05d}.png" for place in range(len(chosen))]
    for (_, picture), name in zip(chosen, names, strict=True):
        Image.fromarray(seen(ward, picture)).save(folder / "radiographs" / name)
    _list(folder, ward, [stay for stay, _ in chosen], names)


def _list(folder: Path, ward: Ward, stays: Sequence[Stay], names: list[str]) -> None:
    """Write ``radiographs.csv``: person, time, and which picture."""
    rows = [
        [stay.person, f"{stay.admitted:{ward.time}}", name]
        for stay, name in zip(stays, names, strict=True)
    ]
    write_lines(folder / "radiographs.csv", LISTED, rows)


def write_dicom(
    folder: Path, ward: Ward, stays: Sequence[Stay], unfit: Mapping[str, str]
) -> None:
    """Write a DICOM file for each stay; *unfit* says what is wrong with which."""
    folder.mkdir(parents=True, exist_ok=True)
    for place, stay in enumerate(stays):
        name = f"IM{place:05d}.dcm"
        if stay.filed:
            picture = seen(ward, stay.filed.picture)
            made = _dicom(stay, picture, place, unfit.get(name, ""))
            made.save_as(folder / name, enforce_file_format=True)
        if unfit.get(name) == "half":
            whole = (folder / name).read_bytes()
            (folder / name).write_bytes(whole[:HALF])


def _dicom(stay: Stay, picture: Picture, place: int, what: str) -> "Dataset":
    from pydicom.dataset import Dataset, FileMetaDataset  # noqa: PLC0415 - an extra
    from pydicom.uid import UID  # noqa: PLC0415

    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = UID(LITTLE)
    made.file_meta.ImplementationClassUID = UID(f"{ROOT}.1")
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = UID(DX)
    own = UID(f"{ROOT}.{stay.number}.{place + 1}")
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = own
    made.Modality, made.BodyPartExamined, made.ViewPosition = "DX", "CHEST", "PA"
    made.PatientName, made.PatientID = "^".join(CANARY.split()), stay.person
    made.PatientBirthDate = f"{stay.born:%Y%m%d}"
    made.StudyDate = f"{stay.admitted:%Y%m%d}"
    made.StudyTime = f"{stay.admitted:%H%M%S}"
    if what != "silent":
        made.BurnedInAnnotation = "YES" if what == "burnt" else "NO"
    if what == "overlay":
        made.add_new(0x60003000, "OW", bytes(picture.size // 8 + 1))
    if place % 3 == 0:
        made.add_new(0x00090010, "LO", "A VENDOR")
        made.add_new(0x00091001, "LO", CANARY)
    _pixels(made, picture, mirrored=place in MIRRORED, negative=place in NEGATIVE)
    return made


def _pixels(
    made: "Dataset", picture: Picture, *, mirrored: bool, negative: bool
) -> None:
    """Set the pixels as 12 bits through a window; some mirrored, some negative."""
    shown = picture[:, ::-1] if mirrored else picture
    grey = 255 - shown if negative else shown
    counts: NDArray[np.uint16] = grey.astype(np.uint16) * STEP + ZERO
    made.Rows, made.Columns = counts.shape
    made.SamplesPerPixel, made.PixelRepresentation = 1, 0
    made.PhotometricInterpretation = "MONOCHROME1" if negative else "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit = 16, 13, 12
    made.PatientOrientation = ["R", "F"] if mirrored else ["L", "F"]
    made.RescaleSlope, made.RescaleIntercept, made.RescaleType = 1, -ZERO, "US"
    made.WindowCenter, made.WindowWidth = 255 * STEP / 2 + 0.5, 255 * STEP + 1
    made.PixelData = counts.astype("<u2").tobytes()
