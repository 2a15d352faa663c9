"""How four hospitals that do not exist speak: words, units, codes, names, formats."""

from collections.abc import Mapping
from dataclasses import dataclass

from common.schema import Binary, Category, Number
from simulations.dealt.breast_study import DIAGNOSIS, GRADE, NAMES

Declared = Number | Category | Binary
WORDS = {
    "radius": ("Radius", "Radius", "rayon", "RAD"),
    "texture": ("Texture", "Textur", "texture", "TEX"),
    "perimeter": ("Perimeter", "Umfang", "périmètre", "PER"),
    "area": ("Area", "Fläche", "aire", "ARE"),
    "smoothness": ("Smoothness", "Glätte", "régularité", "SMO"),
    "compactness": ("Compactness", "Kompaktheit", "compacité", "CMP"),
    "concavity": ("Concavity", "Konkavität", "concavité", "CAV"),
    "concave_points": ("Concave points", "Konkave Punkte", "points concaves", "CPT"),
    "symmetry": ("Symmetry", "Symmetrie", "symétrie", "SYM"),
    "fractal_dimension": (
        "Fractal dimension",
        "Fraktale Dimension",
        "dimension fractale",
        "FRD",
    ),
}
"""Each measure in the words of the four hospitals, in the order of HOSPITALS."""


@dataclass(frozen=True, slots=True)
class Format:
    """How the export is written; ``said`` is the encoding that site.toml names."""

    file: str
    separator: str = ","
    decimal: str = "."
    encoding: str = "utf-8"
    said: str = "utf-8"
    newline: str = "\r\n"


@dataclass(frozen=True, slots=True)
class Headers:
    """What a hospital calls its columns.

    ``measures`` and ``statistics`` combine: the second are patterns around the first.
    ``full_name`` and ``note`` are columns that no study declares. Without ``visit`` the
    export tells no event time.
    """

    measures: Mapping[str, str]
    statistics: Mapping[str, str]
    grade: str
    diagnosis: str
    person: str
    full_name: str
    note: str
    visit: str = ""


@dataclass(frozen=True, slots=True)
class Gaps:
    """What stands for a missing cell, besides nothing at all.

    site.toml names ``everywhere`` for the whole file and ``own`` for one measure. It
    leaves out ``also``: to name -9 covers the -9.00 of a number.
    """

    everywhere: tuple[str, ...]
    own: Mapping[str, str]
    also: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Dialect:
    """One hospital's habits.

    ``grades`` and ``diagnoses`` give for each spelling the level that it means,
    ``units`` the unit used in place of a declared one. ``person`` and ``full_names``
    are patterns around a made-up number, ``day`` is one for a date.
    """

    site: str
    format: Format
    headers: Headers
    gaps: Gaps
    grades: Mapping[str, str]
    diagnoses: Mapping[str, str]
    units: Mapping[str, str]
    person: str
    full_names: tuple[str, ...]
    note: str
    day: str = "%Y-%m-%d"
    absent: str = ""

    def header(self, variable: Declared) -> str:
        """Return the header over *variable*."""
        if not isinstance(variable, Number):
            grade = variable.name == GRADE.name
            return self.headers.grade if grade else self.headers.diagnosis
        measure, statistic = NAMES[variable.name]
        return self.headers.statistics[statistic].format(self.headers.measures[measure])

    def spellings(self, variable: Category | Binary) -> Mapping[str, str]:
        """Return the level that each spelling of *variable* means."""
        return self.grades if variable.name == GRADE.name else self.diagnoses

    def unit(self, variable: Number) -> str:
        """Return the unit in which *variable* is exported."""
        return self.units.get(variable.unit, variable.unit)

    def own_gap(self, variable: Number) -> str:
        """Return the code for missing that only this measure has, or nothing."""
        measure, _ = NAMES[variable.name]
        return self.gaps.own.get(measure, "")


def _measures(hospital: int) -> dict[str, str]:
    return {measure: words[hospital] for measure, words in WORDS.items()}


def _patterns(mean: str, error: str, worst: str) -> dict[str, str]:
    return {"mean": mean, "error": error, "worst": worst}


