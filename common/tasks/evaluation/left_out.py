"""How good a model is for people of sites that it has not seen.

The study's model is fitted once without each group of sites, by the same rounds: a site
adds zeros to the fits that leave it out, so that masks hide which they are. Each fit
then predicts the people who test at the sites that it has not seen, and what is told is
of all of them together (internal-external validation: Steyerberg & Harrell 2016).

The constants by which values are standardised, and a forest's bins, are those of
everybody: the values of who is left out are in them, and no outcome.
"""

from dataclasses import replace
from functools import partial

import numpy as np

from common.encoding import columns
from common.release import Array, Release, Summands
from common.sections import evaluation
from common.sections.disclosure import PER_COLUMN
from common.sheet import Cell, Sheet
from common.study import Study
from common.task import Findings, Found, Model, Rows, Shapes, State, Task
from common.tasks import side_by_side
from common.tasks.evaluation import evaluate
from common.tasks.evaluation.subgroups import asked
from common.tasks.side_by_side import Trials

NAME = "left_out"
FITS = "without"
BY = "by sites left out"
MEASURES = {
    "auc": "area under the ROC curve",
    "c_index": "c-index",
    "accuracy": "accuracy",
    "expected": "outcomes expected per outcome seen",
    "brier": "Brier score",
    "log_loss": "log loss",
    "r_squared": "R squared",
    "rmse": "root mean squared error",
}
"""What is told of a model, in words."""


def groups(study: Study) -> tuple[tuple[int, ...], ...]:
    """Return which sites are left out together, by their places in the study."""
    return evaluation.groups(asked(study).leave_out or 1, len(study.study.sites))


def tells(study: Study) -> bool:
    """Return whether the sums of a group stand for too few sites to hide one's own."""
    tested = study.evaluation
    if tested is None or tested.leave_out is None:
        return False
    sites = len(study.study.sites)
    own = evaluation.together(tested.leave_out, study.rounds, sites)
    return own < max(study.disclosure.min_sites, 2)


