"""A study that this hospital has opened: admitted, read and cleaned once, then held.

The table stays in memory between rounds and goes when the study closes. Nothing is held
that was not admitted first.
"""

import time
from dataclasses import dataclass, field, replace
from datetime import date

from client import site
from client.books import approvals
from client.books.chain import Entry
from client.books.memory import NOT_OPEN, Memory
from client.door import overlap
from client.door.seats import Seats
from client.learning import own_layers
from client.learning.own_layers import Kept, Owner
from client.learning.training import Design
from client.site import Site
from client.table import Table
from client.tables import cache, withdrawals
from common import plan
from common.errors import Refusal
from common.release import Array
from common.study import Study


@dataclass(frozen=True, slots=True)
class Opened:
    """One site's side of one study, ready to answer rounds.

    ``seats`` are its places in masked rounds. ``book`` holds the charges of a site
    without a home; another has its ledger. ``withdrawn`` is how many people had left
    when the records were read. ``layers`` are the personal ones of the run.
    """

    site: Site
    study: Study
    digest: str
    table: Table
    design: Design
    memory: Memory = field(default_factory=Memory)
    seats: Seats = field(default_factory=Seats)
    book: list[Entry] = field(default_factory=list)
    withdrawn: int = 0
    layers: dict[str, Kept] = field(default_factory=dict)

    @property
    def owner(self) -> Owner:
        """This site as the owner of personal layers."""
        return Owner(self.site, self.study, self.layers)

    @property
    def own(self) -> Array | None:
        """The personal layers of the last run that trained any in this process."""
        return next((each.after for each in self.layers.values()), None)

    def of_run(self, run: str) -> "Opened":
        """Return this side of *run*; another run than the last may encode anew.

        Where sums leave exact the ledger says that it must not (client/door/once.py).
        """
        known = run in self.memory.last
        return self if known else replace(self, design=self.design.anew())

    def step(self, task: str, number: int) -> tuple[int, int]:
        """Return where a round stands in the study; raise Refusal outside of it."""
        tasks = {each.name: each for each in plan.tasks(self.study)}
        known = tasks.get(task)
        if known is None or not 1 <= number <= plan.rounds(self.study, known):
            raise Refusal(f"the study has no round {number} of {task!r}")
        return [*tasks].index(task), number


def open_study(local: Site, study: Study, today: date) -> Opened:
    """Admit *study* by the site's rules as of *today*, then read and clean its records.

    Raises Refusal, or MachineError where a package that the study needs is not here,
    before a single record is read; DataError for records that do not fit.
    """
    site.admit(local, study, today)
    plan.load(study)
    gone = len(withdrawals.read(local.home))
    standing = approvals.standings(local.entries(), today)
    granted = [d for d, each in standing.items() if each.state == "approved"]
    cache.sweep(local.home, {*granted, study.digest()})
    no = {d for d, each in standing.items() if each.state in {"denied", "revoked"}}
    own_layers.sweep(local.home, no)
    table = cache.table(local, study)
    if local.home and study.privacy != "none":
        overlap.check(local.home, table.key)
    floor, tells = site.floor(local, study), local.mapping.by_site
    design = Design(table, floor, tells=tells)
    return Opened(local, study, study.digest(), table, design, withdrawn=gone)


def _changed(found: Opened) -> bool:
    """Return whether another table would be read, or by other rules, than was."""
    gone = len(withdrawals.read(found.site.home)) != found.withdrawn
    return gone or site.seal(found.site.path) != found.site.sealed


@dataclass(frozen=True, slots=True)
class Shelf:
    """The studies a process holds open, by site and digest, and when each was asked."""

    held: dict[tuple[str, str], Opened] = field(default_factory=dict)
    asked: dict[tuple[str, str], float] = field(default_factory=dict)

    def hold(self, opened: Opened) -> None:
        """Keep *opened* until its study closes."""
        self.held[str(opened.site.path), opened.digest] = opened
        self.asked[str(opened.site.path), opened.digest] = time.monotonic()

    def quiet(self, seconds: float) -> list[Opened]:
        """Forget, and return, the studies that nobody asked for so many *seconds*.

        An aggregator that went away for good never closes them. One that comes back
        opens them again, in the same run.
        """
        last = time.monotonic() - seconds
        found = [each for key, each in self.held.items() if self.asked[key] < last]
        for each in found:
            self.drop(str(each.site.path), each.digest)
        return found

    def find(self, path: str, digest: str) -> Opened:
        """Return the open study; raise Refusal when this site has not opened it."""
        found = self.get(path, digest)
        if found is None:
            raise Refusal(
                "a round was asked of a study that is not open here",
                told=NOT_OPEN,
                likely="this site restarted, never admitted the study, or somebody "
                "withdrew",
                fix="none is needed: the aggregator opens the study again and goes on",
            )
        return found

    def get(self, path: str, digest: str) -> Opened | None:
        """Return the study if it is open by the rules that the site has now.

        Nobody withdrew since it was opened, and ``site.toml`` is what it was.
        """
        found = self.held.get((path, digest))
        if found and found.site.home and _changed(found):
            self.drop(path, digest)
            return None
        if found:
            self.asked[path, digest] = time.monotonic()
        return found

    def drop(self, path: str, digest: str) -> None:
        """Forget the study and its table, the one on the disk too."""
        found = self.held.pop((path, digest), None)
        self.asked.pop((path, digest), None)
        if found:
            cache.erase(found.site.home, digest)
