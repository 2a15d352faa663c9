"""The fix of a refused study is one line, and with it the study is read."""

import ast
import re
import tomllib
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pydantic import ValidationError

from common import design, encoding, registry
from common.sections import asked, kept
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
]


def analysis(**asking: Any) -> dict[str, Any]:
    return {"analysis": asking}


def learning(**training: Any) -> dict[str, Any]:
    return {"model": {**NETWORK, "training": training}}


def effect(treatment: str, **more: Any) -> dict[str, Any]:
    exclude = [
        each | {"missing": "exclude"} if each["name"] == "sex" else each
        for each in clinics.VARIABLES
    ]
    asking = analysis(treatment_effect={"treatment": treatment, **more})
    return asking | {"variables": exclude}


CLEAR = {"rounds": {"quorum": 2, "secure_aggregation": False}}
SEX = ["sex", "ill"]
ASKED: list[dict[str, Any]] = [
    judged(subgroups=["sex"]) | {"outcome": clinics.STAGE} | {"model": FOREST},
    judged(subgroups=["age", "sex"]),
    judged(subgroups=["sex", "age"]),
    judged(explain=True) | PROMISE,
    {"model": FOREST | {"columns": 100}},
    analysis(pca=99),
    analysis(quantiles=[0.5]) | {"variables": clinics.VARIABLES[2:]},
    analysis(quantiles=[0.5, 0.25, 0.5]),
    analysis(chi_square=[SEX, ["sex", "sex"]]),
    analysis(chi_square=[["sex", "sex"]]),
    analysis(chi_square=[["age", "ill"]]),
    analysis(chi_square=[["sex", "death"]]) | COX,
    analysis(correlation=["age", "chol", "age"]),
    analysis(correlation=["age", "chol", "sex"]),
    analysis(correlation=["age", "sex"]),
    analysis(compare=[["sex", "ill"], ["age", "sex"]]),
    analysis(compare=[["age", "age"]]),
    analysis(compare=[["age", "chol"]]),
    analysis(association=True) | COX,
    analysis(survival=["sex"]),
    analysis(survival=["sex", "age"]) | COX,
    effect("pain"),
    effect("sex") | {"variables": clinics.VARIABLES},
    effect("sex", covariates=["sex", "age"]),
    effect("sex", covariates=["sex"]),
    effect("sex", subgroups=["ill", "pain"]),
    effect("sex", subgroups=["age"]),
    effect("sex") | COX,
]
KEPT: list[dict[str, Any]] = [
    {"model": {"kind": "poisson", "ridge": 1.0}, "outcome": clinics.COUNT} | PROMISE,
    {"model": {"kind": "logistic", "ridge": 1.0, "l1_share": 0.5}} | PROMISE,
    learning(by="weights") | PROMISE,
    analysis(clusters={"groups": 2, "starts": 3}) | PROMISE,
    analysis(chi_square=[SEX, SEX]) | PROMISE,
    effect("sex") | PROMISE,
    learning(patience=2, sample=0.5) | PROMISE,
    learning(patience=2) | PROMISE | FOUR | {"rounds": {"quorum": 4, "dropouts": 1}},
    {"model": {"kind": "logistic", "ridge": 1.0, "one_shot": True}},
    learning(combine="median", sample=0.5) | CLEAR,
    learning(combine="median") | THREE | {"rounds": {"quorum": 3}},
    learning(combine="voted", votes=True) | THREE | CLEAR,
    learning(by="weights", batch=4) | {"disclosure": {"min_people": 10}},
]
NOT_DECLARED: list[dict[str, Any]] = [
    judged(subgroups=["sax"]),
    analysis(chi_square=[["sax", "ill"]]),
]
"""Of these the fix is the name that is nearest, or all that there are."""


@pytest.fixture(autouse=True)
def _poisson_has_no_private_form(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every model has one; whoever adds a model may not have one yet."""
    without = replace(registry.MODELS["poisson"], private=None)
    monkeypatch.setitem(registry.MODELS, "poisson", without)


CASES += ASKED + KEPT


@pytest.mark.parametrize("case", CASES, ids=map(str, range(len(CASES))))
def test_with_its_fix_a_refused_study_is_read(case: dict[str, Any]) -> None:
    document = said(**deepcopy(case))
    with pytest.raises(ValidationError) as refused:
        Study.model_validate(document)
    pasted(document, *noted(refused.value))
    Study.model_validate(document)


def refusal(case: dict[str, Any]) -> Exception:
    """Return what a check said of a study."""
    with pytest.raises(ValidationError) as refused:
        Study.model_validate(said(**deepcopy(case)))
    (found,) = refused.value.errors()
    error = found["ctx"]["error"]
    assert isinstance(error, Exception)
    return error


@pytest.mark.parametrize("case", NOT_DECLARED, ids=["a subgroup", "an analysis"])
def test_what_is_not_declared_is_told_what_is_near(case: dict[str, Any]) -> None:
    assert refusal(case).__notes__[1] == 'did you mean "sex"?'


def raising(module: ModuleType) -> set[int]:
    """Return the lines of *module* on which something is refused."""
    tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
    return {node.lineno for node in ast.walk(tree) if isinstance(node, ast.Raise)}


def raised(module: ModuleType, error: Exception) -> Iterator[int]:
    """Yield the lines of *module* by which an error came."""
    trace = error.__traceback__
    while trace:
        if trace.tb_frame.f_code.co_filename == module.__file__:
            yield trace.tb_lineno
        trace = trace.tb_next


@pytest.mark.parametrize(
    ("module", "cases"), [(asked, ASKED), (kept, KEPT)], ids=["asked", "kept"]
)
def test_every_refusal_there_is_tried_and_has_a_fix(
    module: ModuleType, cases: list[dict[str, Any]]
) -> None:
    errors = [refusal(case) for case in cases + NOT_DECLARED]
    assert all(error.__notes__[1] for error in errors)
    seen = {line for error in errors for line in raised(module, error)}
    assert raising(module) <= seen


def noted(invalid: ValidationError) -> tuple[str, str]:
    (found,) = invalid.errors()
    key, fix = found["ctx"]["error"].__notes__
    return key, fix


def pasted(document: dict[str, Any], key: str, fix: str) -> None:
    """Do to the *document* what *fix* says of the *key*, as a person would."""
    if out := re.fullmatch(r"take \[(\w+)\] out", fix):
        del document[out[1]]
        return
    if out := re.fullmatch(r"take (\w+) out of \[([\w.]+)\]", fix):
        del table(document, out[2])[out[1]]
        return
    if top := re.fullmatch(r"(.*)   at the top, and no \[(\w+)\]", fix):
        del document[top[2]]
        document |= tomllib.loads(top[1])
        return
    if below := re.fullmatch(r'(.*)   below name = "(\w+)"(, or .*)?', fix):
        (own,) = (e for e in document["variables"] if e["name"] == below[2])
        own |= tomllib.loads(below[1])
        return
    elsewhere = re.fullmatch(r"in \[([\w.]+)\]:   (.*)", fix)
    name, line = elsewhere.groups() if elsewhere else (key.rpartition(".")[0], fix)
    place = table(document, name)
    if name == "selection":
        place.clear()
    place |= tomllib.loads(line)


def table(document: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the table of a document that has this dotted name."""
    for part in name.split("."):
        document = document[part]
    return document


def test_columns_are_counted_as_they_are_made() -> None:
    study = clinics.study()
    assert design.columns(study.variables) == encoding.columns(study)
