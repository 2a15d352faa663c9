"""Which tasks a study runs, in order: describe, then its model, then evaluate."""

from common.errors import StudyError
from common.study import Study
from common.task import Task, model_of
from common.tasks.describe import DESCRIBE
from common.tasks.evaluate import EVALUATE


def tasks(study: Study) -> tuple[Task, ...]:
    """Return the tasks of *study* in the order in which they run."""
    if study.model is None:
        return (DESCRIBE,)
    return DESCRIBE, model_of(study).fit, EVALUATE


def find(study: Study, name: str) -> Task:
    """Return the task called *name*; raise StudyError when the study has none."""
    for task in tasks(study):
        if task.name == name:
            return task
    raise StudyError(f"study {study.study.name} has no task {name!r}")
