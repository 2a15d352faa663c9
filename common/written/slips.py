"""What a person wrote wrong in a file, and what to write instead."""

import difflib
import inspect
import json
import re
import tomllib
import typing
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from common.errors import ConsiliumError, StudyError
from common.written.toml_lines import Location, line_of, parts

End = typing.TypeVar("End", bound=ConsiliumError)

SPELLING = {
    r"^[a-z][a-z0-9_]*$": "small letters, digits and _, a letter first",
    r"^[a-z0-9][a-z0-9-]*$": "small letters, digits and -",
}
"""How names are spelled, in words."""
USUAL = {"ridge": "1.0", "test": "0.3"}
"""What a key that may not be left out holds in most studies."""
PERCENT = 100
LISTS = {"tuple_type": "this must be a list", "list_type": "this must be a list"}


def noted(key: str, what: str, fix: str = "") -> ValueError:
    """Return the error *what* about a *key*, far from where it is found out.

    A table's own checks raise it; it is told on the line of the key, with its *fix*.
    Within the table the key is dotted, and an element of a list is its number.
    """
    error = ValueError(what)
    error.add_note(key)
    error.add_note(fix)
    return error


def of_key(key: str, end: End) -> End:
    """Return the *end* of a study as one about a *key*, whose file is far from here."""
    end.add_note(key)
    return end


def key_of(end: BaseException) -> str:
    """Return the key that an error is about, as :func:`of_key` noted it, or nothing."""
    return next(iter(getattr(end, "__notes__", ())), "")


@contextmanager
def locating(path: Path, then: str) -> Iterator[None]:
    """Say of every error in between where in the study at *path* its key stands."""
    try:
        yield
    except ConsiliumError as end:
        located(end, path, then)
        raise


def located(end: ConsiliumError, path: Path, then: str) -> None:
    """Say where in the study at *path* the key stands that ended it, and what is next.

    An *end* that is about no key, or says where already, stays as it is.
    """
    key = key_of(end)
    if key and not end.hints["where"]:
        line = line_of(path.read_text(encoding="utf-8"), parts(key))
        end.hints |= {"where": f"{path} line {line}", "then": then}


