"""Which run may ask which round here, as the ledger says: each once, in its order.

An aggregator that asks again from another state, or runs a study again, would learn
more than what was approved. A process forgets when it restarts; the ledger does not.
"""

from collections.abc import Sequence

from client.approvals import HEX
from client.chain import Entry, Note
from client.site import Site
from common import costs
from common.errors import Refusal
from common.study import Study


def unless_closed(entries: Sequence[Entry], study: Study, run: str) -> None:
    """Raise Refusal for a run that was closed: it could ask its rounds once more."""
    over = ("closed", study.digest(), run)
    if any((each.kind, each.digest, each.facts.get("run")) == over for each in entries):
        raise Refusal(
            f"this run of {study.study.name} was closed here and is over",
            likely="an old message sent again, or an aggregator that asks twice",
            fix="ask the aggregator's operator; nothing was computed",
        )


def unless_used(local: Site, entries: Sequence[Entry], study: Study, run: str) -> None:
    """Raise Refusal for exact sums when the approval was used by another run.

    A second run from another state would tell more than the one that was approved, and
    no budget stands against it. A site without a home keeps no book of its runs.
    """
    if local.home is None or costs.promise(study):
        return
    own = [each for each in entries if each.digest == study.digest()]
    last = max((n for n, each in enumerate(own) if each.kind == "approved"), default=0)
    used = {each.facts["run"] for each in own[last:] if each.kind == "released"} - {run}
    if used:
        raise Refusal(
            f"{study.study.name} ran here already on this approval",
            told="approval used",
            likely="it was stopped and begun anew, or an aggregator tries it twice",
            fix="the steward approves it once more, if it is to run again",
            then=f"consilium client approve {study.digest()[:HEX]} --site {local.path}",
        )


def in_turn(entries: Sequence[Entry], note: Note) -> None:
    """Raise Refusal for a round that is over, or was asked in another way before."""
    same = [
        entry.facts
        for entry in entries
        if (entry.kind, entry.digest) == ("released", note.digest)
        and entry.facts.get("run") == note.facts["run"]
    ]
    names = ("sequence", "task", "round", "state")
    asked = [note.facts[name] for name in names]
    known = [[facts[name] for name in names] for facts in same]
    again = [each for each in known if each[1:3] == asked[1:3]]
    later = [each for each in known[-1:] if int(each[0]) >= int(asked[0])]
    if any(each != asked for each in (*again, *later)):
        raise Refusal(
            f"round {note.facts['round']} of {note.facts['task']} was charged before, "
            "from another state or in another order: replayed or forked",
            likely="an old message sent again, or an aggregator that tries two ways",
            fix="ask the aggregator's operator; nothing was computed",
        )
