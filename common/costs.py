"""What each release of a private study costs, and how much noise that takes.

People who train and people who test are different people, chosen by nothing but who
they are; so each of them pays for the tasks of one side only, and either side may spend
all of the study's epsilon.
"""

import math
from collections.abc import Iterable

from common import plan
from common.errors import StudyError
from common.privacy import Gaussian, epsilon_of, mu_of, shares
from common.promise import at_a_site, parts
from common.study import Privacy, Study
from common.task import Noisy, Task


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


def charges(study: Study) -> dict[str, Gaussian]:
    """Return what one release of each task costs, by task; empty without a promise."""
    wanted = promise(study)
    if wanted is None:
        return {}
    total = mu_of(wanted.epsilon, wanted.delta)
    return {
        name: Gaussian(mu)
        for split in ("train", "test")
        for name, mu in _split(study, total, split)
    }


def if_masking_fails(study: Study) -> float | None:
    """Return the epsilon that one site's own noise keeps; None without a promise."""
    wanted = promise(study)
    if wanted is None:
        return None
    whole = mu_of(wanted.epsilon, wanted.delta)
    return epsilon_of([Gaussian(whole * math.sqrt(parts(study)))], wanted.delta)


def deviation(study: Study, task: Task) -> float:
    """Return the standard deviation of the noise that one site adds to each number.

    With ``shared`` noise h = quorum - colluders honest sites make up the whole of it,
    each with 1/h of the variance.
    """
    wanted = promise(study)
    if wanted is None:
        return 0.0
    whole = noisy(task).clip(study) / charges(study)[task.name].mu
    return at_a_site(study, whole)


def _split(study: Study, total: float, split: str) -> Iterable[tuple[str, float]]:
    tasks = [each for each in plan.tasks(study) if each.rows == split]
    weights = {each.name: noisy(each).weight for each in tasks}
    for task in tasks:
        rounds = noisy(task).rounds(study)
        yield task.name, shares(total, weights)[task.name] / math.sqrt(rounds)
