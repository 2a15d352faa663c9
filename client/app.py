"""Flower's way into a hospital: ``client.app:app``, some questions and no exceptions.

Whatever goes wrong is caught here, once: an exception that travelled would carry its
text, and its text may quote a record.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from flwr.app import Context, Message, UserConfig
from flwr.clientapp import ClientApp

from client import site
from client.books import home
from client.door import budget, egress, seats
from client.door.egress import Asked
from client.door.opened import Opened, Shelf, open_study
from common.travel import wire

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


@app.query("keys")
def keys(message: Message, context: Context) -> Message:
    """Take a place in a masked round, and show its keys."""
    return _guarded(_leg, message, context)


@app.query("share")
def share(message: Message, context: Context) -> Message:
    """Seal this site's secrets of a masked round for the others."""
    return _guarded(_leg, message, context)


@app.query("confirm")
def confirm(message: Message, context: Context) -> Message:
    """Sign who has survived a masked round."""
    return _guarded(_leg, message, context)


@app.query("unmask")
def unmask(message: Message, context: Context) -> Message:
    """Give the shares that open the sum of a masked round."""
    return _guarded(_leg, message, context)


@app.query("close")
def close(message: Message, context: Context) -> Message:
    """Forget the study and its records."""
    return _guarded(_close, message, context)


def _open(message: Message, config: UserConfig) -> Message:
    path = _path(config)
    study, run = wire.read_opening(message.content)
    held = SHELF.get(path, study.digest())
    local = held.site if held and not held.site.home else site.read(Path(path))
    home.request(local.home, study, run, _now)
    site.admit(local, study, _now().date())
    budget.expect(local, study, run, held, _now)
    opened = (held or open_study(local, study, _now().date())).of_run(run)
    egress.enough(opened)
    budget.admit(opened, run, _now)
    reply = egress.ready(message, opened, run)
    SHELF.hold(opened)
    return reply


def _round(message: Message, config: UserConfig) -> Message:
    question = wire.read_ask(message.content)
    opened = SHELF.find(_path(config), question.place.digest)
    if not opened.study.masked:
        return egress.release(message, question, opened, _now)
    who = seats.of(opened.site, config)
    return egress.masked(message, question, who, opened, _now)


def _leg(message: Message, config: UserConfig) -> Message:
    place = wire.read_place(message.content)
    opened = SHELF.find(_path(config), place.digest)
    who = seats.of(opened.site, config)
    return egress.leg(message, who, opened, _now)


def _close(message: Message, config: UserConfig) -> Message:
    path, place = _path(config), wire.read_place(message.content)
    opened: Opened = SHELF.find(path, place.digest)
    opened.memory.known(place.run)
    budget.close(opened, place.run, _now)
    SHELF.drop(path, place.digest)
    return egress.ready(message, opened, place.run)


def _guarded(
    answer: Callable[[Message, UserConfig], Message], message: Message, context: Context
) -> Message:
    config = context.node_config
    try:
        return answer(message, config)
    except Exception as reason:  # noqa: BLE001 - the one place; see the docstring
        return egress.refuse(message, _asked(message, _path(config)), reason, _now)


def _path(config: UserConfig) -> str:
    return str(config["site"])


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
