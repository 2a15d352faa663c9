"""Reads pictures of an NPZ file by a CSV that says whose each of them is.

What else the CSV says of a picture, its label for one, is read as any CSV is. Nothing
of the NPZ but one array of whole numbers is ever loaded, and no pickle.
"""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pandas as pd

from client.documents.mapping import Csv
from client.documents.picture_source import Images
from client.formats import pictures
from client.formats.lines import line_of
from client.formats.pictures import Pixels
from client.formats.raw import Parts, Place, Raw, Wanted
from client.sources import csv
from common.errors import StudyError
from common.schema import Image

NOWHERE = -1
"""Stands for a record without a picture."""


def read(source: Images, wanted: Wanted, place: Place) -> Parts:
    """Yield what :func:`csv.read` does, and the pictures [records, h, w, channels].

    Raises DataError when the pixels are absent, broken, or of another size, and for a
    record that names a picture which is not there.
    """
    image = place.image
    shown = image is not None and image.name in wanted
    pixels = _pixels(source, place) if shown else None
    for raw in csv.read(_manifest(source), wanted, place):
        if image is None or pixels is None:
            yield raw
        else:
            yield replace(raw, arrays={image.name: _shown(raw, pixels, image, place)})


def probe(source: Images, wanted: Wanted, place: Place) -> int:
    """Return how many columns are mapped, once file and pixels are there."""
    if not place.path(source.pixels).exists():
        raise _broken(source, place, "does not exist", "correct `pixels`")
    return csv.probe(_manifest(source), wanted, place)


def names(source: Images, place: Place) -> list[str]:
    """Return the header of the list; read no record."""
    return csv.names(_manifest(source), place)


def _manifest(source: Images) -> Csv:
    shared = set(Csv.model_fields) - {"kind"}
    return Csv(**{name: getattr(source, name) for name in shared})


def _pixels(source: Images, place: Place) -> Pixels:
    with (
        _explained(source, place),
        place.path(source.pixels).open("rb") as file,
        np.load(file, allow_pickle=False) as arrays,
    ):
        found: Pixels = arrays[source.array]
        if not found.ndim:
            raise TypeError
    return found


def _shown(raw: Raw, pixels: Pixels, image: Image, place: Place) -> Pixels:
    """Return the picture of each record, black where it names none."""
    where = _places(raw, pixels, image, place)
    try:
        some = pictures.shaped(pixels[np.maximum(where, 0)], image)
    except StudyError as wrong:
        fix = "export the pictures again as the study declares them"
        raise place.told(wrong.what, ("pixels",), fix) from None
    some[where == NOWHERE] = 0.0
    return some


def _places(raw: Raw, pixels: Pixels, image: Image, place: Place) -> np.ndarray:
    source = place.site.mapping.named[place.name]
    column = place.site.mapping.columns[image.name]
    text = raw.cells[image.name].fillna("").str.strip()
    gaps = text.isin(["", *source.missing, *column.missing])
    where = pd.to_numeric(text.mask(gaps), errors="coerce")
    odd = ~gaps & ~where.isin(np.arange(len(pixels)))
    if odd.any():
        raise place.told(
            f"{int(odd.sum())} records name no picture of {len(pixels)}; the first is "
            f"in {raw.counted} {line_of(odd)}",
            ("columns", image.name, "column"),
            "name the column that counts the pictures from 0, or leave its cell empty",
        )
    return where.fillna(NOWHERE).to_numpy(dtype=np.int64)


@contextmanager
def _explained(source: Images, place: Place) -> Generator[None]:
    """Turn what the reader raises into a DataError that quotes nothing of a file.

    Half an archive breaks the libraries below in any way.
    """
    try:
        yield
    except FileNotFoundError:
        raise _broken(source, place, "does not exist", "correct `pixels`") from None
    except KeyError:
        what = f"has no array {source.array!r}"
        raise _broken(source, place, what, "correct `array`") from None
    except Exception:  # noqa: BLE001 - see above
        what = "cannot be read as NPZ with whole numbers"
        raise _broken(source, place, what, "export it again") from None


def _broken(source: Images, place: Place, what: str, fix: str) -> Exception:
    name = place.path(source.pixels).name
    return place.unreadable(f"{name} {what}", "pixels", fix)
