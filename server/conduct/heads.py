"""The head of each site's ledger, as the site showed it last: it never goes back.

    known = heads.known(path)               # before a round is asked
    heads.follows("north", known, said)     # raises when the ledger is another one
    heads.remember(path, {"north": said})

A head is how many lines a site's ledger has, and the hash of the last; it tells nothing
else. A ledger that was restored from a copy, cut short, lost or written anew shows at
the next answer, in whichever study. Compared is with what was known before the question
was asked: of two studies at once, the answer given first may be heard last.
"""

import fcntl
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

from common.errors import IntegrityError
from common.trust import private_files

NAME = "heads.json"
HEAD = re.compile(r"(?P<number>\d{1,15}):(?P<hash>[0-9a-f]{64})")


def known(path: Path | None) -> dict[str, str]:
    """Return the last head of each site; nothing where nothing is kept."""
    if path is None or not path.exists():
        return {}
    try:
        found = json.loads(private_files.read(path))
        return {str(site): str(head) for site, head in found.items()}
    except (ValueError, AttributeError):
        raise IntegrityError(
            "the heads of the sites' ledgers are not what was written",
            where=str(path),
            likely="the disk is failing, or somebody changed the file",
            fix="bring the file back from a copy",
        ) from None


def follows(site: str, before: Mapping[str, str], said: str) -> None:
    """Raise IntegrityError unless *said* may come after the head that is known."""
    if said and not HEAD.fullmatch(said):
        raise IntegrityError(f"{site} shows a head of its ledger that is none")
    last = before.get(site, "")
    if not last or said == last or _number(said) > _number(last):
        return
    now = f"it has {_number(said)}" if said else "it has none"
    raise IntegrityError(
        f"the ledger of {site} went back: it had {_number(last)} lines, and {now}",
        likely="it was restored from an older copy, cut short, lost, or begun anew in "
        "another home: what was spent since is missing from its budget",
        fix=f"{site} puts back the ledger that `consilium client verify --head {last}` "
        f"accepts there; is that gone for good, take {site}'s line out of {NAME}",
    )


def remember(path: Path | None, said: Mapping[str, str]) -> None:
    """Keep of each site the head that is further on; durable when this returns."""
    told = {site: head for site, head in said.items() if head}
    if path is None or not told:
        return
    lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        kept = known(path)
        kept |= {s: h for s, h in told.items() if _number(h) > _number(kept.get(s, ""))}
        private_files.write(path, json.dumps(kept, indent=1, sort_keys=True).encode())
    finally:
        os.close(lock)


def _number(head: str) -> int:
    return int(head.partition(":")[0] or 0)
