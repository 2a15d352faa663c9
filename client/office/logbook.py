"""What the ledger says: whether it is whole, and what left, when, for which study."""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from client.books import chain, ledger, spending
from client.books.approvals import HEX
from client.books.chain import Entry, Head
from client.office import desk
from common import privacy
from common.errors import UsageError
from common.terminal import Terminal

COLUMNS = (
    *("time", "study", "digest", "task", "round", "numbers", "people"),
    *("split", "mu", "epsilon"),
)
HEAD = re.compile(r"(?P<number>\d+):(?P<hash>[0-9a-f]{64})")


def verify(terminal: Terminal, path: Path, witnessed: str) -> None:
    """Check the site's ledger, against a witnessed head if one is given."""
    at = desk.sit(path)
    ledger.verify(at.log, _head(witnessed) if witnessed else None)
    entries = at.entries()
    head = chain.head(entries)
    facts = {
        "ok": True,
        "site": at.site.name,
        "entries": [asdict(entry) for entry in entries],
        "head": str(head),
    }
    lines = [f"{at.log.name}: {len(entries)} entries, and the chain is whole"]
    lines += [_line(entry) for entry in entries]
    terminal.result(facts, "\n".join([*lines, f"head   {head}"]))


def releases(terminal: Terminal, path: Path, since: str, *, as_csv: bool) -> None:
    """Say what left this site, from the first day or from *since*."""
    at = desk.sit(path)
    first = desk.day(since, at.today, ahead=False).isoformat() if since else ""
    delta = at.site.mapping.budget.delta
    found = [
        {**asdict(entry), **entry.facts, "epsilon": _epsilon(entry, delta)}
        for entry in at.entries()
        if entry.kind == "released" and entry.time[:10] >= first
    ]
    rows = [{name: each.get(name, "") for name in COLUMNS} for each in found]
    facts = {"ok": True, "site": at.site.name, "releases": rows}
    terminal.result(facts, _csv(rows) if as_csv else _table(rows))


def _epsilon(entry: Entry, delta: float) -> float | str:
    """Return what a release cost by itself; nothing for one that left exact."""
    event = spending.event_of(entry.facts)
    return round(privacy.epsilon_of([event], delta), 6) if event else ""


def _head(text: str) -> Head:
    found = HEAD.fullmatch(text)
    if found is None:
        fix = "a head is NUMBER:HASH, as `consilium client verify` prints it"
        raise UsageError("this is no head of a ledger", fix=fix)
    return Head(int(found["number"]), found["hash"])


def _line(entry: Entry) -> str:
    facts = "  ".join(f"{name}={_plain(fact)}" for name, fact in entry.facts.items())
    where = f"{entry.study or '?'} {entry.digest[:HEX]}  " if entry.digest else ""
    return f"{entry.number:>6}  {entry.time[:19]}  {entry.kind:<10}{where}{facts}"


def _plain(fact: str | int) -> str:
    """Return *fact* without what moves a cursor: part of it may come from outside."""
    return "".join(each if each.isprintable() else "?" for each in str(fact))


def _csv(rows: Sequence[dict[str, object]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().rstrip("\n")


def _table(rows: Sequence[dict[str, object]]) -> str:
    lines = [
        f"{str(row['time'])[:19]}  {row['study']!s:<20}{str(row['digest'])[:HEX]}  "
        f"{row['task']!s:<10} round {row['round']:>3}  {row['numbers']:>6} numbers "
        f"over {row['people']} people, {_cost(row)}"
        for row in rows
    ]
    studies = {row["digest"] for row in rows}
    what = "study" if len(studies) == 1 else "studies"
    return "\n".join([*lines, f"{len(rows)} releases, {len(studies)} {what}; 0 rows"])


def _cost(row: dict[str, object]) -> str:
    return f"epsilon {row['epsilon']:.3g}" if row["epsilon"] != "" else "UNPROTECTED"
