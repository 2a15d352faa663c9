"""What the steward decided: a fold over the ledger, never stored beside it.

    waiting ─approve→ approved ─pause→ paused ─resume→ approved
                      approved, paused ─revoke→ revoked
    any state ─deny→ denied        any state ─approve→ approved, until a day

An approval binds to one digest, and ends with the day that it names. No answer is no.
What a line of a later day has seen end stays ended, though a clock be set back: only
another approval is a yes again.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from typing import Literal

from client.books.chain import Entry
from common.errors import Refusal

State = Literal["waiting", "approved", "denied", "paused", "revoked", "expired"]
AFTER: dict[str, State] = {
    "approved": "approved",
    "denied": "denied",
    "paused": "paused",
    "resumed": "approved",
    "revoked": "revoked",
}
"""Each decision of the ledger, and the state that it leads to."""
ONLY_FROM: dict[str, tuple[State, ...]] = {
    "paused": ("approved",),
    "resumed": ("paused",),
    "revoked": ("approved", "paused"),
}
"""The states in which a decision means something; those not named always do."""
OVER = ("denied", "revoked", "expired")
"""Decisions after which a run is asked no more, whatever it has not used."""
HEX = 12
"""Digits of a digest that people are shown."""
DAY = len("2026-11-22")
"""How many characters of a ledger's time are its day."""
TOLD: dict[State, str] = {
    "waiting": "not approved yet",
    "denied": "denied",
    "paused": "paused",
    "revoked": "approval revoked",
    "expired": "approval expired",
}
"""What the aggregator is told of a study that is not approved: this, and no reason."""
NO: dict[State, str] = {
    "waiting": "waits for the steward's approval; no answer is no",
    "denied": "was denied by the steward",
    "paused": "is paused by the steward",
    "revoked": "is no longer approved: the steward revoked it",
    "expired": "is no longer approved: the approval has ended",
}


@dataclass(frozen=True, slots=True)
class Standing:
    """How one digest stands at this site, and who said so last."""

    digest: str
    study: str
    state: State
    by: str = ""
    when: str = ""
    until: date | None = None
    reason: str = ""
    ran: bool = False
    """Whether a run came to its end on this approval: exact sums need another one."""
    seen: date | None = None
    """The day of the first line of the ledger that is later than the approval."""

    def words(self) -> str:
        """Return the state as a person reads it."""
        return (
            f"approved until {self.until}{', ran' * self.ran}"
            if self.state == "approved"
            else (f"expired on {self.until}" if self.state == "expired" else self.state)
        )


@dataclass(frozen=True, slots=True)
class Approved:
    """A yes of the steward: to exactly this digest, and until this day."""

    digest: str
    study: str
    by: str
    until: date


def standings(entries: Iterable[Entry], today: date) -> dict[str, Standing]:
    """Return how every digest in *entries* stands on *today*, in order of mention."""
    found: dict[str, Standing] = {}
    day = ""
    for entry in entries:
        if entry.time[:DAY] != day:
            day = entry.time[:DAY]
            seen = date.fromisoformat(day)
            found = {digest: _seen(each, seen) for digest, each in found.items()}
        before = found.get(entry.digest) or _unknown(entry.digest, entry.study)
        found[entry.digest] = _step(before, entry)
    return {digest: _on(standing, today) for digest, standing in found.items()}


def standing(entries: Iterable[Entry], digest: str, today: date) -> Standing:
    """Return how *digest* stands on *today*; unknown here means waiting."""
    return standings(entries, today).get(digest) or _unknown(digest, "")


def approved(entries: Iterable[Entry], digest: str, today: date) -> Approved:
    """Return the approval of exactly *digest*; raise Refusal when there is none."""
    found = standing(entries, digest, today)
    if found.state == "approved" and found.until:
        return Approved(digest, found.study, found.by, found.until)
    if found.state == "expired" and found.until and today <= found.until:
        raise _set_back(found, today)
    said = f" on {found.when[:DAY]}: {found.reason}" if found.reason else ""
    raise Refusal(
        f"this version of study {found.study or digest[:HEX]} {NO[found.state]}",
        told=TOLD[found.state],
        likely=f"decided by {found.by}{said}" if found.by else "",
        fix="the steward reads it, and decides",
        then=f"consilium client review {digest[:HEX]} --site SITE.toml",
    )


def check(found: Standing, decision: str) -> None:
    """Raise Refusal unless *decision* means something where a digest stands so."""
    sensible = ONLY_FROM.get(decision)
    if sensible is None or found.state in sensible:
        return
    raise Refusal(
        f"study {found.study or found.digest[:HEX]} cannot be {decision}: "
        f"it is {found.words()}",
        likely=f"only a study that is {' or '.join(sensible)} can be {decision}",
        then="consilium client inbox --site SITE.toml",
    )


def _step(before: Standing, entry: Entry) -> Standing:
    """Return the standing after *entry*; what changes nothing is passed over."""
    if entry.kind == "closed":
        return replace(before, ran=True)
    sensible = ONLY_FROM.get(entry.kind)
    if entry.kind not in AFTER or (sensible and before.state not in sensible):
        return before
    until = entry.facts.get("until")
    return replace(
        before,
        study=entry.study,
        state=AFTER[entry.kind],
        by=str(entry.facts.get("by", "")),
        when=entry.time,
        until=date.fromisoformat(str(until)) if until else before.until,
        reason=str(entry.facts.get("reason", "")),
        ran=before.ran and entry.kind != "approved",
    )


def _set_back(found: Standing, today: date) -> Refusal:
    """Return the refusal of an approval that ended, on a clock that says it did not."""
    return Refusal(
        f"this version of study {found.study or found.digest[:HEX]} {NO['expired']}",
        told=TOLD["expired"],
        likely=f"this machine's clock says {today}, and the ledger holds a line of "
        f"{found.seen}: the clock was set back; the approval was until {found.until}",
        fix="timedatectl set-ntp true   and then the steward decides anew",
        then=f"consilium client review {found.digest[:HEX]} --site SITE.toml",
    )


def _seen(found: Standing, day: date) -> Standing:
    """Return the standing once a line of the ledger is of a later *day*."""
    after = _on(found, day)
    return replace(after, seen=day) if after is not found else found


def _on(found: Standing, today: date) -> Standing:
    """Return the standing on *today*: an approval may have ended by itself."""
    over = found.until is None or today > found.until
    ended = found.state in {"approved", "paused"} and over
    return replace(found, state="expired") if ended else found


def _unknown(digest: str, study: str) -> Standing:
    return Standing(digest, study, "waiting")
