"""The privacy budget as its steward reads it: spent, reserved, left; words and a bar.

Epsilons do not add up: two studies of epsilon 1 cost less than 2. What adds up is the
square of mu, and the bar shows shares of that.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import click

from client.books import approvals, home, ledger, spending
from client.books.approvals import HEX
from client.books.chain import Entry, Note
from client.books.spending import Account, Ceiling
from client.door import budget
from client.office import desk
from client.site import Site
from common import costs, privacy
from common import terminal as prompts
from common.errors import ConsiliumError, Refusal, UsageError
from common.privacy import Event, Gaussian
from common.study import Study
from common.terminal import Terminal

CELLS = 40
NEW = "a new run"
"""What a run is called that only might be."""


@dataclass(frozen=True, slots=True)
class Waits:
    """A study that may still spend: under way, or approved and not begun."""

    study: str
    digest: str
    how: str
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Balance:
    """What was granted at a site, what it went to, and who may still spend."""

    site: Site
    under: Ceiling
    spent: tuple[Event, ...]
    alone: tuple[Event, ...]
    waits: tuple[Waits, ...]
    unprotected: tuple[int, int]

    def facts(self) -> dict[str, object]:
        """Return the balance as plain data: epsilons, all at the budget's delta."""
        return {
            "ok": True,
            "site": self.site.name,
            "epsilon": self.under.epsilon,
            "delta": self.under.delta,
            "spent": self._epsilon(self.spent),
            "spent_if_masking_fails": self._epsilon(self.alone),
            "reserved": self._epsilon(self._reserved()),
            "left": self.left(),
            "shares": dict(
                zip(("spent", "reserved", "left"), self._shares(), strict=True)
            ),
            "waiting": [
                {
                    "study": each.study,
                    "digest": each.digest,
                    "how": each.how,
                    "epsilon": self._epsilon(each.events),
                }
                for each in self.waits
            ],
            "unprotected": dict(
                zip(("studies", "releases"), self.unprotected, strict=True)
            ),
        }

    def left(self) -> float:
        """Return the largest epsilon that one more study may have."""
        mu = spending.room((*self.spent, *self._reserved()), self.under)
        return self._epsilon((Gaussian(mu),)) if mu else 0.0

    def lines(self) -> list[str]:
        """Return the balance for a terminal."""
        spent, reserved, left = self._shares()
        under, data = self.under, self.site.asset
        rows = [
            f"{self.site.name}: what all studies together may spend on {data}",
            f"  budget    epsilon {under.epsilon:g}, delta {under.delta:g}",
            _row("spent", self._epsilon(self.spent), spent),
            _row("reserved", self._epsilon(self._reserved()), reserved),
            _row("left", self.left(), left) + "  the most that one more study may ask",
            f"  {_bar(spent, reserved)}",
        ]
        rows += [
            f"  {each.how:<22}{each.study} ({each.digest[:HEX]}): epsilon "
            f"{self._epsilon(each.events):.3g}"
            for each in self.waits
        ]
        if self.alone != self.spent:
            weaker = f"epsilon {self._epsilon(self.alone):.3g} was spent"
            rows.append(f"  if masking had failed {weaker}, by this site's noise alone")
        studies, releases = self.unprotected
        if studies:
            rows.append(
                f"  UNPROTECTED: {releases} releases of {studies} studies with privacy "
                '= "none" left exact, beside this budget'
            )
        return rows

    def _epsilon(self, events: tuple[Event, ...]) -> float:
        return privacy.epsilon_of(events, self.under.delta)

    def _reserved(self) -> tuple[Event, ...]:
        return tuple(event for each in self.waits for event in each.events)

    def _shares(self) -> tuple[float, float, float]:
        """Return the shares of mu^2 that are spent, reserved and left."""
        if self.under.epsilon <= 0.0:
            return 0.0, 0.0, 0.0
        most = privacy.mu_of(self.under.epsilon, self.under.delta) ** 2
        unspent = spending.room(self.spent, self.under) ** 2 / most
        left = spending.room((*self.spent, *self._reserved()), self.under) ** 2 / most
        return 1 - unspent, unspent - left, left


def of(local: Site, entries: Sequence[Entry], today: date) -> Balance:
    """Return the balance of the site *local*, whose ledger holds *entries*."""
    runs = spending.accounts(entries, today)
    return Balance(
        site=local,
        under=budget.granted(local, entries),
        spent=spending.spent(runs),
        alone=spending.spent(spending.accounts(map(spending.unmasked, entries), today)),
        waits=(*_running(runs), *_approved(local, entries, runs, today)),
        unprotected=_unprotected(entries),
    )


