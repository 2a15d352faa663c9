"""Examines a site: every check in order, each with one line, and what mends it.

A check that needs another one is skipped when that one failed, and says so.
"""

import textwrap
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from client.line import checks
from client.line.checks import Patient, Seen
from common.errors import ConsiliumError
from common.terminal import Terminal

Check = Callable[[Patient], Seen]
CHECKS: dict[str, tuple[Check, tuple[str, ...]]] = {
    "settings": (checks.settings, ()),
    "home": (checks.home, ("settings",)),
    "identity": (checks.identity, ("home",)),
    "certificate": (checks.certificate, ("identity",)),
    "dns": (checks.dns, ("identity",)),
    "tcp": (checks.tcp, ("dns",)),
    "tls": (checks.chain, ("tcp", "certificate")),
    "clock": (checks.clock, ("tls",)),
    "proxies": (checks.proxies, ()),
    "disk": (checks.disk, ("home",)),
    "ledger": (checks.book, ("home",)),
    "data": (checks.data, ("settings",)),
    "versions": (checks.versions, ()),
    "process": (checks.process, ("home",)),
}
"""Every check, and those without which it means nothing."""
WIDE, GAP = 88, 22


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found; *code* is the exit code that it asks for."""

    check: str
    state: Literal["ok", "warning", "failed", "skipped"]
    text: str
    fix: str = ""
    code: int = 0


def show(terminal: Terminal, path: Path) -> int:
    """Examine the site in *path*; return 0, or the code of the worst finding."""
    found = tuple(examine(Patient(path.resolve())))
    worst = max(each.code for each in found)
    facts = {"ok": worst == 0, "checks": [asdict(each) for each in found]}
    terminal.result(facts, "\n".join(map(_line, found)))
    return worst


def examine(who: Patient) -> Iterator[Finding]:
    """Yield what each check finds."""
    unwell: set[str] = set()
    for name, (check, needs) in CHECKS.items():
        lacking = [each for each in needs if each in unwell]
        if lacking:
            found = Finding(name, "skipped", f"needs {lacking[0]}, which is not well")
        else:
            found = _examined(name, check, who)
        if found.state in {"failed", "skipped"}:
            unwell.add(name)
        yield found


def _examined(name: str, check: Check, who: Patient) -> Finding:
    try:
        seen = check(who)
    except ConsiliumError as fault:
        fix = fault.hints["fix"] or fault.hints["then"]
        return Finding(name, "failed", fault.what, fix, fault.exit_code)
    except Exception as fault:  # noqa: BLE001 - the others are still to be made
        what = f"this check broke: {type(fault).__name__}"
        fix = "report it: a mistake in Consilium"
        return Finding(name, "failed", what, fix, ConsiliumError.exit_code)
    return Finding(name, "warning" if seen.fix else "ok", seen.text, seen.fix)


def _line(found: Finding) -> str:
    lines = [f"{found.state:<9}{found.check:<13}{found.text}"]
    if found.fix:
        lines.append(f"fix     {found.fix}")
    return textwrap.indent("\n".join(lines), " " * GAP).strip()
