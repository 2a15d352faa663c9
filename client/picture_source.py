"""Where a hospital's pictures are, as a table of ``site.toml``, and whose they are.

For example::

    [sources.films]
    kind = "images"
    manifest = "films.csv"          # person, place, and what else is known of a picture
    file = "films.npz"
    person = "patient"

    [columns.film]                  # the study's image
    source = "films"
    column = "place"                # where it stands in the array, from 0
"""

from typing import Annotated, Literal

from pydantic import Field

from common.schema import Document, Text


class Images(Document):
    """Pictures in one ``array`` of an NPZ file, and a CSV manifest: whose each is.

    The column of the manifest that a study's image is mapped to says where a picture
    stands in the array, counted from 0. Its other columns may be variables as well.
    """

    kind: Literal["images"]
    manifest: Text
    file: Text
    array: Text = "images"
    person: Text
    event_time: Text | None = None
    split: Text | None = None
    separator: Annotated[str, Field(min_length=1, max_length=1)] = ","
    encoding: Text = "utf-8"
    missing: tuple[str, ...] = ()
    dates: Text = "ISO8601"

    @property
    def called(self) -> str:
        """What errors and balances call it."""
        return self.manifest
