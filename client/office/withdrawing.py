"""``consilium client withdraw``: a person leaves; what was made with them is named."""

import shlex
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from client.books import home, ledger
from client.books.approvals import HEX
from client.books.chain import Note
from client.numbers import persons, reading
from client.office import desk
from client.office.desk import Desk
from client.tables import integration, withdrawals
from common.errors import ConsiliumError
from common.study import Study
from common.terminal import Terminal

UNKNOWN = (
    "But no record here has this number: compare it with the records, letter by letter."
)


@dataclass(frozen=True, slots=True)
class Used:
    """A study whose sums held the person."""

    study: Study
    releases: int
    exact: bool

    def facts(self) -> dict[str, object]:
        """Return it as plain data."""
        return {
            "study": self.study.study.name,
            "digest": self.study.digest(),
            "model": self.study.model.kind if self.study.model else None,
            "releases": self.releases,
            "refit": self.exact,
        }

    def line(self) -> str:
        """Return it for a terminal: what is to be done."""
        about = self.study.study
        made = f"{about.name} ({self.study.digest()[:HEX]})"
        todo = (
            f"approve it once more, and ask {about.contact} to run it again: without "
            "the person"
            if self.exact
            else "its noise covers one person: nothing needs to be run again"
        )
        return f"  {made}, {self.releases} releases: {todo}"


def withdraw(terminal: Terminal, path: Path, number: str) -> None:
    """Leave the person of this *number* out of every table from now on."""
    at, number = desk.sit(path), number.strip()
    who, gone = persons.pseudonym(at.home, number), withdrawals.read(at.home)
    new = who not in gone
    if new:  # the ledger first: cut off in between, both are written when asked again
        ledger.append(at.log, Note("withdrawn", "", "", {"by": at.by}), at.clock)
        withdrawals.add(at.home, who)
    said = "withdrawn" if new else "withdrawn already"
    try:
        used = _used(at, number, gone[gone != who])
        there = reading.names(at.site, number)
    except ConsiliumError as error:
        raise _stands(error, said, path) from None
    lines = [f"{said}: no study that opens here from now on reads this person"]
    lines += [] if there else [UNKNOWN]
    lines += ["Studies whose sums held the person:"] if used else []
    lines += [each.line() for each in used] or ["No study that left sums held them."]
    facts_ = {"ok": True, "site": at.site.name, "new": new, "known": there}
    found = [each.facts() for each in used]
    terminal.result({**facts_, "studies": found}, "\n".join(lines))


def _stands(error: ConsiliumError, said: str, path: Path) -> ConsiliumError:
    """Return *error* of a source as what it is once the withdrawal is written."""
    what = f"{said}, but which studies held the person cannot be told: {error.what}"
    then = f"consilium client withdraw --site {shlex.quote(str(path))}"
    return type(error)(what, **error.hints | {"then": then})


def _used(at: Desk, number: str, gone: persons.Persons) -> list[Used]:
    """Return the studies that left sums while the person was among their records.

    The records are those of everybody but who has *gone* otherwise.
    """
    (key,) = persons.keys(persons.numbers(pd.Series([number], dtype="str")))
    left = [each.digest for each in at.entries() if each.kind == "released"]
    found = []
    known = [*home.stored(home.approved(at.home)), *home.stored(home.inbox(at.home))]
    for study in {each.digest(): each for each in known}.values():
        count = left.count(study.digest())
        if count and key in integration.table(at.site, study, gone).key:
            found.append(Used(study, count, study.privacy == "none"))
    return found
