"""Flower's SuperLink with a small cache: ``python -m server.running.lean_superlink``.

It keeps the parts of messages in a database on the disk, and would hold 64 MB of it in
each of a dozen connections, and see 256 MB of it through each: more than the messages.
The machine's own cache of files does as well, and is no process' memory.
"""

from typing import Any, Final

from flwr.supercore import sql_mixin
from flwr.superlink.cli import flower_superlink

LEAN: Final = {
    "cache_size": "-2000",
    "mmap_size": "0",
    "busy_timeout": "25000",
    "synchronous": "OFF",
}
"""2000 KiB of pages and nothing mapped, as SQLite would; and milliseconds in which one
who writes waits for another, for there is one at a time: less than a call may take.

Nothing is synced: a SuperLink begins with an empty database, and journals hold all that
matters.
"""


def lean() -> None:
    """Let each connection to the database that is opened from now on be a small one."""
    opened: Any = sql_mixin
    opened.SQLITE_PRAGMAS = tuple({**dict(opened.SQLITE_PRAGMAS), **LEAN}.items())


if __name__ == "__main__":
    lean()
    flower_superlink()
