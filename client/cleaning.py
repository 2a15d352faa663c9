"""From the hospital's text to a clean table, in one reviewed order, all counted.

declared columns -> missing codes -> numbers -> units -> spellings -> ranges ->
duplicates -> cohort -> gaps that exclude -> split. Nothing is guessed: a cell that the
mapping does not explain stops the study here, with its line and never its value.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
import pandas as pd

from client import columns
from client.lines import line_of
from client.site import CHECK, Site
from client.table import Count, Table
from common.errors import DataError
from common.schema import Category
from common.study import Rule, Study
from common.task import Keys


@dataclass(frozen=True, slots=True, repr=False)
class Work:
    """A table on its way through the steps: clean columns, keys and counts so far.

    ``frame`` holds one float column per variable and outcome, plus ``keys``.
    """

    frame: pd.DataFrame
    keys: pd.DataFrame
    report: tuple[Count, ...]

    def keep(self, chosen: pd.Series, step: str, variable: str, what: str) -> "Work":
        """Return the work without the records outside *chosen*, counted."""
        lost = int((~chosen).sum())
        counted = (Count(step, variable, what, lost),) if lost else ()
        frame, keys = self.frame[chosen], self.keys[chosen]
        return Work(frame, keys, self.report + counted)


def clean(site: Site, study: Study, raw: pd.DataFrame) -> Table:
    """Return the clean table of *raw* text under this site's mapping and this study.

    Raises DataError, without a value in it, for whatever the mapping does not explain.
    """
    work = _columns(site, study, raw)
    for step in (_identified, _distinct):
        work = step(study, work)
    inside = _cohort(study, work)
    left = set(work.keys["person"]) - set(inside.keys["person"])
    return _table(site, study, _complete(study, inside), len(left))


def _columns(site: Site, study: Study, raw: pd.DataFrame) -> Work:
    """Turn each declared variable's text into numbers."""
    if raw.empty:
        raise DataError(
            f"{site.name}: {site.data_file.name} has a header and no records",
            where=site.where("data", "file"),
            fix="export it again, with its records",
            then=f"{CHECK}{site.path}",
        )
    undeclared = set(site.mapping.columns) - {each.name for each in study.everything}
    report = [Count("read", "", "records read", len(raw))]
    if undeclared:
        names = ", ".join(sorted(undeclared))
        ignored = f"mapped but not declared by the study, ignored: {names}"
        report.append(Count("columns", "", ignored, len(undeclared)))
    frame = {}
    for variable in study.everything:
        column = columns.clean(site, study, variable, raw)
        frame[variable.name] = column.numbers
        report.extend(column.report)
    return Work(pd.DataFrame(frame, index=raw.index), _keys(site, raw), tuple(report))


def _keys(site: Site, raw: pd.DataFrame) -> pd.DataFrame:
    data = site.mapping.data
    named = {"person": data.person, "event_time": data.event_time, "split": data.split}
    text = {key: raw[column].str.strip() for key, column in named.items() if column}
    known = {key: each.mask(each.isin(data.missing), "") for key, each in text.items()}
    return pd.DataFrame(known, index=raw.index)


def _identified(study: Study, work: Work) -> Work:
    """Leave out records of no person or no event: what they repeat is unknown."""
    del study
    named = work.keys["person"].str.len() > 0
    work = _alike(work.keep(named, "person", "", "records without a person"))
    if "event_time" not in work.keys:
        return work
    timed = work.keys["event_time"].str.len() > 0
    return work.keep(timed, "event", "", "records without the time of their event")


def _alike(work: Work) -> Work:
    """Count keys that differ in case or leading zeros only: one person, or two?"""
    keys = pd.Series(work.keys["person"].unique(), dtype=str)
    alike = len(keys) - keys.str.casefold().str.lstrip("0").nunique()
    what = "person keys like another but for case or zeros: taken as other people"
    counted = (Count("person", "", what, alike),) if alike else ()
    return Work(work.frame, work.keys, work.report + counted)


def _distinct(study: Study, work: Work) -> Work:
    """Keep one record per person and event: the most complete; of equals the last."""
    del study
    event = [key for key in ("person", "event_time") if key in work.keys]
    every = pd.concat([work.frame, work.keys[event]], axis=1)
    again = every.duplicated(keep="last")
    step, same = "duplicates", "registered twice with the same content"
    work = work.keep(~again, step, "", same)
    order = work.frame.notna().sum(axis=1).sort_values(kind="stable").index
    last = ~work.keys.loc[order].duplicated(subset=event, keep="last")
    other = "registered twice with other content: the most complete is kept"
    return work.keep(last.reindex(work.frame.index), step, "", other)


