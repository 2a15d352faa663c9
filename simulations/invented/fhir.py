"""Writes stays as FHIR R4 (4.0.1) bulk data: one NDJSON file for each resource type.

Codes are LOINC, SNOMED CT, ICD-10 and RxNorm, units are UCUM. The person's key is an
identifier of its own system; the resource ids are others.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from simulations.invented.stays import Stay
from simulations.invented.tables import CANARY

LOINC, SNOMED = "http://loinc.org", "http://snomed.info/sct"
ICD, RXNORM = (
    "http://hl7.org/fhir/sid/icd-10",
    "http://www.nlm.nih.gov/research/umls/rxnorm",
)
UCUM, OWN = "http://unitsofmeasure.org", "http://corvane.example/codes"
NUMBERS = "http://corvane.example/patient-number"
CODES: Mapping[str, str] = {
    "bmi": "39156-5",
    "systolic": "8480-6",
    "cholesterol": "2093-3",
    "glucose": "2345-7",
    "hba1c": "4548-4",
    "creatinine": "2160-0",
}
SMOKING = "72166-2"
SMOKED = {"never": "266919005", "former": "8517006", "current": "77176002"}
DIABETES, STATIN, READMITTED = "E11.9", "83367", "readmitted-30d"
EARLIER = timedelta(days=700)
TYPES = ("Patient", "Encounter", "Observation", "Condition", "MedicationRequest")

Resource = dict[str, object]
Bundle = dict[str, list[Resource]]


def write(folder: Path, stays: Sequence[Stay]) -> None:
    """Write *stays* into *folder*, one file for each of TYPES."""
    folder.mkdir(parents=True, exist_ok=True)
    found: Bundle = {kind: [] for kind in TYPES}
    seen: set[str] = set()
    for place, stay in enumerate(stays):
        if stay.person and stay.person not in seen:
            seen.add(stay.person)
            _person(found, stay)
        _visit(found, stay, f"e{place}")
    for kind, resources in found.items():
        lines = [json.dumps(each, ensure_ascii=False) for each in resources]
        text = "".join(f"{line}\n" for line in lines)
        (folder / f"{kind}.ndjson").write_text(text, encoding="utf-8", newline="\n")


def _person(found: Bundle, stay: Stay) -> None:
    before = _when(stay.admitted - EARLIER)
    found["Patient"].append(
        {
            "resourceType": "Patient",
            "id": f"p{stay.number}",
            "identifier": [{"system": NUMBERS, "value": stay.person}],
            "name": [{"family": CANARY.split()[1], "given": [CANARY.split()[0]]}],
            "gender": stay.shown["sex"],
            "birthDate": f"{stay.born}",
        }
    )
    if stay.shown["diabetes"] == "yes":
        said: Resource = {"id": f"c{stay.number}", "code": _code(ICD, DIABETES)}
        said |= {"recordedDate": before}
        found["Condition"].append(_about(stay, "Condition", said))
    if stay.shown["statin"] == "yes":
        said = {"id": f"m{stay.number}", "status": "active", "intent": "order"}
        said |= {"medicationCodeableConcept": _code(RXNORM, STATIN)}
        said |= {"authoredOn": before}
        found["MedicationRequest"].append(_about(stay, "MedicationRequest", said))


def _visit(found: Bundle, stay: Stay, name: str) -> None:
    ended = _when(stay.admitted + timedelta(days=3))
    visit: Resource = {
        "id": name,
        "status": "finished",
        "class": {
            "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode",
            "code": "IMP",
        },
        "period": {"start": _when(stay.admitted), "end": ended},
    }
    found["Encounter"].append(_about(stay, "Encounter", visit))
    for number, (code, value) in enumerate(_observed(stay)):
        said: Resource = {
            "id": f"{name}-{number}",
            "status": "final",
            "code": code,
            "encounter": {"reference": f"Encounter/{name}"},
            "effectiveDateTime": _when(stay.admitted + timedelta(minutes=40)),
            **value,
        }
        found["Observation"].append(_about(stay, "Observation", said))


def _observed(stay: Stay) -> list[tuple[Resource, Resource]]:
    """Return code and value of everything that was observed during a stay."""
    seen: list[tuple[Resource, Resource]] = []
    for name, code in CODES.items():
        if shown := stay.shown[name]:
            unit = stay.units[name]
            quantity = {"value": float(shown), "unit": unit, "system": UCUM}
            value: Resource = {"valueQuantity": {**quantity, "code": unit}}
            seen.append((_code(LOINC, code), value))
    if smoked := SMOKED.get(stay.shown["smoking"]):
        said: Resource = {"valueCodeableConcept": _code(SNOMED, smoked)}
        seen.append((_code(LOINC, SMOKING), said))
    if outcome := stay.shown["readmitted"]:
        seen.append((_code(OWN, READMITTED), {"valueBoolean": outcome == "yes"}))
    return seen


def _about(stay: Stay, kind: str, said: Resource) -> Resource:
    """Return a resource about the patient; nameless stays are about nobody."""
    subject = {"subject": {"reference": f"Patient/p{stay.number}"}}
    return {"resourceType": kind, **(subject if stay.person else {}), **said}


def _code(system: str, code: str) -> Resource:
    return {"coding": [{"system": system, "code": code}]}


def _when(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}+01:00"
