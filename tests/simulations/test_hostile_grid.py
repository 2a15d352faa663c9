"""An answer is counted once, for the question that was asked, in its sender's name."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from flwr.app import Message, RecordDict

from common.errors import IntegrityError
from common.travel import wire
from server.conduct import rounds
from simulations.engines import engine
from simulations.engines.engine import InProcess
from tests import clinics
from tests.simulations.test_engine import hospitals


class Hostile(InProcess):
    """A grid that may change the replies to a round before they arrive."""

    def __init__(
        self, sites: list[Path], change: Callable[[list[Message]], list[Message]]
    ) -> None:
        super().__init__(sites, 61)
        self.change = change

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        replies = sorted(
            super().pull_messages(message_ids),
            key=lambda reply: reply.metadata.src_node_id,
        )
        asked_ = [each.metadata.message_type == wire.ROUND for each in replies]
        return self.change(replies) if any(asked_) else replies


def with_content(reply: Message, content: RecordDict) -> Message:
    reply.content = content
    return reply


def twice(replies: list[Message]) -> list[Message]:
    return [*replies, replies[0]]


def stale() -> Callable[[list[Message]], list[Message]]:
    first: list[RecordDict] = []

    def change(replies: list[Message]) -> list[Message]:
        first.extend(reply.content for reply in replies if len(first) < 2)
        pairs = zip(replies, first, strict=True)
        return [with_content(reply, old) for reply, old in pairs]

    return change


def borrowed(replies: list[Message]) -> list[Message]:
    return [with_content(reply, replies[0].content) for reply in replies]


def replaced(**change: object) -> Callable[[list[Message]], list[Message]]:
    def altered(replies: list[Message]) -> list[Message]:
        replies[0].content["about"].update(change)
        return replies

    return altered


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (twice, "answered twice, or unasked"),
        (stale(), "another question"),
        (borrowed, "south answered in the name of north"),
        (replaced(run="other"), "another question"),
        (replaced(state="0" * 64), "another question"),
        (replaced(digest="0" * 64), "another question"),
    ],
    ids=["twice", "stale", "borrowed", "run", "state", "digest"],
)
def test_an_answer_that_is_not_the_one_asked_for_is_not_counted(
    tmp_path: Path, change: Callable[[list[Message]], list[Message]], says: str
) -> None:
    study = clinics.study()
    grid = Hostile(hospitals(tmp_path, study), change)
    engine.become(61)
    with pytest.raises(IntegrityError, match=says):
        rounds.run(study, grid)
