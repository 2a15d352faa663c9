"""The site.toml of each invented hospital: where every variable is, and how to read it.

It has no approval: that is for a steward to give.
"""

from collections.abc import Mapping, Sequence

from simulations.dealt.exports import tables_text
from simulations.invented import fhir, omop, pictures, tables
from simulations.invented.patient_study import CODED, OUTCOME, WINDOWS
from simulations.invented.recordings import LOST, OFF, SHORT, SPIKE
from simulations.invented.stays import MEASURES
from simulations.invented.wards import Ward

HEAD = """\
# How {site} writes its records: private to the hospital.
# {site} does not exist, and nobody in its records does.

site = "{site}"
"""
Table = Mapping[str, object]
Tables = dict[str, Table]
DAY = {"from_days": -1, "to_days": 1}
EVER = {"pick": "any"}
STEM = "{person}_{time}"
LIST = {
    "kind": "images",
    "file": "radiographs.csv",
    "person": pictures.LISTED[0],
    "event_time": pictures.LISTED[1],
}
STAMP = "%Y%m%dT%H%M"
LEVELS = (*(each.name for each in CODED), OUTCOME.name)


def text(ward: Ward, unfit: Sequence[str]) -> str:
    """Return ``site.toml`` of *ward*; *unfit* are files that its steward leaves out."""
    written = {
        "csv": _csv,
        "omop": _omop,
        "fhir": _fhir,
        "parquet": _parquet,
    }[ward.technology]
    return HEAD.format(site=ward.site) + tables_text(written(ward, unfit))


def _csv(ward: Ward, _: Sequence[str]) -> Tables:
    """Every variable has a column; the register has no time."""
    when = {"person": tables.PERSON, "event_time": tables.ADMITTED}
    missing, dates = ward.codes, ward.time
    columns: Tables = {}
    for name, header in tables.HEADERS.items():
        source = "register" if name == tables.ON_FILE else "stays"
        columns[name] = {"source": source, "column": header, **_written(ward, name)}
    stays = {"kind": "csv", "file": "stays.csv", **when, "missing": missing}
    return {
        "index": {"source": "stays"},
        "sources.stays": {**stays, "dates": dates},
        "sources.register": {
            "kind": "csv",
            "file": "register.csv",
            "person": tables.REGISTER[0],
        },
        "sources.monitor": {
            "kind": "signals",
            "file": "monitor.csv",
            **when,
            "time": "Time",
            "missing": [LOST],
            "dates": dates,
        },
        "sources.radiographs": {
            **LIST,
            "pixels": "radiographs.npz",
            "dates": dates,
        },
        **_columns(columns),
        **_windows(),
        **_picture(pictures.LISTED[2]),
        "columns.note": {"source": "stays", "column": tables.NOTE},
        "columns.abstract": {"source": "stays", "column": tables.ABSTRACT},
    }


def _parquet(ward: Ward, unfit: Sequence[str]) -> Tables:
    """One typed table of stays; everything else is a file for each stay."""
    columns: Tables = {
        name: {"source": "stays", "column": name, **_written(ward, name)}
        for name in (*MEASURES, *LEVELS)
    }
    stays = {"kind": "parquet", "file": "stays.parquet", "person": "patient"}
    stays |= {"event_time": "admitted"}
    return {
        "index": {"source": "stays"},
        "sources.stays": {**stays, "missing": ward.codes, "dates": ward.time},
        "sources.monitor": {
            "kind": "wfdb",
            "files": f"monitor/{STEM}.hea",
            "dates": STAMP,
        },
        "sources.radiographs": {
            "kind": "dicom",
            "files": "radiographs/*.dcm",
            "modality": ["DX"],
            "leave_out": [*unfit],
        },
        **_letters(),
        **_columns(columns),
        **_windows(),
        **_picture("pixels"),
        **_texts({}),
    }


def _omop(ward: Ward, _: Sequence[str]) -> Tables:
    """Every variable has a concept; visits are the index."""
    born = {"table": "person", "value": "birth"}
    columns: Tables = {"age": {"omop": born, "elapsed": "years"}}
    for name, concept in omop.CONCEPTS.items():
        found = {"table": "measurement", "concept": [concept]}
        names = {str(omop.UNITS[unit]): unit for unit in _units(ward, name)}
        columns[name] = {"omop": found, **DAY, "unit_names": names}
    columns["sex"] = {
        "omop": {"table": "person", "value": "gender_concept_id"},
        "levels": {str(omop.WOMAN): "female", str(omop.MAN): "male"},
    }
    columns["smoking"] = _observed(omop.SMOKING, omop.SMOKED)
    columns["readmitted"] = _observed(omop.READMITTED, {"yes": omop.YES, "no": omop.NO})
    happened = {"table": "condition_occurrence", "concept": [omop.DIABETES]}
    columns["diabetes"] = {"omop": happened, **EVER}
    given = {"table": "drug_exposure", "concept": [omop.STATIN]}
    columns["statin"] = {"omop": given, **EVER}
    for name, concept in omop.NOTES.items():
        columns[name] = {"query": NOTED, "parameters": {"kind": concept}, **DAY}
    visit = {"table": "visit_occurrence", "concept": [omop.INPATIENT]}
    records: Tables = {
        name: {"source": "records", **each} for name, each in columns.items()
    }
    return {
        "index": {"event": "admission"},
        "sources.records": {"kind": "sql", "file": "omop.sqlite"},
        "sources.monitor": {
            "kind": "signals",
            "file": "monitor.csv",
            "person": "patient_id",
            "event_time": "started_at",
            "time": "sampled_at",
            "channel": "channel",
            "value": "value",
            "missing": [OFF, str(SPIKE)],
            "dates": ward.time,
        },
        **_png(ward),
        "columns.admission": {"source": "records", "omop": visit},
        **_columns(records),
        **_windows(),
    }


