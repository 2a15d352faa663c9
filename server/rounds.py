"""One study on a Flower Grid: open it at every site, ask round by round, close it.

The roster is fixed when the study opens. From then on every round needs every site of
the roster, and a site that does not answer in time ends the run by name: a model over a
changing set of hospitals would be the model of no set at all.
"""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid

from common import plan, wire
from common.errors import QuorumError, StudyError
from common.study import Study
from common.task import State, Task
from server import aggregation

LOG = logging.getLogger("consilium.server")
POLL_FIRST, POLL_LAST = 0.01, 0.2
"""Seconds between two looks for answers: eager at first, patient later."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a study came to: final states, who took part, and what it cost."""

    states: dict[str, State]
    roster: tuple[str, ...]
    refusals: tuple[str, ...]
    rounds: dict[str, int]
    sent: dict[str, int]
    received: dict[str, int]


@dataclass(slots=True)
class Line:
    """The connection to the sites of one study: node ids, names, and bytes counted."""

    grid: Grid
    digest: str
    deadline: float
    nodes: dict[int, str] = field(default_factory=dict)
    sent: dict[int, int] = field(default_factory=dict)
    received: dict[int, int] = field(default_factory=dict)


def run(study: Study, grid: Grid) -> Outcome:
    """Run every task of *study* over the sites on *grid*.

    Raises QuorumError when too few sites take part, or one of them stops answering.
    """
    line = Line(grid, study.digest(), study.rounds.deadline_seconds)
    refusals = _open(study, line)
    states: dict[str, State] = {}
    rounds: dict[str, int] = {}
    for task in plan.tasks(study):
        states[task.name], rounds[task.name] = _conclude(study, task, states, line)
    _exchange(line, wire.closing(line.digest), wire.CLOSE)
    return Outcome(
        states=states,
        roster=tuple(sorted(line.nodes.values())),
        refusals=refusals,
        rounds=rounds,
        sent={name: line.sent[node] for node, name in line.nodes.items()},
        received={name: line.received[node] for node, name in line.nodes.items()},
    )


def _open(study: Study, line: Line) -> tuple[str, ...]:
    """Show the study to every node; those that admit it become the roster."""
    line.nodes = {node: f"node {node}" for node in line.grid.get_node_ids()}
    replies = _exchange(line, wire.opening(study), wire.OPEN)
    refusals = tuple(str(reply.error.reason) for reply in replies if reply.has_error())
    admitted = [reply for reply in replies if reply.has_content()]
    line.nodes = dict(_names(study, line.digest, admitted))
    quorum = study.rounds.quorum
    if len(line.nodes) < quorum:
        silent = len(list(line.grid.get_node_ids())) - len(replies)
        raise QuorumError(
            f"{len(line.nodes)} of {quorum} needed sites take part in "
            f"{study.study.name}",
            likely="; ".join(
                [*refusals, *([f"{silent} did not answer"] if silent else [])]
            ),
            fix="each site's own log says under that id why it refused",
            then="consilium client check   (at the site)",
        )
    LOG.info(
        "open: %d sites take part: %s", len(line.nodes), _list(line.nodes.values())
    )
    return refusals


def _names(
    study: Study, approved: str, replies: Iterable[Message]
) -> Iterable[tuple[int, str]]:
    """Yield (node, site) of each site that approved this very study, each name once."""
    seen: set[str] = set()
    for reply in sorted(replies, key=lambda reply: reply.metadata.src_node_id):
        digest, site = wire.read_ready(reply.content)
        if digest == approved and site in study.study.sites and site not in seen:
            seen.add(site)
            yield reply.metadata.src_node_id, site


def _conclude(
    study: Study, task: Task, states: dict[str, State], line: Line
) -> tuple[State, int]:
    """Run one task to its end; return its last state and how many rounds it took."""
    state = task.start(study, states)
    for number in range(1, study.rounds.maximum + 1):
        begun = time.perf_counter()
        state = _round(study, task, number, state, line)
        took = 1000 * (time.perf_counter() - begun)
        LOG.info(
            "%s: round %d, %d sites, %.0f ms", task.name, number, len(line.nodes), took
        )
        if state.done:
            return state, number
    raise StudyError(
        f"{task.name} did not settle in {study.rounds.maximum} rounds",
        likely="a variable separates the outcome perfectly; ridge is too small",
        fix="in [model]:   ridge = 1.0        # or, in [rounds], a larger maximum",
    )


def _round(study: Study, task: Task, number: int, state: State, line: Line) -> State:
    """Ask one round of every site, add the answers, and take the next state."""
    place = wire.Place(line.digest, task.name, number)
    replies = _exchange(line, wire.ask(wire.Ask(place, state)), wire.ROUND)
    answers = [
        wire.read_answer(reply.content) for reply in replies if reply.has_content()
    ]
    _complete(task, number, replies, line)
    release = task.release(study)
    return task.finish(study, state, aggregation.total(release, place, answers))


def _complete(task: Task, number: int, replies: list[Message], line: Line) -> None:
    """Raise QuorumError unless every site of the roster answered."""
    by_node = {reply.metadata.src_node_id: reply for reply in replies}
    missing = [name for node, name in line.nodes.items() if node not in by_node]
    failed = [
        f"{line.nodes[node]}: {reply.error.reason}"
        for node, reply in by_node.items()
        if reply.has_error()
    ]
    if missing or failed:
        silent = f"no answer from {_list(missing)} within {line.deadline:g} s"
        raise QuorumError(
            f"round {number} of {task.name} is incomplete",
            likely="; ".join([*failed, *([silent] if missing else [])]),
            fix="each site's own log says under that id what happened",
            then="consilium client check   (at the site), then run the study again",
        )


def _exchange(line: Line, content: RecordDict, kind: str) -> list[Message]:
    """Send *content* to every node and return what came back before the deadline."""
    messages = [
        Message(content, dst_node_id=node, message_type=kind) for node in line.nodes
    ]
    for node in line.nodes:
        line.sent[node] = line.sent.get(node, 0) + wire.size(content)
    waiting = set(line.grid.push_messages(messages))
    replies = wait(line, waiting, time.monotonic, time.sleep)
    for reply in replies:
        if reply.has_content():
            node = reply.metadata.src_node_id
            line.received[node] = line.received.get(node, 0) + wire.size(reply.content)
    return replies


def wait(
    line: Line,
    waiting: set[str],
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> list[Message]:
    """Return the replies to *waiting* that arrive before the line's deadline."""
    replies: list[Message] = []
    until, pause = clock() + line.deadline, POLL_FIRST
    while waiting:
        arrived = list(line.grid.pull_messages(waiting))
        replies.extend(arrived)
        waiting -= {reply.metadata.reply_to_message_id for reply in arrived}
        if not waiting or clock() >= until:
            break
        if not arrived:
            sleep(pause)
            pause = min(2 * pause, POLL_LAST)
    return replies


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
