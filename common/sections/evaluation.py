"""Who tests a model, what is told of it, and of which sites by themselves.

Sites are left out together, so that a sum without them differs from the whole by those
of several. Left out one by one, each site's own sums are a difference of two totals.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from common.schema import Document, Name
from common.sections.models import ModelChoice
from common.sections.terms import Rounds
from common.written.slips import noted


class Evaluation(Document):
    """Who tests the model: a share of the people, or whom the site's file names.

    ``subgroups`` are categories: how good the model is for each level of each. With
    ``explain`` also what it looks at, and where that leads. ``by_site`` tells how good
    it is at each site, rounded. ``leave_out`` tells how good a model is for people of
    sites that it has not seen, so many of them left out at once.
    """

    test: Annotated[float, Field(gt=0.0, lt=1.0)] | Literal["declared"]
    seed: int = Field(default=0, ge=0, le=2**31)
    bins: int = Field(default=50, ge=2, le=10_000, multiple_of=2)
    subgroups: tuple[Name, ...] = ()
    explain: Literal[True] | None = None
    by_site: Literal[True] | None = None
    leave_out: int | None = Field(default=None, ge=1, le=10_000)


def groups(leave_out: int, sites: int) -> tuple[tuple[int, ...], ...]:
    """Return which of so many *sites* are left out together, by their places.

    Each group has *leave_out* of them, or one or some more where they do not divide.
    """
    count = max(sites // leave_out, 1)
    return tuple(tuple(range(place, sites, count)) for place in range(count))


def together(leave_out: int, rounds: Rounds, sites: int) -> int:
    """Return how many sites a group has at least, whoever is missing in a round."""
    absent = sites - rounds.quorum + rounds.dropouts
    return min(map(len, groups(leave_out, sites))) - absent


def exact(tested: Evaluation, *, promised: bool) -> None:
    """Raise ValueError, noting the key, for what has no form that promises privacy."""
    for key in ("by_site", "leave_out", "subgroups") if promised else ():
        if getattr(tested, key):
            told = f'{key} has no private form yet: it takes privacy = "none"'
            fix = f"take {key} out of [evaluation]"
            raise noted(f"evaluation.{key}", told, fix)


def check(
    tested: Evaluation, model: ModelChoice | None, rounds: Rounds, few: Sequence[int]
) -> None:
    """Raise ValueError, noting the key, for sites that cannot be left out so.

    *few* are the invited sites, and the fewest for which an exact sum may stand.
    """
    wanted, (sites, fewest) = tested.leave_out, few
    if wanted is None:
        return
    learning, what = getattr(model, "training", None), ""
    fix = "take leave_out out of [evaluation]"
    own = together(wanted, rounds, sites)
    if len(groups(wanted, sites)) == 1:
        what = f"leaves nobody to learn from: of {sites} sites two groups at least"
        fix = _instead(rounds, few) or fix
    elif wanted > 1 and own < fewest:
        what = (
            f"may leave out as few as {own}, whose sums are told then, where min_sites "
            f"is {fewest}: more at once, a higher quorum; or, for all to see, 1"
        )
        fix = _instead(rounds, few)
    elif learning and learning.combine != "mean":
        what = f"takes sums, and {learning.combine} is none"
        fix = 'in [model.training]:   combine = "mean"'
    elif learning and learning.personal:
        what = f"has no {learning.personal} for a site that does not train"
    elif getattr(model, "site_intercepts", None) and not getattr(model, "ridge", 0.0):
        what = "with site_intercepts takes a ridge: who is left out has none to fit"
        fix = "in [model]:   ridge = 1.0"
    if what:
        raise noted("evaluation.leave_out", f"leave_out {what}", fix)


def _instead(rounds: Rounds, few: Sequence[int]) -> str:
    """Return how many can be left out: as few as hide each other, or one by one."""
    sites, fewest = few
    able = (each for each in range(2, sites // 2 + 1))
    hidden = (each for each in able if together(each, rounds, sites) >= fewest)
    return f"leave_out = {next(hidden, 1)}" if sites > 1 else ""
