"""How good the model is on records it has not seen: from histograms and sums, once.

For a binary outcome each site counts its test records by score and class. The area
under the ROC curve of the summed histogram is exact but for ties inside a bin, and that
error has a bound (Hanley & McNeil 1982 for the statistic). For a number: mean squared
error.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np

from common.arithmetic import intervals, scores
from common.release import Array, Field, Release, Summands
from common.sheet import Sheet
from common.study import Study
from common.task import Findings, Found, Rows, Shapes, State, Task, kept, model_of
from common.tasks.evaluation import (
    cells,
    evaluate_levels,
    evaluate_number,
    evaluate_survival,
    number_groups,
    subgroups,
)
from common.tasks.evaluation.subgroups import asked

WITHOUT, HAVING = "test records without the outcome", "test records with the outcome"


def release(study: Study) -> Release:
    """Declare score histograms by class and group, or the sums of a squared error."""
    if study.outcome.kind == "category":
        return evaluate_levels.release(study)
    if study.outcome.kind == "survival":
        return evaluate_survival.release(study)
    if study.outcome.kind == "binary":
        count, each = asked(study).bins, len(subgroups.groups(study))
        bins, by_group = (count,), (each, count)
        declared = {
            "negatives": Field(f"{WITHOUT}, by score", bins, "count"),
            "positives": Field(f"{HAVING}, by score", bins, "count"),
            "said": Field("sum of the scores, by score", bins, "sum"),
            "brier": Field("sums of squared errors, and of their squares", (2,), "sum"),
            "group_negatives": Field(f"{WITHOUT}, by group, score", by_group, "count"),
            "group_positives": Field(f"{HAVING}, by group, score", by_group, "count"),
            "group_said": Field("sum of the scores, by group", (each,), "sum"),
        }
        return {name: field for name, field in declared.items() if field.size}
    return evaluate_number.release(study)


def shows(study: Study) -> Shapes:
    """Show the sites what the model needs to predict."""
    return model_of(study).carries(study)


def start(study: Study, found: Found) -> State:
    """Show the sites the model that was learned."""
    fitted = found[model_of(study).fit.name].arrays
    return State({name: fitted[name] for name in shows(study)})


def local(study: Study, state: State, rows: Rows) -> Summands:
    """Score this site's test records and count them."""
    return counted(study, model_of(study).predict(study, state.arrays, rows), rows)


def counted(study: Study, score: Array, rows: Rows) -> Summands:
    """Return what leaves of the test records *rows* with this *score* [records]."""
    outcome = rows.y
    if study.outcome.kind == "category":
        return evaluate_levels.counted(study, score, outcome)
    if study.outcome.kind == "survival":
        return evaluate_survival.counted(score, rows)
    if study.outcome.kind != "binary":
        return evaluate_number.counted(study, score, rows)
    error = (score - outcome) ** 2
    bins = asked(study).bins
    place = np.searchsorted(scores.edges(bins), score, side="right")
    known = subgroups.groups(study)
    inside = [rows.values[:, index] == level for index, level, _ in known]
    every = [np.ones(len(score), dtype=bool), *inside]
    negatives, positives = (
        np.array(
            [np.bincount(place[w & (outcome == side)], minlength=bins) for w in every]
        )
        for side in (0, 1)
    )
    summands = {
        "negatives": negatives[0],
        "positives": positives[0],
        "said": np.bincount(place, score, minlength=bins),
        "brier": np.array([error.sum(), error @ error]),
        "group_negatives": negatives[1:],
        "group_positives": positives[1:],
        "group_said": np.array([score[w].sum() for w in inside]),
    }
    return {name: summands[name].astype(np.float64) for name in release(study)}


def read(study: Study, state: State) -> Findings:
    """Return discrimination, calibration error and counts, with 95 % intervals."""
    if study.outcome.kind == "category":
        return evaluate_levels.read(study, state)
    if study.outcome.kind == "survival":
        return evaluate_survival.read(study, state)
    if study.outcome.kind == "binary":
        return {**_binary(study, state.arrays), **subgroups.read(study, state.arrays)}
    return evaluate_number.read(study, state.arrays)


def show(study: Study, state: State) -> tuple[Sheet, ...]:
    """Return what the model says of whom, how far its chances hold, and by group."""
    if study.outcome.kind == "category":
        return evaluate_levels.show(study, state)
    if study.outcome.kind == "survival":
        return evaluate_survival.show(study, state)
    found = cast("dict[str, Any]", read(study, state))
    if study.outcome.kind != "binary":
        return number_groups.show(found)
    return (*_told(study, found), *subgroups.show(found))


def _binary(study: Study, arrays: Mapping[str, Array]) -> Findings:
    """Return what may be told of the sums: no class and no cell of too few records."""
    negatives, positives = arrays["negatives"], arrays["positives"]
    without, having = float(negatives.sum()), float(positives.sum())
    records, half = without + having, len(negatives) // 2
    fewest = cells.least(study)
    if cells.small(without, fewest) or cells.small(having, fewest):
        few = f"fewer than {fewest} test records with the outcome, or without it"
        told = {"records": int(records), "net_benefit": [], "note": few}
        return {**dict.fromkeys(TOLD), **told}
    at = cells.told(scores.table(negatives, positives, half), fewest)
    auc, bound = cells.area(negatives, positives, fewest) or (None, None)
    found = {
        "records": int(records),
        "positives": int(having),
        **_errors(arrays, records, having),
        "auc": auc,
        "auc_error_bound": bound,
        "auc_interval": None if auc is None else intervals.auc(auc, having, without),
        **scores.rates(at.about),
        **{f"{name}_interval": at.interval(of) for name, of in cells.SHARES.items()},
        "confusion": at.counts(),
        "net_benefit": _benefits(study, at, negatives, positives),
    }
    ties = _tied(bound)
    if at.known:
        return {**found, "note": ties} if ties else found
    short = cells.short(study)
    if cells.counted(negatives + positives, fewest):  # and how far ties go with the AUC
        return {**found, **dict.fromkeys((*cells.AREA, *BLURRED)), "note": short}
    notes = "; ".join(filter(None, [short, ties]))
    return {**cells.blurred(found, BLURRED, DIGITS), "note": notes}


