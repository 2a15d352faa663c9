"""Guesses in FHIR R4: the codes and elements that a variable usually has."""

from collections.abc import Iterator, Sequence

from client.documents.mapping import Column, InFhir
from client.formats.raw import Place
from client.guessing import events, vocabulary
from client.guessing.guess import Guesses, Variable, made
from common.schema import Prose

HAPPENED = {"condition": "Condition", "drug": "MedicationRequest"}
Line = tuple[tuple[str, ...], Column]
"""What a guess says beside the values, and how they are read."""


def guesses(place: Place, asked: Sequence[Variable]) -> Guesses:
    """Look for the codes and elements that each variable usually has."""
    for variable in asked:
        if isinstance(variable, Prose):
            continue
        for lines, column in _elements(variable):
            look = events.look(place, variable.name, column)
            if found := events.judged(variable, column, look):
                yield made(place, variable, (*lines, *found[0]), found[1])


def _elements(variable: Variable) -> Iterator[Line]:
    words = vocabulary.names(variable.name)
    if "sex" in words:
        found = InFhir(resource="Patient", value="gender")
        yield ('fhir = { resource = "Patient", value = "gender" }',), Column(fhir=found)
    if "age" in words:
        found = InFhir(resource="Patient", value="birthDate")
        line = 'fhir = { resource = "Patient", value = "birthDate" }'
        yield (line, 'elapsed = "years"'), Column(fhir=found, elapsed="years")
    term = vocabulary.term(variable.name)
    if term and term.loinc:
        found = InFhir(resource="Observation", code=term.loinc)
        yield (_line("Observation", term.loinc),), Column(fhir=found)
    happened = events.happened(variable)
    if term and term.happened and happened:
        resource = HAPPENED[term.happened]
        found = InFhir.model_validate({"resource": resource, "code": term.codes})
        column = Column(fhir=found, pick="any")
        yield (_line(resource, term.codes), *happened), column


def _line(resource: str, codes: Sequence[str]) -> str:
    said = ", ".join(f'"{code}"' for code in codes)
    return f'fhir = {{ resource = "{resource}", code = [{said}] }}'