NOTED = (
    "SELECT p.person_source_value AS person, n.note_datetime AS time, "
    "n.note_text AS value FROM note n JOIN person p ON p.person_id = n.person_id "
    "WHERE n.note_class_concept_id = :kind"
)


def _observed(concept: int, levels: Mapping[str, int]) -> Table:
    found = {"table": "observation", "concept": [concept]}
    said = {str(code): level for level, code in levels.items()}
    return {"omop": {**found, "value": "value_as_concept_id"}, "levels": said, **DAY}


def _fhir(ward: Ward, _: Sequence[str]) -> Tables:
    """Every variable has a code; encounters are the index."""
    born = {"resource": "Patient", "value": "birthDate"}
    columns: Tables = {"age": {"fhir": born, "elapsed": "years"}}
    for name, code in fhir.CODES.items():
        found = {"resource": "Observation", "code": [code], "system": fhir.LOINC}
        columns[name] = {"fhir": found, **DAY, **_written(ward, name)}
    columns["hba1c"] = {"absent": True}
    columns["sex"] = {"fhir": {"resource": "Patient", "value": "gender"}}
    smoked = {"resource": "Observation", "code": [fhir.SMOKING]}
    said = {code: level for level, code in fhir.SMOKED.items()}
    columns["smoking"] = {"fhir": smoked, "levels": said, **DAY}
    outcome = {"resource": "Observation", "code": [fhir.READMITTED]}
    levels = {"true": "yes", "false": "no"}
    columns["readmitted"] = {"fhir": outcome, "levels": levels, **DAY}
    ill = {"resource": "Condition", "code": ["E11*"]}
    columns["diabetes"] = {"fhir": ill, **EVER}
    given = {"resource": "MedicationRequest", "code": [fhir.STATIN]}
    columns["statin"] = {"fhir": given, **EVER}
    records: Tables = {
        name: each if "absent" in each else {"source": "records", **each}
        for name, each in columns.items()
    }
    visit = {"resource": "Encounter"}
    return {
        "index": {"event": "admission"},
        "sources.records": {"kind": "fhir", "folder": "fhir", "person": fhir.NUMBERS},
        "sources.monitor": {
            "kind": "signals",
            "file": "monitor.csv",
            "person": "Hospital number",
            "event_time": "Admitted",
            "time": "Time",
        },
        **_png(ward),
        **_letters(),
        "columns.admission": {"source": "records", "fhir": visit},
        **_columns(records),
        **_windows(),
        **_texts(DAY),
    }


def _written(ward: Ward, name: str) -> Table:
    """Return how *ward* writes one variable: absent, in a unit, in its own words."""
    if name in MEASURES:
        own = ward.units.get(name)
        return {"unit": own} if own else {}
    ways = ward.spellings[name]
    said = {way: level for level, every in ways.items() for way in every}
    return {"levels": {way: level for way, level in said.items() if way != level}}


def _units(ward: Ward, name: str) -> tuple[str, ...]:
    own = ward.units.get(name, MEASURES[name].unit)
    return (own, MEASURES[name].unit) if name in ward.mixed else (own,)


def _columns(found: Tables) -> Tables:
    return {f"columns.{name}": each for name, each in found.items()}


def _windows() -> Tables:
    return {
        f"columns.{name}": {
            "source": "monitor",
            "column": SHORT[channel],
            "take": take,
            "hours": [low, high],
        }
        for name, (channel, take, low, high) in WINDOWS.items()
    }


def _png(ward: Ward) -> Tables:
    said = {**LIST, "kind": "png", "folder": "radiographs"}
    if ward.technology != "fhir":  # which writes ISO 8601, as is expected
        said["dates"] = ward.time
    return {
        "sources.radiographs": said,
        **_picture(pictures.LISTED[2]),
    }


def _picture(column: str) -> Tables:
    return {"columns.radiograph": {"source": "radiographs", "column": column}}


def _letters() -> Tables:
    return {
        f"sources.{name}": {
            "kind": "text",
            "files": f"{name}/{STEM}.txt",
            "dates": STAMP,
        }
        for name in ("notes", "literature")
    }


def _texts(window: Table) -> Tables:
    places = {"note": "notes", "abstract": "literature"}
    return {
        f"columns.{name}": {"source": source, "column": "text", **window}
        for name, source in places.items()
    }
