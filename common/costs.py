"""What each release of a private study costs, and how much noise that takes.

People who train and people who test are different people, chosen by nothing but who
they are; so each of them pays for the tasks of one side only, and either side may spend
all of the study's epsilon.

Steps over samples are a part of a study that the others are made to fit: all else keeps
its share of mu^2, and the steps have the least noise with which everything together is
within epsilon. How they compare with a sum over all who test nobody knows in closed
form; so those who test spend no more than what those who train spend on sums over all,
and then the trainers' cost covers both.
"""

import math
from collections.abc import Iterable

from common import plan
from common.errors import StudyError
from common.privacy import (
    Event,
    Gaussian,
    Subsampled,
    epsilon_of,
    mu_of,
    shares,
    sigma,
    sigma_of,
    weaker,
)
from common.promise import at_a_site, parts
from common.sections.terms import Privacy
from common.study import Study
from common.task import Noisy, Task
from common.tasks.private import noised


def promise(study: Study) -> Privacy | None:
    """Return what the study promises each person; None when it promises nothing."""
    return None if study.privacy == "none" else study.privacy


def noisy(task: Task) -> Noisy:
    """Return how *task* becomes private; raise StudyError when it cannot."""
    if task.noisy is None:
        raise StudyError(
            f"{task.name} has no private form yet",
            fix='privacy = "none", or another model; see docs/files.md',
        )
    return task.noisy


def charges(study: Study) -> dict[str, Event]:
    """Return what one release of each task costs, by task; empty without a promise."""
    wanted = promise(study)
    if wanted is None:
        return {}
    total, steps = mu_of(wanted.epsilon, wanted.delta), sampled(study)
    found: dict[str, Event] = {
        name: Gaussian(mu)
        for split in ("train", "test")
        for name, mu in _split(study, total, split)
    }
    if steps:
        found[steps.name] = _step(study, wanted, steps, total)
    return found


def events(study: Study, split: str) -> tuple[Event, ...]:
    """Return all that one run costs those who *split* names, release by release."""
    charged = charges(study)
    return tuple(
        charged[task.name]
        for task in (plan.tasks(study) if charged else ())
        if task.rows == split
        for _ in range(noisy(task).rounds(study))
    )


def if_masking_fails(study: Study) -> float | None:
    """Return the epsilon that one site's own noise keeps; None without a promise."""
    wanted = promise(study)
    if wanted is None:
        return None
    return max(
        epsilon_of((weaker(each, parts(study)) for each in side), wanted.delta)
        for side in (events(study, "train"), events(study, "test"))
    )


def deviation(study: Study, task: Task) -> float:
    """Return the standard deviation of the noise that one site adds to each number.

    With ``shared`` noise h = quorum - colluders honest sites make up the whole of it,
    each with 1/h of the variance.
    """
    if promise(study) is None:
        return 0.0
    whole = noisy(task).clip(study) * sigma(charges(study)[task.name])
    return at_a_site(study, whole)


def sampled(study: Study) -> Task | None:
    """Return the task whose rounds are steps over samples of the people, if any."""
    under = (each for each in plan.tasks(study) if noisy(each).sample(study) < 1)
    return next(under, None)


def _step(study: Study, wanted: Privacy, task: Task, total: float) -> Subsampled:
    """Return the cost of a step: the least noise that keeps what is *wanted*."""
    rate, rounds = noisy(task).sample(study), noisy(task).rounds(study)
    beside = Gaussian(total * math.sqrt(noised.tested(study)))
    found = sigma_of((wanted.epsilon, wanted.delta), rate, rounds, (beside,))
    return Subsampled(found, rate, 1)


def _split(study: Study, total: float, split: str) -> Iterable[tuple[str, float]]:
    """Yield the mu of one release of each task of *split*, were none of them a step."""
    tasks = [each for each in plan.tasks(study) if each.rows == split]
    most = total * math.sqrt(noised.tested(study)) if split == "test" else total
    mus = shares(most, {each.name: noisy(each).weight for each in tasks})
    for task in tasks:
        yield task.name, mus[task.name] / math.sqrt(noisy(task).rounds(study))
