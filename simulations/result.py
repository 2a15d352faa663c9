"""A whole simulated study: open the hospitals, run it, compare, and write it down."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import client.app
from client import egress, site
from client.opened import Opened, open_study
from client.site import Site
from common import __version__, manifest, plan
from common.errors import DataError, StudyError
from common.study import Study
from common.task import model_of
from server.report import Report
from server.rounds import Outcome
from simulations import compare, engine
from simulations.compare import Fitted

USED = ("flwr", "numpy", "pandas", "scikit-learn")
EXACT = 'No differential privacy: the study says privacy = "none", so sums leave exact.'
PROMISED = (
    "The promise is to one person at one site: not to a family, nor across hospitals.",
    "Pooled models and scores per hospital are exact: only a simulation has them.",
)
LIMITS = (
    "No secure aggregation yet: the aggregator sees each hospital's own sums.",
    "No network: hospitals and aggregator run in one process of one machine.",
)


@dataclass(frozen=True, slots=True)
class Simulation:
    """A finished study, with the hospitals that only a simulation can look into."""

    study: Study
    hospitals: tuple[Opened, ...]
    outcome: Outcome


def folders(data: Path) -> list[Path]:
    """Return the ``site.toml`` of every hospital folder in *data*, by folder name."""
    found = sorted(data.glob("*/site.toml"))
    if not found:
        raise DataError(
            f"{data} holds no hospital: no folder in it has a site.toml",
            fix="consilium simulate hospitals DIR   writes four to look at",
        )
    return found


def simulate(
    study: Study, paths: Iterable[Path], journal: Path | None = None
) -> Simulation:
    """Run *study* over the hospitals at *paths*, or go on with the run in *journal*.

    Each hospital is opened first, so that its error is raised here in full: in the
    simulation the hospital and the person at the keyboard are the same.
    """
    sites = [site.read(path) for path in paths]
    _distinct(sites)
    hospitals = tuple(_open(study, each) for each in sites)
    for opened in hospitals:
        client.app.SHELF.hold(opened)
    try:
        outcome = engine.run(study, [each.site.path for each in hospitals], journal)
    finally:  # a run that was finished before never closes what was opened here
        for opened in hospitals:
            client.app.SHELF.drop(str(opened.site.path), opened.digest)
    return Simulation(study, hospitals, outcome)


def report(done: Simulation, created: datetime, seconds: float, note: str) -> Report:
    """Return everything that a finished simulation has to say."""
    study, outcome = done.study, done.outcome
    tables = [opened.table for opened in done.hospitals]
    pooled = compare.reference(study, tables) if study.model else None
    traffic = {
        name: outcome.sent[name] + outcome.received[name] for name in outcome.roster
    }
    facts = {
        "format": 1,
        "task": study.model.kind if study.model else "describe",
        "study": _about(study),
        "note": note or None,
        "simulated": True,
        "created": created.isoformat(timespec="seconds"),
        "engine": "in-process",
        "rounds": outcome.rounds[plan.tasks(study)[-2 if study.model else 0].name],
        "rounds_by_task": outcome.rounds,
        "seconds": round(seconds, 3),
        "bytes_per_site": max(traffic.values()),
        "describe": plan.tasks(study)[0].read(study, outcome.states["describe"]),
        "left": [
            {**line.facts(), "rounds": outcome.rounds[line.task]}
            for line in manifest.lines(study)
        ],
        "sentence": manifest.sentence(study, outcome.rounds),
        "limits": [*([EXACT] if study.privacy == "none" else PROMISED), *LIMITS],
        "versions": _versions(),
        "command": " ".join(["consilium", *sys.argv[1:]]),
        "sites": [_site(done, opened, pooled) for opened in done.hospitals],
        **(_model(done, pooled) if pooled else {}),
    }
    return Report.model_validate(facts)


def _distinct(sites: Sequence[Site]) -> None:
    """Raise StudyError when two hospitals have one name: each would count as both."""
    places: dict[str, str] = {}
    for each in sites:
        where = each.where("site")
        if each.name in places:
            raise StudyError(
                f"two hospitals are called {each.name}",
                where=f"{places[each.name]} and {where}",
                likely="a folder was copied",
                fix="give each its own `site`, as study.sites names them",
            )
        places[each.name] = where


def _open(study: Study, local: Site) -> Opened:
    """Open a hospital; where it has no steward, the simulation approves for it."""
    if local.mapping.approved is None and local.home is None:
        approving = local.mapping.model_copy(update={"approved": (study.digest(),)})
        local = replace(local, mapping=approving)
    opened = open_study(local, study, datetime.now(UTC).date())
    egress.enough(opened)
    return opened


def _about(study: Study) -> dict[str, str]:
    about = study.study
    return {
        "name": about.name,
        "title": about.title,
        "purpose": about.purpose,
        "contact": about.contact,
        "digest": study.digest(),
        "privacy": "none" if study.privacy == "none" else manifest.privacy(study),
    }


def _versions() -> dict[str, str]:
    python = ".".join(str(part) for part in sys.version_info[:3])
    return {
        "consilium": __version__,
        "python": python,
        **{name: version(name) for name in USED},
    }


def _site(done: Simulation, opened: Opened, pooled: Fitted | None) -> dict[str, object]:
    name, table = opened.site.name, opened.table
    facts: dict[str, object] = {
        "name": name,
        "rows": len(table.outcome),
        "train": int(table.train.sum()),
        "test": int((~table.train).sum()),
        "bytes_in": done.outcome.sent[name],
        "bytes_out": done.outcome.received[name],
        "cleaning": [asdict(count) for count in table.report],
    }
    if pooled and done.study.outcome.kind == "binary":
        models = {
            "alone": compare.reference(done.study, [table]),
            "together": compare.fitted(done.study, done.outcome.states),
            "pooled": pooled,
        }
        for kind, model in models.items():
            facts[kind] = compare.score(done.study, model, table)
    return facts


def _model(done: Simulation, pooled: Fitted) -> dict[str, object]:
    study, states = done.study, done.outcome.states
    task = model_of(study).fit
    tables = [opened.table for opened in done.hospitals]
    found = cast("dict[str, Any]", task.read(study, states[task.name]))
    learned = compare.fitted(study, states).weights
    evaluate = plan.tasks(study)[-1]
    return {
        "ridge": found["ridge"],
        "coefficients": [
            {**row, "pooled": float(weight)}
            for row, weight in zip(found["coefficients"], pooled.weights, strict=True)
        ],
        "max_abs_coefficient_difference": float(abs(learned - pooled.weights).max()),
        "together": evaluate.read(study, states[evaluate.name]),
        "pooled": compare.totals(study, pooled, tables),
    }
