"""What a study promises each person, as a statement that an officer can sign.

The questions are those that NIST SP 800-226 asks of a claim of differential privacy;
the figures are computed from the study, the sentences stand in ``statement.en.toml``
and ``statement.zh.toml``.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal

from common import costs, plan
from common.privacy import epsilon_of, sigma
from common.promise import in_total, parts
from common.schema import Number
from common.sections.terms import Privacy
from common.sheet import Sheet
from common.study import Study
from common.task import Task
from common.tasks.networks import private_stopping, voting

Language = Literal["en", "zh"]
Figures = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Answer:
    """One question of the statement, and what the study answers."""

    key: str
    question: str
    answer: str


def answers(study: Study, language: Language = "en") -> tuple[Answer, ...]:
    """Return the whole statement of *study*, in order."""
    name = f"statement.{language}.toml"
    words = tomllib.loads(
        files("common.told").joinpath(name).read_text(encoding="utf-8")
    )
    return tuple(
        Answer(key, *(words[key][part].format(**figures) for part in ("asked", "said")))
        for key, figures in _told(study)
    )


def sheet(study: Study) -> Sheet:
    """Return the statement as a table for a report."""
    rows = tuple((each.question, each.answer) for each in answers(study))
    return Sheet("What this study promises each person", ("question", "answer"), rows)


def text(study: Study, language: Language) -> str:
    """Return the statement as paragraphs, one a question."""
    told = answers(study, language)
    return "\n\n".join(f"{each.question}\n  {each.answer}" for each in told)


def _told(study: Study) -> Iterator[tuple[str, Figures]]:
    """Yield the key of each answer with the figures in it."""
    kept = costs.promise(study)
    if kept is None:
        yield from (("promise", {}), ("release", _leaving(study)))
        return
    yield "parameters", {"epsilon": kept.epsilon, "delta": kept.delta}
    yield from (("unit", {}), ("adjacency", {}))
    drawn = costs.sampled(study)
    for task in plan.tasks(study):
        how = "mechanism_sampled" if task == drawn else "mechanism"
        yield how, _mechanism(study, kept, task)
    yield from ((f"part_{name}", {}) for name in study.analysis.named())
    spent = {side: epsilon_of(costs.events(study, side), kept.delta) for side in SIDES}
    yield "composition_sampled" if drawn else "composition", spent
    yield (
        ("sampling_done", {"rate": costs.noisy(drawn).sample(study)})
        if drawn
        else ("sampling", {})
    )
    if getattr(getattr(study.model, "training", None), "patience", 0):
        yield "stopping", _looks(study)
    yield "preparation", _constants(study)
    yield (
        f"trust_{kept.noise}",
        {
            "honest": parts(study),
            "colluders": kept.colluders,
            "weaker": costs.if_masking_fails(study),
        },
    )
    yield "release", _leaving(study)
    yield from (("implementation", {}), ("budget", {}), ("limits", {}))


SIDES = ("train", "test")


def _mechanism(study: Study, kept: Privacy, task: Task) -> Figures:
    noisy, event = costs.noisy(task), costs.charges(study)[task.name]
    rounds, clip = noisy.rounds(study), noisy.clip(study)
    return {
        "task": task.name,
        "clip": clip,
        "sigma": costs.deviation(study, task),
        "total": in_total(study, clip * sigma(event)),
        "rate": noisy.sample(study),
        "rounds": rounds,
        "mu": 1 / sigma(event),
        "alone": epsilon_of([event] * rounds, kept.delta),
    }


def _looks(study: Study) -> Figures:
    """Return the most rounds that a study may be charged that stops by itself."""
    task = plan.find(study, study.kind)
    return {
        "rounds": costs.noisy(task).rounds(study),
        "share": voting.HELD_OUT,
        "most": private_stopping.MOST,
        "clip": costs.noisy(task).clip(study),
    }


def _constants(study: Study) -> Figures:
    numbers = [each for each in study.everything if isinstance(each, Number)]
    return {
        "public": ", ".join(each.name for each in numbers if each.typical) or "-",
        "paid": ", ".join(each.name for each in numbers if not each.typical) or "-",
    }


def _leaving(study: Study) -> Figures:
    sizes = [
        f"{task.name} {sum(field.size for field in task.release(study).values()):,}"
        for task in plan.tasks(study)
    ]
    return {"numbers": ", ".join(sizes)}
