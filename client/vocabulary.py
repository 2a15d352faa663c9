"""Words by which a mapping may be guessed: what things are called, coded, and spelled.

A guess is shown to the steward, who decides. Spellings come from this list and never
from the records, so that a suggestion cannot repeat a cell that nobody expects.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Term:
    """One thing that is often measured: its names, and its LOINC codes."""

    words: tuple[str, ...]
    loinc: tuple[str, ...] = ()


TERMS: Final = (
    Term(("age", "alter", "âge", "leeftijd", "edad")),
    Term(("sex", "gender", "geschlecht", "sexe", "sexo")),
    Term(("cholesterol", "chol", "cholesterin", "cholestérol"), ("2093-3",)),
    Term(("glucose", "glukose", "glycémie", "glu"), ("2345-7",)),
    Term(("creatinine", "kreatinin", "créatinine", "crea"), ("2160-0",)),
    Term(("systolic", "sbp", "systolisch", "systolique", "trestbps"), ("8480-6",)),
    Term(("diastolic", "dbp", "diastolisch", "diastolique"), ("8462-4",)),
    Term(("heart_rate", "hr", "pulse", "puls", "pouls", "thalach"), ("8867-4",)),
    Term(("respiratory_rate", "rr", "atemfrequenz"), ("9279-1",)),
    Term(("oxygen_saturation", "spo2", "sao2"), ("2708-6", "59408-5")),
    Term(("temperature", "temp", "temperatur", "température"), ("8310-5",)),
    Term(("weight", "gewicht", "poids"), ("29463-7",)),
    Term(("height", "grösse", "größe", "taille"), ("8302-2",)),
    Term(("bmi", "body_mass_index"), ("39156-5",)),
    Term(("hba1c",), ("4548-4",)),
    Term(("haemoglobin", "hemoglobin", "hb", "hämoglobin"), ("718-7",)),
    Term(("platelets", "thrombozyten", "plaquettes", "plt"), ("777-3",)),
    Term(("leukocytes", "wbc", "leukozyten"), ("6690-2",)),
)
MISSING: Final = (
    *("NA", "N/A", "n/a", "na", "NULL", "null", "unknown", "?", "-", "--", "."),
    *("-1", "-9", "-99", "-999", "999", "9999"),
)
"""What stands for no value in many exports."""
SPELLINGS: Final[Mapping[str, tuple[str, ...]]] = {
    "female": ("f", "w", "female", "weiblich", "femme", "féminin", "woman"),
    "male": ("m", "h", "male", "männlich", "homme", "masculin", "man"),
    "yes": ("yes", "y", "1", "true", "ja", "oui", "j", "o", "positive"),
    "no": ("no", "n", "0", "false", "nein", "non", "negative"),
}


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
