"""How things stand at an aggregator: what runs, who is connected, how far it is."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import httpx

from common.trust import certificates
from common.trust.enrolment import Member
from server.conduct import retry, roster, studies
from server.conduct.studies import HEX, Submitted
from server.desk.views import Shown
from server.gate import calls
from server.members.consortium import Consortium
from server.running import room, service, superlink
from server.running.service import Service
from server.running.superlink import Presence

HINTS = ("what", "where", "likely", "fix", "then")


def submitted(folder: Path, given: Submitted) -> Shown:
    """Show a study that was just submitted."""
    digest, running = given.study.digest(), service.running(folder) is not None
    then = f"{_next(folder, running=running)}{' --watch' * running}"
    facts: dict[str, object] = {
        "ok": True,
        "study": given.name,
        "digest": digest,
        "folder": str(given.folder),
        "running": running,
    }
    text = (
        f"submitted {given.name}\n"
        f"digest    {digest}\n"
        f"sites     {', '.join(given.study.study.sites)}\n"
        f"folder    {given.folder}\n"
        "It begins when each of them has approved this digest.\n"
        f"next      {then}"
    )
    return facts, text


def marked(folder: Path, given: Submitted, word: str) -> Shown:
    """Show that the operator's word was left for a study."""
    running = service.running(folder) is not None
    when = "" if running else ", as soon as the aggregator runs"
    then = _next(folder, running=running)
    facts: dict[str, object] = {
        "ok": True,
        "study": given.name,
        "told": word,
        "running": running,
    }
    return facts, f"{given.name} is told to {word}{when}\nnext   {then}"


def _next(folder: Path, *, running: bool) -> str:
    return f"consilium server {'status' if running else 'start'} --dir {folder}"


def everything(opened: Consortium) -> Shown:
    """Show the service, the sites and the studies."""
    running, now = service.running(opened.folder), datetime.now(UTC)
    present = _present(opened.folder, running)
    turned = calls.turned_away(opened.folder) if running else {}
    full = calls.overfull(opened.folder) if running else {}
    rows = [_site(each, present, turned, now) for each in opened.roster().members]
    for row in rows:
        row["words"] = f"{row['words']}{full.get(str(row['site']), '')}"
    found = [_study(each) for each in studies.listed(opened.folder)]
    found.sort(key=lambda row: row["phase"] not in studies.OPEN)  # what runs, first
    warning = certificates.expiry_warning(opened.certificate(), now)
    short = room.short(opened.folder)
    facts: dict[str, object] = {
        "ok": True,
        "consortium": opened.about.consortium,
        "running": asdict(running) if running else None,
        "certificate_until": opened.certificate().not_valid_after_utc.isoformat(),
        "warning": warning,
        "disk": short,
        "sites": rows,
        "studies": found,
    }
    lines = [
        *_head(opened, running, warning),
        *(
            [f"  disk    {short}", f"  fix     {room.fix(opened.folder)}"]
            if short
            else []
        ),
        *("", "sites"),
        *([f"  {row['site']:<20}{row['words']}" for row in rows] or ["  none yet"]),
        *("", "studies"),
        *([each for row in found for each in _lines(row, present)] or ["  none yet"]),
    ]
    return facts, "\n".join(lines)


def _head(
    opened: Consortium, running: Service | None, warning: str | None
) -> list[str]:
    name, folder = opened.about.consortium, opened.folder
    if running:
        words = f"running since {_time(running.since)}, listening on {running.listen} "
        lines = [f"{name}: {words}(process {running.pid})"]
    elif service.starting(folder):
        lines = [f"{name}: starting\n  next    consilium server status --dir {folder}"]
    else:
        next_ = f"consilium server start --dir {folder}"
        lines = [f"{name}: not running\n  next    {next_}"]
    if warning:
        lines.append(f"  the aggregator's certificate {warning}")
        lines.append(f"  fix     consilium server renew --dir {folder}")
    return lines


def _present(folder: Path, running: Service | None) -> dict[str, Presence] | None:
    """Return whether each site is connected; None when that cannot be known."""
    if running is None:
        return None
    try:
        known = superlink.registered(superlink.link(folder, running.port))
    except httpx.HTTPError:
        return None
    return _by_site(known.values())


