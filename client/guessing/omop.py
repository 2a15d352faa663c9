"""Guesses in an OMOP CDM: by standard concept, by what concepts are called, by values.

A concept that is not in our words is looked for among those that the database uses: by
its name in the table ``concept``, or by the hospital's own name for it.
"""

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing

from client.documents.mapping import Column, InOmop, Sql
from client.formats.raw import PERSON, Place
from client.guessing import events, vocabulary
from client.guessing.guess import LIKE, Guess, Guesses, Variable, alike, made, schema
from client.sources import opening
from common.schema import Image, Number, Prose

CONCEPTS = {
    "measurement": "measurement",
    "observation": "observation",
    "condition_occurrence": "condition",
    "drug_exposure": "drug",
}
"""How the concept's columns of each table begin."""
HAPPENED = ("condition", "drug")
NOTE = (
    "SELECT p.{person} AS person, COALESCE(n.note_datetime, n.note_date) AS time, "
    "n.note_text AS value FROM {schema}note n JOIN {schema}person p "
    "ON p.person_id = n.person_id WHERE n.note_class_concept_id = :kind"
)
MOST = 5
"""Concepts of one name that are tried, those of most people first."""


def is_one(tables: Mapping[str, Sequence[str]]) -> bool:
    """Tell whether a database has the tables and keys of an OMOP CDM."""
    return "gender_concept_id" in tables.get("person", ()) and any(
        f"{begin}_concept_id" in tables.get(table, ())
        for table, begin in CONCEPTS.items()
    )


def guesses(
    place: Place, asked: Sequence[Variable], tables: Mapping[str, Sequence[str]]
) -> Guesses:
    """Look for each variable among the concepts of *tables*."""
    for variable in asked:
        if isinstance(variable, Prose):
            yield from _text(place, variable, tables)
        elif not isinstance(variable, Image):
            yield from _known(place, variable, tables)


def _known(
    place: Place, variable: Variable, tables: Mapping[str, Sequence[str]]
) -> Guesses:
    """Yield the guess for the first concepts of which somebody has a fitting value."""
    for asked, more in (*_of_person(variable), *_of_event(variable, tables)):
        if guess := _tried(place, variable, asked, more):
            yield guess
            return
    for table, begin in CONCEPTS.items():
        value, more = _value(variable, begin)
        if table in tables and (value or more):
            for concept in _called(place, variable.name, table, tables):
                asked = _of(table, (concept,), value)
                if guess := _tried(place, variable, asked, more):
                    yield guess
                    return


def _tried(
    place: Place, variable: Variable, asked: InOmop, more: tuple[str, ...]
) -> Guess | None:
    """Return the guess that *asked* with *more* finds a variable, if it does."""
    said = tomllib.loads("\n".join(more))
    column = Column.model_validate({"omop": asked, **said})
    found = events.judged(variable, column, events.look(place, variable.name, column))
    if found is None:
        return None
    lines = (f"omop = {_inline(asked)}", *more, *found[0])
    return made(place, variable, lines, found[1])


def _of_person(variable: Variable) -> Iterator[tuple[InOmop, tuple[str, ...]]]:
    """Yield what may be asked for of the table of people, and the lines with it."""
    words = vocabulary.names(variable.name)
    if "age" in words:
        yield InOmop(table="person", value="birth"), ('elapsed = "years"',)
    if "sex" in words:
        yield InOmop(table="person", value="gender_concept_id"), ()


def _of_event(
    variable: Variable, tables: Mapping[str, Sequence[str]]
) -> Iterator[tuple[InOmop, tuple[str, ...]]]:
    """Yield what may be asked for by the concepts that we know of, and the lines."""
    term = vocabulary.term(variable.name)
    if term is None or not term.concepts:
        return
    for table, begin in CONCEPTS.items():
        value, more = _value(variable, begin)
        right = begin == term.happened if term.happened else bool(value)
        if table in tables and right and (value or more):
            if more and "concept_ancestor" in tables:
                yield _of(table, term.concepts, descendants=True), more
            yield _of(table, term.concepts, value), more


