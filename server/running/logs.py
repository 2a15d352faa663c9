"""The logs of an aggregator do not fill its disk: each keeps its last lines, and more.

A program writes to the end of its log, whatever its length. So a log that has grown is
copied aside, over the copy before it, and emptied; no program is told or stopped.
"""

import os
import shutil
from pathlib import Path

LARGEST = 32 * 2**20
"""Bytes after which a log is laid aside; two of them are kept."""


def shorten(folder: Path, largest: int = LARGEST) -> None:
    """Lay every log in *folder* aside that has grown larger than *largest* bytes."""
    for path in folder.glob("*.log"):
        if path.stat().st_size > largest:
            shutil.copyfile(path, path.with_suffix(".log.1"))
            os.truncate(path, 0)
