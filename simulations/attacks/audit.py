"""Does a study keep its promise? The code that ships, attacked with one person more.

A lower bound beside the claim: what no attack found is no proof that nothing is there,
and what one finds is a bug. Mistakes made on purpose show that the attacks can find
something (``simulations/attacks/mutants.py``).
"""

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Final

from client.table import Table
from common import costs, plan
from common.errors import ConsiliumError, StudyError
from common.sections.terms import Privacy
from common.study import Study
from common.task import Split, State
from common.terminal import Terminal
from simulations import plain
from simulations.attacks import attack, canary, drawing, mutants

ERROR: Final = 0.05
RUNS: Final = 40_000
"""Of each hospital, with the canary and without."""
ATTACKS = 4
"""Two attacks on each of two sides: each has its share of the error."""
ERRORS = "Clopper-Pearson bounds on false alarms and misses of a test, joined by "
METHOD = f"{ERRORS}the Gaussian trade-off (Nasr et al. 2023)"
ANY_METHOD = (
    f"{ERRORS}log((1 - delta - misses) / false alarms) (Kairouz et al. 2015); and "
    "tests of how people are drawn"
)
ADVERSARY = (
    "chooses the people, one person with any values and records before cleaning, and "
    "every state; sees all sums released, and a colluding site's noise"
)


@dataclass(frozen=True, slots=True)
class Audit:
    """What was claimed, and what the attacks prove at least; or why nothing left."""

    study: str
    promised: Privacy
    lower: float
    runs: int
    method: str
    mutant: str | None = None
    refused: str = ""

    @property
    def holds(self) -> bool:
        """Whether no attack found more than what is claimed."""
        return self.lower <= self.promised.epsilon and not self.refused

    def facts(self) -> dict[str, object]:
        """Return the audit as plain data."""
        return {
            "ok": self.holds,
            "study": self.study,
            "claimed_epsilon": self.promised.epsilon,
            "delta": self.promised.delta,
            "lower_bound": self.lower,
            "confidence": 1 - ERROR,
            "method": self.method,
            "adversary": ADVERSARY,
            "runs": self.runs,
            "broken": self.mutant,
            "refused": self.refused,
        }

    def text(self) -> str:
        """Return the audit for a reader."""
        claimed = f"claimed epsilon {self.promised.epsilon:g} at delta "
        claimed += f"{self.promised.delta:g}"
        if self.refused:
            return f"{claimed}; refused: {self.refused}"
        found = f"no attack in this suite found more than {self.lower:.2f}"
        if not self.holds:
            found = f"an attack proves at least {self.lower:.2f}: BROKEN"
        if self.mutant:
            found += f"\nbroken on purpose: {mutants.ALL[self.mutant].what}"
        who = f"adversary  {ADVERSARY}\nmethod     {self.method}"
        sure = f"confidence {1 - ERROR:.0%}, {self.runs:,} runs of each hospital"
        return f"{claimed}; {found}\n\n{who}\n{sure}"


def audit(study: Study, runs: int = RUNS, mutant: str | None = None) -> Audit:
    """Return what the attacks find in *study*, or in its *mutant*.

    Raises StudyError for a study that promises nothing.
    """
    promised = costs.promise(study)
    if promised is None:
        raise StudyError(
            f"{study.study.name} promises no privacy: there is nothing to audit",
            fix="give the study a [privacy]; see docs/privacy.md",
        )
    chosen = canary.declared(study)
    method = ANY_METHOD if costs.sampled(study) else METHOD
    with mutants.broken(mutant) if mutant else nullcontext():
        try:
            lower = max(_found(chosen, runs))
        except ConsiliumError as refusal:
            if mutant is None:
                raise
            name = study.study.name
            return Audit(name, promised, 0.0, runs, method, mutant, refusal.what)
    return Audit(study.study.name, promised, lower, runs, method, mutant)


def show(terminal: Terminal, study: Study, runs: int, mutant: str | None) -> bool:
    """Tell what the attacks find; return whether the promise holds."""
    terminal.say(f"attacking {study.study.name}, some minutes at most ...")
    found = audit(study, runs, mutant)
    terminal.result(found.facts(), found.text())
    return found.holds


def _found(study: Study, runs: int) -> Iterator[float]:
    """Yield the epsilon that each attack proves, once people are drawn as charged."""
    base, steps = canary.without(study), costs.sampled(study)
    found = plain.run(study, [base])
    if steps:
        drawing.check(study, steps, steps.start(study, found), base)
    for split in _sides(study):
        releases = _worst(study, base, found, split)
        yield attack.often(study, releases, runs, ERROR / ATTACKS)
        yield attack.closely(study, releases, ERROR / ATTACKS)


def _sides(study: Study) -> list[Split]:
    return sorted({task.rows for task in plan.tasks(study)})


def _worst(
    study: Study, base: Table, found: Mapping[str, State], split: Split
) -> list[attack.Seen]:
    """Return the releases of the canary seen best, before any noise is drawn."""
    asking = [attack.asked(study, found, split, tilt) for tilt in attack.TILTS]
    hospitals = [canary.with_one(study, each, split) for each in canary.CANARIES]
    tried = [
        attack.seen(study, each, (base, other))
        for other in hospitals
        for each in asking
    ]
    return max(tried, key=lambda each: attack.separation(study, each))