def _value(variable: Variable, begin: str) -> tuple[str | None, tuple[str, ...]]:
    """Return the column of a table that may hold a variable, or how events make it."""
    if begin in HAPPENED:
        return None, events.happened(variable)
    number = isinstance(variable, Number)
    return "value_as_number" if number else "value_as_concept_id", ()


def _of(
    table: str,
    concepts: tuple[int, ...],
    value: str | None = None,
    *,
    descendants: bool = False,
) -> InOmop:
    said = {"table": table, "concept": concepts, "descendants": descendants}
    return InOmop.model_validate({**said, "value": value})


def _inline(asked: InOmop) -> str:
    """Return *asked* as an inline table of TOML, without what goes without saying."""
    said = asked.model_dump(exclude_defaults=True, mode="json")
    if said.get("value") == "value_as_number":
        del said["value"]  # what is asked for when nothing is said
    pairs = ", ".join(f"{key} = {json.dumps(value)}" for key, value in said.items())
    return f"{{ {pairs} }}"


def _called(
    place: Place, name: str, table: str, tables: Mapping[str, Sequence[str]]
) -> list[int]:
    """Return the concepts of *table* that are called like *name*, most people first."""
    own, begin = f"{CONCEPTS[table]}_source_value", f"{CONCEPTS[table]}_concept_id"
    space = schema(place)
    named = f"FROM {space}{table} t WHERE LOWER(t.{own}) LIKE :word"
    froms = [named] if own in tables[table] else []
    joined = f"FROM {space}{table} t JOIN {space}concept c ON c.concept_id = "
    joined += f"t.{begin} WHERE LOWER(c.concept_name) LIKE :word"
    froms += [joined] if "concept_name" in tables.get("concept", ()) else []
    counted = f"SELECT t.{begin} AS person, COUNT(DISTINCT t.person_id) AS value"
    found: dict[int, int] = {}
    for text in froms:
        for word in vocabulary.names(name):
            query = f"{counted} {text} GROUP BY t.{begin}"
            found |= _counts(place, query, word)
    return sorted(found, key=lambda each: -found[each])[:MOST]


def _counts(place: Place, query: str, word: str) -> dict[int, int]:
    """Return how many people have each concept; 0 stands for none and is left out."""
    like = f"%{word.replace('_', '%')}%"
    column = Column(query=query, parameters={"word": like})
    counts: dict[int, int] = {}
    with closing(opening.read(place, {"concept": column})) as parts:
        for part in parts:
            people = part.cells["concept"].tolist()
            concepts = part.cells[PERSON].tolist()
            counts |= {int(c): int(n) for c, n in zip(concepts, people, strict=True)}
    counts.pop(0, None)
    return counts


def _text(
    place: Place, variable: Prose, tables: Mapping[str, Sequence[str]]
) -> Guesses:
    """Yield the class of notes that is titled like a text, or the only class."""
    if "note_class_concept_id" not in tables.get("note", ()):
        return
    space, source = schema(place), place.site.mapping.named[place.name]
    ask = (
        "SELECT n.note_class_concept_id AS person, MIN(n.note_title) AS value "  # noqa: S608 - the same
        f"FROM {space}note n GROUP BY n.note_class_concept_id"
    )
    look = {"titles": Column(query=ask)}
    titles: dict[str, str] = {}
    with closing(opening.read(place, look)) as parts:
        for part in parts:
            both = part.cells[PERSON].tolist(), part.cells["titles"].tolist()
            titles |= dict(zip(*both, strict=True))
    person = source.person if isinstance(source, Sql) else ""
    query = NOTE.format(person=person, schema=space)
    for kind, title in titles.items():
        like = alike(variable.name, title)
        if like >= LIKE or len(titles) == 1:
            why = "notes of this class are titled alike", 1.0 + like
            if like < LIKE:
                why = "the only class of notes", 1.0
            parameters = f"parameters = {{ kind = {int(kind)} }}"
            yield made(
                place, variable, (f"query = {json.dumps(query)}", parameters), why
            )
