"""Answers that come in parts, fetched beside the round: who is slow holds up no other.

coming.begin(7, "question", fetch)     # of node 7; what fetch returns is the answer
coming.here({"question"}, 0.2)         # the answers that are whole, soon or now
coming.hurry({"question"})             # what is not here by now is not waited for
"""

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from threading import Event

from flwr.app import Message

Late = Callable[[], bool]
"""Says whether a part that is not there is not waited for any more."""
Fetch = Callable[[Late], Message]


@dataclass(frozen=True, slots=True)
class Fetching:
    """One answer on its way: of which node, what comes of it, and is it late."""

    node: int
    answer: Future[Message]
    late: Event


@dataclass(slots=True)
class Coming:
    """The answers on their way: of each node one at a time, so none takes all room.

    ``idle`` are the questions whose answers nobody waits for, if any come.
    """

    lanes: dict[int, ThreadPoolExecutor] = field(default_factory=dict)
    answers: dict[str, Fetching] = field(default_factory=dict)
    idle: deque[str] = field(default_factory=deque)

    def begin(self, node: int, question: str, fetch: Fetch) -> None:
        """Fetch the answer of *node* to *question*, after those it began before."""
        lane = self.lanes.setdefault(node, ThreadPoolExecutor(1))
        late = Event()
        answer = lane.submit(fetch, late.is_set)
        self.answers[question] = Fetching(node, answer, late)

    def of(self, questions: Iterable[str]) -> frozenset[str]:
        """Return to which of these *questions* an answer was begun and is not told."""
        return frozenset(questions) & self.answers.keys()

    def here(self, questions: Iterable[str], seconds: float) -> list[Message]:
        """Return the answers that are whole; wait so many *seconds* for the first.

        Raises what fetching one of them raised.
        """
        wanted = {each: self.answers[each].answer for each in self.of(questions)}
        wait(wanted.values(), seconds, FIRST_COMPLETED)
        ready = [each for each, answer in wanted.items() if answer.done()]
        return [self.answers.pop(each).answer.result() for each in ready]

    def hurry(self, questions: Iterable[str]) -> None:
        """Wait for no part of these answers any more: fetch what is there.

        Nor of others of their nodes, behind which they may stand.
        """
        nodes = {self.answers[each].node for each in self.of(questions)}
        for each in self.answers.values():
            if each.node in nodes:
                each.late.set()

    def let_go(self, questions: Iterable[str]) -> None:
        """Let go of these answers, begun or not: nobody waits for them any more."""
        for each in questions:
            if begun := self.answers.pop(each, None):
                begun.late.set()
            else:
                self.idle.append(each)

    def close(self) -> None:
        """Let go of all, and wait until nothing is fetched any more."""
        self.let_go(tuple(self.answers))
        for lane in self.lanes.values():
            lane.shutdown()
