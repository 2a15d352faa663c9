"""A study as its steward reads it: who, why, whom, what, what leaves, what changed.

What would leave is generated from the declarations that the door enforces, and the dry
run by the code that a round runs.
"""

from dataclasses import dataclass
from pathlib import Path

from client.books import approvals, home
from client.books.approvals import HEX, Standing
from client.office import balance, changes, desk, review
from client.office.changes import Change
from client.office.desk import Desk
from client.office.review import Review
from common.errors import ConsiliumError
from common.schema import Binary, Number, Prose
from common.study import Rule, Study
from common.terminal import Terminal
from common.told import manifest


@dataclass(frozen=True, slots=True)
class Dossier:
    """All that a steward needs for a yes or a no."""

    study: Study
    stands: Standing
    before: Study | None
    dry_run: Review | ConsiliumError
    budget: tuple[str, ...]

    def facts(self) -> dict[str, object]:
        """Return the dossier as plain data."""
        about = self.study.study
        return {
            "ok": True,
            "study": about.model_dump(mode="json"),
            "digest": self.study.digest(),
            "state": self.stands.state,
            "until": str(self.stands.until) if self.stands.until else None,
            "people": _people(self.study),
            "variables": _variables(self.study),
            "leaves": [line.facts() for line in manifest.lines(self.study)],
            "since": self.before.digest() if self.before else None,
            "changes": [each.facts() for each in self.changes],
            "budget": list(self.budget),
            "dry_run": _outcome(self.dry_run),
        }

    @property
    def changes(self) -> tuple[Change, ...]:
        """What differs from the version that was approved last."""
        return changes.between(self.before, self.study) if self.before else ()

    def text(self) -> str:
        """Return the dossier for a terminal."""
        here = manifest.text(self.study, manifest.lines(self.study))
        return "\n".join(
            [
                here,
                "Which people:",
                *(f"  {line}" for line in _people(self.study)),
                "",
                "Which variables are read:",
                *(f"  {line}" for line in _variables(self.study)),
                "",
                *self._differences(),
                "",
                "Privacy budget of the people here:",
                *(f"  {line}" for line in self.budget),
                "",
                "Dry run on the records here; nothing was sent:",
                *(f"  {line}".rstrip() for line in _said(self.dry_run)),
                "",
                f"It stands here: {self.stands.words()}",
            ]
        )

    def _differences(self) -> list[str]:
        if self.before is None:
            return ["No version of this study was approved here before."]
        since = f"Since the version approved last ({self.before.digest()[:HEX]}):"
        lines = [f"  {each.words()}" for each in self.changes]
        return [since, *(lines or ["  nothing: it is the same version"])]


def show(terminal: Terminal, path: Path, word: str) -> None:
    """Print the dossier of the study that *word* names, and what to type next."""
    at = desk.sit(path)
    found = _dossier(at, desk.find(at, word, ("waiting",)))
    name = word if word.endswith(".toml") else found.study.digest()[:HEX]
    after = f"consilium client approve {name} --site {path}"
    deny = f"consilium client deny {name} --reason WHY --site {path}"
    text = f"{found.text()}\nnext:   {after}\nor:     {deny}"
    terminal.result(found.facts(), text)


def last_approved(at: Desk, study: Study) -> Study | None:
    """Return the version of *study* that this site approved last, if it has one.

    Raises nothing when the file is gone: then there is nothing to compare with.
    """
    digests = [
        entry.digest
        for entry in at.entries()
        if entry.kind == "approved" and entry.study == study.study.name
    ]
    return home.find(home.approved(at.home), digests[-1]) if digests else None


def _dossier(at: Desk, study: Study) -> Dossier:
    stands = approvals.standing(at.entries(), study.digest(), at.today)
    try:
        dry_run: Review | ConsiliumError = review.check(at.site, study, at.today)
    except ConsiliumError as refused:
        dry_run = refused
    cost = tuple(balance.question(at.site, study, at.entries()))
    return Dossier(study, stands, last_approved(at, study), dry_run, cost)


def _outcome(dry_run: Review | ConsiliumError) -> dict[str, object]:
    if isinstance(dry_run, ConsiliumError):
        return {"ok": False, "error": dry_run.facts()}
    return dry_run.facts()


def _said(dry_run: Review | ConsiliumError) -> list[str]:
    if isinstance(dry_run, ConsiliumError):
        return f"it would fail: {dry_run}".splitlines()
    return dry_run.lines()


def _people(study: Study) -> list[str]:
    """Return the cohort in words."""
    return [_rule(rule) for rule in study.cohort] or ["everyone in the export"]


def _rule(rule: Rule) -> str:
    if rule.one_of is not None:
        return f"{rule.variable} is {' or '.join(rule.one_of)}"
    low = f"at least {rule.at_least:g}" if rule.at_least is not None else ""
    high = f"at most {rule.at_most:g}" if rule.at_most is not None else ""
    return f"{rule.variable} {' and '.join(filter(None, (low, high)))}"


def _variables(study: Study) -> list[str]:
    """Return every variable in words, the outcome last."""
    lines = []
    outcome = study.measured[len(study.variables) :]
    every = (*study.declared, *outcome)
    width = max(len(each.name) for each in every) + 2
    for each in every:
        if isinstance(each, Prose):
            what = f"a text: identifiers out, words in {each.buckets} buckets"
        elif isinstance(each, Number):
            what = f"number, {each.range[0]:g} to {each.range[1]:g} {each.unit}"
        elif isinstance(each, Binary):
            what = f"yes or no: {each.positive}"
        else:
            what = f"one of {', '.join(each.levels)}"
        role = " (outcome)" if each in outcome else ""
        lines.append(f"{each.name:<{width}}{what}{role}")
    return lines
