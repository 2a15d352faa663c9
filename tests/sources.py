"""The same few people in the formats of five hospitals, and what is true of them.

Everyone has one stay. Cholesterol was measured a year before, ten days before and five
days after it began; some are ill within thirty days of it, some had diabetes before.
"""

import csv
import json
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from common.study import Study
from tests import clinics

VARIABLES = [
    {"kind": "number", "name": "age", "unit": "a", "range": [0, 120]},
    {
        "kind": "number",
        "name": "chol",
        "unit": "mg/dL",
        "range": [50, 700],
        "units": {"mmol/L": 38.67},
    },
    {"kind": "number", "name": "tests", "unit": "1", "range": [0, 50]},
    {"kind": "category", "name": "sex", "levels": ["female", "male"]},
    {"kind": "category", "name": "diabetes", "levels": ["no", "yes"]},
]
DIABETES, ILLNESS, CHOL, VISIT = 201826, 4329847, 3027114, 9201
CODES = {DIABETES: "E11.9", ILLNESS: "I21.4"}
GENDERS = {"female": 8532, "male": 8507}


@dataclass(frozen=True)
class Person:
    """One made-up person, and what is true of the one stay."""

    number: str
    name: str
    born: date
    sex: str
    stay: date
    chol: float
    diabetes: bool
    ill: bool

    @property
    def age(self) -> int:
        had = (self.stay.month, self.stay.day) >= (self.born.month, self.born.day)
        return self.stay.year - self.born.year - (not had)

    def measured(self) -> list[tuple[date, float, str]]:
        """Return (day, value, unit) of every test: what counts is the second."""
        days = [self.stay + timedelta(days=each) for each in (-400, -10, 5)]
        local = (round(self.chol / 38.67, 4), "mmol/L")
        return [(days[0], 300.0, "mg/dL"), (days[1], *local), (days[2], 301.0, "mg/dL")]

    def diagnosed(self) -> list[tuple[date, int]]:
        """Return (day, concept) of every diagnosis."""
        found = [(self.stay - timedelta(days=900), DIABETES)] if self.diabetes else []
        late = (self.stay + timedelta(days=200), ILLNESS)
        soon = [(self.stay + timedelta(days=12), ILLNESS)] if self.ill else []
        return [*found, *soon, late]


def people(count: int = 40) -> list[Person]:
    """Return people whose values all differ."""
    first = date(2021, 3, 1)
    return [
        Person(
            number=f"MRN{i:04d}",
            name=f"Canary-{i}",
            born=date(1930 + i, 5, 17),
            sex=["female", "male"][i % 2],
            stay=first + timedelta(days=7 * i),
            chol=150.0 + 3 * i,
            diabetes=i % 3 == 0,
            ill=i % 4 == 0,
        )
        for i in range(count)
    ]


def study(**changes: Any) -> Study:
    """Return a study of them."""
    return clinics.study(variables=VARIABLES, **changes)


def truth(everyone: Iterable[Person]) -> list[list[float]]:
    """Return the clean values and the outcome of everyone."""
    return [
        [
            float(min(each.age, 90)),
            round(each.chol / 38.67, 4) * 38.67,
            2.0,
            float(each.sex == "male"),
            float(each.diabetes),
            float(each.ill),
        ]
        for each in everyone
    ]


TABULAR = """
[index]
source = "stays"

[columns.age]
source = "stays"
column = "geboren"
elapsed = "years"
[columns.sex]
source = "stays"
column = "sex"
levels = { w = "female", m = "male" }
[columns.chol]
source = "labs"
column = "wert"
unit_column = "einheit"
from_days = -30
[columns.tests]
source = "labs"
column = "wert"
pick = "count"
[columns.diabetes]
source = "diabetes"
column = "icd"
pick = "any"
[columns.ill]
source = "infarcts"
column = "icd"
pick = "any"
from_days = 0
to_days = 30
"""


