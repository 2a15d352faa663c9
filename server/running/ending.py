"""What an aggregator says when a study's process has ended: what came of it and why."""

import logging
from pathlib import Path

from common import talk
from common.errors import ConsiliumError
from server.conduct import studies
from server.conduct.studies import Progress

LOG = logging.getLogger("consilium.server")
HINTS = ("where", "likely", "fix", "then")


def say(aggregator: Path, name: str) -> None:
    """Say what came of the study in the folder *name*; one that failed, and its fix."""
    try:
        so_far = studies.progress(studies.at(aggregator, name))
    except ConsiliumError:  # somebody moved its folder away
        so_far = Progress("stopped")
    level = logging.ERROR if so_far.phase == "failed" else logging.INFO
    facts = {"event": "ended", "program": name, "phase": so_far.phase}
    talk.event(LOG, level, f"{name} {words(so_far)}", **facts)


def words(so_far: Progress) -> str:
    """Return what came of a study, as the end of a sentence and the lines under it."""
    if so_far.phase in studies.OPEN:
        return "begins anew"
    if so_far.phase != "failed" or so_far.error is None:
        return "was stopped" if so_far.phase == "stopped" else f"has {so_far.phase}"
    error = so_far.error
    hints = [f"  {hint:<8}{error[hint]}" for hint in HINTS if error.get(hint)]
    return "\n".join([f"has failed: {error['what']}", *hints])
