"""A whole simulated study: open the hospitals, run it, compare, and write it down."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import client.app
from client import site
from client.door import egress
from client.door.opened import Opened, open_study
from client.site import Site
from client.table import Count
from common import personal, plan
from common.errors import DataError, StudyError
from common.study import Study
from server.conduct.rounds import Outcome
from server.reports import results
from server.reports.report import Report
from simulations.engines.engine import Engine, Ran, approving
from simulations.worth import compare
from simulations.worth.compare import Fitted

USED = (*results.USED, "pandas", "scikit-learn")
NETWORKS = {
    "in-process": "No network: hospitals and aggregator run in one process.",
    "processes": "One machine: separate processes, with real keys, over loopback.",
    "ray": "Ray: a process for each hospital, with made-up keys and without TLS.",
}


@dataclass(frozen=True, slots=True)
class Simulation:
    """A finished study, with the hospitals that only a simulation can look into."""

    study: Study
    hospitals: tuple[Opened, ...]
    ran: Ran

    @property
    def outcome(self) -> Outcome:
        """What the study came to."""
        return self.ran.outcome


def folders(data: Path) -> list[Path]:
    """Return the ``site.toml`` of every hospital folder in *data*, by folder name."""
    found = sorted(data.glob("*/site.toml"))
    if not found:
        raise DataError(
            f"{data} holds no hospital: no folder in it has a site.toml",
            fix="consilium simulate hospitals DIR   writes four to look at",
        )
    return found


def simulate(study: Study, paths: Iterable[Path], engine: Engine) -> Simulation:
    """Run *study* over the hospitals at *paths* on an *engine*.

    Each hospital is opened first, so that its error is raised here in full: in the
    simulation the hospital and the person at the keyboard are the same.
    """
    sites = [site.read(path) for path in paths]
    _distinct(sites)
    hospitals = tuple(_open(study, each) for each in sites)
    for opened in hospitals:
        client.app.SHELF.hold(opened)
    try:
        ran = engine(study, [each.site.path for each in hospitals])
    finally:  # a run that was finished before never closes what was opened here
        for opened in hospitals:
            client.app.SHELF.drop(str(opened.site.path), opened.digest)
    return Simulation(study, hospitals, ran)


def report(done: Simulation, created: datetime, seconds: float, note: str) -> Report:
    """Return everything that a finished simulation has to say."""
    study, outcome = done.study, done.outcome
    fitted = plan.settled(study, outcome.states)
    tables = [opened.table for opened in done.hospitals]
    pooled = compare.reference(fitted, tables) if compare.has(study) else None
    known = results.known(study, outcome)
    facts = {
        **known,
        "note": note or None,
        "simulated": True,
        "created": created.isoformat(timespec="seconds"),
        "engine": done.ran.engine,
        "seconds": round(seconds, 3),
        **_network(done.ran, seconds),
        "limits": [*results.limits(study), NETWORKS[done.ran.engine]],
        "versions": results.versions(*USED),
        "sites": [_site(done, opened, pooled) for opened in done.hospitals],
        **(_compared(done, pooled, known) if pooled else {}),
    }
    return Report.model_validate(facts)


def _network(ran: Ran, seconds: float) -> dict[str, object]:
    """Return what only an engine of separate processes has to say."""
    if ran.engine == "in-process":
        return {}
    return {
        "seconds_per_round": ran.seconds_per_round,
        "seconds_to_report": round(seconds, 3),
        "rejoined": ran.rejoined,
    }


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
    today = datetime.now(UTC).date()
    opened = open_study(approving(local, study), study, today)
    egress.enough(opened)
    return opened


def _site(done: Simulation, opened: Opened, pooled: Fitted | None) -> dict[str, object]:
    name, table = opened.site.name, opened.table
    facts: dict[str, object] = {
        "name": name,
        "rows": len(table.outcome),
        "train": int(table.train.sum()),
        "test": int((~table.train).sum()),
        **results.traffic(done.outcome, name),
        "cleaning": [_counted(count) for count in table.report],
    }
    if pooled and done.study.outcome.kind == "binary":
        models = {
            "alone": compare.reference(
                plan.settled(done.study, done.outcome.states), [table]
            ),
            **_together(done, opened),
            "pooled": pooled,
        }
        for kind, model in models.items():
            facts[kind] = compare.score(model, table)
    return facts


def _together(done: Simulation, opened: Opened) -> dict[str, Fitted]:
    """Return the federation's model as *opened* has it, unless its layers are gone.

    Those of hospitals that ran as processes of their own are.
    """
    own = opened.own
    if personal.named(done.study) and own is None:
        return {}
    return {"together": compare.fitted(done.study, done.outcome.states, own)}


def _compared(
    done: Simulation, pooled: Fitted, known: Mapping[str, object]
) -> dict[str, object]:
    """Return the model beside the one that pooled records give."""
    study, tables = done.study, [opened.table for opened in done.hospitals]
    facts: dict[str, object] = {
        "pooled": results.totals(compare.totals(study, pooled, tables))
    }
    if personal.named(study):
        return facts
    gap = compare.gap(compare.fitted(study, done.outcome.states), pooled)
    if gap is None or pooled.weights is None:
        return facts
    rows = cast("list[dict[str, Any]]", known.get("coefficients", []))
    if len(rows) != len(pooled.weights):
        return facts | {"max_abs_coefficient_difference": gap}
    return facts | {
        "coefficients": [
            {**row, "pooled": float(weight)}
            for row, weight in zip(rows, pooled.weights, strict=True)
        ],
        "max_abs_coefficient_difference": gap,
    }


def _counted(count: Count) -> dict[str, object]:
    """Return a line of the cleaning; what a steward might change is the site's own."""
    facts = asdict(count)
    del facts["fix"]
    return facts
