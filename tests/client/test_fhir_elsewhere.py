"""FHIR made by a package that knows nothing of ours: what it says is what is read."""

from datetime import date
from typing import Any

import carebundle
import numpy as np
import pytest
from carebundle.models.r4 import Bundle

from client import site
from client.table import Table
from client.tables import integration
from tests import clinics

PEOPLE, SEED = 60, 7
NUMBERS = {  # LOINC code, and the study's unit and range
    "chol": ("2093-3", "mg/dL", [50, 700]),
    "systolic": ("8480-6", "mm[Hg]", [40, 300]),  # a component of a panel
    "heart_rate": ("8867-4", "/min", [20, 250]),
    "hba1c": ("4548-4", "%", [2, 20]),
}
SITE = """\
site = "north"
[sources.ehr]
kind = "fhir"
folder = "bulk"
person = "id"
[index]
event = "visit"
[columns.visit]
fhir = { resource = "Encounter" }
[columns.age]
fhir = { resource = "Patient", value = "birthDate" }
elapsed = "years"
[columns.sex]
fhir = { resource = "Patient", value = "gender" }
[columns.ill]
fhir = { resource = "Condition", code = ["I10*", "38341003"] }
pick = "any"
"""
HYPERTENSION = {"I10", "38341003"}
Said = dict[str, Any]


def declared() -> list[Said]:
    numbers = [
        {"kind": "number", "name": name, "unit": unit, "range": limits}
        for name, (_, unit, limits) in {**NUMBERS, "age": ("", "a", [0, 120])}.items()
    ]
    return [*numbers, {"kind": "category", "name": "sex", "levels": ["female", "male"]}]


@pytest.fixture(scope="module")
def bundles() -> list[Bundle]:
    """Return two cohorts; of the second nobody's vital signs were taken."""
    half = PEOPLE // 2
    return [
        *carebundle.generate_cohort(count=half, seed=SEED),
        *carebundle.generate_cohort(count=half, seed=SEED + 1, include_vitals=False),
    ]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory, bundles: list[Bundle]) -> Table:
    """Export the bundles as NDJSON, and clean them as a hospital would."""
    place = tmp_path_factory.mktemp("elsewhere")
    (place / "bulk").mkdir()
    for kind, lines in carebundle.to_ndjson(bundles).items():
        (place / "bulk" / f"{kind}.ndjson").write_text(lines, encoding="utf-8")
    columns = [
        f'[columns.{name}]\nfhir = {{ resource = "Observation", code = ["{code}"] }}\n'
        for name, (code, _, _) in NUMBERS.items()
    ]
    path = place / "site.toml"
    path.write_text(SITE + "".join(columns), encoding="utf-8")
    study = clinics.study(variables=declared())
    return integration.table(site.read(path), study)


def truth(bundle: Bundle) -> list[float]:
    """Return what one person's bundle says, before it was exported."""
    found: dict[str, list[Said]] = {}
    for entry in bundle.entry or []:
        said: Said = entry.resource or {}
        found.setdefault(said["resourceType"], []).append(said)
    (patient,), (visit,) = found["Patient"], found["Encounter"]
    values = measured(found["Observation"])
    born = date.fromisoformat(str(patient["birthDate"])[:10])
    day = date.fromisoformat(str(visit["period"]["start"])[:10])
    had = (day.month, day.day) >= (born.month, born.day)
    age = float(day.year - born.year - (not had))
    diagnosed = [each["code"]["coding"] for each in found.get("Condition", [])]
    ill = {coding["code"] for codings in diagnosed for coding in codings}
    male = patient["gender"] == "male"
    return [*values, age, float(male), float(not ill.isdisjoint(HYPERTENSION))]


def measured(observations: list[Said]) -> list[float]:
    """Return the numbers that are asked for, of observations and their parts."""
    found = {}
    for each in observations:
        for part in (each, *each.get("component", ())):
            if "valueQuantity" in part:
                code = part["code"]["coding"][0]["code"]
                found[code] = float(part["valueQuantity"]["value"])
    return [found.get(code, np.nan) for code, _, _ in NUMBERS.values()]


def in_order(rows: np.ndarray) -> np.ndarray:
    """Return *rows* in an order of their own: a table keeps no name to sort by."""
    return rows[np.lexsort(np.nan_to_num(rows, nan=-1.0).T[::-1])]


def test_what_an_independent_generator_says_is_what_is_read(
    table: Table, bundles: list[Bundle]
) -> None:
    """Every number, level and gap of everyone; panels by component."""
    true = np.array([truth(each) for each in bundles])
    ill = table.outcome if table.outcome.ndim == 1 else table.outcome[:, 0]
    found = np.column_stack([table.values, ill])
    assert 0 < true[:, -1].sum() < PEOPLE  # some are ill and some are not
    assert np.isnan(true).any()  # and not everybody was seen for everything
    assert not np.isnan(true[:, :3]).all(axis=0).any()
    np.testing.assert_allclose(in_order(found), in_order(true), rtol=1e-12)