def _cohort(study: Study, work: Work) -> Work:
    """Keep the people that the study is about."""
    for rule in study.cohort:
        inside = _satisfies(study, rule, work.frame[rule.variable])
        work = work.keep(inside, "cohort", rule.variable, "records outside the cohort")
    return work


def _satisfies(study: Study, rule: Rule, values: pd.Series) -> pd.Series:
    """Return who satisfies *rule*; a gap does not."""
    if rule.one_of is not None:
        variable = next(v for v in study.variables if v.name == rule.variable)
        levels = variable.levels if isinstance(variable, Category) else ()
        return values.isin([levels.index(level) for level in rule.one_of])
    low = -np.inf if rule.at_least is None else rule.at_least
    high = np.inf if rule.at_most is None else rule.at_most
    return values.between(low, high)


def _complete(study: Study, work: Work) -> Work:
    """Leave out people without an outcome, or without a variable that must be there."""
    needed = [v.name for v in study.variables if v.missing == "exclude"]
    for name in (*needed, study.outcome.name):
        known = work.frame[name].notna()
        work = work.keep(known, "gaps", name, "records without a required value")
    return work


def _table(site: Site, study: Study, work: Work, outside: int) -> Table:
    """Split by person and hand over plain arrays."""
    train = _split(site, study, work).to_numpy()
    person = work.keys["person"]
    people = {"train": person[train].nunique(), "test": person[~train].nunique()}
    kept = Count("done", "", "records that train", int(train.sum()))
    tested = Count("done", "", "records that test", int((~train).sum()))
    values = work.frame[[variable.name for variable in study.variables]]
    return Table(
        values=np.ascontiguousarray(values.to_numpy(dtype=np.float64)),
        outcome=work.frame[study.outcome.name].to_numpy(dtype=np.float64),
        train=train,
        person=pd.factorize(person)[0].astype(np.int64),
        key=_keyed(person),
        people={"train": people["train"], "test": people["test"]},
        report=(*work.report, kept, tested),
        site=_place(study, site.name),
        outside=outside,
    )


def _place(study: Study, name: str) -> int:
    """Return the place of the site called *name* among the study's, or -1."""
    sites = study.study.sites
    return sites.index(name) if name in sites else -1


def _keyed(person: pd.Series) -> Keys:
    """Return a number for each record that is always the same for one person."""
    numbers = {each: _number_of("key", each) for each in person.unique()}
    return person.map(numbers).to_numpy(dtype=np.uint64)


def _split(site: Site, study: Study, work: Work) -> pd.Series:
    """Return who trains: everyone, whom the file names, or by a hash of the person."""
    if study.evaluation is None:
        return pd.Series(data=True, index=work.frame.index)
    test = study.evaluation.test
    if test == "declared":
        return _declared(site, work)
    seed = study.evaluation.seed
    draws = {person: _draw(seed, person) for person in work.keys["person"].unique()}
    return work.keys["person"].map(draws) >= test


def _declared(site: Site, work: Work) -> pd.Series:
    if "split" not in work.keys:
        raise DataError(
            f"{site.name}: the study takes its test people from a column of the file",
            where=site.where("data"),
            fix='in [data]:   split = "NAME OF THE COLUMN"',
            then=f"{CHECK}{site.path}",
        )
    said = work.keys["split"]
    other = ~said.isin(["train", "test"])
    if other.any():
        count = int(other.sum())
        raise DataError(
            f"{site.name}: {count} cells of the split column are not train or test",
            where=f"{site.data_file.name} line {line_of(other)}",
            fix="write train or test in each cell",
            then=f"{CHECK}{site.path}",
        )
    sides = said.groupby(work.keys["person"]).nunique()
    if (both := int((sides > 1).sum())) > 0:
        raise DataError(
            f"{site.name}: {both} people are split between train and test",
            where=site.where("data", "split"),
            likely="the file splits by visit; a model would be tested on whom it knows",
            fix="write the same word in every record of a person",
            then=f"{CHECK}{site.path}",
        )
    return said == "train"


def _draw(seed: int, person: str) -> float:
    """Return a number in [0, 1) that is always the same for one person and seed."""
    return _number_of(str(seed), person) / 2**64


def _number_of(what: str, person: str) -> int:
    digest = hashlib.sha256(f"{what}:{person}".encode()).digest()
    return int.from_bytes(digest[:8], "big")
