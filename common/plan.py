"""Which tasks a study runs: describe, its analyses, its model, and how good that is."""

from dataclasses import replace

from common.errors import StudyError
from common.study import Study
from common.task import Task, analyses_of, model_of
from common.tasks.describe import DESCRIBE
from common.tasks.evaluate import EVALUATE
from common.tasks.private_describe import PRIVATE_DESCRIBE
from common.tasks.private_evaluate import PRIVATE_EVALUATE


def tasks(study: Study) -> tuple[Task, ...]:
    """Return the tasks of *study* in order: private forms if it promises privacy."""
    exact = study.privacy == "none"
    describe = DESCRIBE if exact else PRIVATE_DESCRIBE
    first = (describe, *analyses_of(study))
    if study.model is None:
        return first
    model = model_of(study)
    fit = model.fit
    tested = EVALUATE if exact else PRIVATE_EVALUATE
    return *first, *model.before(study), fit, replace(tested, encoded=fit.encoded)


def rounds(study: Study, task: Task) -> int:
    """Return how often *task* may be asked: as often as a promise pays for."""
    return task.noisy.rounds(study) if task.noisy else study.rounds.maximum


def find(study: Study, name: str) -> Task:
    """Return the task called *name*; raise StudyError when the study has none."""
    for task in tasks(study):
        if task.name == name:
            return task
    raise StudyError(f"study {study.study.name} has no task {name!r}")
