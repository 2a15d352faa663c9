"""What a learned model says of a hospital's own people: here, and to nobody else.

    consilium client predict model.json --site site.toml --data today.csv

The records are read as for a study, by the same mapping, without the outcome. Nothing
is said of a record with a value outside its declared range: the model saw no such one.
"""

from collections.abc import Collection
from dataclasses import replace
from itertools import compress
from pathlib import Path

import numpy as np

from client.bedside.said import REFUSED, Said, text, write
from client.documents.mapping import Column, Csv
from client.learning import own_layers
from client.site import Site
from client.tables import integration
from client.tables.work import Work
from client.trust import credentials
from common.encoding import seen
from common.errors import UsageError
from common.learned import model_file
from common.learned.model_file import MODEL, Learned
from common.release import Array
from common.schema import HIGHEST, Number
from common.study import Study
from common.task import Rows
from common.trust import identity

__all__ = ["REFUSED", "Said", "outside", "predict", "read_model", "text", "write"]


def read_model(site: Site, path: Path) -> Learned:
    """Return the model at *path*, with this site's own layers if some are personal.

    At a member of a consortium it must be signed: raises IdentityError when the site's
    aggregator did not.
    """
    home, key = site.home, None
    if home is not None and (home / "request.json").exists():
        key = identity.public_key(credentials.load(home).invite.aggregator)
    return own_layers.applied(site, model_file.read(path, key))


def predict(site: Site, learned: Learned, file: Path | None = None) -> Said:
    """Return what *learned* says of every record at *site*, or in another *file*.

    Raises UsageError for the models of a treatment's effect.
    """
    study = learned.study
    if learned.part != MODEL:
        raise UsageError(
            "this model tells of treatments", fix="add --treatments to the command"
        )
    work, rows = read_rows(site, learned, file)
    model, arrays = learned.model, learned.arrays
    expected = model.predict(study, arrays, rows)
    ends = model.interval(study, arrays, rows) if model.interval else None
    parts = model.explain(study, arrays, rows) if model.explain else None
    chances = expected if expected.ndim > 1 else np.zeros((len(expected), 0))
    if expected.ndim > 1:
        everyone, likeliest = np.arange(len(chances)), chances.argmax(axis=1)
        expected = chances[everyone, likeliest]
        parts = None if parts is None else parts[everyone, :, likeliest]
    if study.outcome.kind == "survival":
        expected, ends = np.exp(expected), None if ends is None else np.exp(ends)
    return Said(
        learned,
        work.keys["person"].to_numpy(dtype=np.int64),
        outside(study, rows.values),
        expected,
        ends,
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
    values = _aged(study, work.values(study), site.mapping.oldest)
    return work, _rows(learned, work, values)


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
    """Return the site as if it never measured *names*, reading another *file*.

    Ages are read as they are: one beyond its declared range is to be seen.
    """
    mapping = site.mapping
    absent = {name: Column(absent=True) for name in names}
    update: dict[str, object] = {"columns": {**mapping.columns, **absent}}
    update["oldest"] = int(HIGHEST)
    if file is not None:
        if not isinstance(mapping.data, Csv):
            raise UsageError(
                "--data stands for the file of [data], and there is no such table",
                where=str(site.path),
                fix="leave --data out: the sources of site.toml are read",
            )
        if not file.exists():
            raise UsageError(f"{file} does not exist", fix="correct --data")
        update["data"] = mapping.data.model_copy(update={"file": str(file.resolve())})
    return replace(site, mapping=mapping.model_copy(update=update))


def _aged(study: Study, values: Array, oldest: int) -> Array:
    """Return *values* with ages above *oldest* as one, as the model saw them.

    An age outside the declared range stays as it is: nothing is said of it.
    """
    found = values.copy()
    for place, each in enumerate(study.variables):
        if isinstance(each, Number) and each.unit == "a":
            old = (values[:, place] > oldest) & (values[:, place] <= each.range[1])
            found[old, place] = min(oldest + 1, each.range[1])
    return found


def _rows(learned: Learned, work: Work, values: Array) -> Rows:
    images = work.images(learned.study)
    clean = Rows(values, np.zeros(len(values)), values=values, images=images)
    return seen(learned.study, learned.model.fit, learned.arrays, clean)