def suggest(word: str, known: Iterable[str]) -> str:
    """Return the known word nearest to *word*, or nothing when none is near."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return near[0] if near else ""


def nearest(word: str, known: Iterable[str], quote: str = '"') -> str:
    """Return the fix of a *word* that is none of the *known* ones."""
    known = list(known)
    near = suggest(word, known)
    listed = ", ".join(known) or "nothing is declared"
    return f"did you mean {quote}{near}{quote}?" if near else f"known: {listed}"


@dataclass(frozen=True)
class Slip:
    """One thing to mend: what is wrong, where it is written, what to write."""

    what: str
    place: Location
    fix: str


def explained(
    path: Path, text: str, model: type[BaseModel], invalid: ValidationError, then: str
) -> StudyError:
    """Turn what pydantic found in *text* into an error that a person can act upon."""
    found = invalid.errors(include_url=False)
    unknown = [each for each in found if each["type"] == "extra_forbidden"]
    first, document = (unknown or found)[0], tomllib.loads(text)
    slip = _slip(first, found, document, model)
    lines = [line_of(text, _place(each, document)) for each in found]
    here = line_of(text, slip.place)
    likely = _others(lines, {here, lines[found.index(first)]})
    where = f"{path} line {here}"
    return StudyError(slip.what, where=where, likely=likely, fix=slip.fix, then=then)


def _slip(
    first: ErrorDetails,
    found: Sequence[ErrorDetails],
    document: object,
    model: type[BaseModel],
) -> Slip:
    place = _place(first, document)
    written = ".".join(map(str, place)) or "the file"
    if first["type"] == "extra_forbidden":
        return _unknown(place, document, model)
    if first["type"] == "missing":
        return _missing([_place(each, document) for each in found if _absent(each)])
    if first["type"] == "union_tag_invalid":
        ctx = first["ctx"]
        key = ctx["discriminator"].strip("'")
        fix = nearest(ctx["tag"], _quoted(ctx["expected_tags"]))
        what = f'`{written}`: there is no {key} "{ctx["tag"]}"'
        return Slip(what, (*place, key), fix)
    said = SPELLING.get(first.get("ctx", {}).get("pattern", ""), first["msg"])
    said = LISTS.get(first["type"], said)
    said = said.removeprefix("Value error, ")
    fix = _notes(first)[1] or _fix(place[-1] if place else 0, first)
    return Slip(f"`{written}`: {said[:1].lower()}{said[1:]}", place, fix)


def _unknown(place: Location, document: object, model: type[BaseModel]) -> Slip:
    """Tell of a key that is none here: one of another kind, or a slip of the pen."""
    key, written, beside = str(place[-1]), ".".join(map(str, place)), document
    for part in place[:-1]:
        beside = typing.cast("typing.Any", beside)[part]
    kind = beside.get("kind") if isinstance(beside, dict) else None
    every = _beside(model, place)
    own = [each for each in every if kind in _kinds(each)] or every
    taking = [name for each in every if key in _fields(each) for name in _kinds(each)]
    if taking:
        fix = f"leave it out; it is of {', '.join(taking)}"
        return Slip(f'`{written}` is no key of kind "{kind}"', place, fix)
    known = sorted({name for each in own for name in _fields(each)})
    return Slip(f"unknown key `{written}`", place, nearest(key, known, "`"))


def _missing(places: Sequence[Location]) -> Slip:
    """Tell of every key that is missing beside the first one."""
    beside = [each for each in places if each[:-1] == places[0][:-1]]
    names = ", ".join(f"`{'.'.join(map(str, each))}`" for each in beside)
    usual = ((each[-1], USUAL.get(str(each[-1]), "…")) for each in beside)
    lines = ", ".join(f"`{key} = {value}`" for key, value in usual)
    be = "is" if len(beside) == 1 else "are"
    return Slip(f"{names} {be} missing", places[0], f"add {lines}")


def _absent(found: ErrorDetails) -> bool:
    return found["type"] == "missing"


def _notes(found: ErrorDetails) -> tuple[str, str]:
    """Return the key and the fix that a check noted on its error."""
    notes = getattr(found.get("ctx", {}).get("error"), "__notes__", None)
    return (notes[0], notes[1]) if notes else ("", "")


def _others(lines: Sequence[int], told: set[int]) -> str:
    """Say on which *lines* there is more to mend; one value is wrong in one way."""
    others = sorted(set(lines) - told)
    many = "s" if len(others) > 1 else ""
    listed = ", ".join(map(str, others))
    return f"more to mend on line{many} {listed}" if others else ""


def _fix(key: str | int, found: ErrorDetails) -> str:
    """Return what may stand under *key* instead, where the declared type says it.

    The place of an element in a list is no key: of it the value alone is given.
    """
    ctx, given = found.get("ctx", {}), str(found["input"])
    begin = f"{key} = " if isinstance(key, str) else ""
    if found["type"] == "literal_error":
        return nearest(given, _quoted(ctx["expected"]))
    if found["type"] == "string_pattern_mismatch":
        words = re.findall(r"[a-z0-9]+", given.lower())
        spelled = ("-".join(words), "_".join(words))
        fits = [each for each in spelled if re.search(ctx["pattern"], each)]
        return f'{begin}"{fits[0]}"' if fits else ""
    if found["type"] in LISTS:
        return f'{begin}["{given}", "…"]' if isinstance(found["input"], str) else ""
    if found["type"] == "less_than" and ctx["lt"] == 1 < found["input"] // 2:
        return f"{begin}{found['input'] / PERCENT:g}"
    if found["type"] == "string_too_long" and given and ctx["max_length"] == 1:
        return f"{begin}{json.dumps(given[0])}"
    bound = ctx.get("ge", ctx.get("le"))
    return f"{begin}{bound}" if bound is not None else ""


def _quoted(listed: str) -> list[str]:
    """Return the words that pydantic lists in quotes."""
    return re.findall(r"'([^']*)'", listed)


def _place(found: ErrorDetails, document: object) -> Location:
    """Return where it is written: without the tags of unions, to the noted key."""
    named = found["type"] in {"missing", "extra_forbidden"}
    place: list[str | int] = []
    for depth, part in enumerate(found["loc"], start=1):
        if isinstance(document, dict) and part in document:
            document = document[part]
        elif isinstance(document, list) and isinstance(part, int):
            document = document[part] if part < len(document) else None
        elif not (named and depth == len(found["loc"])):
            continue
        place.append(part)
    noted_key = parts(_notes(found)[0])
    return (*place, *(int(each) if each.isdigit() else each for each in noted_key))


def _beside(model: type[BaseModel], place: Location) -> list[type[BaseModel]]:
    """Return every table that may stand where the unknown key stands."""
    models = [model]
    for part in place[:-1]:
        if isinstance(part, int):
            continue
        fields = [known[part] for known in map(_fields, models) if part in known]
        inner = [found for field in fields for found in _models_in(field.annotation)]
        models = inner or models
    return models


def _kinds(model: type[BaseModel]) -> tuple[str, ...]:
    """Return the kinds of which *model* is the table, where it has any."""
    field = model.model_fields.get("kind")
    return typing.get_args(field.annotation) if field else ()


def _fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return the fields of *model* by the key that is written in the file."""
    return {each.alias or name: each for name, each in model.model_fields.items()}


def _models_in(annotation: object) -> list[type[BaseModel]]:
    """Return every model named inside a type: ``tuple[Number | Category, ...]``."""
    if inspect.isclass(annotation) and typing.get_origin(annotation) is None:
        return [annotation] if issubclass(annotation, BaseModel) else []
    return [found for arg in typing.get_args(annotation) for found in _models_in(arg)]
