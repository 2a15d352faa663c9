"""Ways to damage the files of a hospital, each with a canary where the damage is.

Every reader has some: cells of another type, other units, bytes of no encoding, halves
of files, and pieces of another format's syntax.
"""

import json
import sqlite3
import warnings
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset
from pydicom.uid import UID

from tests.canaries import NAME, NUMBER, PHRASE

Change = Callable[[Path], object]
HUGE = f"{NAME} " * 20_000


@dataclass(frozen=True)
class Damage:
    """What happens to the folder of which hospital; *pictures* if those are asked."""

    site: str
    change: Change
    pictures: bool = False


def _cell(file: str, column: str, put: object, row: int = 3) -> Change:
    """Put something into a cell of a CSV."""

    def change(folder: Path) -> None:
        frame = pd.read_csv(folder / file, dtype=str, keep_default_na=False)
        frame.loc[row, column] = str(put)
        frame.to_csv(folder / file, index=False)

    return change


def _line(file: str, put: str) -> Change:
    """Put a line of its own into a text file, after the first two."""

    def change(folder: Path) -> None:
        lines = (folder / file).read_text(encoding="utf-8").split("\n")
        text = "\n".join([*lines[:2], put, *lines[2:]])
        (folder / file).write_text(text, encoding="utf-8")

    return change


def _bytes(file: str, put: bytes, *, cut: bool = False) -> Change:
    """Put bytes into the middle of a file, which may end there."""

    def change(folder: Path) -> None:
        path = next(iter(sorted(folder.glob(file))))
        content = path.read_bytes()
        half = len(content) // 2
        path.write_bytes(content[:half] + put + (b"" if cut else content[half:]))

    return change


def _headless(folder: Path) -> None:
    path = folder / "stays.csv"
    text = path.read_text(encoding="utf-8").partition("\n")[2]
    path.write_text(f"{NAME},{text}", encoding="utf-8")


def _column(name: str, put: Callable[["pd.Series[Any]"], Any]) -> Change:
    """Change a column of a Parquet file."""

    def change(folder: Path) -> None:
        frame = pd.read_parquet(folder / "stays.parquet")
        frame[name] = put(frame[name])
        frame.to_parquet(folder / "stays.parquet", index=False)

    return change


def _sql(*words: str) -> Change:
    """Run a statement with the phrase as its parameter, where it has one."""

    def change(folder: Path) -> None:
        with closing(sqlite3.connect(folder / "omop.sqlite")) as database, database:
            for each in words:
                database.execute(each, (PHRASE,) if "?" in each else ())

    return change


def _query(*words: object) -> Change:
    """Ask for notes in another way."""
    query = " ".join(map(str, words))

    def change(folder: Path) -> None:
        path = folder / "site.toml"
        head, _, rest = path.read_text().partition('query = "')
        path.write_text(f'{head}query = "{query}"{rest[rest.index(chr(10)) :]}')

    return change


def _resource(kind: str, more: Mapping[str, Any], count: int = 1) -> Change:
    """Change elements of the first resources of a kind."""

    def change(folder: Path) -> None:
        path = folder / "fhir" / f"{kind}.ndjson"
        found = [json.loads(line) for line in path.read_text().splitlines()]
        for each in found[:count]:
            each.update(more)
        path.write_text("\n".join(map(json.dumps, found)) + "\n")

    return change


def _circle(folder: Path) -> None:
    path = folder / "fhir" / "Patient.ndjson"
    found = [json.loads(line) for line in path.read_text().splitlines()]
    for one, other in ((0, 1), (1, 0)):
        to = {"reference": f"Patient/{found[other]['id']}", "display": NAME}
        found[one]["link"] = [{"type": "replaced-by", "other": to}]
    path.write_text("\n".join(map(json.dumps, found)) + "\n")


def _first_film(folder: Path) -> Path:
    return min((folder / "radiographs").iterdir())


def _film(put: Callable[[Dataset], object]) -> Change:
    """Change the first DICOM file."""

    def change(folder: Path) -> None:
        path = _first_film(folder)
        film = dcmread(path)
        with warnings.catch_warnings():  # pydicom does not like what we write
            warnings.simplefilter("ignore")
            put(film)
            dcmwrite(path, film)

    return change


def _raw(tag: str, content: bytes) -> Change:
    """Overwrite the value of an element where it stands, whatever it may hold."""

    def change(folder: Path) -> None:
        path = _first_film(folder)
        old = str(getattr(dcmread(path), tag)).encode()
        file = path.read_bytes()
        assert old in file
        path.write_bytes(file.replace(old, content[: len(old)].ljust(len(old)), 1))

    return change


