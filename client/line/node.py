"""The resident process of a hospital: it calls out and answers; nobody calls in.

It stays whatever the network does, and says for whom it waits, and since when. A
renewed certificate is used as soon as it lies in the home.
"""

import logging
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from flwr.app import Message

from client import site
from client.line import presence, returning
from client.line.fleet import Line, Post
from client.line.presence import Board, Last
from client.trust import credentials, hearing
from client.trust.credentials import Credentials
from common.errors import ConsiliumError, IdentityError, NetworkError, StudyError
from common.trust import certificates, handshake

LOG = logging.getLogger("consilium.client.node")
POLL_FIRST, POLL_LAST, POLL_GROWTH = 0.15, 0.5, 1.3
RETRY_FIRST, RETRY_LAST = 0.25, 5.0
REMIND = 60.0
"""Seconds between two lines of the log that say the same."""
REFUSALS = {
    401: "the aggregator does not know this hospital's key, or the clocks differ",
    403: "the aggregator's door does not let this hospital through",
    503: "the aggregator's door is open, and behind it nobody answers yet",
    412: "the aggregator does not take this hospital in yet: it has not read the new "
    "certificate, or counts an older connection as present, for up to 20 s",
    507: "the aggregator has not taken yet what this hospital sent before, and takes "
    "no more until then",
}

RUN_OVER = 2007
"""Flower's code for a message of a run that has ended, under status 403."""


class Wait:
    """For whom this hospital waits, and since when; said once, then now and then."""

    def __init__(self, whom: str, board: Board) -> None:
        """Wait for *whom*, from now; *board* shows it to others."""
        self._whom, self.board = whom, board
        self._up, self._why, self._said = False, "", 0.0
        self.pause = RETRY_FIRST

    def note(self, why: ConsiliumError) -> None:
        """Say that the line is down, unless that was just said; wait longer next."""
        self._up = False
        self.board.put(state="waiting", why=why.what)
        if str(why) != self._why or time.monotonic() - self._said > REMIND:
            since = self.board.since.isoformat(timespec="seconds")
            facts = {"waiting_for": self._whom, "since": since, "why": why.what}
            text = "waiting for %s since %s: %s"
            LOG.warning(text, self._whom, since, why, extra={"facts": facts})
            self._why, self._said = str(why), time.monotonic()
        self.pause = min(2 * self.pause, RETRY_LAST)

    def anew(self, why: str) -> None:
        """Say that the line is made anew, though nothing is wrong."""
        LOG.info("%s: calling anew", why)
        self.board.put(state="waiting", why=why)
        self._up = False

    def over(self) -> None:
        """Say that the line is up, unless it was."""
        if self._up:
            self.board.heard()
            return
        facts = {"connected_to": self._whom}
        LOG.info("connected to %s", self._whom, extra={"facts": facts})
        self.board.put(state="connected", why="", heard=self.board.clock())
        self._up, self._why, self.pause = True, "", RETRY_FIRST


@dataclass(frozen=True, slots=True)
class Resident:
    """One hospital at its aggregator: its settings, its papers, and where it calls."""

    site: Path
    papers: Credentials
    post: Post


@dataclass(slots=True)
class Shift:
    """One stay of the resident process, from its start to its end."""

    here: Resident
    wait: Wait
    stop: threading.Event
    reminded: date | None = None
    looked: bool = False

    def look(self) -> None:
        """Say once what would stop every answer: no export, or a ledger that is broken.

        It is said, and no more: either may be mended while this process runs.
        """
        from client.line import checks  # noqa: PLC0415 - this loads slowly

        if self.looked:
            return
        self.looked, who = True, checks.Patient(self.here.site)
        for check in (checks.book, checks.data):
            try:
                check(who)
            except ConsiliumError as fault:
                LOG.warning("nothing can be answered: %s", fault)

    def remind(self) -> None:
        """Say once a day that the certificate runs out, when it does."""
        today = self.wait.board.clock()
        if self.reminded == today.date():
            return
        self.reminded = today.date()
        papers = self.here.papers
        words = certificates.expiry_warning(papers.certificate(), today)
        if words:
            fix = f"consilium client renew --home {papers.folder}"
            text = "the certificate of %s %s; to renew it:   %s"
            LOG.warning(text, papers.invite.site, words, fix)

    def pause(self, why: ConsiliumError) -> None:
        """Say why the line is down, and wait a while."""
        self.wait.note(why)
        self.stop.wait(self.wait.pause)


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


