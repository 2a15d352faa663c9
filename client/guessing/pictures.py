"""Guesses at pictures: the column that names them, the elements of DICOM, and doubts.

Whether a study's image can be made of them is found out by making some. What is in
the way is a comment in the guess.
"""

from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import replace

from client.documents.mapping import Column
from client.formats.raw import Place, Raw
from client.guessing import cells, events, tables, vocabulary
from client.guessing.guess import Guesses, Variable, made
from client.sources import opening
from common.errors import DataError
from common.schema import Image, Prose

PIXELS = Column(column="pixels")


def listed(place: Place, asked: Sequence[Variable]) -> Guesses:
    """Find the column of a list that names pictures, and the variables beside it."""
    yield from tables.guesses(place, asked)
    for image in asked:
        if isinstance(image, Image):
            for header in tables.headers(place):
                column = Column(column=header)
                with suppress(DataError):  # another column of the list: no picture
                    if _some(_with(place, image, column), image, column):
                        why = "every cell names a picture of the declared kind", 2.0
                        yield made(place, image, (f'column = "{header}"',), why)


def dicom(place: Place, asked: Sequence[Variable]) -> Guesses:
    """Guess that the pixels are the image, and say what is in the way."""
    seen = opening.seen(place)
    for variable in asked:
        if isinstance(variable, Image):
            lines = ['column = "pixels"', *(f"# {line}" for line in seen)]
            try:
                _some(_with(place, variable, PIXELS), variable, PIXELS)
            except DataError as wrong:
                said = [wrong.what, *wrong.hints.values()]
                lines += [f"# {line}" for each in said for line in each.splitlines()]
            yield made(place, variable, lines, ("the pixels of the files", 1.0))
        elif (term := vocabulary.term(variable.name)) and term.dicom:
            yield from _element(place, variable, term.dicom)


def _element(place: Place, variable: Variable, keyword: str) -> Guesses:
    """Guess that a variable is an element; tables and databases know it better."""
    column = Column(column=keyword)
    found = None
    with suppress(DataError):  # said where the picture is guessed
        look = events.look(place, variable.name, column)
        found = cells.fits(variable, look.values) if look.people else None
    if found and not isinstance(variable, Prose):
        why = cells.why(found, "an element of the files"), found[0] / 2
        yield made(place, variable, (f'column = "{keyword}"', *found[1]), why)


def _with(place: Place, image: Image, column: Column) -> Place:
    """Return *place* as if *image* were mapped to *column* already."""
    mapping = place.site.mapping
    columns = {**mapping.columns, image.name: column}
    site = replace(place.site, mapping=mapping.model_copy(update={"columns": columns}))
    return replace(place, site=site, image=image)


def _some(place: Place, image: Image, column: Column) -> bool:
    """Read the first pictures; tell whether there are any."""
    with closing(opening.read(place, {image.name: column})) as parts:
        part: Raw = next(parts)
    return bool((part.cells[image.name].str.strip() != "").any())
