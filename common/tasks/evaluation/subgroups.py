"""Is the model as good for everyone? The same measures for each group, and their gaps.

Groups are the levels of declared categories. They are told apart in the sums that an
evaluation takes anyway; a group of too few people is not told (Hardt et al. 2016).
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.arithmetic import intervals, scores
from common.errors import StudyError
from common.release import Array
from common.schema import Category
from common.sections.evaluation import Evaluation
from common.sheet import Sheet
from common.study import Study
from common.task import Findings
from common.tasks.evaluation import cells

SHOWN = ("records", "auc", "sensitivity", "specificity", "ppv", "said_yes", "expected")
"""What a table shows of a group; its findings hold more."""


def asked(study: Study) -> Evaluation:
    """Return how the study tests its model; raise StudyError when it does not."""
    if study.evaluation is None:
        raise StudyError("this study has no [evaluation]")
    return study.evaluation


def groups(study: Study) -> tuple[tuple[int, int, str], ...]:
    """Return (variable, level, name) of every group that is looked at by itself."""
    return tuple(
        (index, level, f"{each.name} = {text}")
        for index, each in enumerate(study.variables)
        if each.name in asked(study).subgroups and isinstance(each, Category)
        for level, text in enumerate(each.levels)
    )


def read(study: Study, arrays: Mapping[str, Array]) -> Findings:
    """Return each group's measures and, by variable, how far its groups are apart."""
    every = groups(study)
    if not every:
        return {"subgroups": [], "fairness": []}
    low, high = arrays["group_negatives"], arrays["group_positives"]
    listed: list[Findings] = [
        {"variable": index, "name": name, "records": None} for index, _, name in every
    ]
    for place in np.flatnonzero(_told(study, arrays)):
        said = float(arrays["group_said"][place])
        listed[place] |= _rounded(study, scores.group(low[place], high[place], said))
    for group, side in _hidden(study, arrays):
        listed[group] |= dict.fromkeys((*TOGETHER, SIDES[side]))
        if cells.counted(low[group] + high[group], cells.least(study)):
            listed[group] |= dict.fromkeys(("expected", "auc", "auc_interval"))
    gaps = [_gaps(study, listed, index) for index in sorted({g[0] for g in every})]
    return {"subgroups": listed, "fairness": gaps}


def _told(study: Study, arrays: Mapping[str, Array]) -> NDArray[np.bool_]:
    """Return which groups are told.

    A group is left out of which too few have the outcome, or too few have it not. So
    are the smallest others, until all records less those of the variable's told groups
    are enough of both kinds, or none: gaps are in no group.
    """
    fewest, kinds = study.disclosure.cell, ("negatives", "positives")
    every = np.array([arrays[kind].sum() for kind in kinds])
    own = np.stack([arrays[f"group_{kind}"].sum(axis=-1) for kind in kinds], axis=-1)
    told: NDArray[np.bool_] = own.min(axis=-1) >= fewest
    of = np.array([index for index, _, _ in groups(study)])
    for index in set(of.tolist()):
        same = np.flatnonzero((of == index) & told)
        for place in same[own[same].sum(axis=-1).argsort(kind="stable")]:
            rest = every - own[told & (of == index)].sum(axis=0)
            if not rest.any() or rest.min() >= fewest:
                break
            told[place] = False
    return told


def _rounded(study: Study, found: Findings) -> Findings:
    """Return a group's measures, its area so that no few pairs can be counted."""
    records, having = (float(str(found[name])) for name in ("records", "positives"))
    fewest, pairs = cells.least(study), having * (records - having)
    auc = found["auc"]
    if not isinstance(auc, float) or not pairs or fewest <= 1:
        return found
    told = cells.rounded(auc, fewest / pairs) or 0.0
    told = min(told, 1.0)
    interval = intervals.auc(told, having, records - having)
    return {**found, "auc": told, "auc_interval": interval and [*interval]}


SIDES = {"negatives": "specificity", "positives": "sensitivity"}
"""The share that is of those without the outcome, and of those with it."""
TOGETHER = ("accuracy", "ppv", "npv", "f1", "said_yes")
"""The shares that are of both."""


def _hidden(study: Study, arrays: Mapping[str, Array]) -> Iterator[tuple[int, str]]:
    """Yield the places of groups of which a small cell would be told, and the side.

    What is left of everybody is a group as well, which nobody tells of. The cells that
    are not told add up to none that is small: otherwise the smallest other goes too.
    """
    told, fewest = _told(study, arrays), cells.least(study)
    of = np.array([index for index, _, _ in groups(study)])
    half = arrays["negatives"].shape[0] // 2
    for side in SIDES:
        halves = [_halves(each, half) for each in arrays[f"group_{side}"]]
        every, own = _halves(arrays[side], half), np.array(halves)
        for index in set(of.tolist()):
            places = np.flatnonzero((of == index) & told)
            ordered = places[own[places].sum(axis=1).argsort(kind="stable")].tolist()
            few = [p for p in ordered if _few(own[p], fewest)]
            rest = every - own[[p for p in ordered if p not in few]].sum(axis=0)
            while _few(rest, fewest) and len(few) < len(ordered):
                more = next(p for p in ordered if p not in few)
                few, rest = [*few, more], rest + own[more]
            yield from ((place, side) for place in few)


def _halves(bins: Array, half: int) -> Array:
    """Return how many were said not to have the outcome, and how many to have it."""
    return np.array([bins[:half].sum(), bins[half:].sum()])


def _few(pair: Array, fewest: int) -> bool:
    return any(cells.small(float(each), fewest) for each in pair)


def _gaps(study: Study, listed: list[Findings], index: int) -> Findings:
    told = [e for e in listed if e["variable"] == index and e["records"] is not None]
    return {
        "variable": study.variables[index].name,
        "demographic_parity": scores.gap(told, "said_yes"),
        "equal_opportunity": scores.gap(told, "sensitivity"),
        "equal_false_alarms": scores.gap(told, "specificity"),
        "predictive_parity": scores.gap(told, "ppv"),
    }


def show(found: Mapping[str, Any]) -> tuple[Sheet, ...]:
    """Return each group by itself, and how far the groups of a variable are apart."""
    if not found["subgroups"]:
        return ()
    rows = tuple(
        (each["name"], *(each.get(key) for key in SHOWN)) for each in found["subgroups"]
    )
    heads = tuple(key.replace("_", " ") for key in SHOWN)
    note = (
        "A group too few of which have the outcome, or have it not, is left empty, and "
        "so is what would give it away."
    )
    apart = tuple(tuple(each.values()) for each in found["fairness"])
    names = tuple(name.replace("_", " ") for name in found["fairness"][0])
    fair = "Largest difference between groups; 0 is equal (Hardt et al. 2016)."
    return (
        Sheet("By group", ("group", *heads), rows, (note,)),
        Sheet("How far groups are apart", names, apart, (fair,)),
    )
