"""Small studies and hospitals that tests are made of: in memory, or as files."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from client.table import Table
from common.arithmetic import follow_up
from common.release import Array
from common.schema import Survival
from common.study import Study
from common.task import Images, Keys, Split

TODAY = date(2026, 11, 22)
ABOUT = {
    "name": "small",
    "title": "A small study",
    "purpose": "to test",
    "contact": "test@consortium.example",
    "expires": "2030-12-31",
    "sites": ["north", "south"],
}
VARIABLES: list[dict[str, Any]] = [
    {"kind": "number", "name": "age", "unit": "a", "range": [0, 120]},
    {
        "kind": "number",
        "name": "chol",
        "unit": "mg/dL",
        "range": [50, 700],
        "units": {"mmol/L": 38.67},
        "missing": "mean",
        "indicator": True,
    },
    {
        "kind": "category",
        "name": "pain",
        "levels": ["none", "mild", "severe"],
        "missing": "level",
    },
    {"kind": "category", "name": "sex", "levels": ["female", "male"]},
]
BINARY = {
    "kind": "binary",
    "name": "ill",
    "levels": ["yes", "no"],
    "positive": "yes",
}
COUNT = {"kind": "number", "name": "visits", "unit": "1", "range": [0, 50]}
MODELS: dict[str, dict[str, Any]] = {
    "cox": {"ridge": 1.0},
    "linear": {"ridge": 1.0},
    "logistic": {"ridge": 1.0},
    "poisson": {"ridge": 1.0},
    "multinomial": {"ridge": 1.0},
    "rbf_svm": {"ridge": 1.0, "features": 20},
    "svm": {"ridge": 1.0},
    "random_forest": {"trees": 5, "depth": 3, "min_leaf": 5},
    "image_network": {
        "blocks": [4],
        "groups": 2,
        "training": {"steps": 3, "optimizer": "plain", "rate": 0.1},
    },
    "tabular_network": {"dense": [4, 4], "residual": True, "training": {"steps": 3}},
}
"""What a small study says of each kind of model, beside its kind."""

DEATH = {
    "kind": "survival",
    "name": "death",
    "unit": "d",
    "range": [0, 4000],
    "grid": [90, 180, 365, 730, 1095, 1460, 1825],
}
STAGE = {"kind": "category", "name": "stage", "levels": ["none", "early", "late"]}
OUTCOMES: dict[str, Mapping[str, Any]] = {
    "binary": BINARY,
    "category": STAGE,
    "number": COUNT,
    "survival": DEATH,
}


IMAGE = {"name": "film", "size": [4, 4]}
NEEDS: dict[str, dict[str, Any]] = {"image_network": {"image": IMAGE}}
"""What else a study declares for a kind of model."""


def study(**changes: Any) -> Study:
    """Return a small study with *changes* to its top-level keys."""
    document: dict[str, Any] = {
        "format": 1,
        "privacy": "none",
        "study": ABOUT,
        "variables": VARIABLES,
        "outcome": BINARY,
        "model": {"kind": "logistic", "ridge": 1.0},
        "rounds": {"quorum": 1, "deadline_seconds": 2},
        "evaluation": {"test": 0.3, "bins": 200},
        "disclosure": {"min_people": 1, "min_sites": 1},
    }
    return Study.model_validate(document | changes)


def values(people: int, seed: int) -> Array:
    """Return clean values of the four VARIABLES for *people*, with gaps."""
    draw = np.random.default_rng(seed)
    columns = np.column_stack(
        [
            draw.uniform(20, 90, people),
            draw.normal(240, 50, people).clip(60, 600),
            draw.integers(0, 3, people).astype(float),
            draw.integers(0, 2, people).astype(float),
        ]
    )
    columns[draw.random(columns.shape) < 0.1] = np.nan
    return columns


def table(people: int = 120, seed: int = 0, outcome: str = "binary") -> Table:
    """Return a clean table whose outcome depends on its values."""
    draw = np.random.default_rng(seed + 1)
    x = values(people, seed)
    known = np.nan_to_num((x - [55, 240, 1, 0.5]) / [20, 50, 1, 0.5])
    signal = known @ [0.8, 0.5, -0.4, 0.3]
    y = _outcome(outcome, signal, draw)
    train = draw.random(people) < 0.7
    return rows(x, y, train)


def _outcome(kind: str, signal: Array, draw: np.random.Generator) -> Array:
    """Return outcomes of a kind that depend on *signal* [people]."""
    if kind == "binary":
        return (draw.random(len(signal)) < 1 / (1 + np.exp(-signal))).astype(float)
    if kind == "category":
        cuts = signal + draw.logistic(size=len(signal))
        return np.searchsorted([-0.7, 0.7], cuts).astype(float)
    if kind == "survival":
        time = draw.exponential(900 * np.exp(-signal))
        last = draw.uniform(100, 2500, len(signal))
        code = follow_up.coded(
            Survival.model_validate(DEATH),
            np.minimum(time, last),
            (time <= last).astype(float),
        )
        return np.asarray(code)
    return draw.poisson(np.exp(0.4 * signal + 0.5)).clip(0, 50).astype(float)


def rows(x: Array, y: Array, train: Array, key: Keys | None = None) -> Table:
    """Return a table of given clean values, one person a record."""
    chosen = np.asarray(train, dtype=bool)
    people: dict[Split, int] = {
        "train": int(chosen.sum()),
        "test": int((~chosen).sum()),
    }
    known = np.arange(len(y), dtype=np.uint64) if key is None else key
    shown = (x, y, chosen, np.arange(len(y)), known, people, ())
    return Table(*shown, images=painted(x))


def painted(x: Array) -> Images:
    """Return a picture of 4 x 4 of each record, made of its values."""
    row = np.nan_to_num(np.resize(x.T, (4, len(x))).T / 300.0)
    picture = row[:, :, None] * np.linspace(0.2, 1.0, 4)
    return picture[..., None].clip(0.0, 1.0).astype(np.float32)


def split(whole: Table, places: Array) -> list[Table]:
    """Return *whole* dealt to sites: record i goes to site places[i]."""
    chosen = [places == place for place in range(int(places.max(initial=0)) + 1)]
    return [
        rows(whole.values[c], whole.outcome[c], whole.train[c], whole.key[c])
        for c in chosen
    ]


def dealt(whole: Table, places: Array) -> list[Table]:
    """Return :func:`split` as the tables of the study's sites, in their order."""
    tables = split(whole, places)
    return [
        replace(table, site=np.full(len(table.outcome), place))
        for place, table in enumerate(tables)
    ]


