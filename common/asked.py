"""Does what is asked fit what is declared, and what is promised?"""

from collections.abc import Iterable, Sequence

from common.analyses import Analysis
from common.models import ModelChoice
from common.registry import ANALYSES, MODELS
from common.schema import Category, Declared, Document, Number, Survival
from common.slips import nearest, noted

Every = Sequence[Declared | Survival]


def check(asked: Analysis, everything: Every) -> None:
    """Raise ValueError, noting the key, for an analysis of what is not declared so."""
    for rule in RULES:
        rule(asked, everything)


def subgroups(names: Iterable[str], variables: Every, outcome: str) -> None:
    """Raise ValueError, noting the key, for subgroups by what is no category.

    And for those of an *outcome* of a kind that nothing reads them of.
    """
    if outcome not in {"binary", "number"} and tuple(names):
        told = f"subgroups are told of a binary outcome or a number, not a {outcome}"
        raise noted("evaluation.subgroups", told, "subgroups = []")
    kinds = {each.name: each.kind for each in variables}
    for name in names:
        if kinds.get(name) != "category":
            told = f"subgroups are declared categories: {name} is none"
            able = [each.name for each in variables if each.kind == "category"]
            raise noted("evaluation.subgroups", told, nearest(name, able))


def explained(model: str, outcome: str, *, exact: bool) -> None:
    """Raise ValueError, noting the key, where nothing can say what a model looks at."""
    what = ""
    if not exact:
        what = 'has no private form yet: it takes privacy = "none"'
    elif outcome == "survival":
        what = "takes an outcome that a prediction can be held against, not a time"
    elif model == "image_network":
        what = "looks at variables, and this model sees pictures"
    if what:
        fix = "take explain out of [evaluation]"
        raise noted("evaluation.explain", f"explain {what}", fix)


def fits(model: ModelChoice | None, asked: Analysis, width: int) -> None:
    """Raise ValueError, noting the key, for more than the *width* columns there are."""
    trees, parts = getattr(model, "columns", None), asked.pca
    if trees and trees > width:
        told = f"a node tries {trees} columns, of {width} that the variables make"
        raise noted("model.columns", told, f"columns = {width}")
    if parts and parts > width:
        told = f"pca tells {parts} components, and {width} columns have {width}"
        fix = f"pca = {width}" if width else "take pca out of [analysis]"
        raise noted("analysis.pca", told, fix)


def refused(where: str, what: str, fix: str = "") -> ValueError:
    """Return the error that *where* in ``[analysis]`` does not fit, and its fix."""
    return noted(f"analysis.{where}", f"{where} {what}", fix)


def named(everything: Every, names: Iterable[str], where: str) -> Every:
    """Return the variables of these names; raise ValueError for one that is unknown."""
    known = {each.name: each for each in everything}
    for name in names:
        if name not in known:
            told = f"{where} names {name}, which is not declared"
            raise noted(f"analysis.{where}", told, nearest(name, known))
    return [known[name] for name in names]


def _quantiles(asked: Analysis, everything: Every) -> None:
    if asked.quantiles and not any(isinstance(each, Number) for each in everything):
        raise refused("quantiles", "takes numbers: the study declares none")
    if len(set(asked.quantiles or ())) < len(asked.quantiles or ()):
        raise refused("quantiles", "names a share twice")


def _chi_square(asked: Analysis, everything: Every) -> None:
    for pair in asked.chi_square or ():
        _differ(pair, "chi_square")
        for each in named(everything, pair, "chi_square"):
            _parted(each, "chi_square")


def _correlation(asked: Analysis, everything: Every) -> None:
    names = asked.correlation or ()
    if len(set(names)) < len(names):
        raise refused("correlation", "names a number twice")
    for each in named(everything, names, "correlation"):
        _measured(each, "correlation")


def _compare(asked: Analysis, everything: Every) -> None:
    for pair in asked.compare or ():
        _differ(pair, "compare")
        number, group = named(everything, pair, "compare")
        _measured(number, "compare")
        _parted(group, "compare")


def _association(asked: Analysis, everything: Every) -> None:
    if asked.association and isinstance(everything[-1], Survival):
        raise refused("association", "takes no time until an event: ask for survival")


def _survival(asked: Analysis, everything: Every) -> None:
    if asked.survival is not None and not isinstance(everything[-1], Survival):
        raise refused("survival", "takes an [outcome] of kind survival")
    for each in named(everything, asked.survival or (), "survival"):
        if not isinstance(each, Category):
            raise refused("survival", f"compares categories: {each.name} is none")


