"""What one FHIR resource says of a variable: when, which value, in which unit.

Whatever shape a resource has, reading it never fails: what is not where FHIR R4 has it
is not there. The elements that can be asked for are listed here, and no others exist.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from client.documents.mapping import InFhir

Resource = Mapping[str, Any]
VALUES: Final[Mapping[str, tuple[str, ...]]] = {
    "Patient": ("birthDate", "gender", "deceasedDateTime", "deceasedBoolean"),
    "Observation": ("value",),
    "Condition": ("code",),
    "Encounter": ("class", "period.start", "period.end"),
    "MedicationRequest": ("code",),
}
"""What can be asked for; the first is what is asked for when nothing is said."""
TIMES: Final[Mapping[str, tuple[str, ...]]] = {
    "Patient": (),
    "Observation": (
        *("effectiveDateTime", "effectivePeriod.start"),
        *("effectiveInstant", "issued"),
    ),
    "Condition": ("onsetDateTime", "onsetPeriod.start", "recordedDate"),
    "Encounter": ("period.start",),
    "MedicationRequest": ("authoredOn",),
}
CODES: Final[Mapping[str, tuple[str, ...]]] = {
    "Patient": (),
    "Observation": ("code",),
    "Condition": ("code",),
    "Encounter": ("type", "class"),
    "MedicationRequest": ("medicationCodeableConcept",),
}
UNSAID: Final = {"entered-in-error", "cancelled", "refuted"}


@dataclass(frozen=True, slots=True, repr=False)
class Fact:
    """One value as text, with its day and its unit, which may be empty."""

    time: str
    value: str
    unit: str = ""


def facts(resource: Resource, asked: InFhir) -> Iterator[Fact]:
    """Yield what *resource* says of the variable: nothing, a value, or components."""
    if resource.get("resourceType") != asked.resource or _unsaid(resource):
        return
    time = _first(resource, TIMES[asked.resource])
    if asked.resource == "Observation":
        for each in (resource, *_list(resource.get("component"))):
            if isinstance(each, dict) and _codes(each, "Observation", asked):
                yield Fact(time, *_value(each))
    elif asked.resource == "Patient":
        yield Fact("", _at(resource, asked.value or VALUES["Patient"][0]))
    elif found := _codes(resource, asked.resource, asked):
        value = asked.value or VALUES[asked.resource][0]
        said = _at(resource, value) if "." in value else found[0]
        yield Fact(time, _class(resource) if value == "class" else said)


def person(resource: Resource) -> str:
    """Return the id of the patient whom a resource is about, or nothing."""
    if resource.get("resourceType") == "Patient":
        return text(resource.get("id"))
    return _patient(_at(resource, "subject.reference"))


def _patient(reference: str) -> str:
    """Return the id of the patient in a reference; nothing for a group or a device."""
    whole = reference.removeprefix("urn:uuid:").split("/_history")[0]
    kind, apart, own = whole.rpartition("/")
    return own if not apart or kind.rpartition("/")[2] == "Patient" else ""


def identifier(patient: Resource, system: str) -> str:
    """Return the patient's id, or the identifier of a *system*; empty without one."""
    if system == "id":
        return text(patient.get("id"))
    for each in _list(patient.get("identifier")):
        if isinstance(each, dict) and each.get("system") == system:
            return text(each.get("value"))
    return ""


def replaced_by(patient: Resource) -> str:
    """Return the id of the patient into whom this one was merged, if any."""
    for each in _list(patient.get("link")):
        if isinstance(each, dict) and each.get("type") == "replaced-by":
            return _patient(_at(each, "other.reference"))
    return ""


def text(value: object) -> str:
    """Return a JSON value as a cell; empty for what is none."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else ""


def _unsaid(resource: Resource) -> bool:
    """Tell whether a resource takes back what it says."""
    said = {code for _, code in _coded(resource.get("verificationStatus"))}
    said.add(text(resource.get("status")))
    return bool(said & UNSAID) or resource.get("doNotPerform") is True


def _codes(resource: Resource, kind: str, asked: InFhir) -> list[str]:
    """Return the codes of a resource that are asked for: all, if none is named."""
    found = [pair for key in CODES[kind] for pair in _coded(resource.get(key))]
    return [
        code
        for system, code in found
        if asked.system in (None, system)
        and (not asked.code or any(_is(code, each) for each in asked.code))
    ]


def _is(code: str, asked: str) -> bool:
    return code.startswith(asked[:-1]) if asked.endswith("*") else code == asked


def _coded(concept: object) -> list[tuple[str, str]]:
    """Return (system, code) of a coding, a concept, or a list of them."""
    found: list[tuple[str, str]] = []
    for each in _list(concept):
        if isinstance(each, dict):
            codings = _list(each.get("coding")) or [each]
            found += [
                (text(coding.get("system")), text(coding.get("code")))
                for coding in codings
                if isinstance(coding, dict) and coding.get("code")
            ]
    return found


def _class(resource: Resource) -> str:
    coded = _coded(resource.get("class"))
    return coded[0][1] if coded else ""


def _value(observation: Resource) -> tuple[str, str]:
    """Return the value of an Observation or a component of it, and its unit."""
    quantity = observation.get("valueQuantity")
    if isinstance(quantity, dict):
        unit = text(quantity.get("code")) or text(quantity.get("unit"))
        return text(quantity.get("value")), unit
    if coded := _coded(observation.get("valueCodeableConcept")):
        return coded[0][1], ""
    keys = ("valueInteger", "valueBoolean", "valueString", "valueDateTime")
    return _first(observation, keys), ""


def _first(resource: Resource, paths: tuple[str, ...]) -> str:
    return next((said for path in paths if (said := _at(resource, path))), "")


def _at(resource: Resource, path: str) -> str:
    """Return the text at a path such as ``period.start``; or nothing."""
    found: object = resource
    for key in path.split("."):
        found = found.get(key) if isinstance(found, dict) else None
    return text(found)


def _list(value: object) -> list[Any]:
    if isinstance(value, list):
        return value
    return [] if value is None else [value]
