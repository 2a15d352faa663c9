"""Reads the pictures of a folder, whosever they are, as a study's pictures are read.

    radiographs/a.dcm  b.png  c.npz     -> one picture a file; of an NPZ one for each

Modality and window of a DICOM file are those that ``site.toml`` names for studies, the
size is the study's. A file that no study would read is refused alone, with the reason:
also a DICOM file of a person who withdrew. A PNG or NPZ does not say whose it is.
"""

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from client.documents.media import Dicom
from client.documents.picture_source import Images
from client.formats import pictures, radiology
from client.numbers import persons
from client.site import Site
from client.tables import withdrawals
from common.errors import DataError, MachineError, StudyError
from common.schema import Image

Picture = NDArray[np.float32]
PNG, NPZ = ".png", ".npz"


@dataclass(frozen=True, slots=True, repr=False)
class Shown:
    """One picture: its file, its place in it, and its pixels, or why it has none."""

    file: Path
    place: int
    picture: Picture | None
    refused: str = ""


def read(site: Site, image: Image, folder: Path) -> Iterator[Shown]:
    """Yield the pictures of each file in *folder*, or of one file, by their names.

    Raises DataError when there is no file, MachineError when a package is missing.
    """
    found = sorted(folder.iterdir()) if folder.is_dir() else [folder]
    files = [each for each in found if each.is_file() and each.name[0] != "."]
    if not files:
        raise DataError(
            f"there is no file in {folder}", fix="name a folder of DICOM, PNG or NPZ"
        )
    for file in files:
        yield from _shown(site, image, file)


def _shown(site: Site, image: Image, file: Path) -> Iterator[Shown]:
    ending = file.suffix.lower()
    if ending == NPZ:
        yield from _of_npz(site, image, file)
        return
    one = _png if ending == PNG else _dicom
    try:
        yield Shown(file, 0, one(site, image, file))
    except (ValueError, radiology.Unfit) as why:
        yield Shown(file, 0, None, str(why))
    except ModuleNotFoundError as lacking:
        extra = "png" if ending == PNG else "dicom"
        raise MachineError(
            f"a {extra} file needs the package {lacking.name}",
            fix=f"pip install 'consilium[{extra}]'",
        ) from None


def _png(site: Site, image: Image, file: Path) -> Picture:
    del site  # a PNG is what it is
    from client.sources import png  # noqa: PLC0415 - an extra

    return png.picture(file.parent, file.name, image)


def _dicom(site: Site, image: Image, file: Path) -> Picture:
    from client.sources import dicom  # noqa: PLC0415 - an extra

    named = site.mapping.named
    column = site.mapping.columns.get(image.name)
    ways = {name: each for name, each in named.items() if isinstance(each, Dicom)}
    own = column.source if column else None
    way = ways.get(own or "") or next(iter(ways.values()), None)
    if way is None:
        raise radiology.Unfit(
            'is no PNG, and site.toml has no source of kind "dicom" that names modality'
        )
    gone = withdrawals.read(site.home)
    if len(gone) and _among(gone, site, dicom.person(way, file)):
        raise radiology.Unfit("is of a person who withdrew")
    return dicom.picture(way, file, image)


def _among(gone: persons.Persons, site: Site, number: str) -> bool:
    """Tell whether somebody of this *number*, if there is one, has gone."""
    return bool(number.strip()) and persons.pseudonym(site.home, number) in gone


def _of_npz(site: Site, image: Image, file: Path) -> Iterator[Shown]:
    """Yield each picture of the array that ``site.toml`` names, or ``images``."""
    named = [e for e in site.mapping.named.values() if isinstance(e, Images)]
    name = named[0].array if named else str(Images.model_fields["array"].default)
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
            pixels = arrays[name]
        if not pixels.ndim:
            yield Shown(file, 0, None, "holds no pictures")
            return
        for place in range(len(pixels)):
            (picture,) = pictures.shaped(pixels[place : place + 1], image)
            yield Shown(file, place, picture)
    except StudyError as other:
        yield Shown(file, 0, None, f"is not as the study asks: {other.what}")
    except KeyError:
        yield Shown(file, 0, None, f"has no array {name!r}")
    except (ValueError, OSError, EOFError, TypeError, zipfile.BadZipFile):
        yield Shown(file, 0, None, "cannot be read as NPZ with whole numbers")