def tables(place: Path, everyone: list[Person], kind: str) -> Path:
    """Write a hospital of four files of one *kind*, csv or parquet."""
    stays = [
        {
            "mrn": each.number,
            "Name": each.name,
            "am": each.stay.isoformat(),
            "geboren": each.born.isoformat(),
            "sex": each.sex.replace("female", "w").replace("male", "m"),
        }
        for each in everyone
    ]
    labs = [
        {"mrn": p.number, "am": day.isoformat(), "wert": value, "einheit": unit}
        for p in everyone
        for day, value, unit in p.measured()
    ]
    coded = {
        concept: [
            {"mrn": p.number, "am": day.isoformat(), "icd": CODES[concept]}
            for p in everyone
            for day, each in p.diagnosed()
            if each == concept
        ]
        for concept in CODES
    }
    named = {"stays": stays, "labs": labs}
    named |= {"diabetes": coded[DIABETES], "infarcts": coded[ILLNESS]}
    place.mkdir(parents=True, exist_ok=True)
    text = 'site = "north"\n'
    for name, rows in named.items():
        file = f"{name}.{kind}"
        _file(place / file, rows)
        text += f'[sources.{name}]\nkind = "{kind}"\nfile = "{file}"\n'
        text += 'person = "mrn"\nevent_time = "am"\n'
    return _site(place, text + TABULAR)


def _file(path: Path, rows: list[dict[str, Any]]) -> None:
    if path.suffix == ".parquet":
        pd.DataFrame(rows).to_parquet(path, index=False)
        return
    with path.open("w", newline="", encoding="utf-8") as file:
        lines = csv.DictWriter(file, list(rows[0]))
        lines.writeheader()
        lines.writerows(rows)


OMOP = f"""
[index]
event = "stay"

[columns.stay]
omop = {{ table = "visit_occurrence", concept = [{VISIT}] }}
[columns.age]
omop = {{ table = "person", value = "birth" }}
elapsed = "years"
[columns.sex]
omop = {{ table = "person", value = "gender_concept_id" }}
levels = {{ 8532 = "female", 8507 = "male" }}
[columns.chol]
omop = {{ table = "measurement", concept = [{CHOL}] }}
from_days = -30
[columns.tests]
omop = {{ table = "measurement", concept = [{CHOL}] }}
pick = "count"
[columns.diabetes]
omop = {{ table = "condition_occurrence", concept = [{DIABETES}] }}
pick = "any"
[columns.ill]
omop = {{ table = "condition_occurrence", concept = [{ILLNESS}] }}
pick = "any"
from_days = 0
to_days = 30
"""
TABLES = ("person", "visit_occurrence", "measurement", "condition_occurrence")
SCHEMA = """
CREATE TABLE person (person_id INTEGER, gender_concept_id INTEGER,
    year_of_birth INTEGER, month_of_birth INTEGER, day_of_birth INTEGER,
    birth_datetime TIMESTAMP, person_source_value VARCHAR(50));
CREATE TABLE visit_occurrence (person_id INTEGER, visit_concept_id INTEGER,
    visit_start_date DATE, visit_start_datetime TIMESTAMP);
CREATE TABLE measurement (person_id INTEGER, measurement_concept_id INTEGER,
    measurement_date DATE, measurement_datetime TIMESTAMP, value_as_number NUMERIC,
    unit_concept_id INTEGER, unit_source_value VARCHAR(50));
CREATE TABLE condition_occurrence (person_id INTEGER, condition_concept_id INTEGER,
    condition_start_date DATE, condition_start_datetime TIMESTAMP);
"""


def omop_rows(everyone: list[Person]) -> dict[str, list[tuple[Any, ...]]]:
    """Return the rows of each OMOP table, in the order of its columns."""
    rows: dict[str, list[tuple[Any, ...]]] = {name: [] for name in TABLES}
    units = {"mg/dL": (8840, None), "mmol/L": (0, "mmol/L")}
    for number, each in enumerate(everyone):
        born = each.born
        whole = (GENDERS[each.sex], born.year, born.month, born.day, None, each.number)
        rows["person"].append((number, *whole))
        rows["visit_occurrence"].append((number, VISIT, each.stay.isoformat(), None))
        for day, value, unit in each.measured():
            said = (number, CHOL, day.isoformat(), None, value, *units[unit])
            rows["measurement"].append(said)
        for day, concept in each.diagnosed():
            found = (number, concept, day.isoformat(), None)
            rows["condition_occurrence"].append(found)
    return rows


