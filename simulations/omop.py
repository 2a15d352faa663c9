"""Writes stays as a database in the OMOP Common Data Model 5.4 (SQLite).

Concept ids are those of the OHDSI vocabularies for the LOINC, SNOMED and RxNorm codes
named beside them. What has no standard concept here has one above two billion, as the
model provides for a site's own. A gap is a row that is not there.
"""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from simulations.stays import Stay
from simulations.tables import CANARY

TABLES = """
CREATE TABLE person (
    person_id INTEGER PRIMARY KEY, gender_concept_id INTEGER NOT NULL,
    year_of_birth INTEGER NOT NULL, month_of_birth INTEGER, day_of_birth INTEGER,
    birth_datetime TIMESTAMP, race_concept_id INTEGER NOT NULL,
    ethnicity_concept_id INTEGER NOT NULL, person_source_value VARCHAR(50),
    gender_source_value VARCHAR(50));
CREATE TABLE visit_occurrence (
    visit_occurrence_id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL,
    visit_concept_id INTEGER NOT NULL, visit_start_date DATE NOT NULL,
    visit_start_datetime TIMESTAMP, visit_end_date DATE NOT NULL,
    visit_end_datetime TIMESTAMP, visit_type_concept_id INTEGER NOT NULL);
CREATE TABLE measurement (
    measurement_id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL,
    measurement_concept_id INTEGER NOT NULL, measurement_date DATE NOT NULL,
    measurement_datetime TIMESTAMP, measurement_type_concept_id INTEGER NOT NULL,
    value_as_number NUMERIC, value_as_concept_id INTEGER, unit_concept_id INTEGER,
    visit_occurrence_id INTEGER, measurement_source_value VARCHAR(50),
    unit_source_value VARCHAR(50));
CREATE TABLE observation (
    observation_id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL,
    observation_concept_id INTEGER NOT NULL, observation_date DATE NOT NULL,
    observation_datetime TIMESTAMP, observation_type_concept_id INTEGER NOT NULL,
    value_as_number NUMERIC, value_as_string VARCHAR(60),
    value_as_concept_id INTEGER, visit_occurrence_id INTEGER);
CREATE TABLE condition_occurrence (
    condition_occurrence_id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL,
    condition_concept_id INTEGER NOT NULL, condition_start_date DATE NOT NULL,
    condition_start_datetime TIMESTAMP, condition_type_concept_id INTEGER NOT NULL,
    condition_source_value VARCHAR(50));
CREATE TABLE drug_exposure (
    drug_exposure_id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL,
    drug_concept_id INTEGER NOT NULL, drug_exposure_start_date DATE NOT NULL,
    drug_exposure_start_datetime TIMESTAMP, drug_exposure_end_date DATE NOT NULL,
    drug_type_concept_id INTEGER NOT NULL);
CREATE TABLE note (
    note_id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL, note_date DATE NOT NULL,
    note_datetime TIMESTAMP, note_type_concept_id INTEGER NOT NULL,
    note_class_concept_id INTEGER NOT NULL, note_title VARCHAR(250),
    note_text TEXT NOT NULL, encoding_concept_id INTEGER NOT NULL,
    language_concept_id INTEGER NOT NULL, visit_occurrence_id INTEGER);
"""
RECORDED = 32817
"""EHR, as the type of every row."""
INPATIENT, WOMAN, MAN = 9201, 8532, 8507
CONCEPTS: Mapping[str, int] = {
    "bmi": 3038553,  # LOINC 39156-5
    "systolic": 3004249,  # 8480-6
    "cholesterol": 3027114,  # 2093-3
    "glucose": 3004501,  # 2345-7
    "hba1c": 3004410,  # 4548-4
    "creatinine": 3016723,  # 2160-0
}
UNITS: Mapping[str, int] = {
    "kg/m2": 9531,
    "mm[Hg]": 8876,
    "kPa": 44777602,
    "mg/dL": 8840,
    "mmol/L": 8753,
    "%": 8554,
    "mmol/mol": 9579,
    "umol/L": 8749,
}
SMOKING = 43054909  # LOINC 72166-2
SMOKED: Mapping[str, int] = {
    "never": 45879404,
    "former": 45883458,
    "current": 45881517,
}
DIABETES, STATIN = 201826, 1545958  # SNOMED 44054006; RxNorm 83367
READMITTED, YES, NO = 2_000_000_001, 4188539, 4188540
NOTES: Mapping[str, int] = {"note": 2_000_000_010, "abstract": 2_000_000_011}
EARLIER = timedelta(days=700)

