"""The documents of ``site.toml`` for sources that are no tables: texts, signals, DICOM.

    [sources.notes]                          # one text file for each stay
    kind = "text"
    files = "notes/{person}_{time}.txt"
    dates = "%Y%m%dT%H%M"

    [sources.monitor]                        # samples of a bedside monitor
    kind = "signals"
    file = "vitals.csv"
    person = "patient"
    event_time = "admitted"                  # hours count from here
    time = "sampled"

    [columns.heart_rate_max]
    source = "monitor"
    column = "HR"
    take = "max"
    hours = [0, 24]

Where files are named by a pattern, ``{person}`` and ``{time}`` stand for the part of a
file's name that says whose it is and when.
"""

from itertools import takewhile
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from common.schema import Document, Factor, Finite, Text

Take = Literal["mean", "min", "max", "last", "slope", "count"]
Clock = Literal["study", "series", "acquisition", "content"]
ISO = "ISO8601"


def _one_each(pattern: str) -> str:
    if pattern.count("{person}") != 1 or pattern.count("{time}") > 1:
        msg = "a pattern holds {person} once, and {time} at most once"
        raise ValueError(msg)
    return pattern


def _in_a_folder(pattern: str) -> str:
    if not _before(pattern):
        msg = "files stand in a folder of their own: FOLDER/…"
        raise ValueError(msg)
    return pattern


def _before(pattern: str) -> str:
    """Return the part of *pattern* before the first folder, or name, that varies."""
    *folders, _ = pattern.split("/")
    return "/".join(takewhile(lambda part: not set("*?[{") & set(part), folders))


Files = Annotated[Text, AfterValidator(_in_a_folder)]
Pattern = Annotated[Files, AfterValidator(_one_each)]


class Texts(Document):
    """Text files, each about one person: notes, letters, abstracts."""

    kind: Literal["text"]
    files: Pattern
    encoding: Text = "utf-8"
    missing: tuple[str, ...] = ()
    dates: Text = ISO

    @property
    def called(self) -> str:
        """What errors and balances call it."""
        return self.files


class Signals(Document):
    """A CSV of samples: a line for each moment, or with ``channel`` for each sample.

    A recording is what one person has at one ``event_time``, from which hours count;
    without it a person has one, and hours count from the first sample.
    """

    kind: Literal["signals"]
    file: Text
    person: Text
    time: Text
    event_time: Text | None = None
    channel: Text | None = None
    value: Text | None = None
    separator: Annotated[str, Field(min_length=1, max_length=1)] = ","
    decimal: Annotated[str, Field(pattern=r"^[.,]$")] = "."
    encoding: Text = "utf-8"
    missing: tuple[str, ...] = ()
    dates: Text = ISO

    @model_validator(mode="after")
    def _both(self) -> Self:
        if (self.channel is None) != (self.value is None):
            msg = "channel and value: a line for each sample has both, or neither"
            raise ValueError(msg)
        return self

    @property
    def called(self) -> str:
        """What errors and balances call it."""
        return self.file


class Wfdb(Document):
    """WFDB records (PhysioNet), by their header files; a record is a recording.

    Without ``{time}`` in the pattern the header says when it began.
    """

    kind: Literal["wfdb"]
    files: Pattern
    missing: tuple[str, ...] = ()
    dates: Text = ISO

    @property
    def called(self) -> str:
        """What errors and balances call it."""
        return self.files


class Dicom(Document):
    """DICOM files: their pixels, and the elements that are mapped by keyword.

    ``person`` is the keyword of the element that tells people apart, ``clock`` says
    whose date and time count. Only the ``modality`` that is named is read. A file that
    does not say that nobody wrote on its pixels is refused, unless ``unmarked`` accepts
    it. ``window`` (centre, width) comes before the file's own. ``leave_out`` are files
    that the steward took out.
    """

    kind: Literal["dicom"]
    files: Files
    person: Text = "PatientID"
    modality: tuple[Text, ...] = Field(min_length=1)
    unmarked: Literal["refuse", "accept"] = "refuse"
    window: tuple[Finite, Factor] | None = None
    clock: Clock = "study"
    leave_out: tuple[Text, ...] = ()
    missing: tuple[str, ...] = ()
    dates: Text = ISO

    @property
    def called(self) -> str:
        """What errors and balances call it."""
        return self.files


class Png(Document):
    """PNG pictures in a ``folder``, and a CSV ``file`` that says whose each of them is.

    The column that a study's image is mapped to names a file of the folder.
    """

    kind: Literal["png"]
    file: Text
    folder: Text
    person: Text
    event_time: Text | None = None
    split: Text | None = None
    separator: Annotated[str, Field(min_length=1, max_length=1)] = ","
    encoding: Text = "utf-8"
    missing: tuple[str, ...] = ()
    dates: Text = ISO

    @property
    def called(self) -> str:
        """What errors and balances call it."""
        return self.file


def places(source: object) -> tuple[str, ...]:
    """Return the files and folders of a source of any kind, beside site.toml.

    Of a pattern it is the folder that all its files are in.
    """
    said = [getattr(source, each, None) for each in ("file", "folder", "pixels")]
    patterns = getattr(source, "files", None)
    if isinstance(patterns, str):
        said.append(_before(patterns))
    return tuple(each for each in said if isinstance(each, str))


Media = Texts | Signals | Wfdb | Dicom | Png
