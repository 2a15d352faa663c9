"""What studies have cost the people of this site, and may still cost: pure arithmetic.

Nothing here is stored: the ledger's entries say it, each time they are read.

    admitted   a run of a study began here, and may cost so much of each split
    released   a round's noisy sums were about to leave, and cost so much
    closed     the run is over: what it did not use is free again

Whoever trains does not test in the same run, so a run costs each person the dearer of
its two splits (parallel composition); with steps over samples both are counted, which
is never too little. Over runs and studies costs add up, as the splits are others there.
A run that is under way counts with all that it may still cost; a round that was charged
twice, because its answer was lost in a crash, counts twice.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Final

from scipy.optimize import brentq

from client import approvals
from client.chain import Entry, Facts
from common import costs, plan, privacy
from common.privacy import Event, Gaussian, Subsampled
from common.promise import parts
from common.study import Study
from common.task import Split

TOLERANCE: Final = 1e-6
"""By so much an epsilon may be found too high, for it is found by halving."""
SPLITS: Final[tuple[Split, Split]] = ("train", "test")


@dataclass(frozen=True, slots=True)
class Ceiling:
    """What was granted: all studies together keep (epsilon, delta) for each person."""

    epsilon: float
    delta: float


@dataclass(frozen=True, slots=True)
class Charge:
    """What one release cost those who train, or those who test."""

    split: str
    task: str
    round: int
    event: Event


@dataclass(frozen=True, slots=True)
class Account:
    """What one run of a study has cost, and the mu that it may cost each split."""

    digest: str
    study: str
    run: str
    charges: tuple[Charge, ...] = ()
    planned: Mapping[str, float] = field(default_factory=dict)
    running: bool = False

    def spent(self) -> tuple[Event, ...]:
        """Return what the run has cost each person."""
        return _dearer([self._charged(split) for split in SPLITS])

    def committed(self) -> tuple[Event, ...]:
        """Return what the run has cost and, while it runs, may still cost."""
        return _dearer([(*self._charged(each), *self._rest(each)) for each in SPLITS])

    def rest(self) -> tuple[Event, ...]:
        """Return what the run may still cost each person, at most."""
        return _dearer([self._rest(split) for split in SPLITS])

    def _charged(self, split: str) -> tuple[Event, ...]:
        return tuple(each.event for each in self.charges if each.split == split)

    def _rest(self, split: str) -> tuple[Event, ...]:
        """Return what the rounds that were not charged yet may cost."""
        if not self.running:
            return ()
        done = {
            (each.task, each.round): each.event.mu**2
            for each in self.charges
            if each.split == split and isinstance(each.event, Gaussian)
        }
        rest = self.planned.get(split, 0.0) ** 2 - math.fsum(done.values())
        return (Gaussian(math.sqrt(rest)),) if rest > TOLERANCE**2 else ()


def accounts(entries: Iterable[Entry], today: date) -> tuple[Account, ...]:
    """Return every run that was charged or may be, in the order of the ledger."""
    held = tuple(entries)
    found: dict[tuple[str, str], Account] = {}
    for entry in held:
        _take(found, entry)
    stand = approvals.standings(held, today)
    over = {digest for digest, each in stand.items() if each.state in approvals.OVER}
    return tuple(
        replace(each, running=False) if each.digest in over else each
        for each in found.values()
    )


def spent(runs: Iterable[Account]) -> tuple[Event, ...]:
    """Return what all runs have cost each person."""
    return tuple(event for each in runs for event in each.spent())


def committed(runs: Iterable[Account]) -> tuple[Event, ...]:
    """Return what all runs have cost and may still cost each person."""
    return tuple(event for each in runs for event in each.committed())


def ceiling(own: Ceiling, entries: Iterable[Entry]) -> Ceiling:
    """Return what ``site.toml`` grants, and what was granted in the ledger besides."""
    more = (float(e.facts["epsilon"]) for e in entries if e.kind == "granted")
    return replace(own, epsilon=math.fsum([own.epsilon, *more]))


def fits(events: Sequence[Event], under: Ceiling) -> bool:
    """Tell whether *events* together are within the ceiling."""
    return privacy.epsilon_of(events, under.delta) <= under.epsilon + TOLERANCE


def room(events: Sequence[Event], under: Ceiling) -> float:
    """Return the largest mu that still fits beside *events*, 0 when none does."""
    if under.epsilon <= 0.0 or not fits(events, under):
        return 0.0
    most = privacy.mu_of(under.epsilon, under.delta)
    if all(isinstance(each, Gaussian) for each in events):
        used = math.fsum(e.mu**2 for e in events if isinstance(e, Gaussian))
        return math.sqrt(max(most**2 - used, 0.0))

    def over(mu: float) -> float:
        beside = (*events, Gaussian(mu)) if mu else events
        return privacy.epsilon_of(beside, under.delta) - under.epsilon

    return float(brentq(over, 0.0, most, xtol=1e-3)) if over(0.0) < 0 else 0.0


def planned(study: Study) -> dict[Split, float]:
    """Return the mu that one whole run of *study* costs each split."""
    charges = costs.charges(study)
    found = dict.fromkeys(SPLITS, 0.0)
    for task in plan.tasks(study) if charges else ():
        mu, rounds = charges[task.name].mu, costs.noisy(task).rounds(study)
        found[task.rows] = math.hypot(found[task.rows], mu * math.sqrt(rounds))
    return found


def whole(study: Study) -> tuple[Event, ...]:
    """Return what one whole run of *study* costs each person."""
    return _dearer([(Gaussian(mu),) if mu else () for mu in planned(study).values()])


def whole_alone(study: Study) -> tuple[Event, ...]:
    """Return what one whole run costs by this site's noise alone: if masking failed."""
    more = math.sqrt(parts(study)) if costs.promise(study) else 1.0
    return tuple(
        Gaussian(each.mu * more) for each in whole(study) if isinstance(each, Gaussian)
    )


