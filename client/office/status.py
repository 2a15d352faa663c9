"""How this site is: connected or waiting, its papers, its studies, and what has left.

Read from what lies in the home, so that it can be told when nothing runs.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from client.books import approvals
from client.books.approvals import HEX, Standing
from client.books.chain import Entry
from client.line import presence
from client.line.presence import Page
from client.office import desk
from client.office.desk import Desk
from client.trust import credentials
from client.trust.credentials import Credentials
from common.errors import ConsiliumError
from common.terminal import Terminal
from common.trust import certificates

SILENT = 30.0
"""Seconds without a word from the other side after which that is worth telling."""
OVER = ("denied", "expired", "revoked")
"""States in which a study needs nobody's attention: they are counted."""


@dataclass(frozen=True, slots=True)
class Row:
    """One study at this site: its standing, its last round here, what to do next."""

    standing: Standing
    state: str
    words: str
    rounds: int
    last: str
    then: str


def show(terminal: Terminal, path: Path) -> None:
    """Print how the site in *path* is."""
    at = desk.sit(path)
    running, page = presence.running(at.home), presence.read(at.home)
    entries = at.entries()
    rows = [_row(at, each, entries, page if running else None) for each in _stand(at)]
    facts = {
        "ok": True,
        "site": at.site.name,
        "running": bool(running),
        "pid": running or None,
        "now": page.model_dump(mode="json") if page else None,
        **_identity_facts(at),
        "studies": [_facts(row) for row in rows],
        "releases": _released(entries),
    }
    text = [
        f"{at.site.name}: {_process(running, page, at)}",
        *_identity(at),
        *(_line(row) for row in rows if row.state not in OVER),
        *_over(at, Counter(row.state for row in rows if row.state in OVER)),
        _left(entries),
    ]
    terminal.result(facts, "\n".join(text))


def _process(running: int, page: Page | None, at: Desk) -> str:
    if not running:
        return f"not running{_ended(page)}{_start(at)}"
    if page is None:
        return f"running, process {running}, and its page cannot be read"
    if page.state == "connected":
        return f"connected to {page.whom} since {_when(page.since)}{_silence(page, at)}"
    lines = f"waiting for {page.whom} since {_when(page.since)}\n  because {page.why}"
    return f"{lines}\n  next    consilium client doctor --site {at.site.path}"


def _start(at: Desk) -> str:
    """Return what to do next, unless the lines about the papers say it: be admitted."""
    if not _identity_facts(at)["admitted"]:
        return ""
    return f"\n  next    consilium client start --site {at.site.path}"


def _ended(page: Page | None) -> str:
    """Say since when nothing runs: stopped as it was told, or gone without a word."""
    if page is None:
        return ""
    if page.state == "stopped":
        return f"; stopped {_when(page.since)}"
    return f"; last seen {_when(max(page.since, page.heard or page.since))}"


def _silence(page: Page, at: Desk) -> str:
    heard = page.heard or page.since
    quiet = (at.clock() - heard).total_seconds()
    return f", silent since {_when(heard)}" if quiet > SILENT else ""


def _identity(at: Desk) -> list[str]:
    """Return the lines about certificate, roster and last question."""
    try:
        papers = credentials.load(at.home)
        lines = [f"  papers  {_certificate(papers, at.clock())}", _roster(papers)]
    except ConsiliumError as missing:
        lines = [f"  papers  {missing.what}"]
        fix = missing.hints["fix"]
        lines += [f"  next    {fix}"] if fix else []
    page = presence.read(at.home)
    return lines + ([_last(page)] if page and page.last else [])


def _certificate(papers: Credentials, now: datetime) -> str:
    found = papers.certificate()
    until = f"certificate until {found.not_valid_after_utc:%Y-%m-%d}"
    if words := certificates.expiry_warning(found, now):
        renew = f"consilium client renew --home {papers.folder}"
        return f"{until}: it {words}\n  next    {renew}"
    return until


