"""A study that this hospital has opened: admitted, read and cleaned once, then held.

The table stays in memory between rounds and goes when the study closes. Nothing is held
that was not admitted first.
"""

from dataclasses import dataclass, field
from datetime import date

from client import cleaning, site
from client.chain import Entry
from client.memory import NOT_OPEN, Memory
from client.seats import Seats
from client.site import Site
from client.sources import csv
from client.table import Table
from client.training import Design
from common import plan
from common.errors import Refusal
from common.study import Study


@dataclass(frozen=True, slots=True)
class Opened:
    """One site's side of one study, ready to answer rounds.

    ``seats`` are its places in masked rounds. ``book`` holds the charges of a site
    without a home; another has its ledger.
    """

    site: Site
    study: Study
    digest: str
    table: Table
    design: Design
    memory: Memory = field(default_factory=Memory)
    seats: Seats = field(default_factory=Seats)
    book: list[Entry] = field(default_factory=list)

    def step(self, task: str, number: int) -> tuple[int, int]:
        """Return where a round stands in the study; raise Refusal outside of it."""
        tasks = {each.name: each for each in plan.tasks(self.study)}
        known = tasks.get(task)
        if known is None or not 1 <= number <= plan.rounds(self.study, known):
            raise Refusal(f"the study has no round {number} of {task!r}")
        return [*tasks].index(task), number


def open_study(local: Site, study: Study, today: date) -> Opened:
    """Admit *study* by the site's rules as of *today*, then read and clean its records.

    Raises Refusal before a single record is read, DataError for records that do not
    fit.
    """
    site.admit(local, study, today)
    table = cleaning.clean(local, study, csv.read(local))
    return Opened(local, study, study.digest(), table, Design(table))


@dataclass(frozen=True, slots=True)
class Shelf:
    """The studies a process holds open, by site and digest."""

    held: dict[tuple[str, str], Opened] = field(default_factory=dict)

    def hold(self, opened: Opened) -> None:
        """Keep *opened* until its study closes."""
        self.held[str(opened.site.path), opened.digest] = opened

    def find(self, path: str, digest: str) -> Opened:
        """Return the open study; raise Refusal when this site has not opened it."""
        try:
            return self.held[path, digest]
        except KeyError:
            raise Refusal(
                "a round was asked of a study that is not open here",
                told=NOT_OPEN,
                likely="this site restarted, or never admitted the study",
                fix="none is needed: the aggregator opens the study again and goes on",
            ) from None

    def drop(self, path: str, digest: str) -> None:
        """Forget the study and its table."""
        self.held.pop((path, digest), None)
