"""How things stand at an aggregator: what runs, who is connected, how far it is."""

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import httpx

from common import certificates
from server import service, studies, superlink
from server.consortium import Consortium
from server.service import Service
from server.studies import Submitted
from server.views import Shown

HEX = 12


def submitted(folder: Path, given: Submitted) -> Shown:
    """Show a study that was just submitted."""
    digest, running = given.study.digest(), service.running(folder)
    then = (
        f"consilium server status --dir {folder} --watch"
        if running
        else f"consilium server start --dir {folder}"
    )
    facts: dict[str, object] = {
        "ok": True,
        "study": given.name,
        "digest": digest,
        "folder": str(given.folder),
        "running": running is not None,
    }
    text = (
        f"submitted {given.name}\n"
        f"digest    {digest}\n"
        f"sites     {', '.join(given.study.study.sites)}\n"
        "It begins when each of them has approved this digest.\n"
        f"next      {then}"
    )
    return facts, text


def everything(opened: Consortium) -> Shown:
    """Show the service, the sites and the studies."""
    running = service.running(opened.folder)
    connected = _connected(opened.folder, running)
    now = datetime.now(UTC)
    warning = certificates.expiry_warning(opened.certificate(), now)
    rows = [_site(each.site, each.state, connected) for each in opened.roster().members]
    found = [_study(each) for each in studies.listed(opened.folder)]
    facts: dict[str, object] = {
        "ok": True,
        "consortium": opened.about.consortium,
        "running": asdict(running) if running else None,
        "certificate": warning,
        "sites": rows,
        "studies": found,
    }
    head = (
        f"{opened.about.consortium}: running since {running.since}, "
        f"listening on {running.listen} (process {running.pid})"
        if running
        else f"{opened.about.consortium}: not running\n"
        f"  start it   consilium server start --dir {opened.folder}"
    )
    warned = [f"  the aggregator's certificate {warning}"] if warning else []
    sites = [f"  {row['site']:<20}{row['words']}" for row in rows]
    lines = [head, *warned, "", "sites", *(sites or ["  none yet"]), "", "studies"]
    shown = [line for each in found for line in _lines(each)]
    return facts, "\n".join([*lines, *(shown or ["  none yet"])])


def _connected(folder: Path, running: Service | None) -> dict[str, str] | None:
    """Return since when each site is connected; None when that cannot be known."""
    if running is None:
        return None
    try:
        return superlink.online(superlink.link(folder, running.port))
    except httpx.HTTPError:
        return None


def _site(site: str, state: str, connected: dict[str, str] | None) -> dict[str, object]:
    if state != "active":
        words, since = state, None
    elif connected is None:
        words, since = "not known while the aggregator does not run", None
    elif site in connected:
        since = connected[site]
        words = f"connected since {since[:19].replace('T', ' ')} UTC"
    else:
        words, since = "not connected", None
    return {"site": site, "state": state, "connected_since": since, "words": words}


def _study(given: Submitted) -> dict[str, object]:
    now = asdict(studies.progress(given))
    return {"study": given.name, "digest": given.study.digest(), **now}


def _lines(row: dict[str, object]) -> list[str]:
    doing = f": {row['doing']}" if row["doing"] and row["phase"] == "running" else ""
    head = f"  {row['study']} ({str(row['digest'])[:HEX]}) {row['phase']}{doing}"
    waiting = row["waiting"]
    lines = [head]
    if isinstance(waiting, tuple) and waiting and row["phase"] == "running":
        lines.append(f"    waiting for {', '.join(waiting)} since {row['since']}")
    elif row["since"]:
        lines[0] += f" since {row['since']}"
    error = row["error"]
    if isinstance(error, dict):
        lines += [
            f"    {name:<8}{error[name]}"
            for name in ("what", "likely", "fix", "then")
            if error.get(name)
        ]
    return lines
