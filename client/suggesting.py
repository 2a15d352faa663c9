"""``consilium client data suggest``: a mapping, guessed from names, units and values.

Everything is looked at here and nothing is sent. A guess is text to paste into
``site.toml``, with the reason for it; whether it is right only the steward knows.
"""

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from difflib import SequenceMatcher

import numpy as np
import pandas as pd

from client import vocabulary
from client.mapping import Column, Csv, Fhir, InFhir, Parquet
from client.media import Texts
from client.raw import PERSON, Place
from client.site import Site
from client.sources import opening
from common.errors import DataError
from common.schema import Binary, Category, Number, Prose, texts
from common.study import Study

Variable = Number | Category | Binary | Prose
Fits = tuple[float, tuple[str, ...]]
"""Which share of the values fits, and what has to be said of them."""
LIKE, FIT, FEW = 0.75, 0.9, 12
"""How alike two names must be, which share of the values must fit, and how many
spellings a variable with levels may have."""


@dataclass(frozen=True, slots=True)
class Guess:
    """One variable's place in one source, as lines of TOML, and why."""

    variable: str
    lines: tuple[str, ...]
    why: str
    score: float

    def text(self) -> str:
        """Return the guess as it stands in ``site.toml``."""
        return "\n".join([f"[columns.{self.variable}]   # {self.why}", *self.lines])


def suggest(site: Site, study: Study) -> tuple[Guess, ...]:
    """Return the best guess for each variable of *study* that is not mapped yet.

    Raises DataError for an export without a header: its first line is a patient's.
    """
    best: dict[str, Guess] = {}
    known = {name for name, each in site.mapping.columns.items() if _mapped(each)}
    parts = {n.name for each in texts(study.declared) for n in each.numbers()}
    asked = [
        each
        for each in (*texts(study.declared), *study.measured)
        if each.name not in known | parts
    ]
    for name in site.mapping.named:
        for guess in _guesses(Place(site, name), asked):
            if guess.variable not in best or guess.score > best[guess.variable].score:
                best[guess.variable] = guess
    return tuple(best[each.name] for each in asked if each.name in best)


def _mapped(column: Column) -> bool:
    return column.found or column.absent


def _guesses(place: Place, asked: list[Variable]) -> Iterator[Guess]:
    source = place.site.mapping.named[place.name]
    if isinstance(source, Csv | Parquet):
        yield from _in_table(place, asked)
    elif isinstance(source, Fhir):
        yield from _in_fhir(place, asked)
    elif isinstance(source, Texts):
        yield from _in_files(place, asked)


def _in_files(place: Place, asked: list[Variable]) -> Iterator[Guess]:
    """Compare what the files are called with every text."""
    for variable in asked:
        alike = _alike(variable.name, f"{place.name}")
        if isinstance(variable, Prose) and alike >= LIKE:
            lines = (f'source = "{place.name}"', 'column = "text"')
            yield Guess(variable.name, lines, "the files are called alike", alike)


def _in_table(place: Place, asked: list[Variable]) -> Iterator[Guess]:
    """Compare every column of a table with every variable."""
    headers = _headers(place)
    wanted = {f"c{i}": Column(column=header) for i, header in enumerate(headers)}
    with closing(opening.read(place, wanted)) as parts:
        part = next(parts)
    for variable in asked:
        for key, column in wanted.items():
            header = column.column or ""
            alike = _alike(variable.name, header)
            if alike >= LIKE:
                yield from _column(place, variable, (header, alike), part.cells[key])


def _headers(place: Place) -> list[str]:
    """Return the columns of a table, but for those of its keys."""
    source = place.site.mapping.named[place.name]
    named = opening.names(place)
    if any(_looks_like_a_cell(each) for each in named):
        raise DataError(
            f"{place.site.name}: {source.called} seems to have no header",
            where=place.where(),
            likely="the first line holds numbers or dates: it is a patient's",
            fix="export it again, with the names of its columns in the first line",
        )
    keys = {getattr(source, key) for key in ("person", "event_time", "split")}
    return [each for each in named if each not in keys and named.count(each) == 1]


def _looks_like_a_cell(header: str) -> bool:
    digits = sum(letter.isdigit() for letter in header)
    return not header.strip() or digits > len(header) / 2


def _alike(name: str, header: str) -> float:
    """Return how alike a variable and a header are called, from 0 to 1."""
    plain = _plain(header)
    words = {plain, *plain.split("_")}
    return max(
        SequenceMatcher(None, _plain(each), word).ratio()
        for each in vocabulary.names(name)
        for word in words
    )


def _plain(name: str) -> str:
    letters = (each if each.isalnum() else "_" for each in name.casefold())
    return "".join(letters).strip("_")


def _column(
    place: Place, variable: Variable, named: tuple[str, float], cells: "pd.Series[str]"
) -> Iterator[Guess]:
    """Yield the guess that a column is *variable*, unless its values say it is not."""
    header, alike = named
    text = cells[cells.str.strip() != ""].str.strip()
    if isinstance(variable, Prose):
        fits: Fits | None = (1.0, ())
    elif isinstance(variable, Number):
        fits = _number(variable, text)
    else:
        fits = _levels(variable, text) or _unspelled(variable, text)
    if fits is None:
        return
    share, more = fits
    several = len(place.site.mapping.named) > 1
    lines = [f'source = "{place.name}"'] if several else []
    lines += [f'column = "{header}"', *more]
    why = f"called alike; {share:.0%} of the values fit"
    why = "called alike; say how it spells each level" if not share else why
    yield Guess(variable.name, tuple(lines), why, alike + share)


