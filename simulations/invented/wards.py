"""Four hospitals that do not exist, each with another technology and its own habits.

ashford   CSV: a register, a table of stays with a column of notes, monitor; NPZ
brunnen   a database in OMOP CDM 5.4, monitor as CSV, radiographs as PNG
corvane   FHIR R4 bulk NDJSON, notes as text files, monitor as CSV, PNG
dunmere   Parquet, DICOM, text files, monitor as WFDB records
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from simulations.invented.monitors import Monitor
from simulations.invented.patients import Population

Technology = Literal["csv", "omop", "fhir", "parquet"]
DIGITS: Mapping[tuple[str, str], int] = MappingProxyType(
    {
        ("age", "a"): 0,
        ("bmi", "kg/m2"): 1,
        ("systolic", "mm[Hg]"): 0,
        ("systolic", "kPa"): 1,
        ("cholesterol", "mg/dL"): 0,
        ("cholesterol", "mmol/L"): 2,
        ("glucose", "mg/dL"): 0,
        ("glucose", "mmol/L"): 1,
        ("hba1c", "%"): 1,
        ("hba1c", "mmol/mol"): 0,
        ("creatinine", "mg/dL"): 2,
        ("creatinine", "umol/L"): 0,
    }
)
"""To how many digits a laboratory says a value, by variable and unit."""

SIMPLE: Mapping[str, Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "sex": {"female": ("female",), "male": ("male",)},
        "smoking": {
            "never": ("never",),
            "former": ("former",),
            "current": ("current",),
        },
        **{
            name: {"no": ("no",), "yes": ("yes",)}
            for name in ("diabetes", "statin", "readmitted")
        },
    }
)


@dataclass(frozen=True, slots=True)
class Dirt:
    """How much is planted: a share of the cells, and numbers of records or files.

    ``gaps`` are cells at random, ``unasked`` the share of people without diabetes whose
    HbA1c nobody asked for. ``same``, ``blanked`` and ``nameless`` are second copies of
    a record; ``twins`` are people registered under a second number; ``shared`` are
    pairs of people under one number. ``orphans`` are radiographs of nobody on file,
    ``unpictured`` stays without one.
    """

    gaps: float = 0.02
    unasked: float = 0.15
    typos: int = 3
    same: int = 3
    blanked: int = 2
    nameless: int = 2
    twins: int = 2
    shared: int = 1
    children: int = 14
    undiagnosed: int = 2
    orphans: int = 1
    unpictured: int = 2


@dataclass(frozen=True, slots=True)
class Ward:
    """One hospital: its people, its devices, and how it writes.

    ``units`` names the units that are not the study's; ``mixed`` are variables of which
    every third value comes in the study's unit all the same. ``codes`` stand for a
    missing number, besides the empty cell. ``gain`` and ``offset`` are its scanner's.
    """

    site: str
    technology: Technology
    people: Population
    monitor: Monitor
    person: str
    time: str
    dirt: Dirt = Dirt()
    units: Mapping[str, str] = field(default_factory=dict)
    mixed: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    absent: str = ""
    spellings: Mapping[str, Mapping[str, tuple[str, ...]]] = field(
        default_factory=lambda: SIMPLE
    )
    gain: float = 1.0
    offset: float = 0.0


ASHFORD = Ward(
    site="ashford",
    technology="csv",
    people=Population(150, 66, 0.52, (0.0, 0.0, 0.0)),
    monitor=Monitor(minutes=15, lost=0.02, longest=4),
    person="AS-{:06d}",
    time="%d.%m.%Y %H:%M",
    dirt=Dirt(shared=0),
    codes=("NA", "-9"),
    spellings={
        "sex": {"female": ("F", "f", "Female"), "male": ("M", "m", "Male")},
        "smoking": {
            "never": ("never smoked",),
            "former": ("ex-smoker", "ex smoker"),
            "current": ("smoker",),
        },
        **{
            name: {"no": ("N", "n"), "yes": ("Y", "y")}
            for name in ("diabetes", "statin", "readmitted")
        },
    },
)
BRUNNEN = Ward(
    site="brunnen",
    technology="omop",
    people=Population(110, 72, 0.45, (0.3, 0.3, 0.2)),
    monitor=Monitor(minutes=30, lost=0.03, longest=3),
    person="00{:06d}",
    time="%Y-%m-%d %H:%M:%S",
    units={
        "cholesterol": "mmol/L",
        "glucose": "mmol/L",
        "hba1c": "mmol/mol",
        "creatinine": "umol/L",
    },
    dirt=Dirt(shared=0, nameless=0),
    gain=0.9,
    offset=12,
)
CORVANE = Ward(
    site="corvane",
    technology="fhir",
    people=Population(90, 61, 0.58, (-0.2, 0.0, 0.4)),
    monitor=Monitor(minutes=20, lost=0.01, longest=6),
    person="c-{:06d}",
    time="%Y-%m-%dT%H:%M:%S+01:00",
    units={"systolic": "kPa", "cholesterol": "mmol/L", "creatinine": "umol/L"},
    mixed=("cholesterol",),
    absent="hba1c",
    dirt=Dirt(shared=0, nameless=1),
    gain=1.1,
    offset=-15,
)
DUNMERE = Ward(
    site="dunmere",
    technology="parquet",
    people=Population(70, 75, 0.40, (0.2, 0.6, 0.5)),
    monitor=Monitor(minutes=1, lost=0.002, longest=30),
    person="D{:06d}",
    time="%Y-%m-%d %H:%M:%S",
    units={"glucose": "mmol/L"},
    codes=("-9",),
    spellings={**SIMPLE, "sex": {"female": ("2",), "male": ("1",)}},
)
WARDS = (ASHFORD, BRUNNEN, CORVANE, DUNMERE)
"""From the largest to the smallest."""
