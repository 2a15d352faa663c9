"""Reads a folder of PNG pictures by a CSV that says whose each of them is.

Of a file its pixels are read and nothing else: no text that a program left in it. Grey
and RGB of 8 or 16 bits are pictures; palettes and transparency are drawings.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from client.documents.mapping import Csv
from client.documents.media import Png
from client.formats.raw import Parts, Place, Raw, Wanted
from client.formats.resampling import resampled
from client.sources import csv
from common.errors import DataError
from common.schema import Image

Picture = NDArray[np.float32]
WHITE = {"L": 255.0, "RGB": 255.0, "I;16": 65535.0}
"""What the brightest pixel is, by Pillow's name for the kind of pixels."""
LARGEST = 2**26
"""Pixels of one picture."""


def read(source: Png, wanted: Wanted, place: Place) -> Parts:
    """Yield what :func:`csv.read` does, and the pictures [records, h, w, channels].

    A record without a file's name has no picture. Raises DataError, by the line of the
    list, for a file that is absent, damaged, no PNG, or smaller than the study's image.
    """
    image = place.image
    for raw in csv.read(_listed(source), wanted, place):
        if image is None or image.name not in wanted:
            yield raw
        else:
            shown = _shown(source, place, raw, image)
            yield replace(raw, arrays={image.name: shown})


def probe(source: Png, wanted: Wanted, place: Place) -> int:
    """Return how many columns are mapped, once the list and the folder are there."""
    if not place.path(source.folder).is_dir():
        what = f"there is no folder {source.folder}"
        raise place.unreadable(what, "folder", "correct `folder`")
    return csv.probe(_listed(source), wanted, place)


def names(source: Png, place: Place) -> list[str]:
    """Return the header of the list; read no record."""
    return csv.names(_listed(source), place)


def _listed(source: Png) -> Csv:
    shared = set(Csv.model_fields) & set(Png.model_fields) - {"kind"}
    return Csv(**{name: getattr(source, name) for name in shared})


def _shown(source: Png, place: Place, raw: Raw, image: Image) -> Picture:
    """Return the picture of each record, black where it names none."""
    column = place.site.mapping.columns[image.name]
    gaps = {"", *source.missing, *column.missing}
    shown = np.zeros((len(raw.cells), *image.shape), dtype=np.float32)
    names = raw.cells[image.name].fillna("").str.strip()
    for row, (line, name) in enumerate(names.items()):
        if name in gaps:
            continue
        try:
            shown[row] = picture(place.path(source.folder), name, image)
        except ValueError as odd:
            raise _refused(place, f"{raw.counted} {line}", str(odd)) from None
    return shown


def picture(folder: Path, name: str, image: Image) -> Picture:
    """Return one picture as the study declares it; raise ValueError, which quotes none.

    A name with a way in it could lead out of the folder, and is refused.
    """
    if Path(name).name != name or name.startswith("."):
        msg = "names no file of the folder"
        raise ValueError(msg)
    pixels = _pixels(folder / name)
    grey = pixels if pixels.ndim == len(image.shape) else pixels[..., None]
    if grey.shape[2] != image.channels:
        msg = "has other channels than the study declares"
        raise ValueError(msg)
    return resampled(grey, *image.size)


def _pixels(path: Path) -> Picture:
    """Return the pixels of a file from 0 to 1; raise ValueError when it has none."""
    try:
        with Pillow.open(path, formats=["PNG"]) as opened:
            mode, (width, height) = opened.mode, opened.size
            plain = mode in WHITE and "transparency" not in opened.info
            small = 0 < width * height <= LARGEST
            counts = np.asarray(opened) if plain and small else np.zeros(0)
    except FileNotFoundError:
        msg = "names a picture that is not there"
        raise ValueError(msg) from None
    except Exception as broken:  # noqa: BLE001 - half a file breaks a library in any way
        msg = f"names a picture that is damaged, or no PNG ({type(broken).__name__})"
        raise ValueError(msg) from None
    if not plain or not small:
        msg = "names a picture that is neither grey nor RGB, or is too large"
        raise ValueError(msg)
    return counts.astype(np.float32) / np.float32(WHITE[mode])


def _refused(place: Place, where: str, what: str) -> DataError:
    return place.told(
        f"{where} {what}",
        ("folder",),
        "export the picture again, or leave its cell empty",
    )
