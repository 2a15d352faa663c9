"""Reads a folder of DICOM files: pixels, and the elements that are mapped, only.

Every other element is dropped where it is read. A file that says, or does not deny,
that something is written on its pixels is refused: a name there is part of the picture.
So is what no study declared: overlays, several frames, another modality. The steward
takes such files out by name, and the records lose their picture.
"""

import logging
import re
import warnings
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom import config, dcmread
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

from client.documents.media import Dicom
from client.formats import filed, radiology
from client.formats.filed import Filed
from client.formats.radiology import Picture, Unfit
from client.formats.raw import PERSON, TIME, Parts, Place, Raw, Wanted, frame
from client.formats.resampling import resampled
from common.errors import DataError
from common.schema import Image

AT_ONCE, SOME = 500, 200
KIND = re.compile("[A-Z]{2,6}")
WRITTEN = {"YES": "yes", "NO": "no"}
PIXELS = "pixels"


@dataclass(frozen=True, slots=True, repr=False)
class Seen:
    """One file: what its mapped elements say, and its picture if one is wanted."""

    number: int
    cells: dict[str, str]
    picture: Picture | None


def read(source: Dicom, wanted: Wanted, place: Place) -> Parts:
    """Yield the mapped elements of each file, and its picture, by place in the list.

    Raises DataError that counts every file that is refused, with the reasons.
    """
    _require_mapped(wanted, place)
    found = _kept(source, place)
    refused: dict[int, str] = {}
    for start in range(0, len(found), AT_ONCE):
        some: list[Seen] = []
        for file in found[start : start + AT_ONCE]:
            try:
                some.append(_seen(source, wanted, place, file))
            except Unfit as why:
                refused[file.number] = str(why)
        if some and not refused:
            yield _part(source, place, some)
    if refused:
        raise _refused(source, place, refused, len(found))


def probe(source: Dicom, wanted: Wanted, place: Place) -> int:
    """Return how many files there are; read none.

    Whether a study asks for the picture is not known yet.
    """
    elements = {n: each for n, each in wanted.items() if each.column != PIXELS}
    _require_mapped(wanted if place.image else elements, place)
    return len(_kept(source, place))


