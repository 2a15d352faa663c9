"""The fix of a refused study is one line, and with it the study is read."""

import re
import tomllib
from copy import deepcopy
from typing import Any

import pytest
from pydantic import ValidationError

from common import design, encoding
from common.study import Study
from tests import clinics

FOUR = {"study": {**clinics.ABOUT, "sites": ["east", "north", "south", "west"]}}
THREE = {"study": {**clinics.ABOUT, "sites": ["east", "north", "south"]}}
WHOLE = {"rounds": {"quorum": 4}, "disclosure": {"min_sites": 2}}
FOREST: dict[str, Any] = {"kind": "random_forest", "trees": 5, "depth": 3}
LINEAR = {"kind": "linear", "ridge": 1.0}
NETWORK = {"kind": "tabular_network", "dense": [4]}
PROMISE = {"privacy": {"epsilon": 1.0, "delta": 1e-5, "noise": "site"}}
COX = {"model": {"kind": "cox", "ridge": 1.0}, "outcome": clinics.DEATH}


def judged(**more: object) -> dict[str, Any]:
    return {"evaluation": {"test": 0.3, **more}}


def said(**more: Any) -> dict[str, Any]:
    """Return a study's document with changes to its top-level keys."""
    whole = clinics.study().model_dump(mode="json", by_alias=True, exclude_none=True)
    return whole | more


CASES = [
    judged(subgroups=["sex"]) | {"outcome": clinics.STAGE} | {"model": FOREST},
    judged(explain=True) | PROMISE,
    judged(subgroups=["sex"]) | PROMISE,
    judged(explain=True) | COX,
    judged(by_site=True) | PROMISE,
    judged(leave_out=1) | PROMISE,
    judged(leave_out=2) | THREE,
    judged(leave_out=4) | FOUR | WHOLE,
    judged(leave_out=2) | FOUR | {"disclosure": {"min_sites": 3}},
    judged(leave_out=1)
    | {"model": {"kind": "logistic", "ridge": 0.0, "site_intercepts": True}},
    judged(leave_out=1)
    | {"model": {**NETWORK, "training": {"by": "weights", "personal": "head"}}},
    judged(leave_out=1)
    | {
        "model": {**NETWORK, "training": {"combine": "median"}},
        "rounds": {"quorum": 2, "secure_aggregation": False},
    },
    judged(leave_out=1) | {"selection": {"ridge": [0.1, 1.0]}},
    {"selection": {"ridge": [2.0, 3.0]}},
    {"selection": {"ridge": [1.0, 1.0]}},
    {"selection": {"depth": [2, 3]}},
    {"selection": {"ridge": [0.1, 1.0]}, "model": FOREST},
    {"selection": {"depth": [2, 4]}, "model": FOREST | {"depth": 2}},
    {"selection": {"columns": [2, 4]}, "model": FOREST},
    {"selection": {"columns": [2, 99]}, "model": FOREST | {"columns": 7}},
    {"selection": {"columns": [2, 4]}, "model": FOREST} | PROMISE,
    COX | {"selection": {"ridge": [0.1, 1.0]}},
    {"model": FOREST | {"columns": 100}},
    {"analysis": {"pca": 99}},
]


@pytest.mark.parametrize("case", CASES, ids=map(str, range(len(CASES))))
def test_with_its_fix_a_refused_study_is_read(case: dict[str, Any]) -> None:
    document = said(**deepcopy(case))
    with pytest.raises(ValidationError) as refused:
        Study.model_validate(document)
    pasted(document, *noted(refused.value))
    Study.model_validate(document)


def noted(invalid: ValidationError) -> tuple[str, str]:
    (found,) = invalid.errors()
    key, fix = found["ctx"]["error"].__notes__
    return key, fix


def pasted(document: dict[str, Any], key: str, fix: str) -> None:
    """Do to the *document* what *fix* says of the *key*, as a person would."""
    if out := re.fullmatch(r"take \[(\w+)\] out", fix):
        del document[out[1]]
        return
    if out := re.fullmatch(r"take (\w+) out of \[(\w+)\]", fix):
        del document[out[2]][out[1]]
        return
    elsewhere = re.fullmatch(r"in \[([\w.]+)\]:   (.*)", fix)
    table, line = elsewhere.groups() if elsewhere else (key.rpartition(".")[0], fix)
    place = document
    for part in table.split("."):
        place = place[part]
    if table == "selection":
        place.clear()
    place |= tomllib.loads(line)


def test_columns_are_counted_as_they_are_made() -> None:
    study = clinics.study()
    assert design.columns(study.variables) == encoding.columns(study)
