"""From numbers to a clean table: small steps in an order that the study names, counted.

people without a number -> duplicates -> look-alikes -> carried values -> cohort -> gaps
that exclude -> split. A step is a pure function from work to work. Nothing is guessed,
and nothing is deleted without a count.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from client.numbers import ways
from client.numbers.columns import Flags
from client.numbers.persons import NOBODY, Persons
from client.site import CHECK, Site
from client.table import Count, Table
from client.tables import quality, repeats
from client.tables.work import Work
from common.arithmetic import follow_up
from common.errors import DataError
from common.release import Array
from common.schema import Category, Survival
from common.sections.cleaning import Step
from common.study import Rule, Study

EVENT = ["person", "event"]


def clean(site: Site, study: Study, work: Work) -> Table:
    """Return the clean table of *work* as *study* says.

    Raises DataError, without a value in it, when too much is missing, or a person would
    train and test.
    """
    outside = 0
    for name in study.cleaning.steps:
        people = _people(work) if name == "cohort" else 0
        work = STEPS[name](study, work)  # no older work is held: it is as large again
        outside += people - _people(work) if name == "cohort" else 0
    quality.require(site, study, work)
    return _table(site, study, work, outside)


def identify(study: Study, work: Work) -> Work:
    """Leave out records of no person or no event: what they repeat is unknown."""
    del study
    named = (work.keys["person"] != NOBODY).to_numpy()
    work = _alike(work.keep(named, "person", "", "records without a person"))
    timed = (work.keys["event"] != 0).to_numpy()
    return work.keep(timed, "event", "", "records without the time of their event")


def _alike(work: Work) -> Work:
    """Count keys that differ in case or leading zeros only: one person, or two?"""
    alike = _people(work) - repeats.several(work.keys["folded"].to_numpy())
    what = "person keys like another but for case or zeros: taken as other people"
    return work.note("person", "", what, alike)


def _people(work: Work) -> int:
    return repeats.several(work.keys["person"].to_numpy())


def _shared(work: Work) -> Flags:
    """Return which records may share person and event with another; others do not."""
    person, event = (work.keys[each].to_numpy() for each in EVENT)
    return repeats.again(repeats.pairs(person, event))


def distinct(study: Study, work: Work) -> Work:
    """Keep one record per person and event: the most complete; of equals the last.

    Where the study says so, two that contradict each other both stay, and are counted.
    """
    shared = _shared(work)
    every = pd.concat([work.frame[shared], work.keys.loc[shared, EVENT]], axis=1)
    again = np.zeros(len(shared), dtype=np.bool_)
    again[shared] = every.duplicated(keep="last").to_numpy()
    step, same = "duplicates", "registered twice with the same content"
    work = work.keep(~again, step, "", same)
    kept = _most_complete(work)
    if study.cleaning.conflicts == "both":
        against = _contradicting(work)
        what = "records that contradict another of the same person and event: kept"
        work, kept = work.note(step, "", what, int(against.sum())), kept | against
    other = "registered twice with other content: the most complete is kept"
    return work.keep(kept, step, "", other)


def _most_complete(work: Work) -> Flags:
    """Return the fullest record of each person and event; of equals the last."""
    shared = _shared(work)
    keys, full = work.keys[shared], work.frame[shared].notna().sum(axis=1)
    order = full.sort_values(kind="stable").index
    last = ~keys.loc[order].duplicated(subset=EVENT, keep="last")
    kept = ~shared
    kept[shared] = last.reindex(keys.index).to_numpy()
    return kept


def _contradicting(work: Work) -> Flags:
    """Return which records have other values than another of their person and event."""
    shared = work.keys.duplicated(subset=EVENT, keep=False)
    frame, keys = work.frame[shared], work.keys[shared]
    several = frame.groupby([keys[each] for each in EVENT]).transform("nunique") > 1
    return several.any(axis=1).reindex(work.frame.index, fill_value=False).to_numpy()


def choose(study: Study, work: Work) -> Work:
    """Keep the people that the study is about."""
    for rule in study.cohort:
        inside = _satisfies(study, rule, work.frame[rule.variable])
        what = "records outside the cohort"
        work = work.keep(inside.to_numpy(), "cohort", rule.variable, what)
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


def complete(study: Study, work: Work) -> Work:
    """Leave out people without an outcome, or without a variable that must be there."""
    needed = [v.name for v in study.variables if v.missing == "exclude"]
    outcome = study.measured[len(study.variables) :]
    pictured = [each.name for each in ways.pictures(study)]
    for name in (*pictured, *needed, *(part.name for part in outcome)):
        known = work.frame[name].notna().to_numpy()
        work = work.keep(known, "gaps", name, "records without a required value")
    return work


def flag(study: Study, work: Work) -> Work:
    """Count records that are another person's in every value and event; keep them.

    Two people may look alike, and one may be registered under two numbers: a steward
    can tell, a program cannot.
    """
    if ways.pictures(study):
        return work  # two people are told apart by their pictures
    others = repeats.of_several(_content(work), work.keys["person"].to_numpy())
    what = "records like another person's in everything: kept, for the steward to see"
    return work.note("lookalikes", "", what, others)


def _content(work: Work) -> NDArray[np.int64]:
    """Return a number for what each record says, the same for the same, gaps too."""
    columns = [each for each in work.frame if work.frame[each].notna().any()]
    found = np.empty(len(work.frame), dtype=np.int64)
    for part in repeats.parts(len(found)):
        some = work.frame.iloc[part][columns], work.keys["event"].iloc[part]
        hashed = pd.util.hash_pandas_object(pd.concat(some, axis=1), index=False)
        found[part] = hashed.to_numpy().view(np.int64)
    return found


def carry(study: Study, work: Work) -> Work:
    """Fill gaps by the same person's last value before, unless it is too old.

    What was carried is remembered as such: it is no measurement to carry on from.
    """
    if not study.cleaning.carry:
        return work
    order = work.keys.sort_values(["person", "when"], kind="stable").index
    person, when = work.keys["person"][order], work.keys["when"][order]
    for name, days in study.cleaning.carry.items():
        values, mark = work.frame[name][order], f"carried {name}"
        marked = work.keys.get(mark, pd.Series(data=False, index=order))
        before = marked[order].astype(bool)
        known = values.notna() & when.notna() & ~before
        earlier = values.where(known).groupby(person).ffill()
        age = when - when.where(known).groupby(person).ffill()
        filled = values.isna() & (age <= days) & earlier.notna()
        what = f"gaps filled by the person's own value of at most {days:g} days before"
        work = work.changed(name, values.mask(filled, earlier), {mark: filled | before})
        work = work.note("carry", name, what, int(filled.sum()))
    return work


STEPS: dict[Step, Callable[[Study, Work], Work]] = {
    "people": identify,
    "duplicates": distinct,
    "lookalikes": flag,
    "carry": carry,
    "cohort": choose,
    "gaps": complete,
}


def _table(site: Site, study: Study, work: Work, outside: int) -> Table:
    """Hand over plain arrays, each person on one side."""
    train = work.keys["trains"].to_numpy(dtype=np.bool_)
    person = work.keys["person"].to_numpy()
    work.let_go({*work.keys} - {"person", "key"})
    trained, tested = (repeats.several(person[side]) for side in (train, ~train))
    if (both := trained + tested - repeats.several(person)) > 0:
        raise DataError(
            f"{site.name}: {both} people are split between train and test",
            where=site.where("data", "split"),
            likely="the file splits by visit; a model would be tested on whom it knows",
            fix="write the same word in every record of a person",
            then=f"{CHECK}{site.path}",
        )
    kept = Count("done", "", "records that train", int(train.sum()))
    other = Count("done", "", "records that test", int((~train).sum()))
    codes = _numbered(person, trained + tested)  # before the values: it takes room
    outcome = _outcome(study, work)
    return Table(
        values=work.values(study),
        outcome=outcome,
        train=train,
        person=codes,
        key=work.keys["key"].to_numpy(dtype=np.uint64),
        people={"train": trained, "test": tested},
        report=(*work.report, kept, other),
        site=np.full(len(train), _place(study, site.name)),
        outside=outside,
        images=work.images(study),
    )


def _numbered(person: Persons, different: int) -> NDArray[np.int64]:
    """Return the people counted from 0, in the order in which they are first met.

    Where all are *different* no table of them is held, which is larger than they are.
    """
    if different == len(person):
        return np.arange(different)
    return pd.factorize(person)[0].astype(np.int64, copy=False)


def _outcome(study: Study, work: Work) -> Array:
    """Return the outcome of each record as one number."""
    parts = study.measured[len(study.variables) :]
    columns = [work.frame[part.name].to_numpy(dtype=np.float64) for part in parts]
    if isinstance(study.outcome, Survival):
        return follow_up.coded(study.outcome, *columns)
    return columns[0]


def _place(study: Study, name: str) -> int:
    """Return the place of the site called *name* among the study's, or -1."""
    sites = study.study.sites
    return sites.index(name) if name in sites else -1
