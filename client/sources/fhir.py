"""Reads FHIR R4 bulk NDJSON: one value for each resource of a code that is mapped.

    Patient.ndjson   Observation.000.ndjson   Observation.001.ndjson   …

A resource that was entered in error, cancelled or refuted says nothing. Only the
elements in ``resources.py`` can be asked for, so no name, address or note is ever read.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from client.documents.mapping import Fhir, InFhir
from client.formats.raw import (
    PART,
    PERSON,
    TIME,
    Parts,
    Place,
    Raw,
    Wanted,
    frame,
    unit_of,
)
from client.sources import resources
from client.sources.resources import Fact, Resource

DEEPEST = 100
"""Merges of one patient into another that are followed, before it must be a circle."""


@dataclass(frozen=True, slots=True)
class Bulk:
    """One folder of exported resources, and where it stands."""

    source: Fhir
    place: Place

    def files(self, kind: str) -> list[Path]:
        """Return the files of resources of one *kind*, by name."""
        folder = self.place.path(self.source.folder)
        found = folder.glob("*.ndjson") if folder.is_dir() else ()
        return sorted(path for path in found if kind in path.name.split("."))


@dataclass(slots=True, repr=False)
class Buffer:
    """The facts of one variable that were read and not yet passed on."""

    file: str = ""
    numbers: list[int] = field(default_factory=list)
    people: list[str] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)


def read(source: Fhir, wanted: Wanted, place: Place) -> Parts:
    """Yield one part for each variable and file, or more, numbered by line.

    Raises DataError for a folder without such a file, and for a line that is no
    resource: with its file and line, and nothing of what it holds.
    """
    bulk = Bulk(source, place)
    asked = {name: _asked(bulk, name, wanted[name].fhir) for name in wanted}
    people = _people(bulk)
    for kind in sorted({each.resource for each in asked.values()}):
        named = {n: each for n, each in asked.items() if each.resource == kind}
        for path in _present(bulk, kind):
            yield from _parts(bulk, path, named, people)


def probe(source: Fhir, wanted: Wanted, place: Place) -> int:
    """Return how many variables have files to be found in; no line is read."""
    bulk = Bulk(source, place)
    for name, column in wanted.items():
        _present(bulk, _asked(bulk, name, column.fhir).resource)
    return len(wanted)


def _asked(bulk: Bulk, name: str, asked: InFhir | None) -> InFhir:
    """Return what is asked for; raise DataError for what is never read."""
    if asked is None:
        fix = f'[columns.{name}]\nfhir = {{ resource = "Observation", code = ["…"] }}'
        what = f"nothing says which resource holds {name}"
        raise bulk.place.told(what, ("columns", name), fix)
    allowed = resources.VALUES[asked.resource]
    if asked.value is not None and asked.value not in allowed:
        what = f"{name} asks for {asked.value!r} of {asked.resource}: never read"
        fix = f"value = one of: {', '.join(allowed)}"
        raise bulk.place.told(what, ("columns", name, "fhir"), fix)
    if not asked.code and asked.resource == "Observation":
        what = f"{name} asks for every Observation"
        fix = 'fhir = { resource = "Observation", code = ["…"] }'
        raise bulk.place.told(what, ("columns", name, "fhir"), fix)
    return asked


def _present(bulk: Bulk, kind: str) -> list[Path]:
    found = bulk.files(kind)
    if not found:
        name = bulk.place.path(bulk.source.folder).name
        what = f"{name} holds no {kind}.ndjson"
        raise bulk.place.unreadable(what, "folder", "export it, or correct `folder`")
    return found


def _parts(
    bulk: Bulk, path: Path, named: dict[str, InFhir], people: dict[str, str]
) -> Parts:
    """Yield what one file says of each of the *named* variables."""
    buffers = {name: Buffer(path.name) for name in named}
    for number, resource in _resources(bulk, path):
        person = resources.person(resource)
        who = people.get(person, "" if people else person)
        for name, asked in named.items():
            buffer = buffers[name]
            for fact in resources.facts(resource, asked):
                buffer.numbers.append(number)
                buffer.people.append(who)
                buffer.facts.append(fact)
            if len(buffer.facts) >= PART:
                yield _raw(name, buffer)
                buffers[name] = Buffer(path.name)
    for name, buffer in buffers.items():
        yield _raw(name, buffer)


def _raw(name: str, buffer: Buffer) -> Raw:
    facts = buffer.facts
    cells = {
        PERSON: buffer.people,
        TIME: [fact.time for fact in facts],
        name: [fact.value for fact in facts],
        unit_of(name): [fact.unit for fact in facts],
    }
    return Raw(frame(cells, buffer.numbers), f"{buffer.file} line")


def _resources(bulk: Bulk, path: Path) -> Iterator[tuple[int, Resource]]:
    """Yield (line, resource); blank lines are none."""
    number = 0
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, _resource(bulk, f"{path.name} line {number}", line)
    except OSError as broken:
        what = f"{path.name} cannot be read after line {number}"
        fix = f"export it again ({type(broken).__name__})"
        raise bulk.place.unreadable(what, "folder", fix) from None


def _resource(bulk: Bulk, where: str, line: bytes) -> Resource:
    try:
        found = json.loads(line)
        if b"\\u" in line:  # half a letter is valid JSON, and no text
            json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError):  # a decoder quotes what it could not read
        found = None
    if not isinstance(found, dict):
        what = f"{where} is no resource: cut short, or not JSON"
        raise bulk.place.unreadable(what, "folder", "export it again")
    return found


def _people(bulk: Bulk) -> dict[str, str]:
    """Return who is behind each patient's id; nothing when the id says it.

    Patients that were merged into others are those others.
    """
    names: dict[str, str] = {}
    others: dict[str, str] = {}
    for path in bulk.files("Patient"):
        for _, patient in _resources(bulk, path):
            own = resources.text(patient.get("id"))
            names[own] = resources.identifier(patient, bulk.source.person)
            if other := resources.replaced_by(patient):
                others[own] = other
    if not others and bulk.source.person == "id":
        return {}
    return {own: names.get(_last(bulk, own, others), "") for own in names}


def _last(bulk: Bulk, own: str, others: dict[str, str]) -> str:
    """Follow the merges of a patient to the last; raise DataError for a circle."""
    for _ in range(DEEPEST):
        if own not in others:
            return own
        own = others[own]
    what = "patients are merged into each other in a circle"
    raise bulk.place.unreadable(what, "folder", "mend Patient.link in the export")
