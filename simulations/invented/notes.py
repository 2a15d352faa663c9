"""Writes a doctor's note and the abstract that the ward read, with identifiers in them.

A grammar of plain sentences about what is true of the person. Each note comes twice: as
the ward wrote it, and as it would be with every identifier replaced by the word that
stands for it. The second is what masking is held against.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from types import MappingProxyType

import numpy as np

from simulations.invented.patients import Person

FIRST = ("Ada", "Bruno", "Chiara", "Dag", "Elif", "Femi", "Greta", "Hugo")
LAST = ("Exempel", "Muster", "Placeholder", "Sampleton", "Fictus", "Nemo", "Beispiel")
MASKS: Mapping[str, str] = MappingProxyType(
    {
        "name": "[name]",
        "date": "[date]",
        "phone": "[phone]",
        "email": "[email]",
        "record": "[number]",
    }
)
SEVERITY = (
    ("lungs are clear on both sides", "no oedema of the legs", "breathing is quiet"),
    ("fine crackles at the left base", "slight oedema of the ankles", "some wheeze"),
    ("coarse crackles at both bases", "marked oedema of the legs", "short of breath"),
)
"""What is heard and seen, by how bad heart and lungs are."""

FINDINGS = (
    "shorter stays were not followed by more readmissions",
    "telephone visits reduced readmission in heart failure",
    "low saturation before discharge predicted readmission and death",
)
TOPICS = ("elective surgery", "chronic heart failure", "respiratory failure")
CUTS = (-0.2, 1.0)
GENDERS = {"female": "woman", "male": "man"}


@dataclass(frozen=True, slots=True, repr=False)
class Written:
    """A text as it stands in the file, as it must read masked, and what was masked."""

    said: str
    masked: str
    identifiers: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Case:
    """Whom a text is about: what the ward knows of the stay besides the values."""

    person: Person
    record: str
    admitted: date


def note(case: Case, rng: np.random.Generator) -> Written:
    """Return the ward's note on *case*."""
    worst = _severity(case.person, rng)
    values = case.person.values
    seen = " and ".join(_some(SEVERITY[worst], 2, rng))
    lines = [
        "Seen by {name} on {date}, record no. {record}.",
        f"A {GENDERS[str(values['sex'])]} who came short of breath.",
        f"On examination {seen}.",
        "Known type 2 diabetes." if values["diabetes"] == "yes" else "No diabetes.",
        f"Smoking: {values['smoking']}.",
        _some(PLANS[worst], 1, rng)[0],
        *_some(CONTACTS, int(rng.integers(1, 4)), rng),
    ]
    return _fill("\n".join(lines), case, rng)


PLANS = (
    ("Discharged home in good condition.", "Home, seen again by the family doctor."),
    ("Diuretics for a week, then a visit.", "Stays another night for observation."),
    ("Needs oxygen at home, nurse to visit.", "Intravenous diuretics, fluid chart."),
)
CONTACTS = (
    "Daughter can be reached at {phone}.",
    "Letter sent to {email}.",
    "Next visit {date} with {name}.",
    "Earlier files under MRN {record}.",
    "Copy to {name}, telephone {phone}.",
)


def abstract(case: Case, rng: np.random.Generator) -> Written:
    """Return the abstract of a paper that does not exist, which the ward read."""
    worst = _severity(case.person, rng)
    lines = [
        f"Background: readmission after {TOPICS[worst]} is common.",
        f"Methods: a cohort of {int(rng.integers(2, 90)) * 100} adults.",
        f"Results: {FINDINGS[worst]}.",
        "Correspondence: {email}.",
    ]
    return _fill("\n".join(lines), case, rng)


def _severity(person: Person, rng: np.random.Generator) -> int:
    _, heart, lungs = person.state
    return sum(max(heart, lungs) + 0.3 * rng.standard_normal() > cut for cut in CUTS)


def _some(said: Sequence[str], number: int, rng: np.random.Generator) -> list[str]:
    chosen = sorted(rng.choice(len(said), number, replace=False).tolist())
    return [said[index] for index in chosen]


def _fill(text: str, case: Case, rng: np.random.Generator) -> Written:
    """Put a made-up identifier in each gap of *text*, and its mask in the other."""
    said, masked = text, text
    found = {kind: text.count(f"{{{kind}}}") for kind in MASKS}
    for kind, number in found.items():
        for _ in range(number):
            said = said.replace(f"{{{kind}}}", _identifier(kind, case, rng), 1)
        masked = masked.replace(f"{{{kind}}}", MASKS[kind])
    return Written(said, masked, {kind: n for kind, n in found.items() if n})


def _identifier(kind: str, case: Case, rng: np.random.Generator) -> str:
    first, last = FIRST[int(rng.integers(8))], LAST[int(rng.integers(7))]
    if kind == "name":
        title = ("Dr.", "Mr", "Mrs", "Prof.", "Dr")[int(rng.integers(5))]
        return f"{title} {last}" if rng.random() < 0.5 else f"{title} {first} {last}"  # noqa: PLR2004
    if kind == "date":
        day = case.admitted + timedelta(days=int(rng.integers(0, 30)))
        return f"{day:{DAYS[int(rng.integers(len(DAYS)))]}}"
    if kind == "phone":
        return f"+49 30 555 {int(rng.integers(10, 99))} {int(rng.integers(100, 999))}"
    if kind == "email":
        return f"{first.lower()}.{last.lower()}@mail.example"
    return case.record


DAYS = ("%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y", "%d %B %Y", "%B %d, %Y")
