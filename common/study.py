"""The study: one reviewed file that both sides hold, as one frozen value with a digest.

A site approves the digest, not the name: it is the SHA-256 of the study's canonical
JSON (RFC 8785), so comments and layout may change, and nothing else may.
"""

import hashlib
from datetime import date
from pathlib import Path
from typing import Annotated, Literal, Self

import rfc8785
from pydantic import Field, model_validator

from common import design
from common.registry import MODELS
from common.schema import (
    Category,
    Declared,
    Document,
    Finite,
    Image,
    Line,
    Name,
    Number,
    Outcome,
    Survival,
    Text,
    Variable,
    values,
)
from common.sections import asked, evaluation, kept, selecting, terms
from common.sections.analyses import Analysis
from common.sections.cleaning import Cleaning, Quality, require_declared
from common.sections.disclosure import Disclosure
from common.sections.evaluation import Evaluation
from common.sections.models import ModelChoice, Selection
from common.sections.terms import Kept, Rounds
from common.written import toml_file
from common.written.slips import nearest, noted

SiteName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=64)]
CHECK = "consilium study check "


class About(Document):
    """Who asks, why, until when, and which sites are invited."""

    name: SiteName
    title: Line
    purpose: Line
    contact: Line
    expires: date
    sites: tuple[SiteName, ...] = Field(min_length=1)


class Rule(Document):
    """Which people belong to the cohort, by one declared variable."""

    variable: Name
    at_least: Finite | None = None
    at_most: Finite | None = None
    one_of: tuple[Text, ...] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        bounds = self.at_least is not None or self.at_most is not None
        if bounds == (self.one_of is not None):
            msg = "a cohort rule needs at_least and/or at_most, or else one_of"
            raise ValueError(msg)
        return self


class Study(Document):
    """The protocol of one study, as the consortium signed it."""

    format: Literal[1]
    privacy: Kept
    study: About
    declared: tuple[Variable, ...] = Field(default=(), alias="variables")
    image: Image | None = None
    outcome: Outcome
    cohort: tuple[Rule, ...] = ()
    model: ModelChoice | None = None
    selection: Selection | None = None
    analysis: Analysis = Analysis()
    rounds: Rounds
    evaluation: Evaluation | None = None
    cleaning: Cleaning = Cleaning()
    quality: Quality = Quality()
    disclosure: Disclosure = Disclosure()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for check in RULES:
            check(self)
        names = [each.name for each in self.everything]
        require_declared(self.cleaning, self.quality, names)
        return self

    @property
    def variables(self) -> tuple[Number | Category, ...]:
        """What is known of a record, one value each: of a text, each of its buckets."""
        return values(self.declared)

    @property
    def everything(self) -> tuple[Declared | Survival, ...]:
        """The variables and, last, the outcome."""
        return (*self.variables, self.outcome)

    @property
    def kind(self) -> str:
        """The kind of its model; empty when it fits none."""
        return self.model.kind if self.model else ""

    @property
    def measured(self) -> tuple[Declared, ...]:
        """What a site maps: the variables and, last, the outcome or its parts."""
        outcome = self.outcome
        parts = outcome.parts if isinstance(outcome, Survival) else (outcome,)
        return (*self.variables, *parts)

    @property
    def masked(self) -> bool:
        """Whether the aggregator learns sums only: secure aggregation."""
        return terms.masked(self.rounds, len(self.study.sites))

    @property
    def needed(self) -> int:
        """With how many sites the study may run: its quorum, and three to mask."""
        return terms.needed(self.rounds, len(self.study.sites))

    def canonical(self) -> bytes:
        """Return the study as canonical JSON (RFC 8785), without what it leaves out."""
        return _sealed(self)[0]

    def digest(self) -> str:
        """Return what a site approves: 64 hexadecimal digits."""
        return _sealed(self)[1]


def _sealed(study: Study) -> tuple[bytes, str]:
    """Return a study's canonical JSON, and its hash."""
    last, sealed = _SEALED[0]
    if last is not study:
        said = rfc8785.dumps(study.model_dump(mode="json", exclude_none=True))
        sealed = said, hashlib.sha256(said).hexdigest()
        _SEALED[0] = study, sealed
    return sealed


_SEALED: list[tuple[Study | None, tuple[bytes, str]]] = [(None, (b"", ""))]
"""The study sealed last: a site asks for it several times in a row.

Remembered beside the study and not in it, where a changed copy would inherit it.
"""


def read(path: Path) -> Study:
    """Return the study in *path*; raise StudyError with file, line and fix."""
    return toml_file.read(path, Study, then=f"{CHECK}{path}")


