"""Does what ``[analysis]`` asks fit what is declared? Said before anybody is asked."""

from collections.abc import Iterable, Sequence

from common.analyses import Analysis
from common.schema import Binary, Category, Number

Declared = Sequence[Number | Category | Binary]


def check(asked: Analysis, everything: Declared) -> None:
    """Raise ValueError, noting the key, for an analysis of what is not declared so."""
    for rule in (_quantiles, _chi_square, _correlation, _compare, _effect):
        rule(asked, everything)


def subgroups(names: Iterable[str], variables: Declared) -> None:
    """Raise ValueError, noting the key, for subgroups by what is no category."""
    kinds = {each.name: each.kind for each in variables}
    for name in names:
        if kinds.get(name) != "category":
            error = ValueError(f"subgroups are declared categories: {name} is none")
            error.add_note("evaluation.subgroups")
            raise error


def refused(where: str, what: str) -> ValueError:
    """Return the error that *where* in ``[analysis]`` does not fit."""
    error = ValueError(f"{where} {what}")
    error.add_note(f"analysis.{where}")
    return error


def named(everything: Declared, names: Iterable[str], where: str) -> Declared:
    """Return the variables of these names; raise ValueError for one that is unknown."""
    known = {each.name: each for each in everything}
    for name in names:
        if name not in known:
            raise refused(where, f"names {name}, which is not declared")
    return [known[name] for name in names]


def _quantiles(asked: Analysis, everything: Declared) -> None:
    if asked.quantiles and not any(isinstance(each, Number) for each in everything):
        raise refused("quantiles", "takes numbers: the study declares none")


def _chi_square(asked: Analysis, everything: Declared) -> None:
    for pair in asked.chi_square or ():
        _differ(pair, "chi_square")
        for each in named(everything, pair, "chi_square"):
            _parted(each, "chi_square")


def _correlation(asked: Analysis, everything: Declared) -> None:
    names = asked.correlation or ()
    if len(set(names)) < len(names):
        raise refused("correlation", "names a number twice")
    for each in named(everything, names, "correlation"):
        _measured(each, "correlation")


def _compare(asked: Analysis, everything: Declared) -> None:
    for pair in asked.compare or ():
        _differ(pair, "compare")
        number, group = named(everything, pair, "compare")
        _measured(number, "compare")
        _parted(group, "compare")


def _effect(asked: Analysis, everything: Declared) -> None:
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
    if isinstance(everything[-1], Category):
        raise refused(where, "takes an outcome that is a number or has two levels")


def _measured(each: Number | Category | Binary, where: str) -> None:
    if not isinstance(each, Number):
        raise refused(where, f"takes a number: {each.name} is a category")


def _parted(each: Number | Category | Binary, where: str) -> None:
    """Refuse a number that no cuts make a category."""
    if not each.coded:
        raise refused(where, f"takes categories: {each.name} is a number without cuts")


def _differ(names: Sequence[str], where: str) -> None:
    if len(set(names)) < len(names):
        raise refused(where, f"names {names[0]} twice")