def _by_site(known: Iterable[Presence]) -> dict[str, Presence]:
    """Return how each site stands: one that renewed its key is there twice."""
    ordered = sorted(known, key=lambda each: (each.connected, each.since))
    return {each.site: each for each in ordered}


def _site(
    member: Member,
    present: dict[str, Presence] | None,
    turned: Mapping[str, str],
    now: datetime,
) -> dict[str, object]:
    found = present.get(member.site) if present is not None else None
    words = _words(member, found, known=present is not None)
    if present is not None and not (found and found.connected):
        words += turned.get(member.site, "")
    warning = certificates.expiry_words(member.expires, now)
    if warning and member.state == "active":
        words += f"; its certificate {warning}"
    return {
        "site": member.site,
        "state": member.state,
        "connected": found.connected if found else None,
        "since": found.since or None if found else None,
        "certificate_until": member.expires.isoformat(),
        "warning": warning,
        "words": words,
    }


def _words(member: Member, found: Presence | None, *, known: bool) -> str:
    if member.state != "active":
        return member.state
    if not known:
        return "not known while the aggregator does not run"
    if found is None or not found.since:
        return "has not connected since the aggregator was started"
    if found.connected:
        return f"connected since {_time(found.since)}"
    up_to = f"or up to {superlink.SILENCE} s longer"
    return f"not connected since {_time(found.since)}, {up_to}"


def _time(written: str) -> str:
    return f"{written[:19].replace('T', ' ')} UTC"


def _whom(site: str, said: object, present: dict[str, Presence]) -> str:
    """Return a site that is waited for, and why: it is not there, or it said no."""
    there = present.get(site)
    if not (there and there.connected):
        return f"{site} (not connected)"
    why = said.get(site) if isinstance(said, dict) else None
    return f"{site} ({why})" if why else site


def _study(given: Submitted) -> dict[str, object]:
    now = asdict(studies.progress(given))
    told = [word for word in studies.MARKS if studies.marked(given, word)]
    return {
        "study": given.name,
        "digest": given.study.digest(),
        "folder": str(given.folder),
        "sites": list(given.study.study.sites),
        "quorum": given.study.needed,
        "without": sorted(retry.left_out(given)),
        **now,
        "told": told,
    }


def _lines(row: dict[str, object], present: dict[str, Presence] | None) -> list[str]:
    """Return a study as a person reads it: how far, for whom it waits, what went wrong.

    One that is cut off waits for nobody: it waits for the aggregator itself.
    """
    waiting, error, told = row["waiting"], row["error"], row["told"]
    name = f"  {row['study']} ({str(row['digest'])[:HEX]})"
    going, without = row["phase"] == "running", row["without"]
    doing = f": {row['doing']}" if row["doing"] and going else ""
    lines = [f"{name} {row['phase']}{doing} since {_time(str(row['since']))}"]
    if isinstance(without, list) and without:
        lines.append(f"    without {', '.join(without)}")
    if going and present is None:
        lines.append("    cut off; goes on when the aggregator runs")
    elif going and present is not None and isinstance(waiting, tuple) and waiting:
        whom = ", ".join(_whom(each, row["said"], present) for each in waiting)
        lines.append(f"    waiting for {whom}")
    if isinstance(told, list) and row["phase"] in studies.OPEN:
        opening = row["doing"] in {"", roster.OPENING}
        new = [each for each in told if opening or each != "begin"]
        lines += [f"    told to {each}{_when(row, each)}" for each in new]
    if isinstance(error, dict):
        lines += [f"    {hint:<8}{error[hint]}" for hint in HINTS if error.get(hint)]
    return lines


def _when(row: dict[str, object], word: str) -> str:
    """Return what a study that is told to begin still lacks."""
    waiting, sites = row["waiting"], row["sites"]
    asked = word == "begin" and row["doing"] == roster.OPENING
    if not (asked and isinstance(waiting, tuple) and isinstance(sites, list)):
        return ""
    here = len(sites) - len(waiting)
    return f", as soon as {row['quorum']} of its {len(sites)} sites are in: {here} now"
