"""Reads a TOML file into a frozen model and says on which line it went wrong."""

import difflib
import inspect
import re
import tomllib
import typing
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from common.errors import StudyError

Location = tuple[str | int, ...]
Model = typing.TypeVar("Model", bound=BaseModel)
_TABLE = re.compile(r"^\s*\[(?P<many>\[)?\s*(?P<name>[^\[\]]+?)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(r"""^\s*(?P<key>[A-Za-z0-9_-]+|"[^"]*"|'[^']*')\s*[.=]""")
_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")
SPELLING = {
    r"^[a-z][a-z0-9_]*$": "small letters, digits and _, a letter first",
    r"^[a-z0-9][a-z0-9-]*$": "small letters, digits and -",
}
"""How names are spelled, in words."""


def read(path: Path, model: type[Model], then: str) -> Model:
    """Return *path* as a *model*; *then* is the command to run once it is mended.

    Raises StudyError with file, line, cause and fix for anything that does not fit.
    """
    text = _text(path, model, then)
    try:
        return model.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as broken:
        what = f"{path.name} is not valid TOML: {str(broken).lower()}"
        raise StudyError(what, where=str(path), then=then) from None
    except ValidationError as invalid:
        raise _explain(path, text, model, invalid, then) from None


def line_of(text: str, location: Location) -> int:
    """Return the 1-based line of *location*, or of its nearest written parent."""
    lines = _index(text)
    keys = tuple(key for key in location if key != "__root__")
    while keys and keys not in lines:
        keys = keys[:-1]
    return lines.get(keys, 1)


def noted(key: str, what: str, fix: str = "") -> ValueError:
    """Return the error *what* about a *key* far from where it is found out.

    A model's own checks raise it; it is told on the line of the key, with its *fix*.
    """
    error = ValueError(what)
    error.add_note(key)
    error.add_note(fix)
    return error


def suggest(word: str, known: typing.Iterable[str]) -> str:
    """Return the known word nearest to *word*, or nothing when none is near."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return near[0] if near else ""


def _text(path: Path, model: type[BaseModel], then: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        what = f"there is no file {path}"
        raise StudyError(what, fix=f"check the path; {_begin(model)}") from None
    except (OSError, UnicodeDecodeError) as broken:
        what = f"{path} cannot be read as UTF-8 text ({type(broken).__name__})"
        raise StudyError(what, then=then) from None


def _begin(model: type[BaseModel]) -> str:
    """Return how a file of this kind comes into being."""
    if model.__name__ == "Study":
        return "`consilium study new NAME` writes a study to start from"
    return "docs/files.md says what stands in it"


def _index(text: str) -> dict[Location, int]:
    """Return the line of every table and key; tables in an array are numbered."""
    lines: dict[Location, int] = {}
    counts: dict[Location, int] = {}
    table: Location = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if found := _TABLE.match(line):
            table = _numbered(_parts(found["name"]), counts, many=bool(found["many"]))
            lines[table] = number
        elif found := _KEY.match(line):
            key, _, _ = line.partition("=")
            lines.setdefault((*table, *_parts(key)), number)
    return lines


def _numbered(
    name: tuple[str, ...], counts: dict[Location, int], *, many: bool
) -> Location:
    """Return *name* with the index of each array of tables on its way."""
    place: Location = ()
    for depth, part in enumerate(name, start=1):
        place = (*place, part)
        if many and depth == len(name):
            counts[place] = counts.get(place, -1) + 1
        if place in counts:
            place = (*place, counts[place])
    return place


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in _PART.findall(dotted))


def _explain(
    path: Path, text: str, model: type[BaseModel], invalid: ValidationError, then: str
) -> StudyError:
    """Turn pydantic's first finding into an error that a person can act upon."""
    found = invalid.errors(include_url=False)
    unknown = [each for each in found if each["type"] == "extra_forbidden"]
    first = (unknown or found)[0]
    named = first["type"] in {"missing", "extra_forbidden"}
    document = tomllib.loads(text)
    place = _without_tags(first["loc"], document, keep_last=named)
    at, noted_fix = _notes(first.get("ctx", {}).get("error"))
    place = place or tuple(at.split(".") if at else ())
    where = f"{path} line {line_of(text, place)}"
    written = ".".join(str(part) for part in place) or path.name
    lines = [line_of(text, _without_tags(each["loc"], document)) for each in found]
    likely = _others(lines, lines[found.index(first)])
    if first["type"] == "extra_forbidden":
        known = _keys_beside(model, place)
        near = suggest(str(place[-1]), known)
        fix = f"did you mean `{near}`?" if near else "known: " + ", ".join(known)
        what = f"unknown key `{written}`"
    elif first["type"] == "missing":
        what, fix = f"`{written}` is missing", f"add `{place[-1]} = …`"
    elif first["type"] == "union_tag_invalid":
        ctx = first["ctx"]
        key = ctx["discriminator"].strip("'")
        known = [tag.strip("' ") for tag in ctx["expected_tags"].split(",")]
        near = suggest(ctx["tag"], known)
        fix = f'did you mean "{near}"?' if near else "known: " + ", ".join(known)
        what = f'`{written}`: there is no {key} "{ctx["tag"]}"'
        where = f"{path} line {line_of(text, (*place, key))}"
    else:
        said = SPELLING.get(first.get("ctx", {}).get("pattern", ""), first["msg"])
        said = said.removeprefix("Value error, ")
        fix = noted_fix or _fix(place[-1] if place else 0, first)
        what = f"`{written}`: {said[:1].lower()}{said[1:]}"
    return StudyError(what, where=where, likely=likely, fix=fix, then=then)


