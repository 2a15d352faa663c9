"""Whether the aggregator's disk has room: a full one stops every study and log."""

import logging
import shutil
from pathlib import Path

from common import talk

LOG = logging.getLogger("consilium.server")
LEAST = 500 * 2**20
"""Bytes that journals, logs and the SuperLink's database should have left to grow."""


def short(folder: Path) -> str | None:
    """Return how little is free under *folder*, in words; None when it is enough."""
    free = shutil.disk_usage(folder).free
    if free >= LEAST:
        return None
    left = f"{free / 2**20:,.0f} MiB free in {folder}"
    return f"only {left}; a full disk stops every study"


def fix(folder: Path) -> str:
    """Return what to type to see what fills it."""
    return f"free some space:   df -h {folder}"


def warn(folder: Path) -> None:
    """Say it in the log while there is little room."""
    if words := short(folder):
        text = f"{words}\n  fix     {fix(folder)}"
        talk.event(LOG, logging.WARNING, text, event="disk short")