def question(local: Site, study: Study, entries: Sequence[Entry]) -> list[str]:
    """Return in words what *study* would cost here, and whether that is allowed."""
    refused = refusal(local, study)
    verdict = f"it would be refused: {refused}" if refused else "it fits"
    if not costs.promise(study):
        return ["no noise: sums leave exact, and no budget is spent on it", verdict]
    under = budget.granted(local, entries)
    cost = privacy.epsilon_of(spending.whole(study), under.delta)
    ceiling = f"{under.epsilon:g}, at delta {under.delta:g}"
    words = [f"it would spend epsilon {cost:.3g} of {ceiling}: {verdict}"]
    weaker = privacy.epsilon_of(spending.whole_alone(study), under.delta)
    if weaker > cost:
        words.append(
            f"if masking fails, this site's noise alone gives epsilon {weaker:.3g}"
        )
    return words


def refusal(local: Site, study: Study) -> str:
    """Return why the budget here would refuse *study* now; nothing when it fits."""
    try:
        budget.expect(local, study, NEW, None, desk.now)
    except ConsiliumError as refused:
        return refused.what
    return ""


def show(terminal: Terminal, path: Path, word: str) -> None:
    """Print the balance of the site at *path*, and what the study *word* would cost."""
    at = desk.sit(path)
    found = of(at.site, at.entries(), at.today)
    facts, lines = found.facts(), found.lines()
    if word:
        study = desk.find(at, word, ("waiting",))
        said = question(at.site, study, at.entries())
        facts["study"] = {"name": study.study.name, "words": said}
        lines += [f"{study.study.name}:", *(f"  {each}" for each in said)]
    more = f"consilium client budget grant EPSILON --reason WHY --site {path}"
    terminal.result(facts, "\n".join([*lines, f"more:   {more}"]))


def grant(
    terminal: Terminal, path: Path, epsilon: float, reason: str, typed: str | None
) -> None:
    """Grant *epsilon* more, once a person has typed the site's name."""
    at = desk.sit(path)
    name, before = at.site.name, budget.granted(at.site, at.entries())
    if not epsilon > 0 or before.epsilon + epsilon >= privacy.LARGEST:
        fix = "a number above 0, such as 1.0"
        raise UsageError(f"epsilon {epsilon:g} cannot be granted", fix=fix)
    if typed is None:
        click.echo(_before_yes(at, before, epsilon, reason), err=True)
        question = f"To grant it, type the site's name ({name})"
        typed = prompts.typed(question, f"--i-am-granting {name}   in a script")
    if typed != name:
        raise Refusal(
            "nothing was granted: what was typed is not the site's name",
            fix=f"type {name}, letter by letter, if this is what you grant",
        )
    facts = {"epsilon": repr(epsilon), "by": at.by, "reason": reason, "typed": typed}
    ledger.append(at.log, Note("granted", "", "", facts), at.clock)
    total = budget.granted(at.site, at.entries())
    text = f"granted: epsilon {epsilon:g} more, {total.epsilon:g} in all"
    terminal.result({"ok": True, "site": name, "epsilon": total.epsilon}, text)


def _before_yes(at: desk.Desk, before: Ceiling, epsilon: float, reason: str) -> str:
    data = at.site.asset
    after = before.epsilon + epsilon
    lines = [
        f"{at.site.name} would let studies spend more on {data}, for good",
        f"  epsilon  {before.epsilon:g} until now, {after:g} then",
        f"  delta    {before.delta:g}",
        f"  reason   {reason}",
        f"  by       {at.by}, into the ledger",
    ]
    return "\n".join(lines)


def _running(runs: Iterable[Account]) -> Iterable[Waits]:
    for each in runs:
        if each.running and (rest := each.rest()):
            yield Waits(each.study, each.digest, "under way", rest)


def _approved(
    local: Site, entries: Sequence[Entry], runs: Iterable[Account], today: date
) -> Iterable[Waits]:
    """Yield the studies that were approved, promise privacy and have not begun."""
    begun = {each.digest for each in runs}
    stand = approvals.standings(entries, today)
    for study in home.stored(home.approved(local.home)) if local.home else ():
        digest = study.digest()
        approved = digest in stand and stand[digest].state == "approved"
        if approved and digest not in begun and costs.promise(study):
            name, events = study.study.name, spending.whole(study)
            yield Waits(name, digest, "approved, not begun", events)


def _unprotected(entries: Iterable[Entry]) -> tuple[int, int]:
    """Return how many studies without a promise, and releases of them, there were."""
    exact = [
        entry.digest
        for entry in entries
        if entry.kind == "released" and not spending.event_of(entry.facts)
    ]
    return len(set(exact)), len(exact)


def _row(name: str, epsilon: float, share: float) -> str:
    return f"  {name:<10}epsilon {epsilon:<8.3g}{share:>6.1%}"


def _bar(spent: float, reserved: float) -> str:
    full = round(CELLS * spent)
    half = round(CELLS * (spent + reserved)) - full
    return "█" * full + "▒" * half + "░" * (CELLS - full - half)
