"""A question that was answered here before gets the same answer, or none.

Two answers to one question tell more than one: asked without one of the sites, the
difference is that site's own sum; asked after a person was added, that person. So the
ledger holds of each release over which sites it was, from which state, and a hash of
what left. Who withdraws is left out from then on: what was answered with them is no
measure any more, and a study that the steward approves once more tells of them what its
new answers lack. Under a promise of privacy each answer has its own noise and is paid
for.
"""

from collections.abc import Mapping, Sequence

from client.chain import Entry, Note
from common.errors import Refusal


def check(entries: Sequence[Entry], note: Note) -> None:
    """Raise Refusal where the release in *note* would differ from one in *entries*.

    A note without ``answer`` is looked at before anything is computed. A site that
    restarted may compute an answer again, and it is the same: so within one run, too.
    """
    left = [place for place, each in enumerate(entries) if each.kind == "withdrawn"]
    for entry in entries[max(left, default=0) :]:
        if (entry.kind, entry.digest) != ("released", note.digest):
            continue
        before, now = entry.facts, note.facts
        if _differ(before, now, "roster"):
            raise _refusal(note, "was answered here among other sites before")
        if (before["task"], before["round"]) != (now["task"], now["round"]):
            continue
        if _differ(before, now, "state"):
            raise _refusal(note, "was answered here from another state before")
        if _differ(before, now, "answer"):
            raise _refusal(note, "was answered here from other records before")


def _differ(
    before: Mapping[str, str | int], now: Mapping[str, str | int], name: str
) -> bool:
    """Return whether both are known to be different; an old line may know neither."""
    return name in before and name in now and before[name] != now[name]


def _refusal(note: Note, what: str) -> Refusal:
    return Refusal(
        f"{note.study} {what}: the difference would tell of one site or one person",
        likely="the same study, run once more after a site or some records changed",
        fix="a new version of the study, which the steward reads and approves",
    )
