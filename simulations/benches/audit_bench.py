"""A table of mistakes with differential privacy: which of them the audit finds.

The code that ships is attacked beside them, and nothing may be found there.
"""

from collections.abc import Iterator, Mapping

from common.study import Study
from simulations.attacks import audit, mutants
from simulations.benches import wide

LOGISTIC = {"kind": "logistic", "ridge": 1.0}
NETWORK = {
    "kind": "tabular_network",
    "dense": [4],
    "training": {"steps": 12, "sample": 0.25, "clip": 0.5},
}
STEP_RUNS = 200_000
"""Runs of a study with steps over samples: a bound that holds for any needs more."""


def measure() -> Iterator[tuple[str, str, str, bool]]:
    """Yield for each audit what was attacked, what was found, the goal, whether met."""
    yield from _audited(study(LOGISTIC), audit.RUNS, mutants.MUTANTS)
    yield from _audited(study(NETWORK), STEP_RUNS, mutants.OF_STEPS)


def study(model: Mapping[str, object]) -> Study:
    """Return a small study that promises epsilon 1 and fits *model*."""
    outcome = {"kind": "binary", "levels": ["no", "yes"], "positive": "yes"}
    unit = {"kind": "number", "unit": "1", "range": (0, 100)}
    kept = {"epsilon": 1.0, "delta": 1e-5, "noise": "site"}
    variables = [unit | {"name": name} for name in ("age", "weight", "height")]
    known = wide.study(3, 4, outcome, model).model_dump()
    return Study.model_validate(known | {"variables": variables, "privacy": kept})


def _audited(
    asked: Study, runs: int, made: Mapping[str, mutants.Mutant]
) -> Iterator[tuple[str, str, str, bool]]:
    for name in (None, *made):
        found = audit.audit(asked, runs, name)
        model = f"audit of {asked.kind}"
        what = f"{model}: {made[name].what if name else 'the code that ships'}"
        figure = found.refused or f"epsilon {found.lower:.2f} or more is lost"
        claimed = found.promised.epsilon
        goal = f"above {claimed:g}, or refused" if name else f"{claimed:g} at most"
        yield what, figure, goal, found.holds != bool(name)
