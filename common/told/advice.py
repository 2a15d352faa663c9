"""What nobody would answer, and how a network has less noise: told beforehand.

A step's mean gradient is a sum over about q N people, each clipped to C, with noise of
deviation s in each of its M numbers (Abadi et al. 2016, algorithm 1): the noise is
s sqrt(M) / (q N) long. By weights a site takes steps alone, so each of its steps needs
the whole noise of a promise over its own people, and the mean over K sites has C z
sqrt(K M) / (q N), with z the deviation over the clip. With shared noise a sum of
gradients has sqrt(h) times less, where h honest sites make up one whole together.
"""

import math
from datetime import date

from common import costs, plan
from common.privacy import sigma
from common.promise import in_total, parts
from common.sections.networks import Training
from common.study import Study
from common.task import Task
from common.tasks.networks import private_networks, private_stopping
from common.tasks.private import noised

SHORT = 1.0
"""A clip that shortens most gradients. Whom a model surprises then pulls it back no
more than whom it does not, and nothing keeps its chances from growing too sure."""


def doubts(study: Study, today: date) -> list[str]:
    """Return why hospitals would not answer *study*, valid as it is."""
    least, some = study.disclosure.min_sites, study.needed - study.rounds.dropouts
    expired = f"it expired on {study.study.expires}: no site answers"
    few = (
        f"hospitals with a home refuse it: it is exact, of {some} sites and not {least}"
    )
    said = {
        expired: study.study.expires < today,
        few: study.privacy == "none" and some < least,
    }
    return [each for each, holds in said.items() if holds]


def noise(study: Study) -> str:
    """Return in words how a step's noise compares; nothing where none is known.

    It takes a network under a promise, and ``expected_people``.
    """
    if study.privacy == "none" or not hasattr(study.model, "training"):
        return ""
    people = study.privacy.expected_people
    if not people:
        return "expected_people in [privacy] would tell how long a step's noise is"
    task = plan.find(study, study.kind)
    own, more = _length(study, task, people), math.sqrt(parts(study))
    clip = costs.noisy(task).clip(study)
    told = f"{own:.2g} long in a step's mean gradient, beside a clip of {clip:g}"
    elsewhere = f"{more:.2g} times as long" if more > 1 else "as long"
    words = f'{told}; by = "weights" it would be {elsewhere}, and has no private form'
    if clip <= SHORT:
        words += "; with so short a clip chances come out too sure, in the right order"
    if own > clip:
        words += "; more people, fewer numbers or a larger epsilon would drown less"
    return words + _looks(study, people)


def _looks(study: Study, people: float) -> str:
    """Return in words how loud a look at people held out is, where there are any."""
    training = getattr(study.model, "training", None)
    if training is None or not training.patience:
        return ""
    share = noised.paid(study, private_networks.WEIGHT)
    loud = private_stopping.noise(study, training, share, people)
    words = f"; {loud:.2g} in the mean loss of people held out, at each look"
    drowned = loud > private_stopping.LOUDEST
    return words + (", which is too much: it will not stop early" if drowned else "")


def _length(study: Study, task: Task, people: float) -> float:
    noisy = costs.noisy(task)
    whole = noisy.clip(study) * sigma(costs.charges(study)[task.name])
    training = getattr(study.model, "training", Training())
    each = in_total(study, whole) / (people * private_networks.learning(training))
    return each * math.sqrt(task.release(study)["gradient"].size)
