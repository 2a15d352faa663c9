"""What the legs of a masked round say: any message, and beside it documents by name.

    keys     who is in the circle            ->  a site's fresh keys, signed
    share    everybody's keys                ->  a box for each other site
    round    a question, and all boxes       ->  a masked vector; the next round's keys
    confirm  the survivors, signed           ->  a site's confirmation
    unmask   survivors and confirmations     ->  shares; the next round's boxes

A site's keys and boxes for the next round travel with this one's answers, so that a
steady round is two legs: round and unmask. All boxes go to all: each is sealed for one.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from flwr.app import ConfigRecord, RecordDict

from common.errors import IntegrityError
from common.travel import content as contents
from common.travel.wire import DIGITS, Place, read_place

KEYS, SHARE = "query.keys", "query.share"
CONFIRM, UNMASK = "query.confirm", "query.unmask"
UNSEATED: Final = 2
"""The error code of a site that has no place in this attempt at a round."""
ONE: Final = ""
"""The name of a document that stands alone."""
BETWEEN: Final = "/"
"""Between the sender and the receiver of a box; no site's name holds it."""

Documents = Mapping[str, bytes]
Boxes = Mapping[str, Documents]
"""Boxes by sender, then by receiver."""


@dataclass(frozen=True, slots=True)
class Leg:
    """What a message of a leg says: where, at which attempt, and its documents."""

    place: Place
    attempt: int
    parts: Mapping[str, Documents]


def said(record: RecordDict, attempt: int, **parts: Documents) -> RecordDict:
    """Return the message *record* with documents beside it."""
    words = {name: _packed(documents) for name, documents in parts.items()}
    about = {**contents.words(record, "about"), "attempt": attempt, **words}
    return RecordDict({**record, "about": ConfigRecord(about)})


def heard(record: RecordDict, *names: str) -> Leg:
    """Return the documents of *names* in a message; IntegrityError without them."""
    place, about = read_place(record), contents.words(record, "about")
    attempt = str(about.get("attempt"))
    if not (attempt.isascii() and attempt.isdecimal() and len(attempt) < DIGITS):
        raise IntegrityError("a message names no attempt at a round")
    return Leg(place, int(attempt), {name: _read(about.get(name)) for name in names})


def flat(boxes: Boxes) -> dict[str, bytes]:
    """Return *boxes* as documents, each under its sender and receiver."""
    return {
        f"{sender}{BETWEEN}{receiver}": box
        for sender, each in boxes.items()
        for receiver, box in each.items()
    }


def for_one(documents: Documents, receiver: str) -> dict[str, bytes]:
    """Return the boxes for *receiver* among *documents*, by sender."""
    ending = f"{BETWEEN}{receiver}"
    found = {name.removesuffix(ending): box for name, box in documents.items()}
    return {sender: box for sender, box in found.items() if BETWEEN not in sender}


def _packed(documents: Documents) -> str:
    coded = {name: base64.b64encode(each).decode() for name, each in documents.items()}
    return json.dumps(coded)


def _read(text: object) -> dict[str, bytes]:
    try:
        coded = json.loads(str(text))
        return {
            str(name): base64.b64decode(each, validate=True)
            for name, each in coded.items()
        }
    except (ValueError, TypeError, AttributeError, RecursionError, binascii.Error):
        raise IntegrityError("a message lacks documents of its leg") from None
