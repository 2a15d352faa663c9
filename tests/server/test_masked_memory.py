"""The aggregator's memory does not grow with the sites: it has one running sum.

Answers wait on the disk until they are fetched, as they wait at Flower's SuperLink, so
that what is counted is the aggregator's alone.
"""

import tracemalloc
from collections.abc import Iterable
from pathlib import Path

import pytest
from flwr.app import Array, Message

from common.travel import wire
from simulations.benches import mask_bench
from simulations.engines import engine
from simulations.engines.engine import InProcess

PAIRS = 10
VECTOR = 8 * PAIRS * mask_bench.LEVELS**2
"""Bytes of one site's masked numbers."""


class Elsewhere(InProcess):
    """Keeps masked vectors in files, and counts what is taken once all have come."""

    def __init__(self, paths: list[Path]) -> None:
        super().__init__(paths, 94)
        self.folder, self.peak = paths[0].parent, 0

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        asked = list(messages)
        numbers = list(super().push_messages(asked))
        task = self._task(asked[0])
        if task == mask_bench.TASK and asked[0].metadata.message_type == wire.ROUND:
            tracemalloc.start()
        elif tracemalloc.is_tracing() and task != mask_bench.TASK:
            self.peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        return numbers

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        for message in super().pull_messages(message_ids):
            about = message.metadata
            if about.message_type == wire.ROUND and message.has_content():
                kept = self.folder / f"{about.reply_to_message_id}.vector"
                self._put(message, kept.read_bytes())
            yield message

    def _answer(self, message: Message) -> str:
        number = super()._answer(message)
        reply = self._replies[number]
        if message.metadata.message_type == wire.ROUND and reply.has_content():
            data = reply.content["arrays"]["vector"].data
            (self.folder / f"{number}.vector").write_bytes(data)
            self._put(reply, b"")
        return number

    @staticmethod
    def _put(message: Message, data: bytes) -> None:
        arrays = message.content["arrays"]
        known = arrays["vector"]
        arrays["vector"] = Array(known.dtype, known.shape, known.stype, data)

    @staticmethod
    def _task(message: Message) -> str:
        opening = message.metadata.message_type == wire.OPEN
        return "" if opening else wire.read_place(message.content).task


def peak(sites: int) -> int:
    study = mask_bench.study_of(sites, PAIRS, masked=True)
    with mask_bench.opened(study, mask_bench.tables_of(sites)) as paths:
        grid = Elsewhere(paths)
        engine.on(grid, study)
    return grid.peak


@pytest.fixture(autouse=True)
def _untraced() -> Iterable[None]:
    yield
    tracemalloc.stop()


def test_the_memory_of_the_aggregator_does_not_grow_with_the_sites() -> None:
    few, many = peak(12), peak(24)
    assert VECTOR < few < 16 * VECTOR
    assert many - few < VECTOR, "twelve sites more, and not one vector more"
