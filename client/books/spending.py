"""What studies have cost the people of this site, and may still cost: pure arithmetic.

Nothing here is stored: the ledger's entries say it, each time they are read.

    admitted   a run of a study began here, and may cost so much of each split
    released   a round's noisy sums were about to leave, and cost so much
    closed     the run is over: what it did not use is free again

Whoever trains does not test in the same run, so a run costs each person the dearer of
its two splits (parallel composition): the dearer of their sums over all people, beside
the steps over samples of either. Over runs and studies costs add up, as the splits are
others there. A run that is under way counts with all that it may still cost; a round
that was charged twice, because its answer was lost in a crash, counts twice.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Final

from scipy.optimize import brentq

from client.books import approvals
from client.books.chain import Entry, Facts
from common import costs, privacy
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
    """What one run of a study has cost, and what it may cost each split in all."""

    digest: str
    study: str
    run: str
    charges: tuple[Charge, ...] = ()
    planned: Mapping[str, tuple[Event, ...]] = field(default_factory=dict)
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
            (each.task, each.round): each.event
            for each in self.charges
            if each.split == split
        }
        return tuple(
            left
            for each in self.planned.get(split, ())
            if (left := _without(each, done.values()))
        )


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


def planned(study: Study) -> dict[Split, tuple[Event, ...]]:
    """Return what one whole run of *study* costs each split: one sum, and its steps."""
    return {split: _merged(costs.events(study, split)) for split in SPLITS}


def whole(study: Study) -> tuple[Event, ...]:
    """Return what one whole run of *study* costs each person."""
    return _dearer(list(planned(study).values()))


def whole_alone(study: Study) -> tuple[Event, ...]:
    """Return what one whole run costs by this site's noise alone: if masking failed."""
    return tuple(privacy.weaker(each, parts(study)) for each in whole(study))


def unmasked(entry: Entry) -> Entry:
    """Return *entry* as if masking had failed: a release by this site's noise alone."""
    if "alone" not in entry.facts:
        return entry
    name = "mu" if "mu" in entry.facts else "sigma"
    return replace(entry, facts={**entry.facts, name: entry.facts["alone"]})


def admission(study: Study) -> dict[str, str | int]:
    """Return what a whole run costs, for the ledger: a mu each side, and the steps."""
    found: dict[str, str | int] = {}
    for split, events in planned(study).items():
        exact = (each for each in events if isinstance(each, Gaussian))
        found[split] = repr(privacy.together(exact))
        for each in events:
            found |= written(each) if isinstance(each, Subsampled) else {}
    return found


def written(event: Event) -> dict[str, str | int]:
    """Return *event* as the ledger holds it: every digit of it, as text."""
    if isinstance(event, Gaussian):
        return {"mu": repr(event.mu)}
    rate, sigma = repr(event.rate), repr(event.sigma)
    return {"sigma": sigma, "rate": rate, "steps": event.steps}


def alone(event: Event, count: int) -> dict[str, str]:
    """Return what *event* costs by one of *count* parts of its noise, as text."""
    fewer = written(privacy.weaker(event, count))
    return {"alone": str(fewer["mu" if "mu" in fewer else "sigma"])}


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
        found[key] = replace(account, planned=_planned(facts), running=True)
    elif entry.kind == "released" and (event := event_of(facts)):
        split, task = str(facts["split"]), str(facts["task"])
        charge = Charge(split, task, int(facts["round"]), event)
        found[key] = replace(account, charges=(*account.charges, charge))
    elif entry.kind == "closed" and key in found:
        found[key] = replace(account, running=False)
    elif entry.kind in {"revoked", "denied"}:
        for other in [each for each in found if each[0] == entry.digest]:
            found[other] = replace(found[other], running=False)


def _planned(facts: Facts) -> dict[str, tuple[Event, ...]]:
    """Return what an admission with *facts* holds for each split."""
    mus = {split: float(facts[split]) for split in SPLITS}
    found: dict[str, tuple[Event, ...]]
    found = {split: (Gaussian(mu),) if mu else () for split, mu in mus.items()}
    steps = event_of(facts)
    return found | {"train": (*found["train"], steps)} if steps else found


def _without(planned: Event, done: Iterable[Event]) -> Event | None:
    """Return what is left of *planned* after what of its kind was *done*."""
    if isinstance(planned, Subsampled):
        steps = sum(each.steps for each in done if isinstance(each, Subsampled))
        left = planned.steps - steps
        return replace(planned, steps=left) if left > 0 else None
    used = math.fsum(each.mu**2 for each in done if isinstance(each, Gaussian))
    rest = planned.mu**2 - used
    return Gaussian(math.sqrt(rest)) if rest > TOLERANCE**2 else None


def _merged(events: Iterable[Event]) -> tuple[Event, ...]:
    """Return *events* as one sum over all and, for each kind of step, all its steps."""
    held = tuple(events)
    mu = privacy.together(e for e in held if isinstance(e, Gaussian))
    steps: Counter[Subsampled] = Counter()
    for each in held:
        if isinstance(each, Subsampled):
            steps[replace(each, steps=1)] += each.steps
    every = (replace(each, steps=count) for each, count in steps.items())
    return (*((Gaussian(mu),) if mu else ()), *every)


def _dearer(sides: Sequence[tuple[Event, ...]]) -> tuple[Event, ...]:
    """Return what is no less than the cost of either side, whichever a person is on.

    Of sums over all the dearer, beside the steps of both.
    """
    merged = [_merged(side) for side in sides]
    mus = [e.mu for side in merged for e in side if isinstance(e, Gaussian)]
    steps = _merged(e for side in sides for e in side if isinstance(e, Subsampled))
    return (*((Gaussian(max(mus)),) if mus else ()), *steps)
