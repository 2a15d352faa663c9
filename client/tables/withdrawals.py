"""Who withdrew: pseudonyms in the site's home, left out of every table from then on.

Which person that is only the site's own key can tell, so the file says nothing to
whoever has it alone.
"""

import json
from pathlib import Path

import numpy as np

from client.numbers.persons import Persons
from common.errors import IntegrityError
from common.trust import private_files


def file(home: Path) -> Path:
    """Return where the withdrawals of *home* are kept."""
    return home / "withdrawn.json"


def read(home: Path | None) -> Persons:
    """Return the pseudonyms of all who withdrew.

    Raises IntegrityError for a file that is not what was written: nobody who withdrew
    may come back because of it.
    """
    if home is None or not file(home).exists():
        return np.empty(0, dtype=np.int64)
    try:
        return np.array(json.loads(private_files.read(file(home))), dtype=np.int64)
    except (ValueError, TypeError, OverflowError):
        raise IntegrityError(
            "the list of those who withdrew is not what was written",
            where=str(file(home)),
            likely="the disk is failing, or somebody changed the file",
            fix="restore it from a backup; until then no study is opened here",
        ) from None


def add(home: Path, person: int) -> None:
    """Add a pseudonym, durably; one who withdrew already stays so."""
    before = [int(each) for each in read(home)]
    if person in before:
        return
    content = json.dumps([*before, person]).encode()
    private_files.write(file(home), content)
    private_files.sync_folder(home)
