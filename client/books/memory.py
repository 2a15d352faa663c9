"""What a site remembers of a run: the last round that it answered, and the answer.

With it a round is computed exactly once. Asked again, the site repeats its answer;
asked for an earlier round, a later one, or the same one from another state, it refuses:
answers from two states would tell more than the study that was approved.

The memory is lost when the site restarts, and it then begins anew wherever the run is.
Formulas are deterministic, so what it computes again is the same to the last bit. Noise
is not: under a promise the last answer is on the disk as well
(client/books/answers.py).
"""

from dataclasses import asdict, dataclass, field
from typing import Any

from common.errors import Refusal
from common.release import Array
from common.travel.wire import Place

NOT_OPEN = "not open"
"""What the aggregator is told by a site that restarted: it then opens the study."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One round as it was asked: its task and number, and the whole of its place.

    ``encoding`` is the hash of the constants by which its records were encoded, if any.
    """

    step: tuple[int, int]
    place: Place
    encoding: str = ""

    def facts(self) -> dict[str, object]:
        """Return the turn as plain data."""
        return asdict(self)


def turn_of(facts: dict[str, Any]) -> Turn:
    """Undo :meth:`Turn.facts`; raise an error of Python's own for what is no turn."""
    task, number = facts["step"]
    return Turn((task, number), Place(**facts["place"]), facts["encoding"])


@dataclass(frozen=True, slots=True)
class Memory:
    """The run that opened a study here, with its last turn and answer."""

    last: dict[str, tuple[Turn, Array] | None] = field(default_factory=dict)

    def begin(self, run: str) -> None:
        """Expect rounds of *run* alone; if it is known already it goes on."""
        kept = self.last.get(run)
        self.last.clear()
        self.last[run] = kept

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

    def answered(self, place: Place) -> Turn:
        """Return the turn that was answered last; raise Refusal if *place* is not it.

        What a later leg says of its task and state is the aggregator's word only.
        """
        self.known(place.run)
        kept = self.last[place.run]
        if kept is None or kept[0].place.sequence != place.sequence:
            raise _refusal(f"round {place.sequence} of the run was not answered last")
        return kept[0]

    def expects(self, place: Place, *, gaps: bool) -> None:
        """Raise Refusal unless *place* is in the last round, or in the next.

        A masked round has legs before its question, which bring no state. With *gaps*
        this site may have missed some rounds.
        """
        self.known(place.run)
        kept = self.last[place.run]
        if kept is None:
            return
        before = kept[0].place
        ahead = place.sequence - before.sequence
        if not (ahead in {0, 1} or (gaps and ahead > 0)):
            raise _refusal(f"round {place.sequence} of the run is not the next one")
        if place.roster != before.roster:
            raise _refusal(f"round {place.sequence} of the run is of another roster")

    def recall(self, run: str, turn: Turn, *, gaps: bool = False) -> Array | None:
        """Return the answer given to *turn* before, None when it is the next one.

        With *gaps* it may be a later one. Raises Refusal when it is neither.
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
        ahead = turn.place.sequence - before.sequence
        later = gaps and turn.step > (task, number) and ahead > 0
        if not later and (not follows or ahead != 1):
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
