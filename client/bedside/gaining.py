"""What did this hospital gain? Its own people, by its own model and by the common one.

    consilium client gain model.json --site site.toml

The study is run once more over the records here and no others, without noise, for
nobody else sees it. Both models then look at the people here who test, whom neither has
seen. Nothing of it is sent.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from client.learning import training
from client.learning.training import Design
from client.site import Site
from client.table import Table
from client.tables import integration
from common import personal
from common.encoding import seen
from common.errors import ConsiliumError, StudyError
from common.learned.model_file import Learned
from common.release import Array
from common.study import Study
from common.task import Findings, Model, State, model_of
from common.tasks import selection
from common.tasks.describe import DESCRIBE
from common.tasks.evaluation import cells, evaluate

MEASURES = {
    "auc": "area under the ROC curve",
    "c_index": "c-index",
    "accuracy": "accuracy",
    "r_squared": "R squared",
    "rmse": "root mean squared error",
    "brier": "Brier score",
    "log_loss": "log loss",
}
LESS = ("rmse", "brier", "log_loss")
"""Measures of which less is better."""


@dataclass(frozen=True, slots=True)
class Gain:
    """How both models do on the test people of a site; ``why`` there is none alone."""

    site: str
    study: Study
    records: int
    together: Findings
    alone: Findings | None
    why: str = ""

    def facts(self) -> dict[str, object]:
        """Return both as plain data."""
        return {
            "ok": True,
            "site": self.site,
            "digest": self.study.digest(),
            "records": self.records,
            "alone": self.alone,
            "together": self.together,
            "why": self.why,
        }

    def text(self) -> str:
        """Return both side by side, for a terminal."""
        name = self.study.study.name
        who = f"{self.site} on its {self.records} own test records of {name}"
        lines = [
            f"{who}; nothing was sent",
            "",
            f"  {'':<28}{'alone':<24}{'together':<24}",
        ]
        for key, words in MEASURES.items():
            if self.together.get(key) is not None:
                both = [_shown(each, key) for each in (self.alone, self.together)]
                less = " (less is better)" if key in LESS else ""
                lines.append(f"  {words:<28}{both[0]:<24}{both[1]:<24}{less}".rstrip())
        why = [f"no model could be fitted alone: {self.why}"] if self.why else []
        note = (
            "In brackets what chance may do to so few (95 %); one split of the people."
        )
        return "\n".join([*lines, "", *why, note])


def gain(site: Site, learned: Learned) -> Gain:
    """Return how the common model and one of its own do on the test people of *site*.

    Raises StudyError when nobody tests here.
    """
    study = learned.study
    table = integration.table(site, study)
    if not table.people["test"]:
        raise StudyError(
            f"nobody of {site.name} tests, so nothing can be compared",
            likely="the study keeps too few people for testing, or few are here",
        )
    exact = cells.at_home(study.model_copy(update={"privacy": "none"}))
    if study.selection:
        value = learned.arrays[study.selection.key]
        exact = selection.settled(exact, float(value[0]))
    together = _measured(exact, learned.model, learned.arrays, table)
    common = personal.without(exact)
    own = model_of(common)
    alone, why = None, ""
    try:
        alone = _measured(common, own, _fitted(common, own, table), table)
    except ConsiliumError as reason:
        why = reason.what
    records = int((~table.train).sum())
    return Gain(site.name, study, records, together, alone, why)


def _fitted(study: Study, model: Model, table: Table) -> Mapping[str, Array]:
    """Return what *model* learns of *table* alone; raise StudyError when it cannot."""
    design, states = Design(table), dict[str, State]()
    for task in (DESCRIBE, *model.before(study), model.fit):
        state = task.start(study, states)
        for _ in range(study.rounds.maximum):
            total = training.run(task, study, state, design)
            state = task.finish(study, state, total)
            if state.done:
                break
        else:
            raise StudyError(f"{task.name} did not settle")
        states[task.name] = state
    return states[model.fit.name].arrays


def _measured(
    study: Study, model: Model, arrays: Mapping[str, Array], table: Table
) -> Findings:
    """Return how well *model* predicts the people of *table* who test."""
    rows = seen(study, model.fit, arrays, table.rows("test"))
    counts = evaluate.counted(study, model.predict(study, arrays, rows), rows)
    return evaluate.read(study, State(counts, done=True))


def _shown(found: Findings | None, key: str) -> str:
    value = found.get(key) if found else None
    if not isinstance(value, float):
        return "-"
    ends = found.get(f"{key}_interval") if found else None
    if not isinstance(ends, list | tuple):
        return f"{value:.3f}"
    return f"{value:.3f} ({ends[0]:.2f} to {ends[1]:.2f})"
