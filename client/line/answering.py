"""One question, one answer: is it the aggregator's word, and what do we say to it?

The locally installed ``client.app:app`` is asked, and nothing else. Whatever a question
does, an answer, a refusal or nothing comes of it; never an exception.
"""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from flwr.app import Context, Message, RecordDict, UserConfig

from client.app import SHELF, app
from client.door import egress
from client.door.egress import Asked
from client.trust import hearing
from client.trust.credentials import Credentials
from client.trust.hearing import NOTHING, Heard

LOG = logging.getLogger("consilium.client.answering")
QUIET: Final = 3600.0
"""Seconds without a question after which a study's records leave the memory."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a question was about, and what there is to send."""

    heard: Heard
    reply: Message | None

    @property
    def refused(self) -> bool:
        """Whether this site said no."""
        return self.reply is None or self.reply.has_error()


def answer(question: Message, site: Path, papers: Credentials) -> Said:
    """Return what the locally installed ClientApp says to *question*, signed."""
    about, heard = question.metadata, NOTHING
    node: UserConfig = {"site": str(site)}
    try:
        heard = hearing.heed(question.content, about.message_type, papers)
        context = Context(about.run_id, about.dst_node_id, node, RecordDict(), {})
        reply = egress.signed(question, app(question, context), papers)
    except Exception as reason:  # noqa: BLE001 - a question that no one here can answer
        return Said(heard, _refusal(question, site, reason))
    return Said(heard, reply)


def _refusal(question: Message, site: Path, reason: Exception) -> Message | None:
    try:
        return egress.refuse(question, Asked(str(site)), reason, _now)
    except Exception as fault:  # noqa: BLE001 - not even a no can be built from it
        LOG.warning("a message could not be answered: %s", type(fault).__name__)
        return None


def studies() -> tuple[str, ...]:
    """Return the digests of the studies that are open here."""
    return tuple(sorted({digest for _, digest in SHELF.held}))


def tidy() -> bool:
    """Let go of the records of studies that nobody asked for long; tell if any were."""
    gone = SHELF.quiet(QUIET)
    for each in gone:
        name = each.study.study.name
        LOG.info("nobody asked for %s in %d s: its records are let go", name, QUIET)
    return bool(gone)


def _now() -> datetime:
    return datetime.now(UTC)
