"""May this be answered here? Each question once, and alike, as the ledger says.

Two answers to one question tell more than one: from another state, another model;
among other sites, one site; of other records, one person; with other noise, less of it.
A process forgets when it restarts, the ledger does not. So it holds of each release in
which turn of its run it was, and, where sums leave exact, among which sites and what
left; and of each masked sum for which sites it was opened.

    begin     may this run be let in?
    release   may these sums be computed, and leave, as the next of their run?
    opening   may the shares of this masked sum leave?

A study has one run at a time: the next one ends the one before for good. Exact sums
must be the same over all runs, for no budget stands against them; who withdraws is left
out from then on, in runs that the steward approves anew.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from operator import itemgetter
from typing import Final

from client.books import approvals
from client.books.approvals import HEX
from client.books.chain import Entry, Facts, Note
from client.site import Site
from common import costs
from common.errors import Refusal
from common.study import Study

ENDS: Final = ("closed", "revoked", "denied")
"""What ends a run: the aggregator's word, or the steward's on the whole study."""
TURN: Final = itemgetter("sequence", "task", "round", "state")
ROUND: Final = itemgetter("task", "round")
ALWAYS: Final = {
    "roster": "was answered here among other sites before",
    "encoding": "was answered here by another encoding before",
}
"""What may not differ between two answers to one study."""
DIFFERS: Final = {
    "state": "was answered here from another state before",
    "answer": "was answered here from other records before",
    "survivors": "was opened here for other sites before",
}
"""What may not differ between two answers to one question, and how it is told."""


def running(entries: Sequence[Entry], today: date) -> dict[str, str]:
    """Return the run of each study that may still be asked here, by digest."""
    found: dict[str, str] = {}
    for each in entries:
        run = str(each.facts.get("run", ""))
        if each.kind == "admitted":
            found[each.digest] = run
        elif each.kind in ENDS and run in {"", found.get(each.digest)}:
            found.pop(each.digest, None)
    stand = approvals.standings(entries, today)
    return {d: run for d, run in found.items() if stand[d].state not in approvals.OVER}


def begin(local: Site, entries: Sequence[Entry], study: Study, run: str) -> None:
    """Raise Refusal for a *run* that is over, or for another one of an approval."""
    own = _about(entries, study.digest())
    _not_over(own, study.study.name, run)
    if not costs.promise(study):
        _approved_for(local, own, study, run)


def release(local: Site, entries: Sequence[Entry], study: Study, note: Note) -> None:
    """Raise Refusal unless the release in *note* may be the next of its run.

    A note without ``answer`` is looked at before anything is computed. A site that
    restarted may compute an exact answer again, for it is the same.
    """
    own = _about(entries, note.digest)
    begin(local, own, study, str(note.facts["run"]))
    before = [each.facts for each in own if each.kind == "released"]
    _in_turn(before, note)
    _alike(own, note, exact=not costs.promise(study))


def opening(entries: Sequence[Entry], study: Study, note: Note) -> None:
    """Raise Refusal unless the masked sum in *note* may be opened for its survivors."""
    own = _about(entries, note.digest)
    _not_over(own, note.study, str(note.facts["run"]))
    _alike(own, note, exact=not costs.promise(study))


def _about(entries: Sequence[Entry], digest: str) -> list[Entry]:
    """Return the lines about one study, and those about people who withdrew."""
    return [e for e in entries if e.digest == digest or e.kind == "withdrawn"]


def _not_over(own: Sequence[Entry], name: str, run: str) -> None:
    """Raise Refusal for a run that was closed, or that another one has followed."""
    ran = [each.facts.get("run") for each in own if each.kind == "admitted"]
    closed = any(e.kind == "closed" and e.facts.get("run") == run for e in own)
    if closed or (run in ran and ran[-1] != run):
        raise Refusal(
            f"this run of {name} is over here: "
            + ("it was closed" if closed else "another one has followed it"),
            likely="an old message sent again, or an aggregator that asks twice",
            fix="ask the aggregator's operator; nothing was computed",
        )


def _approved_for(local: Site, own: Sequence[Entry], study: Study, run: str) -> None:
    """Raise Refusal when the approval was used by another run of exact sums.

    A second run from another state would tell more than the one that was approved. A
    site without a home keeps no book of its runs.
    """
    if local.home is None:
        return
    last = max((n for n, each in enumerate(own) if each.kind == "approved"), default=0)
    if {e.facts["run"] for e in own[last:] if e.kind == "released"} - {run}:
        raise Refusal(
            f"{study.study.name} ran here already on this approval",
            told="approval used",
            likely="it was stopped and begun anew, or an aggregator tries it twice",
            fix="the steward approves it once more, if it is to run again",
            then=f"consilium client approve {study.digest()[:HEX]} --site {local.path}",
        )


def _in_turn(before: Sequence[Facts], note: Note) -> None:
    """Raise Refusal for a round that is over, or was asked in another way before."""
    asked, turn, number = note.facts, TURN(note.facts), ROUND(note.facts)
    for facts in before:
        if facts.get("run") != asked["run"] or TURN(facts) == turn:
            continue
        later = int(facts["sequence"]) >= int(asked["sequence"])
        if later or ROUND(facts) == number:
            raise Refusal(
                f"round {asked['round']} of {asked['task']} was charged before, "
                "from another state or in another order: replayed or forked",
                likely="an old message sent again, or an aggregator that tries two "
                "ways",
                fix="ask the aggregator's operator; nothing was computed",
            )


def _alike(own: Sequence[Entry], note: Note, *, exact: bool) -> None:
    """Raise Refusal where *note* would differ from what was told in its run before.

    Of *exact* sums, also from what was told in other runs since somebody withdrew.
    """
    run, number = note.facts["run"], ROUND(note.facts)
    left = max((n for n, e in enumerate(own) if e.kind == "withdrawn"), default=0)
    for place, each in enumerate(own):
        counts = each.facts.get("run") == run or (exact and place >= left)
        if each.kind != note.kind or not counts:
            continue
        same = ROUND(each.facts) == number
        for name, told in (*ALWAYS.items(), *(DIFFERS.items() if same else ())):
            if _differ(each.facts, note.facts, name):
                raise _refusal(note, told)


def _differ(one: Mapping[str, object], other: Mapping[str, object], name: str) -> bool:
    """Return whether both know of *name*, and not the same."""
    return name in one and name in other and one[name] != other[name]


def _refusal(note: Note, what: str) -> Refusal:
    return Refusal(
        f"{note.study} {what}: the difference would tell of one site or one person",
        likely="the same study, run once more after a site or some records changed",
        fix="a new version of the study, which the steward reads and approves",
    )