def omop(place: Path, everyone: list[Person]) -> Path:
    """Write a hospital whose records are an OMOP CDM in SQLite."""
    place.mkdir(parents=True, exist_ok=True)
    (place / "cdm.sqlite").unlink(missing_ok=True)
    with closing(sqlite3.connect(place / "cdm.sqlite")) as database, database:
        database.executescript(SCHEMA)
        for name, rows in omop_rows(everyone).items():
            marks = ", ".join("?" for _ in rows[0])
            insert = f"INSERT INTO {name} VALUES ({marks})"  # noqa: S608 - our own names
            database.executemany(insert, rows)
    text = 'site = "north"\n[sources.cdm]\nkind = "sql"\nfile = "cdm.sqlite"\n'
    return _site(place, text + OMOP)


FHIR = """
[index]
event = "stay"

[columns.stay]
fhir = { resource = "Encounter", code = ["IMP"] }
[columns.age]
fhir = { resource = "Patient", value = "birthDate" }
elapsed = "years"
[columns.sex]
fhir = { resource = "Patient", value = "gender" }
[columns.chol]
fhir = { resource = "Observation", code = ["2093-3"], system = "http://loinc.org" }
from_days = -30
[columns.tests]
fhir = { resource = "Observation", code = ["2093-3"] }
pick = "count"
[columns.diabetes]
fhir = { resource = "Condition", code = ["E11*"] }
pick = "any"
[columns.ill]
fhir = { resource = "Condition", code = ["I21*", "I22*"] }
pick = "any"
from_days = 0
to_days = 30
"""


def fhir(place: Path, everyone: list[Person]) -> Path:
    """Write a hospital whose records are FHIR R4 bulk NDJSON."""
    found: dict[str, list[Mapping[str, Any]]] = {
        "Patient": [_patient(each) for each in everyone],
        "Encounter": [_encounter(each) for each in everyone],
        "Observation": [o for each in everyone for o in _observations(each)],
        "Condition": [c for each in everyone for c in _conditions(each)],
    }
    folder = place / "bulk"
    folder.mkdir(parents=True, exist_ok=True)
    for kind, resources in found.items():
        half = len(resources) // 2
        for part, some in enumerate((resources[:half], resources[half:])):
            lines = "\n".join(json.dumps(each) for each in some)
            (folder / f"{kind}.00{part}.ndjson").write_text(lines + "\n")
    text = 'site = "north"\n[sources.ehr]\nkind = "fhir"\nfolder = "bulk"\n'
    return _site(place, text + 'person = "urn:mrn"\n' + FHIR)


def _patient(each: Person) -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "id": f"id-{each.number}",
        "name": [{"text": each.name}],
        "identifier": [
            {"system": "urn:ssn", "value": "1"},
            {"system": "urn:mrn", "value": each.number},
        ],
        "birthDate": each.born.isoformat(),
        "gender": each.sex,
    }


def _about(each: Person, kind: str, **rest: Any) -> dict[str, Any]:
    subject = {"reference": f"Patient/id-{each.number}"}
    return {"resourceType": kind, "subject": subject, **rest}


def _encounter(each: Person) -> dict[str, Any]:
    period = {"start": f"{each.stay.isoformat()}T00:00:00Z"}
    return _about(each, "Encounter", **{"class": {"code": "IMP"}, "period": period})


def _observations(each: Person) -> list[dict[str, Any]]:
    coded = {"coding": [{"system": "http://loinc.org", "code": "2093-3"}]}
    good = [
        _about(
            each,
            "Observation",
            status="final",
            code=coded,
            effectiveDateTime=day.isoformat(),
            valueQuantity={"value": value, "code": unit},
        )
        for day, value, unit in each.measured()
    ]
    return [*good, {**good[1], "status": "entered-in-error"}]


def _conditions(each: Person) -> list[dict[str, Any]]:
    return [
        _about(
            each,
            "Condition",
            code={"coding": [{"code": CODES[concept]}]},
            onsetDateTime=day.isoformat(),
        )
        for day, concept in each.diagnosed()
    ]


def _site(place: Path, text: str) -> Path:
    path = place / "site.toml"
    path.write_text(text, encoding="utf-8")
    return path
