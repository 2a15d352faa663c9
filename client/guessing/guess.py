"""One guess at a mapping: lines of TOML, why, and how sure; and how alike names are."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from client.documents.mapping import Sql
from client.formats.raw import Place
from client.guessing import vocabulary
from common.schema import Binary, Category, Image, Number, Prose

Variable = Number | Category | Binary | Prose | Image
LIKE = 0.75
"""How alike two names must be."""


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


Guesses = Iterator[Guess]
Guesser = Callable[[Place, Sequence[Variable]], Guesses]


def made(
    place: Place, variable: Variable, lines: Sequence[str], found: tuple[str, float]
) -> Guess:
    """Return a guess; *found* is why, and how sure it is."""
    several = len(place.site.mapping.named) > 1
    own = [f'source = "{place.name}"'] if several else []
    why, score = found
    return Guess(variable.name, (*own, *lines), why, score)


def schema(place: Place) -> str:
    """Return what stands before a table's name in a database, if it has a namespace."""
    source = place.site.mapping.named[place.name]
    space = source.namespace if isinstance(source, Sql) else None
    return f"{space}." if space else ""


def alike(name: str, header: str) -> float:
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