def _roster(papers: Credentials) -> str:
    roster = papers.roster()
    active = [each.site for each in roster.members if each.state == "active"]
    gone = len(roster.members) - len(active)
    left = f" ({gone} revoked)" if gone else ""
    return f"  roster  version {roster.version}: {', '.join(active)}{left}"


def _last(page: Page) -> str:
    last = page.last
    if last is None:
        return "  last    nothing was asked yet"
    return f"  last    {_when(last.time)}: {_plain(last.words())}, {last.answer}"


def _identity_facts(at: Desk) -> dict[str, object]:
    try:
        papers = credentials.load(at.home)
        found, roster = papers.certificate(), papers.roster()
    except ConsiliumError as missing:
        return {"admitted": False, "why": missing.what}
    return {
        "admitted": True,
        "certificate_until": found.not_valid_after_utc.isoformat(),
        "warning": certificates.expiry_warning(found, at.clock()),
        "roster": roster.version,
        "sites": [each.site for each in roster.members if each.state == "active"],
    }


def _stand(at: Desk) -> list[Standing]:
    found = approvals.standings(at.entries(), at.today)
    return [each for digest, each in found.items() if digest]


def _row(at: Desk, stand: Standing, entries: Iterable[Entry], page: Page | None) -> Row:
    released = [
        each
        for each in entries
        if each.kind == "released" and each.digest == stand.digest
    ]
    last = ""
    if released:
        facts = released[-1].facts
        last = f"{facts.get('task')} round {facts.get('round')}, {released[-1].time}"
    state, words = _state(at, stand, page)
    return Row(stand, state, words, len(released), last, _then(at, stand, state))


def _state(at: Desk, stand: Standing, page: Page | None) -> tuple[str, str]:
    """Return the state of a study at this site, and how a person reads it."""
    state, words = str(stand.state), stand.words()
    if state == "waiting":
        words = "waiting for the steward"
        if stand.digest in (at.site.mapping.approved or ()):
            state, words = "approved", "approved in site.toml"
    if state == "approved" and page and stand.digest in page.studies:
        state, words = "running", f"running, {words}"
    return state, words


def _then(at: Desk, stand: Standing, state: str) -> str:
    words = {"waiting": "review", "paused": "resume"}
    if state not in words:
        return ""
    short = stand.digest[:HEX]
    return f"consilium client {words[state]} {short} --site {at.site.path}"


def _line(row: Row) -> str:
    head = f"  study   {_plain(row.standing.study)} {row.standing.digest[:HEX]}: "
    last = f"; last answer {_plain(row.last)}" if row.last else ""
    then = f"\n  next    {row.then}" if row.then else ""
    return f"{head}{row.words}{last}{then}"


def _over(at: Desk, counts: Mapping[str, int]) -> list[str]:
    """Return how many studies were denied, have expired or were revoked, if any."""
    if not counts:
        return []
    told = ", ".join(f"{counts[state]} {state}" for state in OVER if counts[state])
    return [f"  over    {told}:   consilium client inbox --site {at.site.path}"]


def _facts(row: Row) -> dict[str, object]:
    return {
        "study": row.standing.study,
        "digest": row.standing.digest,
        "state": row.state,
        "until": row.standing.until.isoformat() if row.standing.until else None,
        "rounds": row.rounds,
        "last": row.last,
        "next": row.then,
    }


def _released(entries: Iterable[Entry]) -> dict[str, int]:
    """Return how many releases each study has had, by digest."""
    return dict(Counter(each.digest for each in entries if each.kind == "released"))


def _left(entries: Iterable[Entry]) -> str:
    found = _released(entries)
    what = "study" if len(found) == 1 else "studies"
    return f"  left    {sum(found.values())} sums, for {len(found)} {what}; 0 rows"


def _when(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _plain(text: str) -> str:
    """Return *text* without what moves a cursor: part of it comes from outside."""
    return "".join(each if each.isprintable() else "?" for each in text)
