"""Where the steward sits: one site, its home, who decides, and what the words mean."""

import os
import pwd
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from client import site
from client.books import approvals, home, ledger
from client.books.approvals import HEX, Standing
from client.books.chain import Entry
from client.books.ledger import Clock
from client.site import Site
from common import study as studies
from common.errors import StudyError, UsageError
from common.study import Study

FEWEST = 6
"""Digits of a digest with which a study may be named."""


@dataclass(frozen=True, slots=True)
class Desk:
    """One site with a home, who works at it, and the clock on its wall."""

    site: Site
    home: Path
    by: str
    clock: Clock

    @property
    def log(self) -> Path:
        """Where the site's ledger is."""
        return home.log(self.home)

    @property
    def today(self) -> date:
        """The day, in UTC."""
        return self.clock().date()

    def entries(self) -> tuple[Entry, ...]:
        """Return the site's ledger, checked."""
        return ledger.read(self.log)


def sit(path: Path) -> Desk:
    """Return the desk of the site at *path*, for who is logged in to this machine."""
    local = site.read(path)
    if local.home is None:
        raise StudyError(
            f"{local.name} has no home: no place for a ledger and an inbox",
            where=str(path),
            fix='at the top of site.toml:   home = "state"',
            then=f"consilium client inbox --site {path}",
        )
    return Desk(local, local.home, _user(), now)


def now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(UTC)


def find(desk: Desk, word: str, sensible: Collection[str]) -> Study:
    """Return the study that *word* names: a file, a name, or the start of a digest.

    Where versions share a name, the one whose state is *sensible* is meant, if that is
    only one. Raises UsageError when it is not clear which one is meant.
    """
    if word.endswith(".toml"):
        return studies.read(Path(word))
    named = [each for each in home.stored(home.inbox(desk.home)) if _is(each, word)]
    stand = approvals.standings(desk.entries(), desk.today)
    states = {each.digest(): stand.get(each.digest()) for each in named}
    meant = [
        each
        for each in named
        if len(named) == 1 or _state(states[each.digest()]) in sensible
    ]
    if len(meant) == 1:
        return meant[0]
    if not named:
        raise UsageError(
            f"no study {word} is in the inbox of {desk.site.name}",
            fix="a name or the start of a digest, as the inbox lists them; or a file",
            then=f"consilium client inbox --site {desk.site.path}",
        )
    raise UsageError(
        f"{len(named)} versions of {word} are in the inbox: say which",
        likely="\n".join(f"{key[:HEX]}  {_state(states[key])}" for key in states),
        fix=f"use the digest instead of the name:   {named[0].digest()[:HEX]}",
        then=f"consilium client inbox --site {desk.site.path}",
    )


def day(text: str, today: date, *, ahead: bool) -> date:
    """Return the day that *text* means: a date, or days from today such as ``90d``."""
    try:
        if text.endswith("d"):
            days = timedelta(days=int(text[:-1]))
            return today + days if ahead else today - days
        return date.fromisoformat(text)
    except (ValueError, OverflowError):
        fix = "a date such as 2027-01-31, or days such as 90d"
        raise UsageError(f"{text!r} is no day", fix=fix) from None


def _is(study: Study, word: str) -> bool:
    by_digest = len(word) >= FEWEST and study.digest().startswith(word.lower())
    return study.study.name == word or by_digest


def _state(found: Standing | None) -> str:
    return found.state if found else "waiting"


def _user() -> str:
    """Return who is logged in, by the machine's word and not by the environment's."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"user {os.getuid()}"
