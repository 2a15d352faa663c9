"""Is the model as good for everyone? The same measures for each group, and their gaps.

Groups are the levels of declared categories. They are told apart in the sums that an
evaluation takes anyway; a group of too few people is not told (Hardt et al. 2016).
"""

from collections.abc import Mapping
from typing import Any, cast

from common import scores
from common.errors import StudyError
from common.evaluation import Evaluation
from common.release import Array
from common.schema import Category
from common.sheet import Sheet
from common.study import Study
from common.task import Findings

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
    """Return each group's measures and, by variable, how far its groups are apart.

    A group of fewer people than a sum may stand for is left out, and so is its
    complement where that would give it back.
    """
    fewest = study.disclosure.cell
    listed: list[Findings] = []
    for place, (index, _, name) in enumerate(groups(study)):
        low, high = arrays["group_negatives"][place], arrays["group_positives"][place]
        few = low.sum() + high.sum() < fewest
        told = scores.group(low, high, float(arrays["group_said"][place]))
        kept = {"records": None} if few else told
        listed.append({"variable": index, "name": name, **kept})
    for index in {group[0] for group in groups(study)}:
        _complete(listed, index)
    gaps = [
        _gaps(study, listed, index) for index in sorted({g[0] for g in groups(study)})
    ]
    return {"subgroups": listed, "fairness": gaps}


def _complete(listed: list[Findings], index: int) -> None:
    """Leave out a second group of a variable where one alone would be left out."""
    same = [each for each in listed if each["variable"] == index]
    told = [each for each in same if each["records"] is not None]
    if len(same) - len(told) == 1 and told:
        least = min(told, key=lambda each: cast("int", each["records"]))
        name = least["name"]
        least.clear()
        least.update({"variable": index, "name": name, "records": None})


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
    note = "A group too small to be told, and what would give it away, is left empty."
    apart = tuple(tuple(each.values()) for each in found["fairness"])
    names = tuple(name.replace("_", " ") for name in found["fairness"][0])
    fair = "Largest difference between groups; 0 is equal (Hardt et al. 2016)."
    return (
        Sheet("By group", ("group", *heads), rows, (note,)),
        Sheet("How far groups are apart", names, apart, (fair,)),
    )
