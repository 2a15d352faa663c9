"""Which records a table has: a source's rows, index events, or people.

one source, every row a record            as an export of a study has it
[index] source or event                   one record an event; the rest is joined on
several sources, no index                 one record a person
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from client.formats.raw import Place
from client.numbers import persons
from client.numbers.reading import Keys, Read
from client.numbers.ways import Way
from client.site import CHECK, Site
from common.errors import DataError

OWN = ("pick", "from_days", "to_days")
"""Settings that look beyond a record's own row."""


@dataclass(frozen=True, slots=True, repr=False)
class Records:
    """The records of the table: their keys, and their rows in the index's source."""

    keys: Keys
    source: str
    rows: NDArray[np.int64]


def choose(site: Site, wholes: Mapping[str, Read], every: tuple[Way, ...]) -> Records:
    """Return which records the table has."""
    index = site.mapping.index
    if index is None and joins(site, every):
        return _people(wholes)
    name = next(iter(wholes))
    whole = wholes[name]
    rows: NDArray[np.int64] = np.arange(len(whole.keys))
    if index and index.event:
        rows = whole.known(index.event)[0]
    _require_split(site, name, every)
    if index and index.pick != "all":
        rows = _one_each(whole.keys, rows, last=index.pick == "last")
    own = "" if index and index.event else name  # an event has no other columns
    return Records(taken(whole.keys, rows), own, rows)


def _people(wholes: Mapping[str, Read]) -> Records:
    """Return one record for everyone of whom any source says anything."""
    person = np.concatenate([whole.keys.person for whole in wholes.values()])
    folded = np.concatenate([whole.keys.folded for whole in wholes.values()])
    trains = np.concatenate([whole.keys.trains for whole in wholes.values()])
    key = np.concatenate([whole.keys.key for whole in wholes.values()])
    _, first = np.unique(person, return_index=True)
    first = np.sort(first)
    count = len(first)
    once, never = np.ones(count, dtype=np.int64), np.full(count, np.nan)
    keys = Keys(person[first], folded[first], once, never, trains[first], key[first])
    return Records(keys, "", np.arange(count))


def _one_each(keys: Keys, rows: NDArray[np.int64], *, last: bool) -> NDArray[np.int64]:
    """Return the first or last row of each person, by time."""
    named = rows[(keys.person[rows] != persons.NOBODY) & (keys.event[rows] != 0)]
    order = pd.DataFrame({"person": keys.person[named], "when": keys.when[named]})
    order = order.sort_values("when", kind="stable")
    kept = ~order.duplicated("person", keep="last" if last else "first")
    return np.sort(named[order.index[kept].to_numpy()])


def taken(keys: Keys, rows: NDArray[np.int64]) -> Keys:
    """Return the keys of some records, which are in order; of all as they are."""
    if len(rows) == len(keys):
        return keys
    return Keys(
        keys.person[rows],
        keys.folded[rows],
        keys.event[rows],
        keys.when[rows],
        keys.trains[rows],
        keys.key[rows],
    )


def joins(site: Site, every: tuple[Way, ...]) -> bool:
    """Tell whether records are made from events, rather than being a source's rows."""
    mapping = site.mapping
    wide = len({mapping.source_of(way.column) for way in every if way.column.found})
    rows = {"csv", "images", "parquet"}
    kinds = {way.source.kind for way in every if way.column.found}
    picked = any(looks(way) for way in every)
    return mapping.index is not None or wide > 1 or picked or not kinds <= rows


def looks(way: Way) -> bool:
    """Tell whether a variable is picked from several events."""
    return any(getattr(way.column, key) is not None for key in OWN)


def frame(keys: Keys) -> pd.DataFrame:
    """Return *keys* as the columns that the steps of cleaning look at."""
    return pd.DataFrame(
        {
            "person": keys.person,
            "folded": keys.folded,
            "event": keys.event,
            "when": keys.when,
            "trains": keys.trains,
            "key": keys.key,
        },
        copy=False,
    )


def _require_split(site: Site, name: str, every: tuple[Way, ...]) -> None:
    """Raise DataError when the study's test people come from a column nobody names."""
    evaluation = every[0].study.evaluation
    if evaluation is None or evaluation.test != "declared":
        return
    if getattr(site.mapping.named[name], "split", None) is None:
        place = Place(site, name)
        raise DataError(
            f"{site.name}: the study takes its test people from a column of the file",
            where=place.where(),
            fix=f'in {place.table}:   split = "NAME OF THE COLUMN"',
            then=f"{CHECK}{site.path}",
        )