def fewest(study: Study) -> int:
    """Return how many records that train each site must have to be left out.

    So that the sums of a group, which are a difference of two totals, stand for three
    records for each column, as those of all sites do, whoever is missing. Sums that are
    not masked are seen anyway, site by site.
    """
    tested, sites = study.evaluation, len(study.study.sites)
    if not study.masked or not tested or not tested.leave_out:
        return 0
    own = max(evaluation.together(tested.leave_out, study.rounds, sites), 1)
    return -(-PER_COLUMN * len(columns(study)) // own)


def tasks(study: Study, model: Model) -> tuple[Task, ...]:
    """Return what fits the models without some sites, and what tests them."""
    if _stacks(study, model):
        return side_by_side.task(FITS, _trials(model)), _tested(model)
    every, count = (*model.before(study), model.fit), len(groups(study))
    fits = (_apart(each, place) for place in range(count) for each in every)
    return *fits, _tested(model)


def carried(study: Study, model: Model) -> Shapes:
    """Return the arrays of all fits that a prediction needs, stacked."""
    return side_by_side.carried(study, _trials(model))


def learned(study: Study, model: Model, found: Found) -> dict[str, Array]:
    """Return what all fits have learned, stacked; what they see alike is there once."""
    if _stacks(study, model):
        return dict(found[FITS].arrays)
    names = [_called(model.fit, place) for place in range(len(groups(study)))]
    every = [found[name].arrays for name in names]
    return {
        name: np.stack([each[name] for each in every])
        if len(shape) > len(model.carries(study)[name])
        else every[0][name]
        for name, shape in carried(study, model).items()
    }


def predicted(
    study: Study, model: Model, state: State, rows: Rows
) -> list[tuple[Rows, Array]]:
    """Return the rows of each group, and what the fit that has not seen it says.

    Rows of no site of the study are in no group, and so in every fit.
    """
    found = []
    for place, group in enumerate(groups(study)):
        inside = rows.take(np.isin(rows.site, group))
        arrays = side_by_side.learned(study, model, state, place)
        found.append((inside, model.predict(study, arrays, inside)))
    return found


def _stacks(study: Study, model: Model) -> bool:
    """Return whether the fits are small enough to go side by side in one answer."""
    return not model.before(study) and not hasattr(study.model, "training")


def _trials(model: Model) -> Trials:
    def of(study: Study) -> list[Study]:
        return [study] * len(groups(study))

    def rows(study: Study, rows: Rows) -> list[Rows | None]:
        return [_without(group, rows) for group in groups(study)]

    return Trials(model, of, rows, BY)


def _without(group: tuple[int, ...], rows: Rows) -> Rows | None:
    """Return the rows of all other sites; None where there are none."""
    inside = rows.take(~np.isin(rows.site, group))
    return inside if len(inside.y) else None


def _called(task: Task, place: int) -> str:
    return f"{task.name}_{FITS}_{place + 1}"


def _apart(task: Task, place: int) -> Task:
    """Return *task* as the fit without the group at *place* has it."""

    def start(study: Study, found: Found) -> State:
        tail = f"_{FITS}_{place + 1}"
        own = {n.removesuffix(tail): s for n, s in found.items() if n.endswith(tail)}
        return task.start(study, {**found, **own})

    def local(study: Study, state: State, rows: Rows) -> Summands:
        inside = _without(groups(study)[place], rows)
        if inside is not None:
            return task.local(study, state, inside)
        return {n: np.zeros(field.shape) for n, field in task.release(study).items()}

    def release(study: Study) -> Release:
        declared = task.release(study).items()
        return {n: replace(f, meaning=f"{f.meaning}, {BY}") for n, f in declared}

    return replace(
        task,
        name=_called(task, place),
        start=start,
        local=local,
        release=release,
        read=lambda _study, _state: {},
        show=lambda *_: (),
    )


def _tested(model: Model) -> Task:
    """Return the task that has each fit predict who tests where it has not learned."""

    def local(study: Study, state: State, rows: Rows) -> Summands:
        every = [
            evaluate.counted(study, score, inside)
            for inside, score in predicted(study, model, state, rows)
        ]
        return {
            name: np.sum([each[name] for each in every], axis=0)
            for name in evaluate.release(study)
        }

    def start(study: Study, found: Found) -> State:
        return State(learned(study, model, found))

    return replace(
        evaluate.EVALUATE,
        name=NAME,
        shows=partial(carried, model=model),
        start=start,
        local=local,
        read=read,
        show=show,
    )


def read(study: Study, state: State) -> Findings:
    """Return what an evaluation says, of people at sites that a fit has not seen."""
    sites = study.study.sites
    left = [[sites[each] for each in group] for group in groups(study)]
    return {**evaluate.read(study, state), "groups": left}


def show(study: Study, state: State) -> tuple[Sheet, ...]:
    """Show how good the fits are where they have not learned, and who was left out."""
    found = read(study, state)
    rows = tuple(
        (words, *told(found, name))
        for name, words in MEASURES.items()
        if found.get(name) is not None
    )
    left = "; ".join(
        " and ".join(study.study.sites[each] for each in group)
        for group in groups(study)
    )
    who = f"{found['records']} test records, each by the fit that has not seen its site"
    notes = (
        f"{who}. Left out: {left}.",
        "The constants of standardisation are those of all sites.",
    )
    title = "For people of sites that the model has not seen"
    return (Sheet(title, ("measure", "value", "from", "to"), rows, notes),)


def told(found: Findings, name: str) -> tuple[Cell, Cell, Cell]:
    """Return a measure and the ends of its interval, None where there is none."""
    ends = found.get(f"{name}_interval")
    low, high = ends if isinstance(ends, list | tuple) else (None, None)
    value = found[name]
    return (float(value) if isinstance(value, int | float) else None), low, high
