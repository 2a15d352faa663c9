"""The heart hospitals once more, asked for all they know: richer inputs than FLamby's.

Thirteen variables in place of ten, where slope, ca and thal say when they were not
measured; people with gaps train as well; and every hospital has an intercept of its
own. The people who test are FLamby's, so that the figures stand beside each other. They
are labelled as what they are: a comparison with another question.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
from numpy.typing import NDArray

from client import site
from client.office import review
from client.table import Table
from common import study as studies
from common.study import Study
from server.reports.facts import Report, Sheet
from simulations.dealt import flamby, heart
from simulations.dealt.flamby import HOSPITALS, SPLITS, Line
from simulations.dealt.heart_study import STUDY
from simulations.worth import trials

NAME = "heart-disease-richer"
MORE = {
    "slope": {"1": "up", "2": "flat", "3": "down"},
    "ca": {"0": "none", "1": "one", "2": "two", "3": "three"},
    "thal": {"3": "normal", "6": "fixed defect", "7": "reversible defect"},
}
"""Slope of the ST segment, vessels seen by fluoroscopy, thallium scan: by code."""

NEVER = ("trestbps", "chol")
"""Zero means that these were not measured."""

NOTES = (
    (
        "Other inputs than FLamby's, so not its benchmark: slope, ca and thal with a "
        "level for what was not measured, people with gaps train too, and every "
        "hospital has an intercept of its own. The people who test are FLamby's."
    ),
    (
        "Left out: the model of three hospitals, tested on all records of the fourth, "
        "complete or not; it has the mean of their intercepts."
    ),
)


@dataclass(frozen=True, slots=True)
class Hospitals:
    """The study and its clean tables, and who of each may test: FLamby's people."""

    study: Study
    tables: tuple[Table, ...]
    complete: tuple[NDArray[np.bool_], ...]


def write(data: Path, out: Path) -> Path:
    """Write the hospitals and the study with richer inputs; return the study's path."""
    path = heart.write(data, out)
    path.write_bytes(document().encode())
    for hospital in heart.HOSPITALS:
        place = out / hospital.site / "site.toml"
        text = place.read_text(encoding="utf-8")
        for name in NEVER:
            zero = f'column = "{name}"\nmissing = ["0"]\n'
            text = text.replace(f'column = "{name}"\n', zero)
        text = text.replace("; slope, ca and thal are not mapped, so never read", "")
        more = [_levels(name, hospital.code) for name in MORE]
        place.write_bytes("\n".join([text, *more]).encode())
    return path


def document() -> str:
    """Return ``study.toml``: FLamby's with more inputs; gaps exclude nobody."""
    head, _, tail = STUDY.partition("[outcome]")
    head = head.replace('name = "heart-disease"', f'name = "{NAME}"')
    head = head.replace('missing = "exclude"\n', "")
    for name in ("sex", "cp", "fbs", "restecg", "exang"):
        head = head.replace(f'name = "{name}"', f'name = "{name}"\nmissing = "level"')
    for name in ("age", "trestbps", "chol", "thalach", "oldpeak"):
        head = head.replace(f'name = "{name}"', f'name = "{name}"\nindicator = true')
    more = "".join(_variable(name) for name in MORE)
    own = "ridge = 1.0\nsite_intercepts = true\n"
    return f"{head}{more}[outcome]{tail}".replace("ridge = 1.0 ", f"{own}#", 1)


def _variable(name: str) -> str:
    levels = ", ".join(f'"{level}"' for level in MORE[name].values())
    kind = f'[[variables]]\nkind = "category"\nname = "{name}"\nlevels = [{levels}]\n'
    return f'{kind}missing = "level"\n\n'


def _levels(name: str, code: str) -> str:
    said = (f'"{code.format(key)}" = "{level}"' for key, level in MORE[name].items())
    spelled = "\n".join(said)
    return f'[columns.{name}]\ncolumn = "{name}"\n[columns.{name}.levels]\n{spelled}\n'


def opened(data: Path, place: Path) -> Hospitals:
    """Write both studies below *place*, and clean every hospital by each."""
    paths = heart.write(data, place / "flamby"), write(data, place / "richer")
    asked = [studies.read(path) for path in paths]
    both = [
        [
            review.check(site.read(path.parent / name / "site.toml"), study).table
            for name in HOSPITALS
        ]
        for path, study in zip(paths, asked, strict=True)
    ]
    pairs = zip(*both, strict=True)
    complete = tuple(np.isin(rich.key, few.key) for few, rich in pairs)
    return Hospitals(asked[1], tuple(both[1]), complete)


def again(hospitals: Hospitals, seed: int) -> list[Table]:
    """Return the tables where other complete people test, by FLamby's rule."""
    found = []
    for table, complete in zip(hospitals.tables, hospitals.complete, strict=True):
        train = np.ones(len(table.outcome), dtype=bool)
        train[complete] = trials.trains(table.outcome[complete], seed)
        found.append(trials.mark(table, train))
    return found


def benchmark(made: Report, data: Path, place: Path) -> Report:
    """Return *made* with what richer inputs gain, over many splits and newcomers."""
    sheet = compared(opened(data, place))
    return made.model_copy(update={"benchmark": sheet})


def compared(hospitals: Hospitals) -> Sheet:
    """Return accuracies on this split, over others, and of hospitals left out."""
    study, tables = hospitals.study, hospitals.tables
    ours = [_accuracy(study, again(hospitals, seed)) for seed in SPLITS]
    strangers = [replace(table, site=table.site[:0]) for table in tables]
    new, said = trials.left_out(study, strangers, trials.together)
    lines: dict[str, Line] = {
        "richer inputs, FLamby's split": _accuracy(study, tables),
        f"richer inputs, {len(SPLITS)} other splits: mean": flamby.over(fmean, ours),
        f"richer inputs, {len(SPLITS)} other splits: standard deviation": flamby.over(
            stdev, ours
        ),
        "richer inputs, hospital left out": trials.accuracy(new, said),
        "richer inputs, hospital left out: AUC": (*trials.area(new, said), None),
    }
    return Sheet(
        title="The same people with richer inputs than FLamby's",
        columns=flamby.COLUMNS,
        rows=tuple((name, *map(flamby.rounded, line)) for name, line in lines.items()),
        notes=NOTES,
    )


def _accuracy(study: Study, tables: Sequence[Table]) -> tuple[float, ...]:
    return trials.accuracy(tables, trials.together(study, tables))