def _number(variable: Number, text: "pd.Series[str]") -> Fits | None:
    """Return the share of values within the range in the unit that fits best."""
    numbers = pd.to_numeric(text.str.replace(",", ".", regex=False), errors="coerce")
    known = numbers.dropna().to_numpy(dtype=np.float64)
    if not len(known):
        return None
    low, high = variable.range
    shares = {}
    for unit in (variable.unit, *variable.units):
        factor, offset = variable.conversion(unit)
        values = known * factor + offset
        shares[unit] = float(((values >= low) & (values <= high)).mean())
    best = max(shares, key=lambda unit: shares[unit])
    if shares[best] < FIT:
        return None
    other = () if best == variable.unit else (f'unit = "{best}"',)
    return shares[best], (*other, *_codes(variable, best, text))


def _codes(variable: Number, unit: str, text: "pd.Series[str]") -> tuple[str, ...]:
    """Return a line with the codes for no value that are used and fit no range."""
    (low, high), (factor, offset) = variable.range, variable.conversion(unit)
    used = sorted(set(vocabulary.MISSING) & {*text})
    numbers = pd.to_numeric(pd.Series(used, dtype="str"), errors="coerce")
    known = zip(used, (numbers * factor + offset).tolist(), strict=True)
    codes = ", ".join(f'"{said}"' for said, it in known if not low <= it <= high)
    return (f"missing = [{codes}]",) if codes else ()


def _unspelled(variable: Category | Binary, text: "pd.Series[str]") -> Fits | None:
    """Return lines to fill in, where few spellings are used and none is known here.

    What the records spell is not repeated: nobody knows yet what it is.
    """
    if not 1 < text.nunique() <= FEW:
        return None
    pairs = ", ".join(f'"… {level}" = "{level}"' for level in variable.levels)
    return 0.0, (f"levels = {{ {pairs} }}",)


def _levels(variable: Category | Binary, text: "pd.Series[str]") -> Fits | None:
    """Return the share of cells that spell a level, and the spellings that do."""
    meant = {
        said: level
        for level in reversed(variable.levels)
        for said in vocabulary.spellings(level)
    }
    folded = {said.casefold(): level for said, level in meant.items()}
    share = float(text.str.casefold().isin(folded).mean())
    if not len(text) or share < FIT:
        return None
    used = sorted(said for said in {*text} if said.casefold() in folded)
    pairs = [(said, folded[said.casefold()]) for said in used]
    spelled = [f'"{s}" = "{level}"' for s, level in pairs if s not in variable.levels]
    return share, (f"levels = {{ {', '.join(spelled)} }}",) if spelled else ()


def _in_fhir(place: Place, asked: list[Variable]) -> Iterator[Guess]:
    """Look for the codes and elements that a variable usually has."""
    for variable in asked:
        for lines, column in _elements(variable.name):
            people = _people(place, variable.name, column)
            if people:
                several = len(place.site.mapping.named) > 1
                own = (f'source = "{place.name}"',) if several else ()
                why = f"{people} people have it"
                yield Guess(variable.name, (*own, *lines), why, 1.0)


def _elements(name: str) -> Iterator[tuple[tuple[str, ...], Column]]:
    words = vocabulary.names(name)
    if "sex" in words:
        found = InFhir(resource="Patient", value="gender")
        yield ('fhir = { resource = "Patient", value = "gender" }',), Column(fhir=found)
    if "age" in words:
        found = InFhir(resource="Patient", value="birthDate")
        line = 'fhir = { resource = "Patient", value = "birthDate" }'
        yield (line, 'elapsed = "years"'), Column(fhir=found)
    term = vocabulary.term(name)
    if term and term.loinc:
        codes = ", ".join(f'"{code}"' for code in term.loinc)
        line = f'fhir = {{ resource = "Observation", code = [{codes}] }}'
        found = InFhir(resource="Observation", code=term.loinc)
        yield (line,), Column(fhir=found)


def _people(place: Place, name: str, column: Column) -> int:
    """Return how many people have a value of it."""
    who: set[str] = set()
    with closing(opening.read(place, {name: column})) as parts:
        for part in parts:
            said = part.cells[name].fillna("") != ""
            who |= {*part.cells[PERSON][said]}
    return len(who)


def text(site: Site, guesses: tuple[Guess, ...], lacking: Mapping[str, None]) -> str:
    """Return what can be pasted, and what nothing was found for."""
    found = "\n\n".join(each.text() for each in guesses)
    rest = f"# nothing looks like: {', '.join(lacking)}" if lacking else ""
    other = [
        name
        for name, each in site.mapping.named.items()
        if not isinstance(each, Csv | Parquet | Fhir | Texts)
    ]
    named = site.mapping.named
    timed = [name for name, each in named.items() if getattr(each, "event_time", None)]
    index = (
        "# as it is, one record for each person; for one of each row of a source:\n"
        f'# [index]\n# source = "{timed[0]}"'
        if timed and len(named) > 1 and site.mapping.index is None
        else ""
    )
    shut = f"# not looked into, to be mapped by hand: {', '.join(other)}"
    parts = (found, rest, shut if other else "", index)
    return "\n\n".join(part for part in parts if part)
