"""What a learned network says of pictures in a folder: here, and to nobody else.

    consilium client predict model.json --site site.toml --data radiographs/

Pictures are read as for a study, and come in blocks: a folder may be larger than the
memory. Of a picture that no study would read nothing is said but why, nor of a DICOM
file whose person withdrew.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import cast

import numpy as np

from client.bedside import heat_maps, picture_folder
from client.bedside.picture_folder import Shown
from client.site import Site
from common.arithmetic import calibration
from common.errors import StudyError
from common.learned.model_file import Learned
from common.schema import Binary
from common.tasks.networks import image_network
from common.trust import private_files

AT_ONCE = 64
HALF = 0.5
LINES = 20
"""How many pictures the terminal shows; the file has all."""
WORDS = "A model's word on pictures like these; no diagnosis."
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that a spreadsheet may compute."""


@dataclass(frozen=True, slots=True, repr=False)
class Told:
    """One picture and what is said of it: a chance, and the same calibrated.

    ``number`` counts the pictures from 1. Nothing is said where it was ``refused``, and
    nothing is calibrated where the model does not know how.
    """

    number: int
    file: str
    place: int
    refused: str
    expected: float | None = None
    said: str = ""
    calibrated: float | None = None
    heat: str = ""

    def facts(self) -> dict[str, object]:
        """Return this as plain data; the name of a file may tell whose it is."""
        if self.refused:
            return {"picture": self.number, "refused": self.refused}
        return {
            "picture": self.number,
            "expected": self.expected,
            "class": self.said,
            "calibrated": self.calibrated,
        }


def predict(
    site: Site, learned: Learned, folder: Path, maps: Path | None = None
) -> list[Told]:
    """Return what *learned* says of every picture in *folder*.

    With *maps* a heat map of each is written into that folder. Raises DataError when
    there is no file.
    """
    _, image = image_network.asked(learned.study)
    every = picture_folder.read(site, image, folder)
    found: list[Told] = []
    while some := list(islice(every, AT_ONCE)):
        found += _block(learned, some, len(found), maps)
    return found


def write(told: Sequence[Told], path: Path) -> None:
    """Write one line a picture, in the order of the files, for its owner only."""
    text = io.StringIO()
    out = csv.writer(text)
    out.writerow(["file", "place", "expected", "class", "calibrated", "heat_map"])
    for each in told:
        if each.refused:
            says = ["", f"nothing is said: it {each.refused}", "", ""]
        else:
            says = [_number(each.expected), each.said]
            says += [_number(each.calibrated), each.heat]
        out.writerow([_plain(each.file), each.place, *says])
    private_files.write(path, text.getvalue().encode())


def _plain(name: str) -> str:
    """Return a file's *name* as a text that no spreadsheet takes for a formula."""
    return f"'{name}" if name.startswith(FORMULA) else name


def text(told: Sequence[Told], path: Path) -> str:
    """Return a line for each of the first pictures, by number, and where all are."""
    none = sum(bool(each.refused) for each in told)
    lines = [_line(each) for each in told[:LINES]]
    lines += [f"  … and {len(told) - LINES} more"] if len(told) > LINES else []
    lines.append(f"{len(told)} pictures, nothing said of {none}; wrote {path}")
    return "\n".join([*lines, WORDS])


def facts(told: Sequence[Told], path: Path) -> dict[str, object]:
    """Return all of it as plain data, without the names of files."""
    return {
        "ok": True,
        "pictures": [each.facts() for each in told],
        "refused": sum(bool(each.refused) for each in told),
        "written": str(path),
    }


def _block(
    learned: Learned, some: list[Shown], before: int, maps: Path | None
) -> Iterator[Told]:
    pixels = [each.picture for each in some if each.picture is not None]
    if pixels:
        stack = np.stack(pixels)
        shown = learned.arrays["parameters"]
        chances = image_network.scored(learned.study, shown, stack)
        heat = (
            image_network.heat(learned.study, shown, stack) if maps else stack[..., 0]
        )
        known = iter(zip(chances, heat, strict=True))
    for number, each in enumerate(some, before + 1):
        if each.picture is None:
            yield Told(number, each.file.name, each.place, each.refused)
            continue
        chance, warm = next(known)
        paled = warm * chance  # a map of what is unlikely must not catch the eye
        drawn = heat_maps.write(maps, number, each.picture, paled) if maps else ""
        yield Told(
            number,
            each.file.name,
            each.place,
            "",
            float(chance),
            _class(learned, float(chance)),
            _calibrated(learned, float(chance)),
            str(drawn),
        )


def _class(learned: Learned, chance: float) -> str:
    outcome = learned.study.outcome
    if not isinstance(outcome, Binary):
        raise StudyError("an image_network tells a chance; this outcome has none")
    return outcome.coded[int(chance >= HALF)]


def _calibrated(learned: Learned, chance: float) -> float | None:
    line = learned.about.get("calibration")
    if line is None:
        return None
    known = cast("Mapping[str, float]", line)
    return float(calibration.corrected(np.array([chance]), known)[0])


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _line(each: Told) -> str:
    if each.refused:
        return f"  {each.number:>6}  nothing is said: it {each.refused}"
    sure = "" if each.calibrated is None else f"  (calibrated {each.calibrated:.3f})"
    return f"  {each.number:>6}  {each.said}: {each.expected:.3f}{sure}"
