"""Guesses at text files: whether they are called like a text, or are the only ones."""

from collections.abc import Sequence

from client.documents.media import Texts
from client.formats.raw import Place
from client.guessing.guess import LIKE, Guesses, Variable, alike, made
from common.schema import Prose

ONLY = 0.5


def guesses(place: Place, asked: Sequence[Variable]) -> Guesses:
    """Compare what the files are called with every text."""
    texts = [each for each in asked if isinstance(each, Prose)]
    named = place.site.mapping.named.values()
    only = len(texts) == sum(isinstance(each, Texts) for each in named) == 1
    for variable in texts:
        like = alike(variable.name, place.name)
        why = ("the files are called alike", like)
        if like < LIKE:
            why = ("the only text asked for, and the only text files", ONLY)
        if like >= LIKE or only:
            yield made(place, variable, ('column = "text"',), why)
