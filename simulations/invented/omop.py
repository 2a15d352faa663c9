"""Writes stays as a database in the OMOP Common Data Model 5.4 (SQLite).

Concept ids are those of the OHDSI vocabularies for the LOINC, SNOMED and RxNorm codes
named beside them. What has no standard concept here has one above two billion, as the
model provides for a site's own. A gap is a row that is not there.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from simulations.invented.stays import Stay
from simulations.invented.tables import CANARY

TABLES: Mapping[str, str] = {
    "person": "person_id gender_concept_id year_of_birth month_of_birth day_of_birth "
    "birth_datetime race_concept_id ethnicity_concept_id location_id provider_id "
    "care_site_id person_source_value gender_source_value gender_source_concept_id "
    "race_source_value race_source_concept_id ethnicity_source_value "
    "ethnicity_source_concept_id",
    "visit_occurrence": "visit_occurrence_id person_id visit_concept_id "
    "visit_start_date visit_start_datetime visit_end_date visit_end_datetime "
    "visit_type_concept_id provider_id care_site_id visit_source_value "
    "visit_source_concept_id admitted_from_concept_id admitted_from_source_value "
    "discharged_to_concept_id discharged_to_source_value preceding_visit_occurrence_id",
    "measurement": "measurement_id person_id measurement_concept_id measurement_date "
    "measurement_datetime measurement_time measurement_type_concept_id "
    "operator_concept_id value_as_number value_as_concept_id unit_concept_id range_low "
    "range_high provider_id visit_occurrence_id visit_detail_id "
    "measurement_source_value measurement_source_concept_id unit_source_value "
    "unit_source_concept_id value_source_value measurement_event_id "
    "meas_event_field_concept_id",
    "observation": "observation_id person_id observation_concept_id observation_date "
    "observation_datetime observation_type_concept_id value_as_number value_as_string "
    "value_as_concept_id qualifier_concept_id unit_concept_id provider_id "
    "visit_occurrence_id visit_detail_id observation_source_value "
    "observation_source_concept_id unit_source_value qualifier_source_value "
    "value_source_value observation_event_id obs_event_field_concept_id",
    "condition_occurrence": "condition_occurrence_id person_id condition_concept_id "
    "condition_start_date condition_start_datetime condition_end_date "
    "condition_end_datetime condition_type_concept_id condition_status_concept_id "
    "stop_reason provider_id visit_occurrence_id visit_detail_id "
    "condition_source_value condition_source_concept_id condition_status_source_value",
    "drug_exposure": "drug_exposure_id person_id drug_concept_id "
    "drug_exposure_start_date drug_exposure_start_datetime drug_exposure_end_date "
    "drug_exposure_end_datetime verbatim_end_date drug_type_concept_id stop_reason "
    "refills quantity days_supply sig route_concept_id lot_number provider_id "
    "visit_occurrence_id visit_detail_id drug_source_value drug_source_concept_id "
    "route_source_value dose_unit_source_value",
    "note": "note_id person_id note_date note_datetime note_type_concept_id "
    "note_class_concept_id note_title note_text encoding_concept_id "
    "language_concept_id provider_id visit_occurrence_id visit_detail_id "
    "note_source_value note_event_id note_event_field_concept_id",
}
"""Every column of each table, as the model has it."""
TYPES = (
    ("_id", "INTEGER"),
    ("_of_birth", "INTEGER"),
    ("_datetime", "TIMESTAMP"),
    ("_date", "DATE"),
    ("value_as_number", "NUMERIC"),
    ("note_text", "TEXT"),
)
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

Row = dict[str, object]
Rows = dict[str, list[Row]]


def write(path: Path, stays: Sequence[Stay]) -> None:
    """Write *stays* into a fresh database at *path*; the same bytes every time."""
    path.unlink(missing_ok=True)
    people = {key: n for n, key in enumerate(sorted({s.person for s in stays}), 1)}
    base = sqlite3.connect(path)
    try:
        for table, rows in _rows(stays, people).items():
            columns = TABLES[table].split()
            base.execute(f"CREATE TABLE {table} ({', '.join(map(_typed, columns))})")
            _fill(base, table, rows)
        base.commit()
    finally:
        base.close()


def _typed(column: str) -> str:
    kinds = [kind for end, kind in TYPES if column.endswith(end)]
    return f"{column} {kinds[0] if kinds else 'VARCHAR(250)'}"


def _fill(base: sqlite3.Connection, table: str, rows: Sequence[Row]) -> None:
    """Insert *rows*, numbered from 0 where the table numbers its rows."""
    number = TABLES[table].split()[0]
    for place, row in enumerate(rows):
        whole = {number: place} | row
        marks = ", ".join(f":{name}" for name in whole)
        text = f"INSERT INTO {table} ({', '.join(whole)}) VALUES ({marks})"  # noqa: S608 - ours
        base.execute(text, whole)


def _rows(stays: Sequence[Stay], people: Mapping[str, int]) -> Rows:
    rows: Rows = {table: [] for table in TABLES}
    seen: set[str] = set()
    for visit, stay in enumerate(stays):
        person = people[stay.person]
        if stay.person not in seen:
            seen.add(stay.person)
            _person(rows, person, stay)
        _visit(rows, person, visit, stay)
    return rows


def _person(rows: Rows, person: int, stay: Stay) -> None:
    born, woman = stay.born, stay.shown["sex"] == "female"
    rows["person"].append(
        {
            "person_id": person,
            "gender_concept_id": WOMAN if woman else MAN,
            "year_of_birth": born.year,
            "month_of_birth": born.month,
            "day_of_birth": born.day,
            "birth_datetime": f"{born} 00:00:00",
            "race_concept_id": 0,
            "ethnicity_concept_id": 0,
            "person_source_value": stay.person,
            "gender_source_value": "F" if woman else "M",
        }
    )
    before = stay.admitted - EARLIER
    if stay.shown["diabetes"] == "yes":
        rows["condition_occurrence"].append(
            {
                "person_id": person,
                "condition_concept_id": DIABETES,
                **_when("condition_start", before),
                "condition_type_concept_id": RECORDED,
                "condition_source_value": "E11.9",
            }
        )
    if stay.shown["statin"] == "yes":
        rows["drug_exposure"].append(
            {
                "person_id": person,
                "drug_concept_id": STATIN,
                **_when("drug_exposure_start", before),
                **_when("drug_exposure_end", before),
                "drug_type_concept_id": RECORDED,
            }
        )


def _visit(rows: Rows, person: int, visit: int, stay: Stay) -> None:
    about = {"person_id": person, "visit_occurrence_id": visit}
    rows["visit_occurrence"].append(
        {
            **about,
            "visit_concept_id": INPATIENT,
            **_when("visit_start", stay.admitted),
            **_when("visit_end", stay.admitted + timedelta(days=3)),
            "visit_type_concept_id": RECORDED,
        }
    )
    for name, concept in CONCEPTS.items():
        if shown := stay.shown[name]:
            unit = stay.units[name]
            measured = {
                "value_as_number": float(shown),
                "unit_concept_id": UNITS[unit],
                "unit_source_value": unit,
            }
            rows["measurement"].append(
                {**about, **_said("measurement", concept, stay), **measured}
            )
    for concept, coded in _observed(stay):
        value = {"value_as_concept_id": coded}
        rows["observation"].append(
            {**about, **_said("observation", concept, stay), **value}
        )
    for name, concept in NOTES.items() if stay.filed else ():
        rows["note"].append({**about, **_written(name, concept, stay)})


def _said(table: str, concept: int, stay: Stay) -> Row:
    """Return what, when, and how we know: taken 40 minutes after the admission."""
    return {
        f"{table}_concept_id": concept,
        **_when(table, stay.admitted + timedelta(minutes=40)),
        f"{table}_type_concept_id": RECORDED,
    }


def _observed(stay: Stay) -> list[tuple[int, int]]:
    smoked = SMOKED.get(stay.shown["smoking"])
    outcome = {"yes": YES, "no": NO}.get(stay.shown["readmitted"])
    pairs = ((SMOKING, smoked), (READMITTED, outcome))
    return [(concept, coded) for concept, coded in pairs if coded]


def _written(name: str, concept: int, stay: Stay) -> Row:
    media = stay.filed
    texts = {"note": media.note.said, "abstract": media.abstract.said} if media else {}
    return {
        **_when("note", stay.admitted + timedelta(minutes=40)),
        "note_type_concept_id": RECORDED,
        "note_class_concept_id": concept,
        "note_title": f"{name} ({CANARY})",
        "note_text": texts[name],
        "encoding_concept_id": 32678,
        "language_concept_id": 4180186,
    }


def _when(of: str, moment: datetime) -> Row:
    """Return day and moment, as a database writes them."""
    return {
        f"{of}_date": f"{moment:%Y-%m-%d}",
        f"{of}_datetime": f"{moment:%Y-%m-%d %H:%M:%S}",
    }
