"""Words by which a mapping may be guessed: what things are called, coded, and spelled.

A guess is shown to the steward, who decides. Spellings come from this list and never
from the records, so that a suggestion cannot repeat a cell that nobody expects.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True, slots=True)
class Term:
    """One thing that is often measured, or happens: its names and its codes.

    ``loinc`` and the OMOP ``concepts`` find it; of what ``happened`` the ``codes`` are
    those of ICD-10, or of RxNorm. ``dicom`` is the keyword of its element.
    """

    words: tuple[str, ...]
    loinc: tuple[str, ...] = ()
    concepts: tuple[int, ...] = ()
    happened: Literal["condition", "drug"] | None = None
    codes: tuple[str, ...] = ()
    dicom: str = ""


SYSTOLIC = ("systolic", "sbp", "systolisch", "systolique", "trestbps")
HEART = ("heart_rate", "hr", "pulse", "puls", "pouls", "thalach")
OXYGEN = ("oxygen_saturation", "saturation", "spo2", "sao2")
BREATHS = ("respiratory_rate", "respiration", "rr", "resp", "atemfrequenz")
RED = ("haemoglobin", "hemoglobin", "hb", "hämoglobin")
TERMS: Final = (
    Term(("age", "alter", "âge", "leeftijd", "edad"), dicom="PatientAge"),
    Term(("sex", "gender", "geschlecht", "sexe", "sexo"), dicom="PatientSex"),
    Term(
        ("cholesterol", "chol", "cholesterin", "cholestérol"), ("2093-3",), (3027114,)
    ),
    Term(("glucose", "glukose", "glycémie", "glu"), ("2345-7",), (3004501,)),
    Term(("creatinine", "kreatinin", "créatinine", "crea"), ("2160-0",), (3016723,)),
    Term(SYSTOLIC, ("8480-6",), (3004249,)),
    Term(("diastolic", "dbp", "diastolisch", "diastolique"), ("8462-4",), (3012888,)),
    Term(HEART, ("8867-4",), (3027018,)),
    Term(BREATHS, ("9279-1",), (3024171,)),
    Term(OXYGEN, ("2708-6", "59408-5"), (40762499,)),
    Term(("temperature", "temp", "temperatur", "température"), ("8310-5",), (3020891,)),
    Term(
        ("weight", "gewicht", "poids"), ("29463-7",), (3025315,), dicom="PatientWeight"
    ),
    Term(("height", "grösse", "größe", "taille"), ("8302-2",), (3036277,)),
    Term(("bmi", "body_mass_index"), ("39156-5",), (3038553,)),
    Term(("hba1c",), ("4548-4",), (3004410,)),
    Term(RED, ("718-7",), (3000963,)),
    Term(("platelets", "thrombozyten", "plaquettes", "plt"), ("777-3",), (3024929,)),
    Term(("leukocytes", "wbc", "leukozyten"), ("6690-2",), (3000905,)),
    Term(("smoking", "smoker", "tobacco", "rauchen"), ("72166-2",), (43054909,)),
    Term(
        ("diabetes", "diabetes_mellitus", "diabète", "t2dm"),
        concepts=(201820, 201826, 201254),
        happened="condition",
        codes=("E10*", "E11*", "E13*", "E14*"),
    ),
    Term(
        ("hypertension", "hypertonie"),
        concepts=(316866, 320128),
        happened="condition",
        codes=("I10*", "I11*", "I12*", "I13*", "I15*"),
    ),
    Term(
        ("heart_failure", "herzinsuffizienz"),
        concepts=(316139,),
        happened="condition",
        codes=("I50*",),
    ),
    Term(
        ("myocardial_infarction", "infarction", "herzinfarkt"),
        concepts=(4329847,),
        happened="condition",
        codes=("I21*", "I22*"),
    ),
    Term(
        ("atrial_fibrillation", "vorhofflimmern"),
        concepts=(313217,),
        happened="condition",
        codes=("I48*",),
    ),
    Term(
        ("statin", "statins", "statine"),
        concepts=(1545958, 1539403, 1510813, 1551860, 1592085, 1549686),
        happened="drug",
        codes=("83367", "36567", "301542", "42463", "6472", "41127"),
    ),
    Term(("note", "notes", "letter", "report", "discharge", "befund", "arztbrief")),
    Term(("abstract", "abstracts", "literature", "article", "paper")),
)
MISSING: Final = (
    *("NA", "N/A", "n/a", "na", "NULL", "null", "unknown", "?", "-", "--", "."),
    *("-1", "-9", "-99", "-999", "999", "9999"),
)
"""What stands for no value in many exports."""
BIRTH: Final = (
    *("birth", "born", "birth_date", "date_of_birth", "dob", "birthday"),
    *("geboren", "geburtsdatum", "geb_datum", "naissance", "date_de_naissance"),
)
"""What the column of a birth date is called."""
SPELLINGS: Final[Mapping[str, tuple[str, ...]]] = {
    "female": ("f", "w", "female", "weiblich", "femme", "féminin", "woman", "8532"),
    "male": ("m", "h", "male", "männlich", "homme", "masculin", "man", "8507"),
    "yes": ("yes", "y", "1", "true", "ja", "oui", "j", "o", "positive", "4188539"),
    "no": ("no", "n", "0", "false", "nein", "non", "negative", "4188540"),
    "never": (
        *("never", "never smoked", "never smoker", "never-smoker", "nie", "jamais"),
        *("266919005", "45879404", "LA18978-9"),
    ),
    "former": (
        *("former", "ex-smoker", "ex smoker", "former smoker", "ehemals"),
        *("8517006", "45883458", "LA15920-4"),
    ),
    "current": (
        *("current", "smoker", "current smoker", "raucher", "fumeur"),
        *("77176002", "449868002", "45881517", "LA18976-3"),
    ),
}
"""How a level may be spelled: words, and the codes of OMOP, SNOMED and LOINC."""


def term(name: str) -> Term | None:
    """Return what is known of a variable of this *name*, if anything is."""
    plain = name.casefold()
    return next((each for each in TERMS if plain in each.words), None)


def names(name: str) -> tuple[str, ...]:
    """Return everything a variable of this *name* may be called."""
    found = term(name)
    return (name, *found.words) if found else (name,)


def spellings(level: str) -> tuple[str, ...]:
    """Return how a declared level may be spelled."""
    return (level, *SPELLINGS.get(level.casefold(), ()))
