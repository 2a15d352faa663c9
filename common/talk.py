"""What a process that stays says: its own words, and of others' no more than who spoke.

A library's log line, a warning or an exception may quote a cell. So a line that is not
ours is cut down to its origin before it is written.
"""

import json
import logging
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

LOG = logging.getLogger("consilium.talk")
OURS = "consilium"


def begin(level: str, *, as_json: bool, file: Path | None = None) -> None:
    """Write log lines from *level* on: for people on stderr, or as JSON on stdout.

    What is kept in a *file* is JSON too, from INFO on.
    """
    voice = _json(logging.StreamHandler(sys.stdout)) if as_json else _words()
    voice.setLevel(level)
    kept = [_json(logging.FileHandler(file, encoding="utf-8"))] if file else []
    logging.basicConfig(handlers=[voice, *kept], level="WARNING", force=True)
    logging.getLogger(OURS).setLevel("INFO" if file else level)
    flower = logging.getLogger("flwr")  # it brings a voice of its own
    flower.handlers.clear()
    flower.propagate = True
    logging.captureWarnings(capture=True)
    # A line that a full disk does not take is lost there, and no trace of code is
    # written for it: the other voice has said it, and the disk is told of by itself.
    logging.raiseExceptions = False
    threading.excepthook = _thread_ended


def event(log: logging.Logger, level: int, text: str, **facts: object) -> None:
    """Write a line for people whose *facts* stand beside it in JSON."""
    log.log(level, "%s", text, extra={"facts": facts})


def _words() -> logging.Handler:
    voice = logging.StreamHandler(sys.stderr)
    voice.addFilter(own)
    voice.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    return voice


def _json(voice: logging.Handler) -> logging.Handler:
    voice.addFilter(own)
    voice.addFilter(structured)
    voice.setFormatter(logging.Formatter("%(line)s"))
    return voice


def own(record: logging.LogRecord) -> bool:
    """Leave of a line that is not ours only who wrote it."""
    if record.name.partition(".")[0] != OURS:
        record.msg, record.args = f"{record.name} said something (withheld)", None
    record.exc_info = record.exc_text = record.stack_info = None
    return True


def structured(record: logging.LogRecord) -> bool:
    """Put beside a line what it is as one JSON object, with the facts it was given."""
    facts: dict[str, object] = getattr(record, "facts", {})
    line = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
        "level": record.levelname.lower(),
        "from": record.name,
        "text": record.getMessage(),
        **facts,
    }
    record.line = json.dumps(line, ensure_ascii=False)
    return True


def _thread_ended(ended: threading.ExceptHookArgs) -> None:
    LOG.error("a thread ended by %s", ended.exc_type.__name__)
