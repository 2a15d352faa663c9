"""What the resident process says: its own words, and of others' no more than who spoke.

A library's log line, a warning or an exception may quote a cell. So a line that is not
ours is cut down to its origin before it is written.
"""

import json
import logging
import sys
import threading
from datetime import UTC, datetime

LOG = logging.getLogger("consilium.client.talk")
OURS = "consilium"


def begin(level: str, *, as_json: bool) -> None:
    """Write log lines from *level* on: for people on stderr, or as JSON on stdout."""
    voice = logging.StreamHandler(sys.stdout if as_json else sys.stderr)
    voice.addFilter(own)
    if as_json:
        voice.addFilter(structured)
    shape = "%(message)s" if as_json else "%(asctime)s %(levelname)s %(message)s"
    logging.basicConfig(handlers=[voice], format=shape, level="WARNING", force=True)
    logging.getLogger(OURS).setLevel(level)
    flower = logging.getLogger("flwr")  # it brings a voice of its own
    flower.handlers.clear()
    flower.propagate = True
    logging.captureWarnings(capture=True)
    threading.excepthook = _thread_ended


def own(record: logging.LogRecord) -> bool:
    """Leave of a line that is not ours only who wrote it."""
    if record.name.partition(".")[0] != OURS:
        record.msg, record.args = f"{record.name} said something (withheld)", None
    record.exc_info = record.exc_text = record.stack_info = None
    return True


def structured(record: logging.LogRecord) -> bool:
    """Make a line one JSON object, with the facts that were given beside it."""
    facts: dict[str, object] = getattr(record, "facts", {})
    line = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
        "level": record.levelname.lower(),
        "from": record.name,
        "text": record.getMessage(),
        **facts,
    }
    record.msg, record.args = json.dumps(line, ensure_ascii=False), None
    return True


def _thread_ended(ended: threading.ExceptHookArgs) -> None:
    LOG.error("a thread ended by %s", ended.exc_type.__name__)