def _set(**elements: object) -> Change:
    def put(film: Dataset) -> None:
        for keyword, value in elements.items():
            film.add_new(keyword, "LO", value)

    return _film(put)


def _unknown_syntax(film: Dataset) -> None:
    film.file_meta.TransferSyntaxUID = UID("1.2.7319.4242")


def _renamed(folder: Path) -> None:
    path = next((folder / "notes").iterdir())
    path.rename(path.with_name(f"{path.name.partition('_')[0]}_{NAME}.txt"))


def _header(put: Callable[[str], str]) -> Change:
    """Change the first WFDB header."""

    def change(folder: Path) -> None:
        path = next(iter(sorted((folder / "monitor").glob("*.hea"))))
        path.write_text(put(path.read_text()))

    return change


def _pickled(folder: Path) -> None:
    cells = np.array([NAME, PHRASE], dtype=object)
    np.savez(folder / "radiographs.npz", images=cells)


def _png_text(folder: Path) -> None:
    """Let a file say what it is not, with a name in a chunk of text."""
    path = folder / "radiographs" / "r00000.png"
    content = path.read_bytes()
    path.write_bytes(content[:33] + b"\0\0\0\x10tEXt" + NAME.encode() + content[60:])


ALL = "UPDATE measurement SET"
DAMAGES: Mapping[str, Damage] = {
    "csv type": Damage("ashford", _cell("stays.csv", "Glucose", NAME)),
    "csv level": Damage("ashford", _cell("stays.csv", "Smoking", PHRASE)),
    "csv date": Damage("ashford", _cell("stays.csv", "Admitted", PHRASE)),
    "csv huge": Damage("ashford", _cell("stays.csv", "Note", HUGE)),
    "csv bytes": Damage("ashford", _bytes("stays.csv", b"\xff" + NAME.encode())),
    "csv cut": Damage("ashford", _bytes("stays.csv", f',"{NAME}'.encode(), cut=True)),
    "csv cells": Damage("ashford", _line("register.csv", f"{NAME},{PHRASE},{NUMBER}")),
    "csv head": Damage("ashford", _headless),
    "parquet type": Damage("dunmere", _column("glucose", lambda it: [NAME] * len(it))),
    "parquet unit": Damage("dunmere", _column("glucose", lambda it: it * 0 + NUMBER)),
    "parquet level": Damage("dunmere", _column("sex", lambda it: [PHRASE] * len(it))),
    "parquet date": Damage("dunmere", _column("admitted", lambda it: it + NAME)),
    "parquet list": Damage(
        "dunmere", _column("glucose", lambda it: [[NAME]] * len(it))
    ),
    "parquet cut": Damage("dunmere", _bytes("stays.parquet", NAME.encode(), cut=True)),
    "parquet bytes": Damage("dunmere", _bytes("stays.parquet", NAME.encode() * 9)),
    "sql type": Damage("brunnen", _sql(f"{ALL} value_as_number = ?")),
    "sql unit": Damage("brunnen", _sql(f"{ALL} value_as_number = {NUMBER}")),
    "sql unit name": Damage(
        "brunnen", _sql(f"{ALL} unit_concept_id = 0, unit_source_value = ?")
    ),
    "sql date": Damage("brunnen", _sql("UPDATE person SET birth_datetime = ?")),
    "sql time": Damage(
        "brunnen",
        _sql(f"{ALL} measurement_datetime = ?1, measurement_date = ?1"),
    ),
    "sql level": Damage("brunnen", _sql("UPDATE person SET gender_concept_id = ?")),
    "sql bytes": Damage("brunnen", _bytes("omop.sqlite", NAME.encode() * 800)),
    "sql cut": Damage("brunnen", _bytes("omop.sqlite", NAME.encode(), cut=True)),
    "sql blob": Damage("brunnen", _sql("UPDATE note SET note_text = x'fffe5a7567'")),
    "sql query": Damage("brunnen", _query("SELECT", f"'{NAME}'", "FROM", NAME)),
    "sql cast": Damage(
        "brunnen",
        _query(
            *("SELECT", f"'{NAME}'", "AS person,", f"'{PHRASE}'", "AS time,"),
            *(NUMBER, "AS value FROM note WHERE :kind"),
        ),
    ),
    "fhir type": Damage(
        "corvane",
        _resource("Observation", {"valueQuantity": {"value": NAME, "code": PHRASE}}),
    ),
    "fhir unit": Damage(
        "corvane",
        _resource("Observation", {"valueQuantity": {"value": NUMBER, "code": NAME}}, 9),
    ),
    "fhir line": Damage(
        "corvane", _line("fhir/Observation.ndjson", f'{{"subject": "{NAME}')
    ),
    "fhir date": Damage("corvane", _resource("Patient", {"birthDate": PHRASE})),
    "fhir level": Damage("corvane", _resource("Patient", {"gender": PHRASE})),
    "fhir list": Damage("corvane", _resource("Patient", {"identifier": NAME})),
    "fhir nobody": Damage(
        "corvane", _resource("Observation", {"subject": {"reference": NAME}})
    ),
    "fhir circle": Damage("corvane", _circle),
    "fhir bytes": Damage(
        "corvane", _bytes("fhir/Observation.ndjson", b"\xff" + NAME.encode())
    ),
    "text bytes": Damage("corvane", _bytes("notes/*.txt", b"\xff" + NAME.encode())),
    "text name": Damage("corvane", _renamed),
    "signals type": Damage("brunnen", _cell("monitor.csv", "value", NAME)),
    "signals time": Damage("brunnen", _cell("monitor.csv", "sampled_at", PHRASE)),
    "signals begin": Damage("ashford", _cell("monitor.csv", "Admitted", PHRASE, 0)),
    "signals cells": Damage("corvane", _line("monitor.csv", f"{NAME},{NUMBER}")),
    "signals bytes": Damage("corvane", _bytes("monitor.csv", b"\xff" + NAME.encode())),
    "wfdb head": Damage("dunmere", _header(lambda text: f"{NAME} {PHRASE}\n{text}")),
    "wfdb unit": Damage("dunmere", _header(lambda text: text.replace("/%", NAME))),
    "wfdb sum": Damage("dunmere", _bytes("monitor/*.dat", NAME.encode())),
    "wfdb cut": Damage("dunmere", _bytes("monitor/*.dat", NAME.encode(), cut=True)),
    "dicom modality": Damage("dunmere", _set(Modality=NAME), pictures=True),
    "dicom burnt": Damage("dunmere", _set(BurnedInAnnotation=NAME), pictures=True),
    "dicom colours": Damage(
        "dunmere", _set(PhotometricInterpretation=NAME), pictures=True
    ),
    "dicom window": Damage("dunmere", _set(WindowCenter=NAME), pictures=True),
    "dicom rows": Damage("dunmere", _set(Rows=NAME), pictures=True),
    "dicom date": Damage("dunmere", _set(StudyDate=NAME), pictures=True),
    "dicom letters": Damage("dunmere", _set(SpecificCharacterSet=NAME), pictures=True),
    "dicom sides": Damage("dunmere", _set(PatientOrientation=NAME), pictures=True),
    "dicom raw date": Damage("dunmere", _raw("StudyDate", b"Zugvogel"), pictures=True),
    "dicom syntax": Damage("dunmere", _film(_unknown_syntax), pictures=True),
    "dicom cut": Damage(
        "dunmere", _bytes("radiographs/*.dcm", NAME.encode(), cut=True), pictures=True
    ),
    "dicom bytes": Damage(
        "dunmere", _bytes("radiographs/*.dcm", NAME.encode()), pictures=True
    ),
    "npz objects": Damage("ashford", _pickled, pictures=True),
    "npz cut": Damage(
        "ashford", _bytes("radiographs.npz", NAME.encode(), cut=True), pictures=True
    ),
    "npz list": Damage(
        "ashford", _cell("radiographs.csv", "Picture", NAME), pictures=True
    ),
    "npz place": Damage(
        "ashford", _cell("radiographs.csv", "Picture", NUMBER), pictures=True
    ),
    "png list": Damage(
        "brunnen", _cell("radiographs.csv", "Picture", f"{NAME}.png"), pictures=True
    ),
    "png path": Damage(
        "brunnen", _cell("radiographs.csv", "Picture", f"../{NAME}"), pictures=True
    ),
    "png chunk": Damage("brunnen", _png_text, pictures=True),
    "png cut": Damage(
        "brunnen", _bytes("radiographs/*.png", NAME.encode(), cut=True), pictures=True
    ),
}
DAILY = (
    *("csv type", "csv date", "csv cut", "csv head", "parquet type", "parquet list"),
    *("sql type", "sql query", "fhir type", "fhir line", "fhir circle", "text bytes"),
    *("text name", "signals type", "signals time", "wfdb head", "dicom modality"),
    *("dicom letters", "npz objects", "npz list", "png list", "png chunk"),
)
"""Those that every reader is tried with each time; the others now and then."""
