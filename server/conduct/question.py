"""A question on its way to some sites: who answered, and how long others are given."""

from collections import Counter
from dataclasses import dataclass, field
from itertools import takewhile

from flwr.app import RecordDict

from common.travel import wire

GRACE = 10.0
"""Seconds without news after which those who may be missing are not waited for."""
SLOWER = 3
"""Times as long as the others took that a site may take: it may have more records."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of which sites, as a message of which kind; words for a person.

    ``spare`` of the sites may stay silent, when the others have answered; of those, the
    ``unseated`` are not waited for.
    """

    kind: str
    place: wire.Place
    content: RecordDict
    sites: tuple[str, ...]
    spare: int = 0
    unseated: bool = False

    @property
    def words(self) -> str:
        """What is being done, for a person."""
        place = self.place
        return f"round {place.round} of {place.task}"


@dataclass(slots=True)
class Asking:
    """One question on its way: who is still to answer, and who was asked when."""

    question: Question
    begun: float
    until: float
    waiting: list[str]
    letters: dict[str, tuple[int, str]] = field(default_factory=dict)
    due: dict[str, float] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    refused: dict[str, list[str]] = field(default_factory=dict)
    arrived: dict[str, RecordDict] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    coming: frozenset[str] = frozenset()
    unread: dict[str, str] = field(default_factory=dict)
    looked: set[str] = field(default_factory=set)
    left: set[str] = field(default_factory=set)
    since: dict[str, float] = field(default_factory=dict)
    heard: float = 0.0
    look: float = 0.0

    def missing(self) -> frozenset[str]:
        """Return the sites whose answers are not here."""
        return frozenset(self.waiting) - set(self.arrived)

    def here(self) -> list[str]:
        """Return whose answers may be handed on now: by name, unless some may lack."""
        if self.question.spare:
            return [name for name in self.waiting if name in self.arrived]
        return list(takewhile(self.arrived.__contains__, self.waiting))

    def enough(self, now: float) -> bool:
        """Say whether those who are missing are few, and were waited for.

        Whose answer is on its way has until the deadline to send it.
        """
        missing = self.missing()
        if not 0 < len(missing) <= self.question.spare:
            return False
        patience = max(GRACE, SLOWER * (self.heard - self.begun))
        patience = min(patience, (self.until - self.begun) / 2)
        quiet = now >= self.heard + patience and not missing & self.coming
        return missing <= self.lost or quiet or now >= self.until

    def silent(self) -> frozenset[str]:
        """Return who is missing, of those whose answers were looked for."""
        missing = self.missing()
        return missing & self.looked or missing
