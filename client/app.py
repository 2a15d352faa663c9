"""Flower's way into a hospital: ``client.app:app``, three questions and no exceptions.

Whatever goes wrong is caught here, once: an exception that travelled would carry its
text, and its text may quote a record.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from client import budget, egress, home, site
from client.egress import Asked
from client.opened import Opened, Shelf, open_study
from common import wire

app = ClientApp()
SHELF = Shelf()
DIGEST = re.compile("[0-9a-f]{64}")


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
    held = SHELF.get(path, study.digest())
    local = held.site if held and not held.site.home else site.read(Path(path))
    home.request(local.home, study, run, _now)
    site.admit(local, study, _now().date())
    budget.expect(local, study, run, held, _now)
    opened = held or open_study(local, study, _now().date())
    egress.enough(opened)
    budget.admit(opened, run, _now)
    reply = egress.ready(message, opened, run)
    SHELF.hold(opened)
    return reply


def _round(message: Message, path: str) -> Message:
    question = wire.read_ask(message.content)
    opened = SHELF.find(path, question.place.digest)
    return egress.release(message, question, opened, _now)


def _close(message: Message, path: str) -> Message:
    place = wire.read_place(message.content)
    opened: Opened = SHELF.find(path, place.digest)
    opened.memory.known(place.run)
    budget.close(opened, place.run, _now)
    SHELF.drop(path, place.digest)
    return egress.ready(message, opened, place.run)


def _guarded(
    answer: Callable[[Message, str], Message], message: Message, context: Context
) -> Message:
    path = str(context.node_config["site"])
    try:
        return answer(message, path)
    except Exception as reason:  # noqa: BLE001 - the one place; see the docstring
        return egress.refuse(message, _asked(message, path), reason, _now)


def _asked(message: Message, path: str) -> Asked:
    """Return what *message* is about, as far as it can be told."""
    try:
        if message.metadata.message_type == wire.OPEN:
            study, run = wire.read_opening(message.content)
            return Asked(path, study.digest(), study.study.name, run)
        place = wire.read_place(message.content)
    except Exception:  # noqa: BLE001 - a message that is none has no subject
        return Asked(path)
    held = SHELF.held.get((path, place.digest))
    named = place.digest if DIGEST.fullmatch(place.digest) else ""
    return Asked(path, named, held.study.study.name if held else "", place.run)


def _now() -> datetime:
    return datetime.now(UTC)
