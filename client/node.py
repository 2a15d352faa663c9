"""The resident process of a hospital: it calls out and answers; nobody calls in.

It answers with the locally installed ``client.app:app`` and nothing else, and only
what the aggregator of its consortium has signed. It stays whatever the network does,
and says for whom it waits, and since when.
"""

import logging
import signal
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from flwr.app import Context, Message, RecordDict, UserConfig

from client import credentials, egress, hearing, site
from client.app import app
from client.credentials import Credentials
from client.egress import Asked
from client.fleet import Line, Post
from common import handshake
from common.errors import ConsiliumError, IdentityError, NetworkError, StudyError

LOG = logging.getLogger("consilium.client.node")
POLL_FIRST, POLL_LAST, POLL_GROWTH = 0.15, 0.5, 1.3
RETRY_FIRST, RETRY_LAST = 0.25, 5.0
REMIND = 60.0
"""Seconds between two lines of the log that say the same."""
REFUSALS = {
    401: "the aggregator does not know this hospital's key, or the clocks differ",
    403: "the aggregator's door does not let this hospital through",
    412: "the aggregator still counts this hospital as present, for up to 20 s",
}


class Wait:
    """For whom this hospital waits, and since when; said once, then now and then."""

    def __init__(self, whom: str) -> None:
        """Wait for *whom*, from now."""
        self._whom, self._since = whom, datetime.now(UTC)
        self._up, self._why, self._said = False, "", 0.0
        self.pause = RETRY_FIRST

    def note(self, why: ConsiliumError) -> None:
        """Say that the line is down, unless that was just said; wait longer next."""
        if self._up:
            self._up, self._since = False, datetime.now(UTC)
        if str(why) != self._why or time.monotonic() - self._said > REMIND:
            since = self._since.isoformat(timespec="seconds")
            LOG.warning("waiting for %s since %s: %s", self._whom, since, why)
            self._why, self._said = str(why), time.monotonic()
        self.pause = min(2 * self.pause, RETRY_LAST)

    def over(self) -> None:
        """Say that the line is up, unless it was."""
        if not self._up:
            LOG.info("connected to %s", self._whom)
        self._up, self._why, self.pause = True, "", RETRY_FIRST


@dataclass(frozen=True, slots=True)
class Resident:
    """One hospital at its aggregator: its settings, its papers, and where it calls."""

    site: Path
    papers: Credentials
    post: Post


def resident(path: Path) -> Resident:
    """Return the hospital in the ``site.toml`` at *path*, once it was admitted."""
    path = path.resolve()
    local = site.read(path)
    if local.home is None:
        raise StudyError(
            f"{local.name} has no home: no place for its identity and its ledger",
            where=str(path),
            fix='at the top of site.toml:   home = "state"',
        )
    papers = credentials.load(local.home)
    papers.certificate()
    if papers.invite.site != local.name:
        raise IdentityError(
            f"{local.home} holds the identity of {papers.invite.site}",
            where=local.where("site"),
            fix=f'site = "{papers.invite.site}", as the invite says',
        )
    return Resident(path, papers, Post(papers.invite.url, local.home))


def serve(here: Resident, stop: threading.Event) -> None:
    """Stay on the line until *stop* is set, whatever the network does."""
    post = here.post
    wait = Wait(post.url)
    while not stop.is_set():
        try:
            with Line(post) as line:
                _attend(line, here, wait, stop)
        except httpx.HTTPError as failure:
            wait.note(why(failure, post))
            stop.wait(wait.pause)


def _attend(line: Line, here: Resident, wait: Wait, stop: threading.Event) -> None:
    """Answer question after question; raise when the aggregator sends us away."""
    wait.over()
    pause, unsent, again = POLL_FIRST, None, False
    while not stop.is_set():
        try:
            unsent = unsent or _next(line, here)
            if unsent is not None:
                line.give(unsent, again=again)
                pause, unsent = POLL_FIRST, None
            again = False
            wait.over()
        except httpx.HTTPError as failure:
            if _sent_away(failure):
                raise
            again = True
            wait.note(why(failure, here.post))
            stop.wait(wait.pause)
        else:
            stop.wait(pause)
            pause = min(POLL_GROWTH * pause, POLL_LAST)


def _next(line: Line, here: Resident) -> Message | None:
    """Return the answer to the next question, or nothing when none was asked."""
    try:
        question = line.take()
    except httpx.HTTPError:
        raise
    except Exception as reason:  # noqa: BLE001 - whatever was sent must not end us
        LOG.warning("a message could not be read: %s", type(reason).__name__)
        line.forget()
        return None
    return None if question is None else answer(question, here)


def answer(question: Message, here: Resident) -> Message:
    """Return what the locally installed ClientApp says to *question*, signed."""
    about, path = question.metadata, str(here.site)
    node: UserConfig = {"site": path}
    context = Context(about.run_id, about.dst_node_id, node, RecordDict(), {})
    try:
        hearing.heed(question.content, about.message_type, here.papers)
        return egress.signed(question, app(question, context), here.papers)
    except Exception as reason:  # noqa: BLE001 - a question that no one here can answer
        return egress.refuse(question, Asked(path), reason, now)


def now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(UTC)


def _sent_away(failure: httpx.HTTPError) -> bool:
    if isinstance(failure, httpx.HTTPStatusError):
        return not failure.response.is_server_error
    return False


def why(failure: httpx.HTTPError, post: Post) -> ConsiliumError:
    """Return why the aggregator cannot be reached, in words."""
    if isinstance(failure, httpx.HTTPStatusError):
        status = failure.response.status_code
        if refusal := handshake.turned_away(failure.response.text):
            return refusal
        kind = IdentityError if status in {401, 403} else NetworkError
        return kind(REFUSALS.get(status, f"the aggregator answers with {status}"))
    address = urlsplit(post.url)
    try:
        handshake.probe(post.context(), address.hostname or "", address.port or 443)
    except ConsiliumError as reason:
        return reason
    return NetworkError("the line broke", likely=type(failure).__name__)


def main(path: Path) -> None:
    """Answer the aggregator until stopped (SIGTERM or Ctrl-C)."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    serve(resident(path), stop)
    LOG.info("stopped")
