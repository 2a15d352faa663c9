"""What a learned model says of a hospital's own people: here, and to nobody else.

    consilium client predict model.json --site site.toml --data today.csv

The records are read as for a study, by the same mapping, without the outcome. Nothing
is said of a record with a value outside its declared range: the model saw no such one.
"""

import csv
import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path

import numpy as np
import pandas as pd

from client import credentials, integration, persons
from client.mapping import Column, Csv
from client.site import Site
from client.work import Work
from common import identity, model_file, private_files
from common.encoding import columns, seen
from common.errors import DataError, StudyError, UsageError
from common.model_file import MODEL, Learned
from common.release import Array
from common.schema import HIGHEST, Number
from common.study import Study
from common.task import Rows

REFUSED = "nothing is said, outside the declared range:"
REASONS = 3
"""How many of the largest contributions a line of the file holds."""


@dataclass(frozen=True, slots=True, repr=False)
class Said:
    """What the model says of some records: expectation, its interval, and why.

    Of a category it is the chance of the likeliest level, and ``chances`` [records,
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


def read_model(site: Site, path: Path) -> Learned:
    """Return the model at *path*; at a member of a consortium it must be signed.

    Raises IdentityError when the site's aggregator did not sign it.
    """
    home = site.home
    if home is None or not (home / "request.json").exists():
        return model_file.read(path)
    key = identity.public_key(credentials.load(home).invite.aggregator)
    return model_file.read(path, key)


def predict(site: Site, learned: Learned, file: Path | None = None) -> Said:
    """Return what *learned* says of every record at *site*, or in another *file*.

    Raises StudyError for a time until an event: a hazard says nothing of one person.
    """
    study = learned.study
    if learned.part != MODEL:
        raise UsageError(
            "this model tells of treatments", fix="add --treatments to the command"
        )
    if study.outcome.kind == "survival":
        raise StudyError(
            f"predict tells chances or a number; {study.outcome.name} is neither",
            fix="consilium study export MODEL.json --to card   says what it is",
        )
    work, rows = read_rows(site, learned, file)
    model, arrays = learned.model, learned.arrays
    expected = model.predict(study, arrays, rows)
    parts = model.explain(study, arrays, rows) if model.explain else None
    chances = expected if expected.ndim > 1 else np.zeros((len(expected), 0))
    if expected.ndim > 1:
        everyone, likeliest = np.arange(len(chances)), chances.argmax(axis=1)
        expected = chances[everyone, likeliest]
        parts = None if parts is None else parts[everyone, :, likeliest]
    return Said(
        learned,
        work.keys["person"].to_numpy(dtype=np.int64),
        outside(study, rows.values),
        expected,
        model.interval(study, arrays, rows) if model.interval else None,
        parts,
        chances,
    )


def read_rows(
    site: Site, learned: Learned, file: Path | None, absent: Collection[str] = ()
) -> tuple[Work, Rows]:
    """Return the records at *site*, or in another *file*, and as *learned* sees them.

    Neither the outcome nor what else is *absent* is looked for.
    """
    study = learned.study
    parts = study.measured[len(study.variables) :]
    unmeasured = {*absent, *(part.name for part in parts)}
    work = integration.gather(_without(site, unmeasured, file), _wide(study))
    return work, _rows(study, learned, work)


def pseudonym(site: Site, number: str) -> int:
    """Return who has this *number* at the site; raise UsageError for no number."""
    secret = persons.key(site.home)
    asked = persons.numbers(pd.Series([number.strip()], dtype="str"))
    (who,) = persons.pseudonyms(secret, asked)
    if who == persons.NOBODY:
        raise UsageError("which person?", fix="the number as the records have it")
    return int(who)


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
    scale = said.learned.model.scale
    lines += (
        [f"Contributions in {scale}; their sum is the prediction."] if scale else []
    )
    return "\n".join([*lines, "A model's word on people like this one; no diagnosis."])


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
    return f"{low:.3g}", f"{high:.3g}"


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
    return outcome.name


def _levels(study: Study) -> tuple[str, ...]:
    return study.outcome.levels if study.outcome.kind == "category" else ()


def _others(said: Said, place: int) -> str:
    """Return the chances of all levels, the likeliest first; of no category nothing."""
    chances, levels = said.chances[place], _levels(said.learned.study)
    order = np.argsort(-chances, kind="stable")[1:]
    rest = ", ".join(f"{levels[each]} {chances[each]:.3f}" for each in order)
    return f"; {rest}" if rest else ""


def _wide(study: Study) -> Study:
    """Return *study* with no end to its ranges, so that what lies outside is seen."""
    everything = {"range": (-HIGHEST, HIGHEST)}
    declared = tuple(
        each.model_copy(update=everything) if isinstance(each, Number) else each
        for each in study.declared
    )
    return study.model_copy(update={"declared": declared, "evaluation": None})


def outside(study: Study, values: Array) -> tuple[str, ...]:
    """Return, of each record, which variables lie outside their declared ranges."""
    every = enumerate(study.variables)
    numbers = {place: each for place, each in every if isinstance(each, Number)}
    low, high = np.array([each.range for each in numbers.values()]).reshape(-1, 2).T
    measured = values[:, list(numbers)]
    names = [each.name for each in numbers.values()]
    beyond = (measured < low) | (measured > high)
    return tuple(", ".join(compress(names, line)) for line in beyond)


def _without(site: Site, names: Collection[str], file: Path | None) -> Site:
    """Return the site as if it never measured *names*, reading another *file*."""
    mapping = site.mapping
    absent = {name: Column(absent=True) for name in names}
    update: dict[str, object] = {"columns": {**mapping.columns, **absent}}
    if file is not None:
        if not isinstance(mapping.data, Csv):
            raise UsageError(
                "--data stands for the file of [data], and there is no such table",
                where=str(site.path),
                fix="leave --data out: the sources of site.toml are read",
            )
        update["data"] = mapping.data.model_copy(update={"file": str(file.resolve())})
    return replace(site, mapping=mapping.model_copy(update=update))


def _rows(study: Study, learned: Learned, work: Work) -> Rows:
    values = work.values(study)
    images = work.images(study)
    clean = Rows(values, np.zeros(len(values)), values=values, images=images)
    return seen(study, learned.model.fit, learned.arrays, clean)
