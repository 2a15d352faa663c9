"""What a model says of some records, as plain data, as a file and as a text.

A chance is said with the class, of several levels each with its own. Of a time until an
event it is the ratio of hazards against somebody with average values, which says who
has the event sooner, and no chance and no time.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from client.numbers import persons
from common.encoding import columns
from common.errors import DataError
from common.learned.model_file import Learned
from common.release import Array
from common.study import Study
from common.trust import private_files

REFUSED = "nothing is said, outside the declared range:"
REASONS = 3
"""How many of the largest contributions a line of the file holds."""

NO_TIME = "Against somebody with average values; it tells no chance and no time."
NO_CHANCE = "A score in the right order, and no chance."
OF_THE_MEAN = (
    "The interval is of the mean of people like this one; one person's own value "
    "varies more."
)


@dataclass(frozen=True, slots=True, repr=False)
class Said:
    """What the model says of some records: expectation, its interval, and why.

    Of a time until an event the expectation is a ratio of hazards. Of a category it is
    the chance of the likeliest level, and ``chances`` [records,
    levels] are those of all; otherwise there are no levels. ``ends`` [records, 2] and
    ``parts`` [records, columns + 1] are None where the model cannot tell. ``outside``
    names, of each record, what lies outside its range: then nothing is said of it.
    """

    learned: Learned
    persons: persons.Persons
    outside: tuple[str, ...]
    expected: Array
    ends: Array | None
    parts: Array | None
    chances: Array

    @property
    def names(self) -> list[str]:
        """What adds to a prediction, as ``parts`` holds it."""
        return [*(each.name for each in columns(self.learned.study)), "(everybody)"]

    def facts(self) -> list[dict[str, object]]:
        """Return what is said of each record as plain data."""
        return [
            {"outside": outside} if outside else self._told(place)
            for place, outside in enumerate(self.outside)
        ]

    def _told(self, place: int) -> dict[str, object]:
        told: dict[str, object] = {"expected": float(self.expected[place])}
        if levels := _levels(self.learned.study):
            chances = self.chances[place].tolist()
            told |= {"class": _class(self, place)}
            told |= {"chances": dict(zip(levels, chances, strict=True))}
        return told

    def of(self, person: int) -> "Said":
        """Return what is said of one person; raise DataError when it is nobody."""
        chosen = self.persons == person
        if not chosen.any():
            raise DataError("no record is of that person", fix="check the number")
        ends = None if self.ends is None else self.ends[chosen]
        parts = None if self.parts is None else self.parts[chosen]
        return Said(
            self.learned,
            self.persons[chosen],
            tuple(self.outside[place] for place in np.flatnonzero(chosen)),
            self.expected[chosen],
            ends,
            parts,
            self.chances[chosen],
        )


def write(said: Said, path: Path) -> None:
    """Write one line a record, in the order of the records, for its owner only."""
    text = io.StringIO()
    out = csv.writer(text)
    reasons = [f"reason_{place}" for place in range(1, REASONS + 1)]
    levels = [f"chance of {level}" for level in _levels(said.learned.study)]
    out.writerow(["record", "expected", "class", "low", "high", *reasons, *levels])
    for place in range(len(said.expected)):
        out.writerow([place + 1, *_line(said, place)])
    private_files.write(path, text.getvalue().encode())


def text(said: Said) -> str:
    """Return what is said of one person, every contribution the largest first."""
    lines = []
    for place, expected in enumerate(said.expected):
        if said.outside[place]:
            lines.append(f"{REFUSED} {said.outside[place]}")
            continue
        low, high = _ends(said, place)
        sure = f", 95 % interval {low} to {high}" if low else ""
        lines.append(
            f"{_class(said, place)}: {expected:.3f}{sure}{_others(said, place)}"
        )
        lines += [f"  {name:<32}{part:+.3f}" for name, part in _reasons(said, place)]
    return "\n".join(
        [*lines, *_notes(said), "A model's word on people like this one; no diagnosis."]
    )


def _notes(said: Said) -> list[str]:
    """Return what a reader has to know of these figures."""
    study, scale = said.learned.study, said.learned.model.scale
    number = study.outcome.kind == "number"
    if number and scale in {"chance", "outcome"}:  # a forest's leaves hold it itself
        scale = study.outcome.name
    notes = {
        f"Contributions add up to the prediction, in {scale}.": bool(scale),
        OF_THE_MEAN: number and said.ends is not None,
        NO_TIME: study.outcome.kind == "survival",
        NO_CHANCE: study.kind in {"svm", "rbf_svm"},
    }
    return [note for note, holds in notes.items() if holds]


def _line(said: Said, place: int) -> list[object]:
    if said.outside[place]:
        none = [""] * (2 + REASONS + said.chances.shape[1])
        return ["", f"{REFUSED} {said.outside[place]}", *none]
    expected = said.expected[place]
    told = [f"{name} {part:+.3f}" for name, part in _reasons(said, place)]
    shown = told[:REASONS] + [""] * (REASONS - len(told))
    chances = [f"{chance:.6g}" for chance in said.chances[place]]
    own = [f"{expected:.6g}", _class(said, place)]
    return [*own, *_ends(said, place), *shown, *chances]


def _ends(said: Said, place: int) -> tuple[str, str]:
    if said.ends is None:
        return "", ""
    low, high = said.ends[place]
    return ("", "") if np.isnan(low) else (f"{low:.3g}", f"{high:.3g}")


def _reasons(said: Said, place: int) -> Sequence[tuple[str, float]]:
    if said.parts is None:
        return []
    pairs = zip(said.names, said.parts[place].tolist(), strict=True)
    *own, everybody = pairs
    return [*sorted(own, key=lambda pair: -abs(pair[1])), everybody]


def _class(said: Said, place: int) -> str:
    outcome = said.learned.study.outcome
    if outcome.kind == "binary":
        return outcome.coded[int(said.expected[place] >= 0.5)]  # noqa: PLR2004 - more likely than not
    if levels := _levels(said.learned.study):
        return levels[int(said.chances[place].argmax())]
    if outcome.kind == "survival":
        return f"hazard ratio of {outcome.name}"
    return outcome.name


def _levels(study: Study) -> tuple[str, ...]:
    return study.outcome.levels if study.outcome.kind == "category" else ()


def _others(said: Said, place: int) -> str:
    """Return the chances of all levels, the likeliest first; of no category nothing."""
    chances, levels = said.chances[place], _levels(said.learned.study)
    order = np.argsort(-chances, kind="stable")[1:]
    rest = ", ".join(f"{levels[each]} {chances[each]:.3f}" for each in order)
    return f"; {rest}" if rest else ""
