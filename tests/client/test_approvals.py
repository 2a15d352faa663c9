"""What the steward decided, folded from the ledger, against a model in ten lines."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from client.books import approvals, chain
from client.books.chain import Entry, Note
from common.errors import Refusal
from tests import ledgers

ONE, OTHER = "1" * 64, "2" * 64
DIGESTS = st.sampled_from([ONE, OTHER])
TODAY = date(2026, 11, 22)


class Steward(RuleBasedStateMachine):
    """Two versions of one study, a steward who decides anything, and passing days."""

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[Entry] = []
        self.today = TODAY
        self.model: dict[str, tuple[str, date]] = {}

    def write(self, kind: str, digest: str, **facts: str) -> None:
        note = Note(kind, digest, "small", {"by": "ada", **facts})
        last = chain.head(self.entries)
        self.entries.append(chain.seal(note, last, ledgers.NOW))

    def attempt(self, kind: str, digest: str, *, sensible: bool) -> None:
        found = approvals.standing(self.entries, digest, self.today)
        if sensible:
            approvals.check(found, kind)
            self.write(kind, digest)
        else:
            with pytest.raises(Refusal):
                approvals.check(found, kind)

    def word(self, digest: str) -> str:
        word, until = self.model.get(digest, ("nothing", TODAY))
        over = word in {"yes", "wait"} and self.today > until
        return "over" if over else word

    def then(self, digest: str, word: str) -> None:
        self.model[digest] = (word, self.model.get(digest, ("", TODAY))[1])

    @rule(digest=DIGESTS, days=st.integers(0, 5))
    def approve(self, digest: str, days: int) -> None:
        until = self.today + timedelta(days=days)
        self.write("approved", digest, until=until.isoformat())
        self.model[digest] = ("yes", until)

    @rule(digest=DIGESTS)
    def deny(self, digest: str) -> None:
        self.attempt("denied", digest, sensible=True)
        self.then(digest, "no")

    @rule(digest=DIGESTS)
    def pause(self, digest: str) -> None:
        sensible = self.word(digest) == "yes"
        self.attempt("paused", digest, sensible=sensible)
        if sensible:
            self.then(digest, "wait")

    @rule(digest=DIGESTS)
    def resume(self, digest: str) -> None:
        sensible = self.word(digest) == "wait"
        self.attempt("resumed", digest, sensible=sensible)
        if sensible:
            self.then(digest, "yes")

    @rule(digest=DIGESTS)
    def revoke(self, digest: str) -> None:
        sensible = self.word(digest) in {"yes", "wait"}
        self.attempt("revoked", digest, sensible=sensible)
        if sensible:
            self.then(digest, "no")

    @rule(digest=DIGESTS, kind=st.sampled_from(["requested", "released", "refused"]))
    def happen(self, digest: str, kind: str) -> None:
        self.write(kind, digest)

    @rule()
    def sleep(self) -> None:
        self.today += timedelta(days=1)

    @invariant()
    def the_fold_agrees(self) -> None:
        for digest in (ONE, OTHER):
            if self.word(digest) == "yes":
                yes = approvals.approved(self.entries, digest, self.today)
                assert (yes.digest, yes.by) == (digest, "ada")
                assert yes.until == self.model[digest][1]
            else:
                with pytest.raises(Refusal) as caught:
                    approvals.approved(self.entries, digest, self.today)
                assert "inbox" in str(caught.value) or "review" in str(caught.value)


TestSteward = Steward.TestCase


@given(st.lists(st.sampled_from(chain.KINDS)))
def test_only_a_decision_changes_a_standing(kinds: list[str]) -> None:
    until = {"until": "2026-12-01", "by": "ada"}
    made = ledgers.entries([Note(kind, ONE, "small", until) for kind in kinds])
    found = approvals.standing(made, ONE, TODAY)
    decisions = [kind for kind in kinds if kind in approvals.AFTER]
    if not set(decisions) & {"approved", "denied"}:
        assert found.state == "waiting"
    if decisions and decisions[-1] in {"approved", "denied"}:
        assert found.state == decisions[-1]


def test_an_approval_holds_on_its_last_day_and_not_after() -> None:
    facts = {"until": TODAY.isoformat(), "by": "ada"}
    made = ledgers.entries([Note("approved", ONE, "small", facts)])
    assert approvals.standing(made, ONE, TODAY).words() == "approved until 2026-11-22"
    late = approvals.standing(made, ONE, TODAY + timedelta(days=1))
    assert late.words() == "expired on 2026-11-22"


def test_an_approval_without_an_end_is_none() -> None:
    made = ledgers.entries([Note("approved", ONE, "small", {"by": "ada"})])
    with pytest.raises(Refusal):
        approvals.approved(made, ONE, TODAY)


def test_a_refusal_names_who_decided_and_why() -> None:
    facts = {"by": "ada", "reason": "minors are not excluded"}
    made = ledgers.entries([Note("denied", ONE, "small", facts)])
    with pytest.raises(Refusal, match="was denied by the steward") as caught:
        approvals.approved(made, ONE, TODAY)
    assert caught.value.hints["likely"] == (
        "decided by ada on 2026-11-22: minors are not excluded"
    )


def test_an_approval_says_that_a_run_ended_on_it_until_the_next_one() -> None:
    facts = {"until": TODAY.isoformat(), "by": "ada"}
    kinds = ["approved", "closed", "paused", "resumed"]
    made = [Note(kind, ONE, "small", facts) for kind in kinds]
    found = approvals.standing(ledgers.entries(made), ONE, TODAY)
    assert found.words() == "approved until 2026-11-22, ran"
    again = ledgers.entries([*made, Note("approved", ONE, "small", facts)])
    assert approvals.standing(again, ONE, TODAY).words() == "approved until 2026-11-22"


YES = {"until": TODAY.isoformat(), "by": "ada"}
LATER = TODAY + timedelta(days=1)


def on_days(*lines: tuple[str, str, date]) -> list[Entry]:
    """Return a ledger of lines: a kind, a digest, and the day that the clock said."""
    made: list[Entry] = []
    for kind, digest, day in lines:
        facts = {**YES, "until": day.isoformat()} if kind == "approved" else {}
        note = Note(kind, digest, "small", facts)
        made.append(chain.seal(note, chain.head(made), noon(day)))
    return made


def noon(day: date) -> datetime:
    return datetime.combine(day, time(12), UTC)


@pytest.mark.parametrize("kind", ["requested", "refused", "released", "granted"])
def test_an_approval_that_was_seen_to_end_does_not_come_back(kind: str) -> None:
    """A line of whichever study shows that the day was over."""
    approved = ("approved", ONE, TODAY)
    assert approvals.approved(on_days(approved), ONE, TODAY)
    over = on_days(approved, (kind, OTHER, LATER))
    with pytest.raises(Refusal, match="the approval has ended") as caught:
        approvals.approved(over, ONE, TODAY)
    assert caught.value.hints["likely"] == (
        "this machine's clock says 2026-11-22, and the ledger holds a line of "
        "2026-11-23: the clock was set back; the approval was until 2026-11-22"
    )
    assert "timedatectl set-ntp true" in caught.value.hints["fix"]
    assert approvals.standing(over, ONE, TODAY).words() == "expired on 2026-11-22"


def test_what_ended_is_not_resumed_and_a_new_approval_holds() -> None:
    """A clock that ran ahead ends approvals, and is set right again."""
    ended = [
        ("approved", ONE, TODAY),
        ("paused", ONE, TODAY),
        ("requested", OTHER, LATER),
        ("resumed", ONE, TODAY),
    ]
    assert approvals.standing(on_days(*ended), ONE, TODAY).state == "expired"
    anew = [*ended, ("approved", ONE, TODAY), ("requested", ONE, TODAY)]
    assert approvals.approved(on_days(*anew), ONE, TODAY)
    over = on_days(*anew, ("requested", ONE, LATER))
    assert approvals.standing(over, ONE, TODAY).state == "expired"


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=8), st.integers(-3, 3))
def test_whatever_a_clock_does_an_approval_holds_while_no_line_is_later(
    days: list[int], shown: int
) -> None:
    lines = [("requested", OTHER, TODAY + timedelta(days=each)) for each in days]
    made = on_days(("approved", ONE, TODAY), *lines)
    found = approvals.standing(made, ONE, TODAY + timedelta(days=shown))
    assert (found.state == "approved") == (max(*days, shown) <= 0)
