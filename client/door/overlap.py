"""Are these people under another budget already? Two homes would promise them twice.

    state/people.sketch     HMACs of the 64 people whose public hashes are the smallest

A home has one ledger, whatever its data are called. Who gives the same records a new
home begins with a whole budget; so before a promise is made, the people here are held
against the sketches of the homes beside this one, each under that home's own key. How
many of the smallest are alike tells how many people are (Broder 1997). A sketch says
nothing to whoever has no key.
"""

import hmac
import json
from hashlib import sha256
from pathlib import Path
from typing import Final

import numpy as np

from client.books import at_rest
from common.errors import IntegrityError, Refusal
from common.task import Keys
from common.trust import private_files

NAME: Final = "people.sketch"
SMALLEST: Final = 64
SHARE: Final = 4
"""One in so many people who are in both is too many to be chance."""
CONTEXT: Final = b"consilium/sketch/1"


def check(home: Path, keys: Keys) -> None:
    """Raise Refusal when a home beside *home* has these people; else sketch them.

    *keys* [records] is one number for each person, the same in every home.
    """
    people = np.unique(keys)[:SMALLEST].astype("<u8")
    for path in sorted(home.parent.glob(f"*/{NAME}")):
        if path.parent == home:
            continue
        before, now = _read(path), _sketch(people, at_rest.key(path.parent))
        if SHARE * len(before & now) >= max(min(len(before), len(now)), 1):
            raise Refusal(
                f"many people of these records are under the budget of {path.parent}",
                where=str(path),
                likely="the same data under another name, or a home begun anew",
                fix=f'home = "{path.parent.name}"   in site.toml: their budget goes on '
                "there",
            )
    sketch = sorted(_sketch(people, at_rest.key(home)))
    private_files.write(home / NAME, json.dumps(sketch).encode())


def _sketch(people: Keys, secret: bytes) -> set[str]:
    return {
        hmac.new(secret, CONTEXT + each.tobytes(), sha256).hexdigest()
        for each in people
    }


def _read(path: Path) -> set[str]:
    try:
        return set(json.loads(private_files.read(path)))
    except (ValueError, TypeError):
        raise IntegrityError(
            "the sketch of a site's people is not what was written",
            where=str(path),
            likely="the disk is failing, or somebody changed the file",
            fix="restore it from a backup, or remove that home if it is not used",
        ) from None