def _names(study: Study) -> None:
    pictures = (study.image,) if study.image else ()
    names = [each.name for each in (*study.measured, *pictures)]
    for place, name in enumerate(names):
        if name in names[:place]:
            where = [i for i, each in enumerate(study.declared) if each.name == name]
            said = f"variables.{max(where, default=0)}.name"
            raise noted(said, f"{name} is declared twice")


def _cohort(study: Study) -> None:
    kinds = {each.name: each for each in study.variables}
    for place, rule in enumerate(study.cohort):
        variable, where = kinds.get(rule.variable), f"cohort.{place}"
        if variable is None:
            msg = f"{rule.variable} is not a declared variable"
            raise noted(f"{where}.variable", msg, nearest(rule.variable, kinds))
        if (rule.one_of is not None) != isinstance(variable, Category):
            msg = f"{rule.variable} is a {variable.kind}"
            rest = "one_of is for categories, bounds are for numbers"
            raise noted(f"{where}.variable", f"{msg}: {rest}")
        levels = getattr(variable, "levels", ())
        for level in rule.one_of or ():
            if level not in levels:
                msg = f"{level} is no level of {rule.variable}"
                raise noted(f"{where}.one_of", msg, nearest(level, levels))


def _roster(study: Study) -> None:
    sites = study.study.sites
    if len(set(sites)) < len(sites):
        raise noted("study.sites", "a site is named twice")
    if study.rounds.quorum > len(sites):
        msg = f"a quorum of {study.rounds.quorum} of {len(sites)} invited sites"
        raise noted("rounds.quorum", msg, f"quorum = {len(sites)}")
    terms.check(study.rounds, len(sites))


def _honest(study: Study) -> None:
    if study.privacy != "none":
        promised = study.privacy
        invited = len(study.study.sites)
        terms.honest(study.rounds, invited, promised.noise, promised.colluders)


def _prediction(study: Study) -> None:
    if study.model is None and study.evaluation is not None:
        told = "an evaluation needs a [model] to evaluate"
        raise noted("evaluation", told, "take [evaluation] out, or add a [model]")
    if study.model is None:
        return
    if study.evaluation is None:
        told = "a model needs an [evaluation]: which people test it"
        raise noted("model", told, "add [evaluation] and below it test = 0.3")
    entry = MODELS[study.model.kind]
    if study.outcome.kind not in entry.outcomes:
        kind, given = study.model.kind, study.outcome.kind
        told = (
            f"{kind} needs a {' or '.join(entry.outcomes)} outcome, not a {given} one"
        )
        able = [name for name, each in MODELS.items() if given in each.outcomes]
        raise noted("model.kind", told, f"a {given} outcome takes {', '.join(able)}")
    if isinstance(study.outcome, Number) and study.outcome.range[0] < entry.lowest:
        told = f"{study.model.kind} needs an outcome of at least {entry.lowest:g}"
        raise noted("outcome.range", told)


def _asked(study: Study) -> None:
    """Refuse what is asked of a variable that is not declared, or of another kind."""
    groups = study.evaluation.subgroups if study.evaluation else ()
    width = len(design.columns(study.variables))
    asked.subgroups(groups, study.variables, study.outcome.kind)
    asked.check(study.analysis, study.everything)
    asked.fits(study.model, study.analysis, width)
    if study.evaluation and study.evaluation.explain:
        asked.explained(study.kind, study.outcome.kind, exact=study.privacy == "none")
    if study.selection:
        exact = study.privacy == "none"
        selecting.check(study.model, study.selection, exact=exact, width=width)
        if study.evaluation and study.evaluation.leave_out:
            told = "a setting chosen with every site's people: no leave_out"
            fix = "take leave_out out of [evaluation]"
            raise noted("evaluation.leave_out", told, fix)


def _apart(study: Study) -> None:
    """Refuse to tell of sites by themselves what this study cannot."""
    if study.evaluation:
        evaluation.exact(study.evaluation, promised=study.privacy != "none")
        few = len(study.study.sites), study.disclosure.min_sites
        evaluation.check(study.evaluation, study.model, study.rounds, few)


def _keeps(study: Study) -> None:
    """Refuse a promise that no form of a task keeps, before anybody is asked."""
    if study.privacy != "none":
        kept.keeps(study.model, study.analysis)
        kept.looked(study.model, study.rounds.dropouts)
    else:
        kept.exact(study.model)
    kept.combined(study.model, masked=study.masked)
    kept.present(study.model, study.rounds, len(study.study.sites))
    kept.batched(study.model, study.disclosure.min_people)


RULES = (_names, _cohort, _roster, _honest, _prediction, _asked, _apart, _keeps)
