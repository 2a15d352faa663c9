"""Which tasks a study runs: describe, analyses, its model, and what that is worth."""

from dataclasses import replace

from common.encoding import columns
from common.errors import StudyError
from common.sections.disclosure import PER_COLUMN
from common.study import Study
from common.task import Found, Model, State, Task, analyses_of, model_of
from common.tasks import selection
from common.tasks.describe import DESCRIBE
from common.tasks.evaluation import by_site, left_out
from common.tasks.evaluation.evaluate import EVALUATE
from common.tasks.evaluation.explain import EXPLAIN
from common.tasks.forests import forest_selection
from common.tasks.private import private_selection
from common.tasks.private.private_describe import PRIVATE_DESCRIBE
from common.tasks.private.private_evaluate import PRIVATE_EVALUATE


def tasks(study: Study) -> tuple[Task, ...]:
    """Return the tasks of *study* in order: private forms if it promises privacy."""
    exact = study.privacy == "none"
    describe = DESCRIBE if exact else PRIVATE_DESCRIBE
    first = (describe, *analyses_of(study))
    if study.model is None:
        return first
    model = model_of(study)
    fit = model.fit
    fits = _fits(study, model)
    tested = EVALUATE if exact else PRIVATE_EVALUATE
    seen = [replace(each, encoded=fit.encoded) for each in (tested, *_more(study))]
    return *first, *fits, *seen


def load(study: Study) -> None:
    """Load what the tasks of *study* run on; raise MachineError for what lacks."""
    for task in tasks(study):
        task.loads()


def _fits(study: Study, model: Model) -> tuple[Task, ...]:
    """Return what learns the model, with the trials of a setting that is selected."""
    if study.selection is None:
        return *model.before(study), model.fit
    if study.privacy != "none":
        return *model.before(study), *private_selection.tasks(study, model)
    if study.kind == "random_forest":
        return forest_selection.tasks(study, model)
    return *model.before(study), *selection.tasks(model)


def _more(study: Study) -> tuple[Task, ...]:
    """Return what is told of the model besides how good it is for everybody."""
    asked, found = study.evaluation, list[Task]()
    if asked and asked.leave_out:
        found += left_out.tasks(study, model_of(study))
    if asked and asked.by_site:
        found.append(by_site.task(model_of(study)))
    return (*found, EXPLAIN) if asked and asked.explain else (*found,)


def settled(study: Study, states: Found) -> Study:
    """Return *study* with what its own selection chose, by its final *states*."""
    if study.selection is None:
        return study
    return selection.settled(study, selection.chosen(study, states))


def begin(study: Study, task: Task, found: Found) -> State:
    """Return the first state of *task*, from what the tasks before it *found*.

    Raises StudyError where an exact study has fewer than three training records for
    each column of its design matrix: sums of so many columns tell of single records.
    """
    if study.privacy == "none" and task.encoded and task.rows == "train":
        width, records = len(columns(study)), found["describe"].arrays["records"][0]
        if width * PER_COLUMN > records:
            raise StudyError(
                f"too few people of all sites train for {task.name}: {width} columns "
                f"need {PER_COLUMN * width} records",
                likely="many variables or levels, and a narrow cohort",
                fix="leave out variables, or join levels that are rare",
            )
    return task.start(study, found)


def rounds(study: Study, task: Task) -> int:
    """Return how often *task* may be asked: as often as a promise pays for."""
    return task.noisy.rounds(study) if task.noisy else study.rounds.maximum


def find(study: Study, name: str) -> Task:
    """Return the task called *name*; raise StudyError when the study has none."""
    for task in tasks(study):
        if task.name == name:
            return task
    raise StudyError(f"study {study.study.name} has no task {name!r}")
