"""What a study came to, as a report: all that an aggregator can know of it.

It has seen totals, traffic and who answered. The size of a site, what it cleaned and
how its own model does are known to the site alone; a simulation adds them.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version

from common import __version__, costs, personal, plan
from common.learned import model_file
from common.learned.model_file import Learned
from common.study import Study
from common.task import Findings, model_of
from common.tasks.evaluation import by_site, left_out
from common.tasks.treatment import treatments
from common.told import manifest, statement
from server.conduct.rounds import Outcome
from server.conduct.studies import Took
from server.reports.facts import Totals
from server.reports.report import Report, Score

USED = ("flwr", "numpy")
EXACT = 'No differential privacy: the study says privacy = "none", so sums leave exact.'
PROMISED = "The promise is to one person at one site: not to a family, or across sites."
OPEN = "No secure aggregation: the aggregator saw each hospital's own sums."
MASKED = (
    "Secure aggregation: the aggregator learned the hospitals' total. With few of them "
    "that tells much: of three, two know the third one's sums."
)


def report(study: Study, outcome: Outcome, took: Took) -> Report:
    """Return the report of a study that hospitals ran over a network."""
    facts = {
        **known(study, outcome),
        "simulated": False,
        "created": took.end.isoformat(timespec="seconds"),
        "engine": "network",
        "seconds": round(took.seconds, 3),
        "seconds_per_round": took.steady,
        "seconds_to_report": round(took.seconds, 3),
        "sites": [
            {"name": name, **traffic(outcome, name), **_own(study, outcome, name)}
            for name in outcome.roster
        ],
        "limits": [*limits(study), *_presence(study, outcome)],
        "versions": versions(*USED),
    }
    return Report.model_validate(facts)


def known(study: Study, outcome: Outcome) -> dict[str, object]:
    """Return what every aggregator knows of a study, wherever it ran."""
    tasks = plan.tasks(study)
    main = model_of(study).fit if study.model else tasks[0]
    found = {task.name: task.read(study, outcome.states[task.name]) for task in tasks}
    described = found.pop(tasks[0].name)
    return {
        "task": study.kind or main.name,
        "study": _about(study),
        "privacy": _promise(study),
        "rounds": outcome.rounds[main.name],
        "rounds_by_task": outcome.rounds,
        "bytes_per_site": max(
            sum(traffic(outcome, name).values()) for name in outcome.roster
        ),
        "describe": described,
        "left": [
            {**line.facts(), "rounds": outcome.rounds[line.task]}
            for line in manifest.lines(study)
        ],
        "sentence": manifest.sentence(study, outcome.rounds),
        "command": " ".join(["consilium", *sys.argv[1:]]),
        "findings": json.loads(json.dumps({n: f for n, f in found.items() if f})),
        "sheets": [
            {**asdict(sheet), "task": task.name}
            for task in tasks
            for sheet in task.show(study, outcome.states[task.name])
        ]
        + [asdict(statement.sheet(study))],
        **(_model(found[main.name], found["evaluate"]) if study.model else {}),
    }


def learned(study: Study, outcome: Outcome, made: Report) -> list[Learned]:
    """Return what *study* learned for use at a hospital, with what its card says.

    The model, where it fits one, and what follows a treatment, where it asks for that.
    """
    about = {
        "created": made.created.isoformat(timespec="seconds"),
        "sites": sorted(outcome.roster),
        "records": made.describe.records,
        "simulated": made.simulated,
        "limits": list(made.limits),
    }
    found, told = [], made.findings
    if study.model:
        known = about | {"measures": told["evaluate"]}
        if left_out.NAME in told:
            known |= {"unseen": told[left_out.NAME]}
        found.append(model_file.of(study, outcome.states, known))
    if study.analysis.treatment_effect:
        known = about | {"measures": told[treatments.EFFECT]}
        found.append(model_file.treated(study, outcome.states, known))
    return found


def limits(study: Study) -> list[str]:
    """Return what no report of this version may leave out."""
    seen = MASKED if study.masked else OPEN
    own = [f"Told of single sites: {each}." for each in manifest.apart(study)]
    if personal.named(study):
        own.append(
            f"Each hospital keeps its own {personal.named(study)}: a figure is of its "
            "people by the model as it has it, and a hospital that was not there has "
            "none."
        )
    return [EXACT if study.privacy == "none" else PROMISED, seen, *own]


def traffic(outcome: Outcome, site: str) -> dict[str, int]:
    """Return the bytes that a site was sent and that it sent."""
    return {"bytes_in": outcome.sent[site], "bytes_out": outcome.received[site]}


def _own(study: Study, outcome: Outcome, site: str) -> dict[str, object]:
    """Return how good the model is at *site*, where that was asked and is told."""
    if not study.evaluation or not study.evaluation.by_site:
        return {}
    told = by_site.figures(study, outcome.states[by_site.NAME])
    known = told[site][by_site.OWN] or {"note": by_site.NOT_RELEASED}
    return {"together": {n: known[n] for n in Score.model_fields if n in known}}


def versions(*names: str) -> dict[str, str]:
    """Return the version of Consilium, of Python and of the packages of these names."""
    python = ".".join(str(part) for part in sys.version_info[:3])
    found = {name: version(name) for name in names}
    return {"consilium": __version__, "python": python, **found}


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


def _promise(study: Study) -> dict[str, object] | None:
    if study.privacy == "none":
        return None
    return {
        **study.privacy.model_dump(include={"epsilon", "delta", "noise"}),
        "epsilon_if_masking_fails": costs.if_masking_fails(study),
    }


def _model(fitted: Findings, tested: Findings) -> dict[str, object]:
    """Return the model that was fitted, and how it does on all test records."""
    return {
        **{key: fitted[key] for key in ("ridge", "coefficients") if key in fitted},
        "together": totals(tested),
    }


def totals(found: Mapping[str, object]) -> dict[str, object]:
    """Return of an evaluation what the head of a report shows."""
    return {name: found[name] for name in Totals.model_fields if name in found}


def _presence(study: Study, outcome: Outcome) -> list[str]:
    """Say who took part and who did not: the result is about the former only."""
    absent = sorted(set(study.study.sites) - set(outcome.roster))
    spare, names = study.rounds.dropouts, ", ".join(outcome.roster)
    said = [f"Took part in every round: {names}."]
    if spare:
        said = [f"Took part, where a round may lack {spare} of them: {names}."]
    if left := sorted(set(outcome.roster) - set(outcome.last)):
        said.append(f"Left on the way, and not in the last sums: {', '.join(left)}.")
    if absent:
        missing = ", ".join(absent)
        said.append(f"Invited, and not in the result: {missing}.")
    if outcome.refusals:
        why = "the log of the hospital that refused says why"
        said.append(f"Refusals: {'; '.join(outcome.refusals)} ({why}).")
    return said
