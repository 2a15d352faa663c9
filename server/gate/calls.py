"""Which hospitals call and are turned away, by the last lines of the gateway's log."""

import json
from pathlib import Path

TAIL = 64 * 2**10
"""Bytes at the end of the log that are looked at: some hundred calls."""
NOT_TAKEN_IN = 401
"""What the SuperLink answers a node that it does not know, or whose time is not now."""

LEAVES, FULL = "/v1/fleet/push-", 507
"""The calls by which a site leaves something, and the answer when it is too much."""


def turned_away(aggregator: Path) -> dict[str, str]:
    """Return, of each site whose last call was not taken in, since when and why.

    The words follow those that say that it is not connected.
    """
    last = {
        str(line["site"]): line for line in _lines(aggregator / "logs" / "gateway.log")
    }
    return {
        site: f"; its calls are turned away, the last at {line['at']}: it is new here, "
        "or the clocks differ by more than 5 s: compare  date -u"
        for site, line in last.items()
        if line["status"] == NOT_TAKEN_IN
    }


def overfull(aggregator: Path) -> dict[str, str]:
    """Return, of each site whose last answer was one too many, since when and why."""
    last = {
        str(line["site"]): line
        for line in _lines(aggregator / "logs" / "gateway.log")
        if str(line.get("path", "")).startswith(LEAVES)
    }
    return {
        site: f"; its answers are refused, the last at {line['at']}: it has left more "
        "here than it may: see logs/gateway.log"
        for site, line in last.items()
        if line["status"] == FULL
    }


def _lines(log: Path) -> list[dict[str, str | int]]:
    """Return the calls at the end of the gateway's log, with the time of each line."""
    if not log.exists():
        return []
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - TAIL))
        text = stream.read().decode(errors="replace")
    calls = []
    for line in text.splitlines():
        head, _, facts = line.partition(" INFO {")
        if facts.endswith("}") and '"site"' in facts:
            calls.append({**json.loads("{" + facts), "at": head[11:19]})
    return calls
