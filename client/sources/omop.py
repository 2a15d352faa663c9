"""Asks an OMOP CDM 5.4 for one variable: rows of a table by concept, and their day.

Only the columns below can be asked for. Names, source texts and free notes are in none
of them, so that a mapping cannot ask for them by mistake.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

import sqlalchemy
from sqlalchemy import BindParameter, TextClause

from client.documents.mapping import InOmop, Sql
from client.formats.raw import Place


@dataclass(frozen=True, slots=True)
class Shape:
    """Of one table: the concept's column, day and time, what can be asked for, units.

    The first value is what is asked for when nothing is said.
    """

    concept: str
    day: str
    values: tuple[str, ...]
    unit: bool = False
    time: str = ""


BIRTH = (
    "COALESCE(CAST(p.birth_datetime AS VARCHAR(10)), "
    "CAST(p.year_of_birth AS VARCHAR(4)) || '-' || "
    "CASE WHEN COALESCE(p.month_of_birth, 7) < 10 THEN '0' ELSE '' END || "
    "CAST(COALESCE(p.month_of_birth, 7) AS VARCHAR(2)) || '-' || "
    "CASE WHEN COALESCE(p.day_of_birth, 1) < 10 THEN '0' ELSE '' END || "
    "CAST(COALESCE(p.day_of_birth, 1) AS VARCHAR(2)))"
)
"""The day of birth; where only the year is known, the middle of it."""
ORDER = "ORDER BY p.person_id"
"""A database returns rows as it likes, after an update in another order: of two values
at one moment another would be the last, and sums would differ in their last bits."""
PEOPLE = {
    "birth": BIRTH,
    "gender_concept_id": "p.gender_concept_id",
    "year_of_birth": "p.year_of_birth",
    "race_concept_id": "p.race_concept_id",
    "ethnicity_concept_id": "p.ethnicity_concept_id",
}
SHAPES: Mapping[str, Shape] = {
    "measurement": Shape(
        "measurement_concept_id",
        "measurement_date",
        ("value_as_number", "value_as_concept_id"),
        unit=True,
        time="measurement_datetime",
    ),
    "observation": Shape(
        "observation_concept_id",
        "observation_date",
        ("value_as_number", "value_as_concept_id", "observation_concept_id"),
        unit=True,
        time="observation_datetime",
    ),
    "condition_occurrence": Shape(
        "condition_concept_id",
        "condition_start_date",
        ("condition_concept_id", "condition_status_concept_id"),
        time="condition_start_datetime",
    ),
    "drug_exposure": Shape(
        "drug_concept_id",
        "drug_exposure_start_date",
        ("drug_concept_id", "quantity", "days_supply", "refills"),
        time="drug_exposure_start_datetime",
    ),
    "visit_occurrence": Shape(
        "visit_concept_id",
        "visit_start_date",
        ("visit_concept_id", "discharged_to_concept_id", "visit_end_date"),
        time="visit_start_datetime",
    ),
}
UNITS = {
    "8840": "mg/dL",
    "8753": "mmol/L",
    "8749": "umol/L",
    "8713": "g/dL",
    "8876": "mm[Hg]",
    "9529": "kg",
    "8582": "cm",
    "8554": "%",
    "8541": "/min",
    "586323": "Cel",
    "9289": "[degF]",
}
"""UCUM for the unit concepts of the common laboratory and bedside values."""


def query(source: Sql, name: str, wanted: InOmop, place: Place) -> TextClause:
    """Return the query for *wanted*; raise DataError for what cannot be asked for."""
    if wanted.table == "person":
        return _of_people(source, name, wanted, place)
    shape = SHAPES[wanted.table]
    value = _allowed(name, wanted, shape.values, place)
    if not wanted.concept:
        what = f"{name} asks for every row of {wanted.table}"
        fix = f'omop = {{ table = "{wanted.table}", concept = [ … ] }}'
        raise place.told(what, ("columns", name, "omop"), fix)
    schema = f"{source.namespace}." if source.namespace else ""
    unit = ", COALESCE(CAST(NULLIF(t.unit_concept_id, 0) AS VARCHAR(20)), "
    unit += "t.unit_source_value) AS unit"
    chosen = f"t.{shape.concept} IN :concepts"
    if wanted.descendants:
        below = f"SELECT descendant_concept_id FROM {schema}concept_ancestor "  # noqa: S608 - names of the mapping's own, held to a pattern
        chosen = (
            f"t.{shape.concept} IN ({below} WHERE ancestor_concept_id IN :concepts)"
        )
    text = (
        f"SELECT p.{source.person} AS person, "  # noqa: S608 - the same
        f"COALESCE(t.{shape.time}, t.{shape.day}) AS time, t.{value} AS value"
        f"{unit if shape.unit else ''} FROM {schema}{wanted.table} t "
        f"JOIN {schema}person p ON p.person_id = t.person_id WHERE {chosen} "
        f"{ORDER}, 2, 3"
    )
    given = [*wanted.concept]
    concepts: BindParameter[list[int]]
    concepts = sqlalchemy.bindparam("concepts", given, expanding=True)
    return sqlalchemy.text(text).bindparams(concepts)


def number(value: object) -> str:
    """Return a person's number: 1001.0 in a column of floats is 1001 elsewhere."""
    if isinstance(value, float | Decimal) and math.isfinite(value):
        return cell(int(value) if value == int(value) else value)
    return cell(value)


def cell(value: object) -> str:
    """Return what a database holds as the text that a CSV export would have."""
    if value is None:
        return ""
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, bytes | memoryview):
        raise TypeError  # explained where it is caught, without the bytes
    return str(value)


def _of_people(source: Sql, name: str, wanted: InOmop, place: Place) -> TextClause:
    value = PEOPLE[_allowed(name, wanted, tuple(PEOPLE), place)]
    schema = f"{source.namespace}." if source.namespace else ""
    text = f"SELECT p.{source.person} AS person, {value} AS value "
    text += f"FROM {schema}person p {ORDER}"
    return sqlalchemy.text(text)


def _allowed(name: str, wanted: InOmop, values: tuple[str, ...], place: Place) -> str:
    """Return the column that is asked for, if it is one of *values*."""
    value = wanted.value or values[0]
    if value not in values:
        raise place.told(
            f"{name} asks for {value!r} of {wanted.table}, which is never read",
            ("columns", name, "omop"),
            f"value = one of: {', '.join(values)}",
        )
    return value
