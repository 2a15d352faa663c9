"""Guesses in signals: a variable is a channel, and what is taken of its samples.

``heart_rate_max`` is the greatest of the channel HR. One pass looks at the samples of
every candidate, a second one goes through the windows that a study would use.
"""

from collections.abc import Sequence
from contextlib import closing

import pandas as pd

from client.documents.mapping import Column
from client.formats.raw import Place, Raw
from client.guessing import cells, samples
from client.guessing.guess import LIKE, Guesses, Variable, alike, made
from client.guessing.samples import Fit
from client.sources import opening
from common.schema import Number

TAKEN = {
    "mean": ("mean", "avg", "average"),
    "min": ("min", "minimum", "lowest"),
    "max": ("max", "maximum", "highest", "peak"),
    "last": ("last", "latest"),
    "slope": ("slope", "trend"),
    "count": ("count",),
}
"""What is taken of samples, and the words that say so at the end of a name."""
DAY, WHOLE, SOME = "@day", "@whole", 0.01
BEFORE = (6.0, 12.0, 24.0, 48.0, 72.0, 168.0, 336.0, 720.0)
"""Hours before the event, of which the fewest that hold NEARLY all are proposed."""
ALL, LONG_AGO, NEARLY = "@before", 1e5, 0.95
MOSTLY = 0.7
"""Which share must fit: one lost sensor spoils the least of a whole recording."""


def guesses(place: Place, asked: Sequence[Variable]) -> Guesses:
    """Compare every channel with every number, and read those that are alike."""
    alikes, likes = _alike(opening.names(place), asked)
    if not alikes:
        return
    fits = samples.look(place, alikes)
    wanted = {
        name: column.model_copy(update={"missing": fits[name].missing})
        for name, (_, column) in alikes.items()
    }
    days = {f"{name}{DAY}": _first_day(each) for name, each in wanted.items()}
    count = Column(column=next(iter(wanted.values())).column, take="count")
    counts = {WHOLE: count, f"{WHOLE}{DAY}": _first_day(count), **_earlier(count)}
    with closing(opening.read(place, wanted | days | counts)) as parts:
        part = next(parts)
    later = _before(part) or _later(part)
    for name, (variable, column) in alikes.items():
        like, fit = likes[name], fits[name]
        said = (part.cells[name], part.cells[f"{name}{DAY}"])
        found = _fitting(variable, fit, said, later)
        if found:
            share, hours, why = found
            lines = (f'column = "{column.column}"', f'take = "{column.take}"')
            more = (*lines, *hours, *fit.lines(variable))
            before = f"the {column.take} of a channel called alike; {why}"
            yield made(place, variable, more, (before, like + share))


def _fitting(
    variable: Number,
    fit: Fit,
    said: "tuple[pd.Series[str], pd.Series[str]]",
    later: tuple[str, ...],
) -> tuple[float, tuple[str, ...], str] | None:
    """Return which share fits, the lines of the window, and why; None if few do.

    Of what does not lie where samples do the windows are looked at: the whole, or else
    the first day.
    """
    if fit.share is not None:
        why = f"{_only(fit.share)}{fit.share:.0%} of the samples fit"
        return (fit.share, later, why) if fit.share >= MOSTLY else None
    for text, hours in zip(said, (later, ("hours = [0, 24]",)), strict=True):
        if found := cells.fits(variable, text, least=MOSTLY):
            return (
                found[0],
                hours,
                f"{_only(found[0])}{found[0]:.0%} of the windows fit",
            )
    return None


def _only(share: float) -> str:
    return "only " if share < cells.FIT else ""


def _first_day(column: Column) -> Column:
    return column.model_copy(update={"hours": (0.0, 24.0)})


def _alike(
    channels: Sequence[str], asked: Sequence[Variable]
) -> tuple[dict[str, tuple[Number, Column]], dict[str, float]]:
    """Return the channel and what is taken of it, by variable, and how alike they are.

    Without a word for what is taken it is the mean.
    """
    found: dict[str, tuple[Number, Column]] = {}
    likes: dict[str, float] = {}
    for variable in asked:
        if isinstance(variable, Number) and channels:
            name, take = _parted(variable.name)
            score, best = max((alike(name, each), each) for each in channels)
            if score >= LIKE:
                column = Column.model_validate({"column": best, "take": take})
                found[variable.name] = variable, column
                likes[variable.name] = score
    return found, likes


def _parted(name: str) -> tuple[str, str]:
    """Return a variable's name without the word for what is taken, and what that is."""
    words = name.split("_")
    takes = [take for take, said in TAKEN.items() if set(said) & {*words}]
    said = {word for take in takes for word in TAKEN[take]}
    rest = "_".join(word for word in words if word not in said)
    return rest or name, takes[0] if takes else "mean"


def _earlier(count: Column) -> dict[str, Column]:
    """Return what counts the samples in each window before the event, by name."""
    ladder = {f"{ALL}{hours:g}": hours for hours in BEFORE} | {ALL: LONG_AGO}
    return {
        name: count.model_copy(update={"hours": (-hours, 0.0)})
        for name, hours in ladder.items()
    }


def _before(part: Raw) -> tuple[str, ...]:
    """Return the window of nearly all samples before the event, to uncomment.

    A model that foretells what follows the event may know nothing of it. The whole
    time before is proposed where no window of BEFORE is long enough.
    """
    whole, every = _samples(part, WHOLE), _samples(part, ALL)
    if not whole or every < SOME * whole:
        return ()
    for hours in BEFORE:
        if (held := _samples(part, f"{ALL}{hours:g}")) >= NEARLY * every:
            why = f"{held / every:.0%} of the samples before the event"
            also = f"; {1 - every / whole:.0%} of all are after it: leave them out?"
            said = why + (also if every < (1 - SOME) * whole else "")
            return (f"# hours = [-{hours:g}, 0]   # {said}",)
    return (f"# hours = [-{LONG_AGO:.0f}, 0]   # all the samples before the event",)


def _samples(part: Raw, name: str) -> float:
    return float(pd.to_numeric(part.cells[name]).sum())


def _later(part: Raw) -> tuple[str, ...]:
    """Return a line to uncomment where recordings go on after the first day."""
    whole, first = (_samples(part, name) for name in (WHOLE, f"{WHOLE}{DAY}"))
    later = 1 - first / whole if whole else 0.0
    if later < SOME:
        return ()
    return (f"# hours = [0, 24]   # the whole recording counts; {later:.0%} is later",)
