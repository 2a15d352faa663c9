"""Flower's way into a hospital: ``client.app:app``, three questions and no exceptions.

Whatever goes wrong is caught here, once: an exception that travelled would carry its
text, and its text may quote a record.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from client import egress, site
from client.opened import Opened, Shelf, open_study
from common import wire

app = ClientApp()
SHELF = Shelf()


@app.query("open")
def open_(message: Message, context: Context) -> Message:
    """Admit or refuse a study, and read its records."""
    return _guarded(_open, message, context)


@app.query("round")
def round_(message: Message, context: Context) -> Message:
    """Answer one round of an open study."""
    return _guarded(_round, message, context)


@app.query("close")
def close(message: Message, context: Context) -> Message:
    """Forget the study and its records."""
    return _guarded(_close, message, context)


def _open(message: Message, path: str) -> Message:
    study, run = wire.read_opening(message.content)
    opened = SHELF.held.get((path, study.digest()))
    if opened is None:
        opened = open_study(site.read(Path(path)), study, datetime.now(UTC).date())
    reply = egress.ready(message, opened, run)
    opened.memory.begin(run)
    SHELF.hold(opened)
    return reply


def _round(message: Message, path: str) -> Message:
    digest = wire.read_place(message.content).digest
    return egress.release(message, SHELF.find(path, digest))


def _close(message: Message, path: str) -> Message:
    place = wire.read_place(message.content)
    opened: Opened = SHELF.find(path, place.digest)
    opened.memory.known(place.run)
    SHELF.drop(path, place.digest)
    return egress.ready(message, opened, place.run)


def _guarded(
    answer: Callable[[Message, str], Message], message: Message, context: Context
) -> Message:
    path = str(context.node_config["site"])
    try:
        return answer(message, path)
    except Exception as reason:  # noqa: BLE001 - the one place; see the docstring
        return egress.refuse(message, path, reason)
