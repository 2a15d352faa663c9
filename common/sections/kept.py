"""Does what is asked keep what is promised, and can it be summed under masks?"""

from common.registry import ANALYSES, MODELS
from common.schema import Document
from common.sections.analyses import Analysis
from common.sections.asked import line, out, refused
from common.sections.models import ModelChoice
from common.sections.terms import Rounds
from common.written.slips import noted

EXACT = 'privacy = "none"   at the top, and no [privacy]'


def keeps(model: ModelChoice | None, asked: Analysis) -> None:
    """Raise ValueError, noting the key, for what has no form that promises privacy."""
    if model and MODELS[model.kind].private is None:
        able = [kind for kind, entry in MODELS.items() if entry.private]
        others = f"choose {', '.join(able)}"
        raise _unable("model.kind", model.kind, others, EXACT)
    _exact_alone("model", model)
    _exact_alone("model.training", getattr(model, "training", None))
    _exact_alone("analysis.clusters", asked.clusters)
    for name in ("chi_square", "compare"):
        pairs = getattr(asked, name) or ()
        if len(set(pairs)) < len(pairs):
            what = "names a pair twice, which would be paid for twice"
            raise refused(name, what, line(name, [*dict.fromkeys(pairs)]))
    for name in asked.named():
        if ANALYSES[name].private is None:
            told = f"{name} has no private form: {ANALYSES[name].unable}"
            told += '; leave it out, or say privacy = "none"'
            raise noted(f"analysis.{name}", told, out(name))


def looked(model: ModelChoice | None, dropouts: int) -> None:
    """Raise ValueError, noting the key, for looks at others each time, with noise."""
    training = getattr(model, "training", None)
    if training is None or not training.patience:
        return
    told = "under a promise patience looks at everybody who is held out: "
    if training.sample < 1:
        told += "a sample has hardly any of them"
        raise noted("model.training.sample", told, "patience = 0")
    if dropouts:
        told += "a round may lack some of them"
        raise noted("rounds.dropouts", told, "dropouts = 0")


def exact(model: ModelChoice | None) -> None:
    """Raise ValueError, noting the key, for what is read only under a promise."""
    if getattr(model, "one_shot", None):
        told = "one_shot is for noisy sums: leave it out, or promise"
        raise noted("model.one_shot", told, out("one_shot", "model"))


def _exact_alone(where: str, document: Document | None) -> None:
    """Refuse what *document* says itself that only an exact form reads."""
    if document is None:
        return
    for key in getattr(document, "exact_alone", ()):
        usual = type(document).model_fields[key].default
        if (getattr(document, key) or None) != (usual or None):
            raise _unable(f"{where}.{key}", key, "leave it out", out(key, where))


def combined(model: ModelChoice | None, *, masked: bool) -> None:
    """Raise ValueError, noting the key, for a middle of parts that nobody can see.

    Or that too few sites have.
    """
    training = getattr(model, "training", None)
    if training is None or training.combine == "mean":
        return
    if training.sample < 1 and training.combine != "voted":
        told = f"{training.combine} needs people of every site in each step, and a"
        told += " sample may have none: leave out sample"
        raise noted("model.training.sample", told, "sample = 1")
    if masked:
        told = f"{training.combine} needs each site's own part, and masks hide it"
        fix = "in [rounds]:   secure_aggregation = false"
        raise noted("model.training.combine", told, fix)


def present(model: ModelChoice | None, rounds: Rounds, sites: int) -> None:
    """Raise ValueError, noting the key, where votes on each site may lack one.

    Without masks nobody drops out of a round either.
    """
    training = getattr(model, "training", None)
    if training is None or training.combine != "voted":
        return
    if rounds.quorum < sites:
        told = "voted is about each site of the study, and fewer may open it"
        raise noted("rounds.quorum", told, f"quorum = {sites}")


def batched(model: ModelChoice | None, fewest: int) -> None:
    """Raise ValueError, noting the key, for steps along fewer people than the floor."""
    training = getattr(model, "training", None)
    if training and training.by == "weights" and training.batch < fewest:
        told = f"a step along {training.batch} records tells of fewer than {fewest}"
        raise noted("model.training.batch", f"{told} people", f"batch = {fewest}")


def _unable(key: str, name: str, instead: str, fix: str) -> ValueError:
    """Return the error that *name*, said by *key*, has no private form."""
    told = f'{name} has no private form yet: {instead}, or say privacy = "none"'
    return noted(key, told, fix)
