"""Does what is asked fit what is declared?"""

import json
from collections.abc import Iterable, Sequence

from common.schema import Category, Declared, Number, Survival
from common.sections.analyses import Analysis, TreatmentEffect
from common.sections.models import ModelChoice
from common.written.slips import nearest, noted

Every = Sequence[Declared | Survival]


def check(asked: Analysis, everything: Every) -> None:
    """Raise ValueError, noting the key, for an analysis of what is not declared so."""
    for rule in RULES:
        rule(asked, everything)


def subgroups(names: Sequence[str], variables: Every, outcome: str) -> None:
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
            fix = line("subgroups", [each for each in names if each in able])
            fix = fix if name in kinds else nearest(name, able)
            raise noted("evaluation.subgroups", told, fix)


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


def refused(where: str, what: str, fix: str) -> ValueError:
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


def line(key: str, value: object) -> str:
    """Return the line of a file that gives *key* this *value*."""
    return f"{key} = {json.dumps(value, ensure_ascii=False)}"


def out(key: str, table: str = "analysis") -> str:
    """Return the fix that *key* is left out of its *table*."""
    return f"take {key} out of [{table}]"


def _left(where: str, rest: Sequence[object], fewest: int = 1) -> str:
    """Return the fix that leaves *rest* of a list, or nothing if these are too few."""
    return line(where, rest) if len(rest) >= fewest else out(where)


def _quantiles(asked: Analysis, everything: Every) -> None:
    shares = asked.quantiles or ()
    if shares and not any(isinstance(each, Number) for each in everything):
        what = "takes numbers: the study declares none"
        raise refused("quantiles", what, out("quantiles"))
    if len(set(shares)) < len(shares):
        once = line("quantiles", [*dict.fromkeys(shares)])
        raise refused("quantiles", "names a share twice", once)


def _chi_square(asked: Analysis, everything: Every) -> None:
    pairs = asked.chi_square or ()
    for pair in pairs:
        rest = _left("chi_square", [each for each in pairs if each != pair])
        _differ(pair, "chi_square", rest)
        for each in named(everything, pair, "chi_square"):
            _parted(each, "chi_square", rest)


def _correlation(asked: Analysis, everything: Every) -> None:
    names = asked.correlation or ()
    if len(set(names)) < len(names):
        once = _left("correlation", [*dict.fromkeys(names)], 2)
        raise refused("correlation", "names a number twice", once)
    found = named(everything, names, "correlation")
    able = [each.name for each in found if isinstance(each, Number)]
    for each in found:
        _measured(each, "correlation", _left("correlation", able, 2))


def _compare(asked: Analysis, everything: Every) -> None:
    pairs = asked.compare or ()
    for pair in pairs:
        rest = _left("compare", [each for each in pairs if each != pair])
        _differ(pair, "compare", rest)
        number, group = named(everything, pair, "compare")
        _measured(number, "compare", rest)
        _parted(group, "compare", rest)


def _association(asked: Analysis, everything: Every) -> None:
    if asked.association and isinstance(everything[-1], Survival):
        what = "takes no time until an event: ask for survival"
        raise refused("association", what, out("association"))


def _survival(asked: Analysis, everything: Every) -> None:
    if asked.survival is not None and not isinstance(everything[-1], Survival):
        what = "takes an [outcome] of kind survival"
        raise refused("survival", what, out("survival"))
    found = named(everything, asked.survival or (), "survival")
    able = [each.name for each in found if isinstance(each, Category)]
    for each in found:
        if not isinstance(each, Category):
            what = f"compares categories: {each.name} is none"
            raise refused("survival", what, line("survival", able))


def _effect(asked: Analysis, everything: Every) -> None:
    wanted, where = asked.treatment_effect, "treatment_effect"
    if wanted is None:
        return
    (treatment,) = named(everything, [wanted.treatment], where)
    if not isinstance(treatment, Category) or len(treatment.levels) != 2:  # noqa: PLR2004 - with and without
        what = f"takes a category of two levels, not {treatment.name}"
        raise refused(where, what, out(where))
    if treatment.missing != "exclude":
        what = f'cannot guess a treatment: {treatment.name} needs missing = "exclude"'
        raise refused(where, what, _below(treatment, 'missing = "exclude"'))
    _explaining(wanted, everything)
    if isinstance(everything[-1], Category | Survival):
        what = "takes an outcome that is a number or has two levels"
        raise refused(where, what, out(where))


def _explaining(wanted: TreatmentEffect, everything: Every) -> None:
    """Refuse covariates and subgroups of a treatment that are none."""
    where, taken = "treatment_effect", {wanted.treatment, everything[-1].name}
    for key, names in (
        ("covariates", wanted.covariates or ()),
        ("subgroups", wanted.subgroups),
    ):
        rest = [each for each in names if each not in taken]
        fix = _within(key, rest)
        for each in named(everything, names, where):
            if each.name in taken:
                what = f"takes {each.name} for something else already"
                raise refused(where, what, fix)
    for each in named(everything, wanted.subgroups, where):
        rest = [name for name in wanted.subgroups if name != each.name]
        _parted(each, where, _within("subgroups", rest))


def _within(key: str, rest: Sequence[str]) -> str:
    """Return the fix that leaves *rest* of a list of a treatment's effect."""
    table = "analysis.treatment_effect"
    return f"in [{table}]:   {line(key, rest)}" if rest else out(key, table)


def _below(each: Declared, line: str) -> str:
    """Return the fix that a *line* stands in a variable's own table."""
    return f'{line}   below name = "{each.name}"'


def _measured(each: Declared | Survival, where: str, fix: str) -> None:
    if not isinstance(each, Number):
        raise refused(where, f"takes a number: {each.name} is a category", fix)


def _parted(each: Declared | Survival, where: str, fix: str) -> None:
    """Refuse a number that no cuts make a category, and a time until an event."""
    if isinstance(each, Survival):
        what = f"takes categories: {each.name} is a time until an event"
        raise refused(where, what, fix)
    if isinstance(each, Number) and not each.coded:
        what = f"takes categories: {each.name} is a number without cuts"
        middle = f"cuts = [{sum(each.range) / 2:g}]"
        fix = f"{_below(each, middle)}, or where else its parts begin"
        raise refused(where, what, fix)


def _differ(names: Sequence[str], where: str, fix: str) -> None:
    if len(set(names)) < len(names):
        raise refused(where, f"names {names[0]} twice", fix)


RULES = (
    _quantiles,
    _chi_square,
    _correlation,
    _compare,
    _association,
    _survival,
    _effect,
)
