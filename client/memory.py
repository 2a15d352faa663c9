"""What a site remembers of a run: the last round that it answered, and the answer.

With it a round is computed exactly once. Asked again, the site repeats its answer;
asked for an earlier round, a later one, or the same one from another state, it refuses:
answers from two states would tell more than the study that was approved.

The memory is lost when the site restarts, and it then begins anew wherever the run is.
Formulas are deterministic, so what it computes again is the same to the last bit. Noise
is not: under a promise the last answer is on the disk as well (client/answers.py).
"""

from dataclasses import asdict, dataclass, field
from typing import Any

from common.errors import Refusal
from common.release import Array
from common.wire import Place

NOT_OPEN = "not open"
"""What the aggregator is told by a site that restarted: it then opens the study."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One round as it was asked: its task and number, and the whole of its place."""

    step: tuple[int, int]
    place: Place

    def facts(self) -> dict[str, object]:
        """Return the turn as plain data."""
        return asdict(self)


def turn_of(facts: dict[str, Any]) -> Turn:
    """Undo :meth:`Turn.facts`; raise an error of Python's own for what is no turn."""
    task, number = facts["step"]
    return Turn((task, number), Place(**facts["place"]))


@dataclass(frozen=True, slots=True)
class Memory:
    """The runs that opened a study here, each with its last turn and answer."""

    last: dict[str, tuple[Turn, Array] | None] = field(default_factory=dict)

    def begin(self, run: str) -> None:
        """Expect rounds of *run*; one that is known already goes on where it was."""
        self.last.setdefault(run, None)

    def take_up(self, run: str, turn: Turn, answer: Array) -> None:
        """Go on with *run* from an answer that was stored, unless there is a newer."""
        if self.last.get(run) is None:
            self.keep(run, turn, answer)

    def known(self, run: str) -> None:
        """Raise Refusal unless *run* opened the study here."""
        if run not in self.last:
            raise Refusal(
                "a message belongs to a run that did not open the study here",
                told=NOT_OPEN,
                likely="this site restarted, or the message is an old one sent again",
                fix="none is needed: the aggregator opens the study again and goes on",
            )

    def recall(self, run: str, turn: Turn) -> Array | None:
        """Return the answer given to *turn* before, None when it is the next one.

        Raises Refusal when it is neither.
        """
        self.known(run)
        kept = self.last[run]
        if kept is None:
            return None
        (task, number), before = kept[0].step, kept[0].place
        if turn.step == (task, number):
            if turn.place != before:
                raise _refusal(f"round {number} was asked before, from another state")
            return kept[1]
        follows = turn.step in {(task, number + 1), (task + 1, 1)}
        if not follows or turn.place.sequence != before.sequence + 1:
            raise _refusal(f"round {turn.step[1]} does not follow round {number}")
        if turn.place.roster != before.roster:
            raise _refusal(f"round {turn.step[1]} is asked of another roster")
        return None

    def keep(self, run: str, turn: Turn, answer: Array) -> None:
        """Remember *answer* in place of the one before."""
        answer.flags.writeable = False
        self.last[run] = turn, answer


def _refusal(what: str) -> Refusal:
    return Refusal(
        f"{what}: replayed or forked",
        likely="an old message sent again, or an aggregator that tries two ways",
        fix="ask the aggregator's operator; nothing was computed and nothing has left",
    )
