"""Answers that come in parts, fetched beside the round: who is slow holds up no other.

coming.begin(7, "question", fetch)     # of node 7; what fetch returns is the answer
coming.here({"question"}, 0.2)         # the answers that are whole, soon or now
coming.hurry({"question"})             # what is not here by now is not waited for
"""

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from threading import Event

from flwr.app import Message

Late = Callable[[], bool]
"""Says whether a part that is not there is not waited for any more."""
Fetch = Callable[[Late], Message]


@dataclass(slots=True)
class Coming:
    """The answers on their way: of each node one at a time, so none takes all room."""

    lanes: dict[int, ThreadPoolExecutor] = field(default_factory=dict)
    answers: dict[str, tuple[Future[Message], Event]] = field(default_factory=dict)

    def begin(self, node: int, question: str, fetch: Fetch) -> None:
        """Fetch the answer of *node* to *question*, after those it began before."""
        lane = self.lanes.setdefault(node, ThreadPoolExecutor(1))
        late = Event()
        self.answers[question] = lane.submit(fetch, late.is_set), late

    def of(self, questions: Iterable[str]) -> frozenset[str]:
        """Return to which of these *questions* an answer was begun and is not told."""
        return frozenset(questions) & self.answers.keys()

    def here(self, questions: Iterable[str], seconds: float) -> list[Message]:
        """Return the answers that are whole; wait so many *seconds* for the first.

        Raises what fetching one of them raised.
        """
        wanted = self.of(questions)
        wait([self.answers[each][0] for each in wanted], seconds, FIRST_COMPLETED)
        ready = [each for each in wanted if self.answers[each][0].done()]
        return [self.answers.pop(each)[0].result() for each in ready]

    def hurry(self, questions: Iterable[str]) -> None:
        """Wait for no part of these answers any more: fetch what is there."""
        for each in self.of(questions):
            self.answers[each][1].set()

    def let_go(self, questions: Iterable[str]) -> None:
        """Let go of these answers: nobody asks for them any more."""
        self.hurry(questions)
        for each in self.of(questions):
            del self.answers[each]

    def close(self) -> None:
        """Let go of all, and wait until nothing is fetched any more."""
        self.let_go(tuple(self.answers))
        for lane in self.lanes.values():
            lane.shutdown()