def serve(here: Resident, stop: threading.Event, clock: Callable[[], datetime]) -> None:
    """Stay on the line until *stop* is set, whatever the network does."""
    board = Board(here.post.home, here.post.url, clock)
    shift = Shift(here, Wait(here.post.url, board), stop)
    while not stop.is_set():
        try:
            shift.remind()
            with Line(here.post) as line:
                _attend(line, shift)
        except Exception as fault:  # noqa: BLE001 - nothing that others send ends us
            shift.pause(why(fault, here.post))
        else:
            if not stop.is_set():
                shift.wait.anew("the certificate in the home was renewed")
    board.put(state="stopped", why="it was told to", studies=())


def _attend(line: Line, shift: Shift) -> None:
    """Answer question after question, until told to stop or to use newer papers.

    Raises what sends us away; after anything else it asks again.
    """
    shift.wait.over()
    # This loads slowly, and the aggregator may know already that we are here.
    from client.line import answering  # noqa: F401, PLC0415

    shift.look()
    pause, unsent, again = POLL_FIRST, None, False
    while not shift.stop.is_set() and not line.outdated():
        try:
            shift.remind()
            unsent = unsent or _next(line, shift)
            if unsent is not None:
                line.give(unsent, again=again)
                pause, unsent = POLL_FIRST, None
            again = False
            shift.wait.over()
        except Exception as fault:
            over = _run_over(fault)
            if _sent_away(fault) and not over:
                raise
            again = isinstance(fault, httpx.HTTPError) and not over
            if not again:  # what cannot be read or sent is not tried twice
                unsent = None
                line.forget()
            if over:
                LOG.info("what was asked belongs to a run that is over by now")
            else:
                shift.pause(why(fault, shift.here.post))
        else:
            shift.stop.wait(pause)
            pause = min(POLL_GROWTH * pause, POLL_LAST)


def _next(line: Line, shift: Shift) -> Message | None:
    """Return the answer to the next question, or nothing when none was asked."""
    from client.line import answering  # noqa: PLC0415 - loaded by now

    board, here, question = shift.wait.board, shift.here, line.take()
    if question is None:
        if answering.tidy():
            board.put(studies=answering.studies())
        return None
    said = answering.answer(question, here.site, here.papers)
    last = Last(
        time=board.clock(),
        kind=said.heard.kind,
        answer="refused" if said.refused else "answered",
        digest=said.heard.digest,
        task=said.heard.task,
        round=said.heard.round,
    )
    board.put(last=last, heard=last.time, studies=answering.studies())
    if not said.refused:
        level = logging.DEBUG if last.kind in hearing.LEGS else logging.INFO
        LOG.log(level, "answered %s", last.words())
    return said.reply


def _sent_away(fault: Exception) -> bool:
    if isinstance(fault, httpx.HTTPStatusError):
        return not fault.response.is_server_error
    return False


def _run_over(fault: Exception) -> bool:
    """Tell whether a message belongs to a run of Flower's that has ended."""
    if not isinstance(fault, httpx.HTTPStatusError):
        return False
    try:
        said = fault.response.json()
    except ValueError:
        return False
    return isinstance(said, dict) and said.get("code") == RUN_OVER


def why(fault: Exception, post: Post) -> ConsiliumError:
    """Return why there is no line to the aggregator, in words.

    An exception that is not ours may quote a cell: only its type is told.
    """
    if isinstance(fault, ConsiliumError):
        return fault
    if isinstance(fault, httpx.HTTPStatusError):
        return handshake.turned_away(fault.response.text) or _no(fault.response)
    if isinstance(fault, httpx.HTTPError):
        address = urlsplit(post.url)
        try:
            handshake.probe(post.context(), address.hostname or "", address.port or 443)
        except ConsiliumError as reason:
            return reason
        if isinstance(fault, httpx.TimeoutException):
            likely = "it hangs, or the network loses what is sent"
            return NetworkError("the aggregator does not answer in time", likely=likely)
        return NetworkError("the line broke", likely=type(fault).__name__)
    what = "a message could not be read, or its answer not be sent"
    return NetworkError(what, likely=type(fault).__name__)


def _no(answer: httpx.Response) -> ConsiliumError:
    status = answer.status_code
    kind = IdentityError if status in {401, 403} else NetworkError
    return kind(REFUSALS.get(status, f"the aggregator answers with {status}"))


def main(path: Path) -> None:
    """Answer the aggregator until stopped (SIGTERM or Ctrl-C)."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    here = resident(path)
    if not returning.return_large():
        LOG.debug("what is large stays with this process when it is let go")
    # Large arrays lie there without a name: /tmp may be in memory, or somebody else's.
    tempfile.tempdir = os.environ.get("TMPDIR", str(here.post.home))
    with presence.alone(here.post.home):
        serve(here, stop, lambda: datetime.now(UTC))
    LOG.info("stopped")
