"""Where a hospital's pictures are, as a table of ``site.toml``, and whose they are.

For example::

    [sources.films]
    kind = "images"
    file = "films.csv"              # person, place, and what else is known of a picture
    pixels = "films.npz"
    person = "patient"

    [columns.film]                  # the study's image
    source = "films"
    column = "place"                # where it stands in the array, from 0
"""

from typing import Annotated, Literal

from pydantic import Field

from common.schema import Document, Text


class Images(Document):
    """A CSV ``file`` that says whose each picture is, and ``pixels``: an NPZ file.

    The column that a study's image is mapped to says where a picture stands in
    ``array``, counted from 0. Its other columns may be variables as well.
    """

    kind: Literal["images"]
    file: Text
    pixels: Text
    array: Text = "images"
    person: Text
    event_time: Text | None = None
    split: Text | None = None
    separator: Annotated[str, Field(min_length=1, max_length=1)] = ","
    decimal: Annotated[str, Field(pattern=r"^[.,]$")] = "."
    encoding: Text = "utf-8"
    missing: tuple[str, ...] = ()
    dates: Text = "ISO8601"

    @property
    def called(self) -> str:
        """What errors and balances call it."""
        return self.file