def seen(source: Dicom, place: Place) -> list[str]:
    """Return what some files say of themselves, as counts: kind, size, writing.

    Words of a file's own are told only if they look like DICOM's.
    """
    found = _kept(source, place)
    some = found[:: max(1, len(found) // SOME)]
    counts: Counter[str] = Counter()
    sizes: list[tuple[int, int]] = []
    for file in some:
        with suppress(Unfit), _quiet(), _undamaged():
            dataset = dcmread(file.path, stop_before_pixels=True)
            kind = _text(dataset, "Modality")
            counts[f"modality {kind}" if KIND.fullmatch(kind) else "no modality"] += 1
            burnt = _text(dataset, "BurnedInAnnotation")
            counts[f"burnt-in writing: {WRITTEN.get(burnt.upper(), 'not said')}"] += 1
            sizes.append((int(dataset.Rows), int(dataset.Columns)))
    lines = [f"{count} of {len(some)} files: {what}" for what, count in counts.items()]
    if sizes:
        least, most = np.min(sizes, axis=0), np.max(sizes, axis=0)
        pair = " to ".join(f"{h} x {w}" for h, w in (least, most))
        lines.append(f"height and width in pixels: {pair}")
    return lines


def picture(source: Dicom, path: Path, image: Image) -> Picture:
    """Return the picture in one file as the study declares it; raise Unfit."""
    with _quiet(), _undamaged():
        dataset = dcmread(path)
        _require_fit(source, dataset)
        return _picture(source, dataset, image)


def person(source: Dicom, path: Path) -> str:
    """Return the number of the person in one file, or nothing; raise Unfit."""
    with _quiet(), _undamaged():
        return _text(dcmread(path, stop_before_pixels=True), source.person).strip()


def _part(source: Dicom, place: Place, some: list[Seen]) -> Raw:
    cells = {name: [each.cells[name] for each in some] for name in some[0].cells}
    shown = [each.picture for each in some if each.picture is not None]
    arrays = {place.image.name: np.stack(shown)} if place.image and shown else {}
    numbers = [each.number for each in some]
    return Raw(frame(cells, numbers), filed.counted(source.files), arrays)


def _kept(source: Dicom, place: Place) -> list[Filed]:
    """Return the files but for those that the steward took out."""
    out = set(source.leave_out)
    found = [
        each
        for each in filed.find(place, source.files)
        if each.path.is_file() and each.path.name not in out
    ]
    if not found:
        raise place.unreadable("every file was left out", "leave_out", "name fewer")
    return found


def _require_mapped(wanted: Wanted, place: Place) -> None:
    """Raise DataError for a keyword that DICOM does not know."""
    for name, column in wanted.items():
        pixels = place.image is not None and name == place.image.name
        keyword = column.column or ""
        if pixels != (keyword == PIXELS) or not (pixels or tag_for_keyword(keyword)):
            wants = f'"{PIXELS}"' if pixels else "a keyword of DICOM, e.g. PatientAge"
            raise place.told(
                f"{name} is not mapped to {wants}",
                ("columns", name, "column"),
                f"column = …   in [columns.{name}]: {wants}",
            )


def _seen(source: Dicom, wanted: Wanted, place: Place, file: Filed) -> Seen:
    """Return what is wanted of one file; raise Unfit when nothing of it may be used."""
    with _quiet(), _undamaged():
        dataset = dcmread(file.path)
        _require_fit(source, dataset)
        cells = {PERSON: _text(dataset, source.person), TIME: _time(source, dataset)}
        for name, column in wanted.items():
            keyword = column.column or ""
            cells[name] = "yes" if keyword == PIXELS else _text(dataset, keyword)
        image = place.image if place.image and place.image.name in wanted else None
        shown = _picture(source, dataset, image) if image else None
    return Seen(file.number, cells, shown)


def _picture(source: Dicom, dataset: Dataset, image: Image) -> Picture:
    radiology.require_shown(dataset)
    shown = radiology.picture(dataset, source.window)
    if shown.shape[2] != image.channels:
        raise Unfit("has other channels than the study declares")
    try:
        return resampled(shown, *image.size)
    except ValueError as small:
        raise Unfit(str(small)) from None


def _require_fit(source: Dicom, dataset: Dataset) -> None:
    """Raise Unfit for another modality, or a picture with writing on it."""
    if str(dataset.get("Modality", "")) not in source.modality:
        raise Unfit("is of a modality that site.toml does not name")
    burnt = str(dataset.get("BurnedInAnnotation", "") or "").strip().upper()
    if burnt == "YES":
        raise Unfit("has writing burnt into its pixels")
    if burnt != "NO" and source.unmarked == "refuse":
        raise Unfit("does not say whether there is writing burnt into its pixels")


def _text(dataset: Dataset, keyword: str) -> str:
    """Return one element as text; empty where it has no single value.

    An age in years loses its letter: 045Y is 45.
    """
    if keyword not in dataset:
        return ""
    element = dataset[keyword]
    if element.value is None or element.VR == "SQ" or element.VM != 1:
        return ""
    text = str(element.value).strip("\0 ")
    if element.VR != "AS":
        return text
    return text.removesuffix("Y").lstrip("0") or text[:1]


def _time(source: Dicom, dataset: Dataset) -> str:
    """Return date and time in ISO 8601, empty where the file has no date."""
    of = source.clock.capitalize()
    day = _text(dataset, f"{of}Date")
    if not (len(day) == 8 and day.isdecimal()):  # noqa: PLR2004 - YYYYMMDD
        return ""
    clock = (_text(dataset, f"{of}Time").split(".")[0] + "000000")[:6]
    clock = clock if clock.isdecimal() else "000000"
    date = f"{day[:4]}-{day[4:6]}-{day[6:]}"
    return f"{date}T{clock[:2]}:{clock[2:4]}:{clock[4:]}"


@contextmanager
def _undamaged() -> Generator[None]:
    """Turn whatever a damaged file makes pydicom raise into Unfit, without its words.

    They may quote an element, and half a file breaks a library in any way.
    """
    try:
        yield
    except Unfit:
        raise
    except Exception as broken:  # noqa: BLE001 - see above
        kind = type(broken).__name__
        raise Unfit(f"is damaged, or no DICOM file ({kind})") from None


@contextmanager
def _quiet() -> Generator[None]:
    """Let pydicom neither warn nor log: its words may quote an element's value."""
    log, mode = logging.getLogger("pydicom"), config.settings.reading_validation_mode
    was = log.disabled
    log.disabled = True
    config.settings.reading_validation_mode = config.IGNORE
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.disabled = was
        config.settings.reading_validation_mode = mode


def _refused(
    source: Dicom, place: Place, refused: dict[int, str], whole: int
) -> DataError:
    """Say how many files are refused, why, and where the first for each reason is."""
    reasons = Counter(refused.values())
    first = {why: number for number, why in reversed(refused.items())}
    lines = [f"{n}: {why}, first file {first[why]}" for why, n in reasons.items()]
    numbers = "p;".join(str(each) for each in [*refused][:20])
    return place.told(
        f"{len(refused)} of {whole} DICOM files are refused",
        ("files",),
        'take them out:   leave_out = ["NAME", …]   after looking at\n'
        f"{filed.listed(place, source.files)} | sed -n '{numbers}p'",
        likely="\n".join(lines),
    )