def withheld(study: Study, arrays: Mapping[str, Array]) -> bool:
    """Return whether chances are told of so few that no sum of them may be told."""
    found = read(study, State(arrays))
    return "brier" in found and found["brier"] is None


def _tied(bound: float | None) -> str:
    """Say that an AUC is not known well, where ties within a bin may move it far.

    Of a model that has hardly learned most chances share a bin: whom it puts before
    whom is not seen then, and the interval, which is of who was tested, knows nothing
    of it.
    """
    if bound is None or bound <= COARSE:
        return ""
    return f"many chances are nearly the same: AUC may be {bound:.2f} more or less"


TOLD = (
    *("records", "positives", "brier", "brier_interval", "auc", "auc_error_bound"),
    *("auc_interval", *cells.SHARES, *(f"{name}_interval" for name in cells.SHARES)),
    *("f1", "confusion", "expected", "expected_interval", "calibration_error"),
    "net_benefit",
)
"""All that is told of a binary outcome; nothing but the records of too small a class.
"""
COARSE = 0.05
"""How far ties may move an AUC before that is said beside it."""
BLURRED = (
    *("brier", "brier_interval", "expected", "expected_interval", "calibration_error"),
)
DIGITS = 2
"""What would tell how many were wrong, were all chances 0 or 1, or few different ones:
it is then withheld where that is, and else told to so many digits."""


def _errors(arrays: Mapping[str, Array], records: float, having: float) -> Findings:
    """Return how far chances are off: one by one, in sum and on average by bin."""
    brier, squares = (float(each) for each in arrays["brier"])
    said, positives = arrays["said"], arrays["positives"]
    expected = float(said.sum())
    return {
        "brier": brier / records if records else None,
        "brier_interval": intervals.mean(brier, squares, records),
        "expected": expected / having if having else None,
        "expected_interval": intervals.ratio(expected, having, records),
        "calibration_error": scores.expected_error(
            said, positives, arrays["negatives"] + positives
        ),
    }


def _benefits(
    study: Study, half: cells.Told, negatives: Array, positives: Array
) -> list[Findings]:
    """Return the net benefit at some chances: of the model, and of a yes to all.

    A chance is the edge of a bin nearest to a usual one: there the counts are exact. At
    one half it is that of the table as it is told. Where a cell between two of the
    chances is small, the others are rounded to so many records as a cell has at least.
    """
    inner, fewest = scores.edges(asked(study).bins), cells.least(study)
    near = sorted({int(np.abs(inner - each).argmin()) for each in scores.THRESHOLDS})
    between = _between(near, negatives, positives)
    rough = any(cells.small(each, fewest) for each in between)
    grain = fewest / max(sum(between), 1.0) if rough else 0.0
    everyone, found = scores.table(negatives, positives, 0), list[Findings]()
    for edge in near:
        chance, middle = float(inner[edge]), edge + 1 == len(negatives) // 2
        at = half.about if middle else scores.table(negatives, positives, edge + 1)
        exact = scores.net_benefit(at, chance)
        worth = exact if middle else cells.rounded(exact, grain)
        yes = scores.net_benefit(everyone, chance)
        found.append({"chance": chance, "model": worth, "everyone": yes})
    return found


def _between(near: Sequence[int], negatives: Array, positives: Array) -> list[float]:
    """Return how many records of each side lie between two of these edges."""
    first = [edge + 1 for edge in near]
    sides = (np.split(side, first) for side in (negatives, positives))
    return [float(each.sum()) for side in sides for each in side]


def _told(study: Study, found: dict[str, Any]) -> tuple[Sheet, ...]:
    hidden = None in (found["confusion"] or {"": None}).values()
    named = {
        "sensitivity": "of those with the outcome, found",
        "specificity": "of those without it, let go",
        "ppv": "of those said to have it, that do",
        "npv": "of those said not to, that do not",
        "f1": "F1, the harmonic mean of the first and third",
        "expected": "outcomes expected per outcome seen",
        "calibration_error": "average error of a chance",
    }
    rows = tuple(
        (words, found[name], *(found.get(f"{name}_interval") or (None, None)))
        for name, words in named.items()
    )
    benefit = tuple(
        (f"{line['chance']:.0%}", line["model"], line["everyone"])
        for line in found["net_benefit"]
    )
    notes = (cells.note(study),) if hidden else ()
    title, heads = "What the model says at one half", ("measure", "value", "from", "to")
    sheets = [Sheet(title, heads, rows, notes)]
    if benefit:
        note = (
            "Per record, in true positives; more is better (Vickers & Elkin 2006). "
            "Chances are edges of the score histogram, where the counts are exact."
        )
        title = "Net benefit, if one acts from a chance on"
        acted = ("chance", "by the model", "for everyone")
        sheets.append(Sheet(title, acted, benefit, (note,)))
    return tuple(sheets)


EVALUATE = Task(
    name="evaluate",
    rows="test",
    encoded=True,
    shows=shows,
    release=release,
    start=start,
    local=local,
    finish=kept,
    read=read,
    show=show,
)