HEADER = "patient,visit,age,chol,pain,sex,ill"
SITE = """\
site = "north"
{approved}
[data]
file = "export.csv"
person = "patient"
event_time = "visit"
missing = ["NA", "-9"]

[columns.age]
column = "age"

[columns.chol]
column = "chol"

[columns.pain]
column = "pain"

[columns.sex]
column = "sex"
levels = {{ f = "female", m = "male" }}

[columns.ill]
column = "ill"
"""


def lines(people: int = 40, seed: int = 3) -> list[str]:
    """Return the records of a clean export, as lines of CSV."""
    draw = np.random.default_rng(seed)
    pain = draw.choice(["none", "mild", "severe"], people)
    sex = draw.choice(["f", "m"], people)
    ill = draw.choice(["yes", "no"], people)
    ages = draw.integers(20, 90, people)
    chol = draw.integers(120, 400, people)
    return [
        f"p{i},2020-01-0{1 + i % 9},{ages[i]},{chol[i]},{pain[i]},{sex[i]},{ill[i]}"
        for i in range(people)
    ]


def folder(
    place: Path, records: list[str], *, approved: str = "", header: str = HEADER
) -> Path:
    """Write a hospital folder and return the path of its ``site.toml``."""
    place.mkdir(parents=True, exist_ok=True)
    text = "\n".join([header, *records]) + "\n"
    (place / "export.csv").write_text(text, encoding="utf-8")
    line = f'approved = ["{approved}"]' if approved else ""
    site = place / "site.toml"
    site.write_text(SITE.format(approved=line), encoding="utf-8")
    return site


def hospitals(place: Path, study_: Study, people: int = 60) -> list[Path]:
    """Write every hospital of a study that approves it; return their settings."""
    found = []
    for seed, name in enumerate(study_.study.sites):
        path = folder(place / name, lines(people, seed), approved=study_.digest())
        path.write_text(path.read_text().replace('"north"', f'"{name}"'))
        found.append(path)
    return found
