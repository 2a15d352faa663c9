"""What is expected of people here under each treatment, and what cannot be known.

    consilium client predict treatments.json --treatments --site site.toml

Read like a prediction, and said to nobody else. The treatment that a record names does
not matter: both are imagined. Beside each expectation stands how likely people like
this one were to be treated, for where nearly all or nearly none were, the other
treatment is a guess that no record supports.
"""

import csv
import io
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from client.bedside import predicting
from client.numbers import persons
from client.site import Site
from common.encoding import columns
from common.errors import DataError, UsageError
from common.learned.model_file import TREATED, Learned
from common.release import Array
from common.study import Study
from common.tasks.treatment import treatments
from common.tasks.treatment.effects import POSSIBLE
from common.tasks.treatment.treatment_models import covariates, treatment
from common.trust import private_files

UNKNOWN = """\
What this cannot know:
  Whatever was not measured, and goes with both treatment and outcome, is in these
  figures. They are of people as the study saw them, and an interval is of their mean:
  one person's own outcome varies more. No comparison replaces a trial, or a doctor."""


@dataclass(frozen=True, slots=True, repr=False)
class Imagined:
    """The expected outcome of some records under each treatment, untreated first.

    ``expected`` [records, 2]; ``ends`` [records, 2, 2]; ``change`` [records, 3] with
    its ends; ``chance`` [records] of being treated. ``outside`` names what lies outside
    its declared range: then nothing is said.
    """

    learned: Learned
    persons: persons.Persons
    outside: tuple[str, ...]
    expected: Array
    ends: Array
    change: Array
    chance: Array

    @property
    def levels(self) -> tuple[str, ...]:
        """How no treatment and the treatment are called."""
        _, variable = treatment(self.learned.study)
        return variable.coded

    def of(self, person: int) -> "Imagined":
        """Return what is said of one person; raise DataError when it is nobody."""
        places = np.flatnonzero(self.persons == person)
        if not len(places):
            raise DataError("no record is of that person", fix="check the number")
        return replace(
            self,
            persons=self.persons[places],
            outside=tuple(self.outside[place] for place in places),
            expected=self.expected[places],
            ends=self.ends[places],
            change=self.change[places],
            chance=self.chance[places],
        )

    def facts(self) -> list[dict[str, object]]:
        """Return what is said of each record as plain data."""
        return [
            {"outside": outside}
            if outside
            else {
                "expected": dict(
                    zip(self.levels, self.expected[place].tolist(), strict=True)
                ),
                "change": float(self.change[place, 0]),
                "interval": self.change[place, 1:].tolist(),
                "chance_of_treatment": float(self.chance[place]),
                "supported": not _unsupported(self, place),
            }
            for place, outside in enumerate(self.outside)
        ]


def predict(site: Site, learned: Learned, file: Path | None = None) -> Imagined:
    """Return what *learned* says of every record at *site*, or in another *file*.

    Raises UsageError for a model that knows of no treatment.
    """
    study = learned.study
    if learned.part != TREATED:
        raise UsageError(
            "this model knows of no treatment",
            likely="it is the model.json of a study",
            fix="give the treatments.json beside it; a study writes one if it has\n"
            "[analysis.treatment_effect]",
        )
    _, variable = treatment(study)
    work, rows = predicting.read_rows(site, learned, file, [variable.name])
    arrays = learned.arrays
    return Imagined(
        learned,
        work.keys["person"].to_numpy(dtype=np.int64),
        predicting.outside(study, _used(study, rows.values)),
        treatments.predict(study, arrays, rows),
        treatments.interval(study, arrays, rows),
        treatments.difference(study, arrays, rows),
        treatments.chance(study, arrays, rows),
    )


def write(said: Imagined, path: Path) -> None:
    """Write one line a record, in the order of the records, for its owner only."""
    text = io.StringIO()
    out = csv.writer(text)
    arms = [name for each in said.levels for name in (each, "low", "high")]
    out.writerow(["record", *arms, "change", "low", "high", "chance", "note"])
    for place, outside in enumerate(said.outside):
        if outside:
            blank = [""] * (len(arms) + 4)
            out.writerow([place + 1, *blank, f"{predicting.REFUSED} {outside}"])
            continue
        numbers = [
            *np.column_stack([said.expected[place], said.ends[place]]).ravel(),
            *said.change[place],
            said.chance[place],
        ]
        told = [f"{number:.6g}" for number in numbers]
        out.writerow([place + 1, *told, _unsupported(said, place)])
    private_files.write(path, text.getvalue().encode())


def text(said: Imagined) -> str:
    """Return what is said of one person, and of the study; then what is not known."""
    name = said.learned.study.outcome.name
    lines = []
    for place, outside in enumerate(said.outside):
        if outside:
            lines.append(f"{predicting.REFUSED} {outside}")
            continue
        for arm, level in enumerate(said.levels):
            low, high = said.ends[place, arm]
            sure = f"95 % interval {low:.3g} to {high:.3g}"
            value = said.expected[place, arm]
            lines.append(f"{name}, {level}: {value:.3f}, {sure}")
        change, low, high = said.change[place]
        lines.append(f"the change: {change:+.3f}, {low:+.3g} to {high:+.3g}")
        lines.append(f"{said.chance[place]:.0%} of people like this were treated so")
        lines += filter(None, [_unsupported(said, place)])
    return "\n".join([*lines, UNKNOWN])


def _used(study: Study, values: Array) -> Array:
    """Return *values* [records, variables] without those that no model looks at."""
    used = {columns(study)[place].variable for place in covariates(study)}
    unused = [place for place in range(values.shape[1]) if place not in used]
    kept = values.copy()
    kept[:, unused] = np.nan
    return kept


def _unsupported(said: Imagined, place: int) -> str:
    """Return a warning where hardly anybody like this had one of the treatments."""
    low, high = POSSIBLE
    untreated, treated = said.levels
    chance = said.chance[place]
    if low <= chance <= high:
        return ""
    rare = treated if chance < low else untreated
    return f"hardly anybody like this had {rare}: what follows it is a guess"