def unmasked(entry: Entry) -> Entry:
    """Return *entry* as if masking had failed: a release by this site's noise alone."""
    if "alone" not in entry.facts:
        return entry
    return replace(entry, facts={**entry.facts, "mu": entry.facts["alone"]})


def written(event: Event) -> dict[str, str | int]:
    """Return *event* as the ledger holds it: every digit of it, as text."""
    if isinstance(event, Gaussian):
        return {"mu": repr(event.mu)}
    rate, sigma = repr(event.rate), repr(event.sigma)
    return {"sigma": sigma, "rate": rate, "steps": event.steps}


def event_of(facts: Facts) -> Event | None:
    """Return what an entry with *facts* charged; None for one without a promise."""
    if "mu" in facts:
        return Gaussian(float(facts["mu"]))
    if "sigma" in facts:
        sigma, rate = float(facts["sigma"]), float(facts["rate"])
        return Subsampled(sigma, rate, int(facts["steps"]))
    return None


def _take(found: dict[tuple[str, str], Account], entry: Entry) -> None:
    """Take what *entry* says of a run into *found*."""
    run, facts = str(entry.facts.get("run", "")), entry.facts
    key = entry.digest, run
    account = found.get(key, Account(entry.digest, entry.study, run))
    if entry.kind == "admitted" and "train" in facts:
        for other in [each for each in found if each[0] == entry.digest]:
            found[other] = replace(found[other], running=False)
        mus = {str(split): float(facts[split]) for split in SPLITS}
        found[key] = replace(account, planned=mus, running=True)
    elif entry.kind == "released" and (event := event_of(facts)):
        split, task = str(facts["split"]), str(facts["task"])
        charge = Charge(split, task, int(facts["round"]), event)
        found[key] = replace(account, charges=(*account.charges, charge))
    elif entry.kind == "closed" and key in found:
        found[key] = replace(account, running=False)
    elif entry.kind in {"revoked", "denied"}:
        for other in [each for each in found if each[0] == entry.digest]:
            found[other] = replace(found[other], running=False)


def _dearer(sides: Sequence[tuple[Event, ...]]) -> tuple[Event, ...]:
    """Return what the side costs that costs more; both, where that is not clear."""
    every = tuple(event for side in sides for event in side)
    exact = [e for e in every if isinstance(e, Gaussian)]
    if len(exact) < len(every):
        return every
    mus = [
        privacy.together(e for e in side if isinstance(e, Gaussian)) for side in sides
    ]
    return (Gaussian(max(mus)),) if max(mus, default=0.0) > 0 else ()