def _effect(asked: Analysis, everything: Every) -> None:
    wanted, where = asked.treatment_effect, "treatment_effect"
    if wanted is None:
        return
    (treatment,) = named(everything, [wanted.treatment], where)
    if not isinstance(treatment, Category) or len(treatment.levels) != 2:  # noqa: PLR2004 - with and without
        raise refused(where, f"takes a category of two levels, not {treatment.name}")
    if treatment.missing != "exclude":
        what = f'cannot guess a treatment: {treatment.name} needs missing = "exclude"'
        raise refused(where, what)
    names = (*(wanted.covariates or ()), *wanted.subgroups)
    taken = {wanted.treatment, everything[-1].name}
    for each in named(everything, names, where):
        if each.name in taken:
            raise refused(where, f"takes {each.name} for something else already")
    for each in named(everything, wanted.subgroups, where):
        _parted(each, where)
    if isinstance(everything[-1], Category | Survival):
        raise refused(where, "takes an outcome that is a number or has two levels")


def _measured(each: Declared | Survival, where: str) -> None:
    if not isinstance(each, Number):
        raise refused(where, f"takes a number: {each.name} is a category")


def _parted(each: Declared | Survival, where: str) -> None:
    """Refuse a number that no cuts make a category, and a time until an event."""
    if isinstance(each, Survival):
        raise refused(where, f"takes categories: {each.name} is a time until an event")
    if not each.coded:
        what = f"takes categories: {each.name} is a number without cuts"
        fix = f'cuts = [...]   below name = "{each.name}": where its parts begin'
        raise noted(f"analysis.{where}", f"{where} {what}", fix)


def _differ(names: Sequence[str], where: str) -> None:
    if len(set(names)) < len(names):
        raise refused(where, f"names {names[0]} twice")


def keeps(model: ModelChoice | None, asked: Analysis) -> None:
    """Raise ValueError, noting the key, for what has no form that promises privacy."""
    if model and MODELS[model.kind].private is None:
        able = [kind for kind, entry in MODELS.items() if entry.private]
        raise _unable("model.kind", model.kind, able)
    _exact_alone("model", model)
    _exact_alone("model.training", getattr(model, "training", None))
    _exact_alone("analysis.clusters", asked.clusters)
    for name in ("chi_square", "compare"):
        pairs = getattr(asked, name) or ()
        if len(set(pairs)) < len(pairs):
            raise refused(name, "names a pair twice, which would be paid for twice")
    for name in asked.named():
        if ANALYSES[name].private is None:
            told = f"{name} has no private form: {ANALYSES[name].unable}"
            fix = 'leave it out, or say privacy = "none"'
            raise noted(f"analysis.{name}", f"{told}; {fix}")


def looked(model: ModelChoice | None, dropouts: int) -> None:
    """Raise ValueError, noting the key, for looks at others each time, with noise."""
    training = getattr(model, "training", None)
    if training is None or not training.patience:
        return
    told = "under a promise patience looks at everybody who is held out: "
    if training.sample < 1:
        told += "a sample has hardly any of them"
        raise noted("model.training.sample", told, "sample = 1, or patience = 0")
    if dropouts:
        told += "a round may lack some of them"
        raise noted("rounds.dropouts", told, "dropouts = 0, or patience = 0")


def exact(model: ModelChoice | None) -> None:
    """Raise ValueError, noting the key, for what is read only under a promise."""
    if getattr(model, "one_shot", None):
        told = "one_shot is for noisy sums: leave it out, or promise"
        raise noted("model.one_shot", told)


def _exact_alone(where: str, document: Document | None) -> None:
    """Refuse what *document* says itself that only an exact form reads."""
    if document is None:
        return
    for key in getattr(document, "exact_alone", ()):
        usual = type(document).model_fields[key].default
        if (getattr(document, key) or None) != (usual or None):
            raise _unable(f"{where}.{key}", key, [])


def combined(model: ModelChoice | None, *, masked: bool) -> None:
    """Raise ValueError, noting the key, for a middle of parts that nobody can see.

    Or that too few sites have.
    """
    training = getattr(model, "training", None)
    if training is None or training.combine == "mean":
        return
    if training.sample < 1:
        told = f"{training.combine} needs people of every site in each step, and a"
        told += " sample may have none: leave out sample"
        raise noted("model.training.sample", told)
    if masked:
        told = f"{training.combine} needs each site's own part, and masks hide it"
        told += ": secure_aggregation = false   in [rounds]"
        raise noted("model.training.combine", told)


def batched(model: ModelChoice | None, fewest: int) -> None:
    """Raise ValueError, noting the key, for steps along fewer people than the floor."""
    training = getattr(model, "training", None)
    if training and training.by == "weights" and training.batch < fewest:
        told = f"a step along {training.batch} records tells of fewer than {fewest}"
        raise noted("model.training.batch", f"{told} people: batch = {fewest} or more")


def _unable(where: str, kind: str, able: list[str]) -> ValueError:
    others = f"choose {', '.join(able)}, or" if able else "leave it out, or say"
    return noted(where, f'{kind} has no private form yet: {others} privacy = "none"')


RULES = (
    _quantiles,
    _chi_square,
    _correlation,
    _compare,
    _association,
    _survival,
    _effect,
)
