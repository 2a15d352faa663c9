"""How one variable is found at one site, and that the mapping of it makes sense."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from client.documents.mapping import Column, Source
from client.formats.bounds import Bounds
from client.site import CHECK, Site
from common.errors import StudyError
from common.schema import Binary, Category, Image, Number, Prose, texts
from common.study import Study

Variable = Number | Category | Binary | Image
SAMPLED = ("mean", "min", "max", "last")
"""What is taken of samples and lies where they do."""


@dataclass(frozen=True, slots=True)
class Way:
    """One variable at one site: what it is, and how it is written here."""

    site: Site
    study: Study
    variable: Variable
    column: Column
    bucket: "Bucket | None" = None

    @property
    def read(self) -> str:
        """The name under which its cells are read: its text's, if it is of one."""
        return self.bucket.text.name if self.bucket else self.name

    @property
    def name(self) -> str:
        """The variable's name."""
        return self.variable.name

    @property
    def source(self) -> Source:
        """The source in which the column is."""
        mapping = self.site.mapping
        return mapping.named[mapping.source_of(self.column)]

    @property
    def declared(self) -> str:
        """The unit that the study declares; nothing for a category."""
        return self.variable.unit if isinstance(self.variable, Number) else ""

    @property
    def others(self) -> tuple[str, ...]:
        """The units from which the study declares a conversion."""
        return tuple(self.variable.units) if isinstance(self.variable, Number) else ()

    @property
    def unit(self) -> str:
        """The unit of a cell that does not say its own."""
        return self.column.unit or self.declared

    @property
    def dates(self) -> str:
        """How a date in a cell is written, as strftime says it."""
        return self.column.dates or self.source.dates

    @property
    def codes(self) -> tuple[str, ...]:
        """What means that there is no value, besides the empty cell.

        A code of a signal is one of its samples, and a mean may well be -1.
        """
        if self.column.take:
            return ()
        return (*self.source.missing, *self.column.missing)


@dataclass(frozen=True, slots=True)
class Bucket:
    """Which number of which text a variable is."""

    text: Prose
    place: int


def _bucket(study: Study, variable: Variable) -> Bucket | None:
    for text in texts(study.declared):
        for place, number in enumerate(text.numbers()):
            if number.name == variable.name:
                return Bucket(text, place)
    return None


def mapped_as(study: Study, name: str) -> str:
    """Return the name that site.toml maps: for a bucket of a text, that of the text."""
    for text in texts(study.declared):
        if any(number.name == name for number in text.numbers()):
            return text.name
    return name


def pictures(study: Study) -> tuple[Image, ...]:
    """Return the image that *study* declares, if it does."""
    return (study.image,) if study.image else ()


def bounds(every: Sequence[Way]) -> dict[str, tuple[Bounds, ...]]:
    """Return within which ranges the samples of each variable have to lie.

    The range of a slope or a count says nothing of samples: theirs are those of the
    other variables of their channel.
    """
    own = {
        way.name: Bounds(way.variable, way.unit)
        for way in every
        if isinstance(way.variable, Number) and way.column.take in SAMPLED
    }
    return {
        way.name: (own[way.name],)
        if way.name in own
        else tuple(own[each.name] for each in every if _same(way, each, own))
        for way in every
        if way.column.take
    }


def _same(way: Way, other: Way, own: Mapping[str, Bounds]) -> bool:
    """Tell whether *other* has bounds that hold for the channel of *way*."""
    source = way.site.mapping.source_of
    channels = ((source(each.column), each.column.column) for each in (way, other))
    return other.name in own and len({*channels}) == 1


def way(site: Site, study: Study, variable: Variable) -> Way:
    """Return how *variable* is found at *site*.

    Raises StudyError when the mapping lacks it, or says what would do nothing.
    """
    bucket = _bucket(study, variable)
    name = bucket.text.name if bucket else variable.name
    mapped = site.mapping.columns.get(name)
    if mapped is None or not (mapped.found or mapped.absent):
        raise StudyError(
            f"{site.name}: nothing is mapped to the declared variable {name}",
            where=site.where("columns", name),
            fix=f'[columns.{name}]\ncolumn = "…"        # or:  absent = true',
            then=f"{CHECK}{site.path}",
        )
    found = Way(site, study, variable, mapped, bucket)
    if not mapped.absent:
        _require_fitting(found)
    return found


def conversion(way: Way, unit: str) -> tuple[float, float]:
    """Return (factor, offset) from *unit*; raise StudyError when none is declared."""
    variable = way.variable
    try:
        return variable.conversion(unit) if isinstance(variable, Number) else (1.0, 0.0)
    except KeyError:
        known = ", ".join([way.declared, *way.others])
        raise StudyError(
            f"{way.site.name}: no conversion of {way.name} from {unit!r} is declared",
            where=way.site.where("columns", way.name, "unit"),
            fix=f"use one of: {known}; or ask for a conversion in the study",
            then=f"{CHECK}{way.site.path}",
        ) from None


def _require_fitting(way: Way) -> None:
    """Raise StudyError for a mapping that would do nothing, or turn a level around."""
    variable, mapped = way.variable, way.column
    number = isinstance(variable, Number)
    levels = variable.coded if isinstance(variable, Category | Binary) else ()
    turned = [
        said
        for said, level in mapped.levels.items()
        if said in levels and level != said
    ]
    unknown = sorted(set(mapped.levels.values()) - set(levels))
    if number and mapped.levels:
        what, key = "is a number, and has no levels", "levels"
    elif way.bucket and (mapped.elapsed or mapped.pick not in (None, "first", "last")):
        what, key = "is a text: pick the first or the last", "pick"
    elif not number and mapped.unit:
        what, key = "is a category, and has no unit", "unit"
    elif turned:
        what, key = f"has a level {turned[0]!r} that is mapped to another", "levels"
    elif unknown:
        raise _no_level(way, unknown[0], "levels", levels)
    elif set(levels) & set(way.codes):
        what, key = "has a declared level among its missing codes", "missing"
    elif not number and (
        mapped.elapsed or mapped.pick in ("mean", "min", "max", "count")
    ):
        what, key = "is a category: pick first, last or any of its values", "pick"
    else:
        return _require_results(way, levels)
    raise _misfit(way, what, key)


def _require_results(way: Way, levels: tuple[str, ...]) -> None:
    """Raise StudyError for a unit that is unknown, or a result that is no level."""
    if isinstance(way.variable, Number):
        for unit in (way.unit, *way.column.unit_names.values()):
            conversion(way, unit)
    elif way.column.pick == "any":
        for key in ("present", "otherwise"):
            said = getattr(way.column, key)
            if said not in levels:
                raise _no_level(way, said, key, levels)


def _misfit(way: Way, what: str, key: str) -> StudyError:
    return StudyError(
        f"{way.site.name}: {way.read} {what}",
        where=way.site.where("columns", way.read, key),
        fix=f"correct `{key}` of [columns.{way.read}]",
        then=f"{CHECK}{way.site.path}",
    )


def _no_level(way: Way, said: str, key: str, levels: tuple[str, ...]) -> StudyError:
    return StudyError(
        f"{way.site.name}: {said!r} is not a declared level of {way.name}",
        where=way.site.where("columns", way.name, key),
        fix=f"use: {', '.join(levels)}",
        then=f"{CHECK}{way.site.path}",
    )
