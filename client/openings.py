"""For whom this site has opened: a round's sum is of one list of survivors, for good.

A round may be tried again, when somebody restarted in the middle. Were a site to open
for another list then, the two sums would differ by who is missing on one of them. So
the list is in the ledger before the shares leave, and still there after a restart.
"""

import hashlib
import json
from collections.abc import Iterable

from client import budget, home
from client.ledger import Clock
from client.opened import Opened
from common.errors import Refusal
from common.wire import Place


def once(opened: Opened, place: Place, survivors: Iterable[str], clock: Clock) -> None:
    """Write down that this site opens for *survivors*, durably.

    Raises Refusal when it has opened this round for others.
    """
    names = sorted(survivors)
    listed = hashlib.sha256(json.dumps(names).encode()).hexdigest()
    turn: dict[str, str | int] = {
        "run": place.run[: home.RUN],
        "sequence": place.sequence,
    }
    with budget.writing(opened) as log:
        before = [
            each.facts
            for each in log.entries
            if (each.kind, each.digest) == ("opened", opened.digest)
            and turn.items() <= dict(each.facts).items()
        ]
        if any(each["survivors"] != listed for each in before):
            raise Refusal(
                "this round was opened for other survivors: their sums would differ "
                "by who is missing",
                likely="an aggregator that tries two ways",
                fix="ask the aggregator's operator; no share has left",
            )
        if not before:
            facts: dict[str, str | int] = {
                **turn,
                "sites": len(names),
                "survivors": listed,
            }
            log.append(home.about("opened", opened.study, **facts), clock)