def _notes(error: object) -> tuple[str, str]:
    """Return the key and the fix that a check of the whole file noted on its error."""
    notes = getattr(error, "__notes__", None)
    return (notes[0], notes[1]) if notes else ("", "")


def _others(lines: Sequence[int], first: int) -> str:
    """Say on which *lines* there is more to mend; one value is wrong in one way."""
    others = sorted(set(lines) - {first})
    many = "s" if len(others) > 1 else ""
    told = ", ".join(map(str, others))
    return f"more to mend on line{many} {told}" if others else ""


def _fix(key: str | int, found: ErrorDetails) -> str:
    """Return what may stand under *key* instead, where the declared type says it.

    The place of an element in a list is no key: of it the value alone is given.
    """
    ctx, given = found.get("ctx", {}), str(found["input"])
    begin = f"{key} = " if isinstance(key, str) else ""
    if found["type"] == "literal_error":
        known = re.findall(r"'([^']*)'", ctx["expected"])
        near = suggest(given, known)
        return f'did you mean "{near}"?' if near else "known: " + ", ".join(known)
    if found["type"] == "string_pattern_mismatch":
        words = re.findall(r"[a-z0-9]+", given.lower())
        spelled = ("-".join(words), "_".join(words))
        fits = [each for each in spelled if re.search(ctx["pattern"], each)]
        return f'{begin}"{fits[0]}"' if fits else ""
    bound = ctx.get("ge", ctx.get("le"))
    return f"{begin}{bound}" if bound is not None else ""


def _without_tags(
    location: Location, document: object, *, keep_last: bool = False
) -> Location:
    """Drop what pydantic adds to a location (tags of unions), keep what is written."""
    place: list[str | int] = []
    for depth, part in enumerate(location):
        last = keep_last and depth == len(location) - 1
        if isinstance(document, dict) and part in document:
            document = document[part]
        elif isinstance(document, list) and isinstance(part, int):
            document = document[part] if part < len(document) else None
        elif not last:
            continue
        place.append(part)
    return tuple(place)


def _keys_beside(model: type[BaseModel], place: Location) -> list[str]:
    """Return every key that may stand where the unknown one stands."""
    models = [model]
    for part in place[:-1]:
        if isinstance(part, int):
            continue
        fields = [known[part] for known in map(_fields, models) if part in known]
        inner = [found for field in fields for found in _models_in(field.annotation)]
        models = inner or models
    return sorted({key for each in models for key in _fields(each)})


def _fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return the fields of *model* by the key that is written in the file."""
    return {each.alias or name: each for name, each in model.model_fields.items()}


def _models_in(annotation: object) -> list[type[BaseModel]]:
    """Return every model named inside a type: ``tuple[Number | Category, ...]``."""
    if inspect.isclass(annotation) and typing.get_origin(annotation) is None:
        return [annotation] if issubclass(annotation, BaseModel) else []
    return [found for arg in typing.get_args(annotation) for found in _models_in(arg)]
