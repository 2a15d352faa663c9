"""Writes stays as tables: CSV files of one hospital, a Parquet file of another.

Names, birthdays and telephone numbers stand in them too, as they do in real exports: a
reader must leave them behind.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from simulations.invented.notes import FIRST, LAST
from simulations.invented.stays import LEVELS, MEASURES, Stay
from simulations.invented.wards import Ward

HEADERS: Mapping[str, str] = {
    "age": "Age",
    "bmi": "BMI",
    "systolic": "Syst. BP",
    "cholesterol": "Cholesterol",
    "glucose": "Glucose",
    "hba1c": "HbA1c",
    "creatinine": "Creatinine",
    "sex": "Sex",
    "smoking": "Smoking",
    "diabetes": "Diabetes",
    "statin": "Statin",
    "readmitted": "Back in 30 d",
}
"""What ashford calls each variable."""
PERSON, ADMITTED, NOTE, ABSTRACT = "Hospital number", "Admitted", "Note", "Literature"
REGISTER = ("Hospital number", "Name", "Date of birth", "Telephone", "Sex")
ON_FILE = "sex"
"""What stands in the register of ashford, and not with the stay."""
CANARY = "Canaria Zugvogel"
"""A name that no output may ever hold."""


def write_csv(folder: Path, ward: Ward, stays: Sequence[Stay], seed: int) -> None:
    """Write ``register.csv`` and ``stays.csv`` of *ward* into *folder*."""
    rng = np.random.default_rng(seed)
    people = {stay.person: stay for stay in stays if stay.person}
    known = [[key, *_register(key, people[key])] for key in sorted(people)]
    write_lines(folder / "register.csv", REGISTER, known)
    names = [each for each in HEADERS if each != ON_FILE]
    header = [PERSON, ADMITTED, *(HEADERS[each] for each in names), NOTE, ABSTRACT]
    rows = [
        [
            stay.person,
            f"{stay.admitted:{ward.time}}",
            *(_cell(ward, stay, name, rng) for name in names),
            stay.media.note.said if stay.media else "",
            stay.media.abstract.said if stay.media else "",
        ]
        for stay in stays
    ]
    write_lines(folder / "stays.csv", header, rows)


def write_parquet(folder: Path, ward: Ward, stays: Sequence[Stay]) -> None:
    """Write ``stays.parquet`` of *ward*: typed columns, a gap is a null or a code."""
    import pyarrow as pa  # noqa: PLC0415 - an extra
    from pyarrow import parquet  # noqa: PLC0415

    missing = float(ward.codes[0])
    columns: dict[str, object] = {
        "patient": [stay.person or None for stay in stays],
        "admitted": [f"{stay.admitted:{ward.time}}" for stay in stays],
        "family_name": [CANARY for _ in stays],
    }
    for place, name in enumerate(MEASURES):
        gap = missing if place % 2 else None
        columns[name] = [_number(stay.shown[name], gap) for stay in stays]
    for name in LEVELS:
        columns[name] = [stay.shown[name] or None for stay in stays]
    parquet.write_table(pa.table(columns), folder / "stays.parquet")


def _number(shown: str, gap: float | None) -> float | None:
    return float(shown) if shown else gap


def _cell(ward: Ward, stay: Stay, name: str, rng: np.random.Generator) -> str:
    codes = ("", *ward.codes) if name in MEASURES else ("",)
    return stay.shown[name] or codes[int(rng.integers(len(codes)))]


def _register(key: str, stay: Stay) -> list[str]:
    """Return name, birthday, telephone and sex of whoever has the number *key*."""
    digits = sum(map(ord, key))
    name = f"{FIRST[digits % len(FIRST)]} {LAST[digits % len(LAST)]}"
    return [
        CANARY if digits % 5 == 0 else name,
        f"{stay.born:%d.%m.%Y}",
        f"+49 30 555 {digits % 100:02d} {stay.number % 1000:03d}",
        stay.shown[ON_FILE],
    ]


def write_lines(
    path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]
) -> None:
    """Write a CSV file of *header* and *rows*."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows([header, *rows])
    path.write_bytes(text.getvalue().encode())