BENIGN, MALIGNANT = DIAGNOSIS.levels
FINE, MEDIUM, COARSE = GRADE.levels

NORTHMERE = Dialect(
    site="northmere",
    format=Format("cytology-export.csv", newline="\n"),
    headers=Headers(
        measures=_measures(0),
        statistics=_patterns("{} (mean)", "{} (SE)", "{} (worst)"),
        grade="Chromatin texture",
        diagnosis="Diagnosis",
        person="Hospital number",
        full_name="Patient name",
        note="Comments",
        visit="Date of aspirate",
    ),
    gaps=Gaps(everywhere=("NA",), own={"symmetry": "not done"}),
    grades={"Fine": FINE, "Medium": MEDIUM, "Coarse": COARSE},
    diagnoses={"B": BENIGN, "BENIGN": BENIGN, "M": MALIGNANT, "Malignant": MALIGNANT},
    units={},
    person="NM-{:06d}",
    full_names=("Sample-{}, Jane", "Sample-{}, John", "Specimen-{}, Alex"),
    note='rang 555-0100, "will call back"',
)

BIRKENTAL = Dialect(
    site="birkental",
    format=Format("Zytologie.csv", ";", ",", encoding="utf-8-sig"),
    headers=Headers(
        measures=_measures(1),
        statistics=_patterns("{} Mittel", "{} Standardfehler", "{} Max"),
        grade="Chromatin",
        diagnosis="Befund",
        person="Patienten-Nr.",
        full_name="Name",
        note="Bemerkung",
        visit="Punktion am",
    ),
    gaps=Gaps(everywhere=("k.A.", "k. A."), own={"area": "999"}),
    grades={"fein": FINE, "mittel": MEDIUM, "grob": COARSE},
    diagnoses={"gutartig": BENIGN, "bösartig": MALIGNANT, "boesartig": MALIGNANT},
    units={"um": "mm", "um2": "mm2"},
    person="00{:06d}",
    full_names=("Erika Mustermann-{}", "Max Mustermann-{}", "Kim Beispiel-{}"),
    note='Rückruf; "dringend"',
    day="%d.%m.%Y",
)

VALCLAIRE = Dialect(
    site="valclaire",
    format=Format("cytoponctions.csv", ";", ",", encoding="latin-1", said="latin-1"),
    headers=Headers(
        measures=_measures(2),
        statistics=_patterns("{}, moyenne", "{}, erreur type", "{}, extrême"),
        grade="chromatine",
        diagnosis="résultat",
        person="n° de dossier",
        full_name="nom et prénom",
        note="remarque",
        visit="prélevé le",
    ),
    gaps=Gaps(everywhere=("n.d.", "-9"), own={}, also=("-9,0",)),
    grades={"fine": FINE, "moyenne": MEDIUM, "grossière": COARSE},
    diagnoses={"bénin": BENIGN, "Bénin": BENIGN, "malin": MALIGNANT},
    units={"1": "%"},
    person="VC/{:06d}/Z",
    full_names=("EXEMPLE-{} Zoé", "MODÈLE-{} André"),
    note="à revoir ; dossier prêté",
    day="%d/%m/%Y",
)

PORT_SELWYN = Dialect(
    site="port-selwyn",
    format=Format("CYTO.TSV", "\t", encoding="ascii", said="ascii"),
    headers=Headers(
        measures=_measures(3),
        statistics=_patterns("{}_M", "{}_SE", "{}_W"),
        grade="CHRO",
        diagnosis="DX",
        person="PID",
        full_name="PAT_NAME",
        note="REM",
    ),
    gaps=Gaps(everywhere=("-9",), own={"fractal_dimension": "#"}, also=("-9.00",)),
    grades={"1": FINE, "2": MEDIUM, "3": COARSE},
    diagnoses={"0": BENIGN, "1": MALIGNANT},
    units={},
    person="{:06d}PS",
    full_names=("DUMMY-{}^SAM", "DUMMY-{}^PAT"),
    note='SEE "OLD" FILE',
    absent="worst_symmetry",
)

HOSPITALS = (NORTHMERE, BIRKENTAL, VALCLAIRE, PORT_SELWYN)
"""From the largest to the smallest."""
