"""The resident process of a hospital: it calls out and answers; nobody calls in.

It answers with the locally installed ``client.app:app`` and nothing else, and stays
whatever the network does: it says for whom it waits, and since when.

    python -m client.node --url https://aggregator.example:9443 --site site.toml \
        --cert site.pem --key site.key --ca ca.pem --crl crl.pem
"""

import logging
import signal
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import click
import httpx
from flwr.app import Context, Message, RecordDict, UserConfig

from client import egress
from client.app import app
from client.fleet import Line, Post
from common import tls
from common.errors import ConsiliumError, IdentityError, NetworkError

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


def serve(post: Post, stop: threading.Event) -> None:
    """Stay on the line until *stop* is set, whatever the network does."""
    wait = Wait(post.url)
    while not stop.is_set():
        try:
            with Line(post) as line:
                _attend(line, post, wait, stop)
        except httpx.HTTPError as failure:
            wait.note(why(failure, post))
            stop.wait(wait.pause)


def _attend(line: Line, post: Post, wait: Wait, stop: threading.Event) -> None:
    """Answer question after question; raise when the aggregator sends us away."""
    wait.over()
    pause, unsent, again = POLL_FIRST, None, False
    while not stop.is_set():
        try:
            unsent = unsent or _next(line, post.site)
            if unsent is not None:
                line.give(unsent, again=again)
                pause, unsent = POLL_FIRST, None
            again = False
            wait.over()
        except httpx.HTTPError as failure:
            if _sent_away(failure):
                raise
            again = True
            wait.note(why(failure, post))
            stop.wait(wait.pause)
        else:
            stop.wait(pause)
            pause = min(POLL_GROWTH * pause, POLL_LAST)


def _next(line: Line, site: Path) -> Message | None:
    """Return the answer to the next question, or nothing when none was asked."""
    try:
        question = line.take()
    except httpx.HTTPError:
        raise
    except Exception as reason:  # noqa: BLE001 - whatever was sent must not end us
        LOG.warning("a message could not be read: %s", type(reason).__name__)
        line.forget()
        return None
    return None if question is None else answer(question, site)


def answer(question: Message, site: Path) -> Message:
    """Return what the locally installed ClientApp says to *question*."""
    about = question.metadata
    node: UserConfig = {"site": str(site)}
    context = Context(about.run_id, about.dst_node_id, node, RecordDict(), {})
    try:
        return app(question, context)
    except Exception as reason:  # noqa: BLE001 - a question that no one here can answer
        return egress.refuse(question, str(site), reason)


def _sent_away(failure: httpx.HTTPError) -> bool:
    if isinstance(failure, httpx.HTTPStatusError):
        return not failure.response.is_server_error
    return False


def why(failure: httpx.HTTPError, post: Post) -> ConsiliumError:
    """Return why the aggregator cannot be reached, in words."""
    if isinstance(failure, httpx.HTTPStatusError):
        status = failure.response.status_code
        kind = IdentityError if status in {401, 403} else NetworkError
        return kind(REFUSALS.get(status, f"the aggregator answers with {status}"))
    address = urlsplit(post.url)
    try:
        context = tls.client_context(post.files)
        tls.probe(context, address.hostname or "", address.port or 443)
    except ConsiliumError as reason:
        return reason
    return NetworkError("the line broke", likely=type(failure).__name__)


FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command()
@click.option("--url", required=True)
@click.option("--site", type=FILE, required=True)
@click.option("--cert", type=FILE, required=True)
@click.option("--key", type=FILE, required=True)
@click.option("--ca", type=FILE, required=True)
@click.option("--crl", type=FILE, required=True)
def main(url: str, site: Path, **papers: Path) -> None:
    """Answer the aggregator at URL until stopped (SIGTERM or Ctrl-C)."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level="INFO")
    logging.getLogger("httpx").setLevel("WARNING")
    files = tls.Files(papers["cert"], papers["key"], papers["ca"], papers["crl"])
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        serve(Post(url, files, site.resolve()), stop)
    except ConsiliumError as refusal:
        LOG.error("%s", refusal)  # noqa: TRY400 - the reason says all
        sys.exit(refusal.exit_code)
    LOG.info("stopped")


if __name__ == "__main__":
    main()
