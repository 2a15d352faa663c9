"""How good a model of several levels is: who was said to be what, and each against all.

A record is said to have its likeliest level. The area under the ROC curve of a level is
that of telling it from all others (Provost & Domingos 2003), from a histogram of its
probability as for two levels.
"""

from typing import Any, cast

import numpy as np

from common.arithmetic import intervals, scores
from common.release import Array, Field, Release, Summands
from common.sheet import Sheet
from common.study import Study
from common.task import Findings, State
from common.tasks.evaluation import cells, cells_of_levels
from common.tasks.evaluation.cells_of_levels import Line
from common.tasks.evaluation.subgroups import asked

SMALLEST = 1e-15
"""A probability below this counts as this: nobody's loss is infinite."""


def levels(study: Study) -> tuple[str, ...]:
    """Return the levels of the outcome by their codes."""
    outcome = study.outcome
    return () if outcome.kind == "number" else outcome.coded


def release(study: Study) -> Release:
    """Declare the confusion matrix, two histograms a level, and two sums."""
    size, bins = len(levels(study)), asked(study).bins
    return {
        "confusion": Field(
            "test records by level and by likeliest level", (size, size), "count"
        ),
        "having": Field(
            "test records of a level, by its probability", (size, bins), "count"
        ),
        "without": Field(
            "test records of other levels, by its probability", (size, bins), "count"
        ),
        "brier": Field(
            "sums of squared errors of the probabilities, and squared", (2,), "sum"
        ),
        "log_loss": Field("sums of the log losses, and squared", (2,), "sum"),
    }


def counted(study: Study, chance: Array, outcome: Array) -> Summands:
    """Return what leaves of test records with *chance* [records, levels]."""
    size, bins = len(levels(study)), asked(study).bins
    own, said = outcome.astype(np.int64), chance.argmax(axis=1)
    confusion, true = np.zeros((size, size)), np.eye(size)[own]
    np.add.at(confusion, (own, said), 1.0)
    place = np.searchsorted(scores.edges(bins), chance, side="right")
    having, without = np.zeros((size, bins)), np.zeros((size, bins))
    for level in range(size):
        inside = own == level
        having[level] = np.bincount(place[inside, level], minlength=bins)
        without[level] = np.bincount(place[~inside, level], minlength=bins)
    hit = chance[np.arange(len(own)), own]
    error = ((chance - true) ** 2).sum(axis=1)
    loss = -np.log(np.maximum(hit, SMALLEST))
    return {
        "confusion": confusion,
        "having": having,
        "without": without,
        "brier": np.array([error.sum(), error @ error]),
        "log_loss": np.array([loss.sum(), loss @ loss]),
    }


def read(study: Study, state: State) -> Findings:
    """Return accuracy, the mean area over the levels, and each level by itself."""
    arrays, names, fewest = state.arrays, levels(study), cells.least(study)
    confusion = arrays["confusion"]
    records = float(confusion.sum())
    every = cells_of_levels.lines(confusion, fewest)
    each = [_level(arrays, every, at, fewest) for at in range(len(names))]
    named = [{"name": name, **one} for name, one in zip(names, each, strict=True)]
    known = [cast("float", one["auc"]) for one in each if one["auc"] is not None]
    found = {
        "records": int(records),
        **cells_of_levels.accuracy(every),
        "auc": float(np.mean(known)) if known else None,
        **_means(arrays, records),
        "levels": named,
        "confusion": [list(line.cells) for line in every],
    }
    if all(line.known for line in every):
        return found
    found["note"] = cells.short(study)
    if cells.counted(arrays["having"] + arrays["without"], fewest):
        named = [one | dict.fromkeys(cells.AREA) for one in named]
        return found | dict.fromkeys(("auc", *BLURRED)) | {"levels": named}
    return cells.blurred(found, BLURRED, DIGITS)


BLURRED = ("brier", "brier_interval", "log_loss", "log_loss_interval")
DIGITS = 2
"""To so many digits, where who is wrong is withheld; not at all where they count it."""


def _means(arrays: Summands, records: float) -> Findings:
    """Return the mean of each loss with its interval."""
    found: Findings = {}
    for name in ("brier", "log_loss"):
        total, squares = (float(each) for each in arrays[name])
        found[name] = total / records if records else None
        found[f"{name}_interval"] = intervals.mean(total, squares, records)
    return found


def show(study: Study, state: State) -> tuple[Sheet, ...]:
    """Show who was said to be what, and how well each level is told from the rest."""
    found = cast("dict[str, Any]", read(study, state))
    names = levels(study)
    table = tuple(
        (name, *row) for name, row in zip(names, found["confusion"], strict=True)
    )
    keys = ("auc", "sensitivity", "ppv", "f1")
    each = tuple((one["name"], *(one[key] for key in keys)) for one in found["levels"])
    notes = ["A row is what is so, a column the likeliest by the model."]
    if any(None in row for row in found["confusion"]):
        notes.append(cells.note(study))
    area = "AUC: this level against all others."
    return (
        Sheet("Who is said to be what", ("is", *names), table, tuple(notes)),
        Sheet("Each level by itself", ("level", *keys), each, (area,)),
    )


def _level(arrays: Summands, every: list[Line], place: int, fewest: int) -> Findings:
    """Return what may be told of the level at *place*."""
    line, at = every[place], cells_of_levels.table(every, place)
    area = None
    others = sum(each.records for each in every) - line.records
    if line.told and not cells.small(others, fewest):
        pair = arrays["without"][place], arrays["having"][place]
        area = cells.area(*pair, fewest)
    return {
        "records": int(line.records) if line.told else None,
        "auc": area[0] if area else None,
        "auc_error_bound": area[1] if area else None,
        "auc_interval": intervals.auc(area[0], line.records, others) if area else None,
        **(scores.rates(at) if at else dict.fromkeys(RATES)),
        **cells_of_levels.sensitivity(line),
    }


RATES = ("accuracy", "specificity", "ppv", "npv", "f1")
