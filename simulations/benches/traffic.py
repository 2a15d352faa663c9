"""How many bytes a hospital sends for each task: what is declared, by rounds.

Eight bytes a number, on one study of twenty columns and ten hospitals. An answer's
envelope and its masks come on top, and are the same for every task.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from client.learning import training
from client.learning.training import Design
from client.table import Table
from common import plan
from common.registry import MODELS
from common.release import Array, length
from common.study import Study
from common.task import State
from common.tasks.evaluation.evaluate import EVALUATE
from simulations import plain
from simulations.benches import wide

PEOPLE, WIDTH, SITES = 5000, 20, 10
BYTES = 8

OUTCOMES: dict[str, dict[str, object]] = {
    "binary": {"levels": ["no", "yes"], "positive": "yes"},
    "category": {"levels": ["none", "early", "late"]},
    "number": {"unit": "1", "range": [0, 100]},
    "survival": {"unit": "d", "range": [0, 2000], "grid": [90, 180, 365, 730, 1460]},
}
SETTINGS: dict[str, dict[str, object]] = {
    "random_forest": {},
    "tabular_network": {"dense": [16], "training": {"steps": 20}},
}
"""What a kind of model is told beside its kind; a ridge of 1 where nothing is said."""
ANALYSED: dict[str, dict[str, object]] = {
    "binary": {
        "quantiles": [0.25, 0.5, 0.75],
        "chi_square": [["arm", "outcome"]],
        "correlation": ["x0", "x1"],
        "compare": [["x0", "arm"]],
        "association": True,
        "pca": 2,
        "clusters": {"groups": 3},
        "treatment_effect": {"treatment": "arm"},
    },
    "survival": {"survival": ["arm"]},
}
"""Every analysis, by the kind of outcome that it is asked of."""
ARM = {
    "kind": "category",
    "name": "arm",
    "levels": ["usual", "new"],
    "missing": "exclude",
}
"""The treatment: the last column of those who are analysed."""
PICTURED = {"image_network"}
"""Kinds that learn from pictures, of which a table of numbers has none."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What one hospital sends for one task: so many numbers, so many times."""

    task: str
    numbers: int
    rounds: int

    @property
    def size(self) -> int:
        """How many bytes this is in all."""
        return BYTES * self.numbers * self.rounds


def measured() -> list[Sent]:
    """Return what each task sends: describe, every model, evaluation, every analysis.

    Evaluation is another for each kind of outcome, and is told of each.
    """
    found: dict[str, Sent] = {}
    for kind in sorted(set(MODELS) - PICTURED, key=[*MODELS].index):
        study = _study(kind)
        outcome = study.outcome.kind
        for each in sent(study, _tables(outcome)):
            tested = each.task == EVALUATE.name
            name = f"{each.task} ({outcome})" if tested else each.task
            found.setdefault(name, replace(each, task=name))
    for asked in ANALYSED:
        for each in sent(_analysed(asked), _armed(asked)):
            found.setdefault(each.task, each)
    return [*found.values()]


def sent(study: Study, tables: Sequence[Table]) -> list[Sent]:
    """Return what each task of *study* sends, by running it."""
    designs = [Design(table) for table in tables]
    states: dict[str, State] = {}
    found = []
    for task in plan.tasks(study):
        state, rounds = task.start(study, states), 0
        while not state.done:
            answers = [training.run(task, study, state, each) for each in designs]
            state = task.finish(study, state, plain.total(task, study, answers))
            rounds += 1
        states[task.name] = state
        found.append(Sent(task.name, length(task.release(study)), rounds))
    return found


def _analysed(outcome: str) -> Study:
    """Return a study of every analysis of this kind of *outcome*, and of no model."""
    kind = next(kind for kind in MODELS if MODELS[kind].outcomes[0] == outcome)
    said = _study(kind).model_dump(exclude={"model", "evaluation"})
    said["variables"] = [*said["variables"][:-1], ARM]
    return Study.model_validate({**said, "analysis": ANALYSED[outcome]})


def _armed(outcome: str) -> list[Table]:
    """Return the same people, whose last column is which arm they are in."""
    arms = [replace(each, values=each.values.copy()) for each in _tables(outcome)]
    for each in arms:
        each.values[:, -1] = each.values[:, -1] > 0
    return arms


def _tables(kind: str) -> list[Table]:
    draw = np.random.default_rng(0)
    x = wide.values(PEOPLE, WIDTH, draw)
    y = _outcome(kind, x @ draw.normal(size=WIDTH) / 4, draw)
    train = draw.random(PEOPLE) < 0.9  # noqa: PLR2004 - a tenth tests
    return wide.dealt(x, y, train, SITES)


def _outcome(kind: str, signal: Array, draw: np.random.Generator) -> Array:
    """Return an outcome of each person that depends on the *signal*."""
    noisy = signal + draw.logistic(size=len(signal))
    if kind == "binary":
        return (noisy > 0).astype(np.float64)
    if kind == "category":
        return np.searchsorted([-1.0, 1.0], noisy).astype(np.float64)
    if kind == "survival":
        place = np.searchsorted([-2.0, -1.0, 0.0, 2.0], -noisy)
        came = (draw.random(len(signal)) < 0.7).astype(np.float64)  # noqa: PLR2004
        return np.asarray(2.0 * place + came, dtype=np.float64)
    return draw.poisson(np.exp(signal / 2 + 1.0)).clip(0, 100).astype(np.float64)


def _study(kind: str) -> Study:
    outcome = MODELS[kind].outcomes[0]
    model = {"kind": kind, **SETTINGS.get(kind, {"ridge": 1.0})}
    return wide.study(WIDTH, SITES, {"kind": outcome, **OUTCOMES[outcome]}, model)