Row = tuple[object, ...]


def write(path: Path, stays: Sequence[Stay]) -> None:
    """Write *stays* into a fresh database at *path*; the same bytes every time."""
    path.unlink(missing_ok=True)
    people = {key: n for n, key in enumerate(sorted({s.person for s in stays}), 1)}
    base = sqlite3.connect(path)
    try:
        base.executescript(TABLES)
        for table, rows in _rows(stays, people).items():
            _fill(base, table, rows)
        base.commit()
    finally:
        base.close()


def _fill(base: sqlite3.Connection, table: str, rows: Iterable[Row]) -> None:
    """Insert *rows*, each numbered before it where the table numbers its rows."""
    numbered = [row if table == "person" else (n, *row) for n, row in enumerate(rows)]
    marks = ", ".join("?" * len(numbered[0]))
    base.executemany(f"INSERT INTO {table} VALUES ({marks})", numbered)  # noqa: S608 - ours


def _rows(stays: Sequence[Stay], people: Mapping[str, int]) -> dict[str, list[Row]]:
    rows: dict[str, list[Row]] = {"person": [], "visit_occurrence": []}
    rows |= {"measurement": [], "observation": [], "condition_occurrence": []}
    rows |= {"drug_exposure": [], "note": []}
    seen: set[str] = set()
    for visit, stay in enumerate(stays):
        person = people[stay.person]
        if stay.person not in seen:
            seen.add(stay.person)
            _person(rows, person, stay)
        _visit(rows, person, visit, stay)
    return rows


def _person(rows: dict[str, list[Row]], person: int, stay: Stay) -> None:
    born, woman = stay.born, stay.shown["sex"] == "female"
    gender = (WOMAN, "F") if woman else (MAN, "M")
    birth = (born.year, born.month, born.day, f"{born} 00:00:00")
    rows["person"].append((person, gender[0], *birth, 0, 0, stay.person, gender[1]))
    before = _when(stay.admitted - EARLIER)
    if stay.shown["diabetes"] == "yes":
        rows["condition_occurrence"].append(
            (person, DIABETES, *before, RECORDED, "E11.9")
        )
    if stay.shown["statin"] == "yes":
        rows["drug_exposure"].append((person, STATIN, *before, before[0], RECORDED))


def _visit(rows: dict[str, list[Row]], person: int, visit: int, stay: Stay) -> None:
    begun, taken = _when(stay.admitted), _when(stay.admitted + timedelta(minutes=40))
    ended = _when(stay.admitted + timedelta(days=3))
    rows["visit_occurrence"].append((person, INPATIENT, *begun, *ended, RECORDED))
    for name, concept in CONCEPTS.items():
        if shown := stay.shown[name]:
            unit = stay.units[name]
            value = (float(shown), None, UNITS[unit], visit, name, unit)
            rows["measurement"].append((person, concept, *taken, RECORDED, *value))
    observed = [(SMOKING, SMOKED.get(stay.shown["smoking"]), stay.shown["smoking"])]
    outcome = stay.shown["readmitted"]
    observed.append((READMITTED, {"yes": YES, "no": NO}.get(outcome), outcome))
    for concept, coded, said in observed:
        if coded:
            said_as = (None, said, coded, visit)
            rows["observation"].append((person, concept, *taken, RECORDED, *said_as))
    if stay.filed:
        texts = {"note": stay.filed.note.said, "abstract": stay.filed.abstract.said}
        for name, said in texts.items():
            head = (person, *taken, RECORDED, NOTES[name], f"{name} ({CANARY})")
            rows["note"].append((*head, said, 32678, 4180186, visit))


def _when(moment: datetime) -> tuple[str, str]:
    """Return day and moment, as a database writes them."""
    return f"{moment:%Y-%m-%d}", f"{moment:%Y-%m-%d %H:%M:%S}"
