"""Hospitals on Ray, Flower's own engine: a process each, on one machine or on several.

Flower's pool gives a message to whichever actor is idle. Our hospitals hold an open
study between messages, so each has an actor to itself (docs/adr/0019); ServerApp and
ClientApp are those of a deployment, and Ray carries the messages between them.
"""

import itertools
import logging
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flwr.app import Context, Message, RecordDict
from flwr.serverapp import Grid
from flwr.supercore.run import Run

import client.app
from client import site
from client.door.opened import open_study
from common.errors import MachineError
from common.study import Study
from common.travel import wire
from simulations.engines import cluster, engine
from simulations.engines.engine import Engine, Ran

LOG = logging.getLogger("consilium.simulations")
BEFORE_KILL = 3
"""Rounds that a hospital has answered before it is killed."""
START_SECONDS = 300.0
"""How long the processes of all hospitals may take to start."""


class Hospital:
    """One hospital's ClientApp, alone in a process: what it holds is lost with it."""

    def __init__(self, context: Context, study: str) -> None:
        """Be the site of *context*, in a simulation of *study*."""
        engine.become(context.run_id)
        self._context, self._study = context, Study.model_validate_json(study)

    def ready(self) -> None:
        """Say that this process has started."""

    def answer(self, message: Message) -> Message:
        """Answer *message* as the ClientApp does.

        Where nobody can approve, the simulation does. Raises what a person at that
        hospital would be told when its records cannot be opened.
        """
        if message.metadata.message_type == wire.OPEN:
            self._approve()
        return client.app.app(message, self._context)

    def _approve(self) -> None:
        path, digest = str(self._context.node_config["site"]), self._study.digest()
        local = site.read(Path(path))
        given = engine.approving(local, self._study)
        if given is not local and client.app.SHELF.get(path, digest) is None:
            today = datetime.now(UTC).date()
            client.app.SHELF.hold(open_study(given, self._study, today))


class OnRay(Grid):
    """A Grid whose nodes are actors of Ray, one for each hospital."""

    def __init__(
        self,
        ray: Any,  # noqa: ANN401 - an extra without types
        sites: Iterable[Path],
        study: Study,
        *,
        kill_one: bool = False,
    ) -> None:
        """Start an actor for each of *sites*; with *kill_one* the first is killed once.

        An actor that dies is started again, on another machine if need be, and is
        asked anew what it had not answered; it knows as little as a hospital after a
        power cut. Raises MachineError when one does not start.
        """
        run_id = next(engine.RUN)
        self.keys, self._contexts = engine.numbered(sites, run_id)
        self._ray, self._run = ray, Run.create_empty(run_id)
        lives = {"max_restarts": -1, "max_task_retries": -1}
        begin = ray.remote(**lives, scheduling_strategy="SPREAD")(Hospital)
        said = study.canonical().decode()
        self._hospitals = {
            node: begin.remote(context, said)
            for node, context in self._contexts.items()
        }
        self._asked: dict[str, tuple[int, Any]] = {}
        self._sent = itertools.count(1)
        self._victims = {min(self._hospitals)} if kill_one else set[int]()
        self._rounds, self._again = Counter[int](), set[str]()
        self._back = set[int]()
        self._await_all()

    @property
    def rejoined(self) -> tuple[str, ...]:
        """The hospitals that opened the study again after a round had begun."""
        return tuple(sorted(self._name(node) for node in self._back))

    def get_node_ids(self) -> Iterable[int]:
        """Return the number of every site: who is killed comes back under the same."""
        return list(self._contexts)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Call each message's hospital; return the names of the messages."""
        return [self._call(message) for message in messages]

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Hand over the answers to *message_ids* that have come."""
        return self._replies(message_ids, 0)

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Push, then pull what has been answered after *timeout* seconds, or all."""
        return self._replies(self.push_messages(messages), timeout)

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """Build a message; Flower's interface asks for it."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def set_run(self, run: Run) -> None:
        """Set what :attr:`run` returns; Flower's interface asks for it."""
        self._run = run

    @property
    def run(self) -> Run:
        """The run this grid works for."""
        return self._run

    def kill(self, node: int) -> None:
        """Kill a hospital's process, as a power cut would; Ray starts another."""
        LOG.warning("killing %s, as a power cut would", self._name(node))
        self._ray.kill(self._hospitals[node], no_restart=False)

    def _call(self, message: Message) -> str:
        number = engine.named(message, next(self._sent))
        node, kind = message.metadata.dst_node_id, message.metadata.message_type
        self._asked[number] = node, self._hospitals[node].answer.remote(message)
        self._rounds[node] += kind == wire.ROUND
        if kind == wire.OPEN and self._rounds[node]:
            self._again.add(number)
        if node in self._victims and self._rounds[node] > BEFORE_KILL:
            self._victims.remove(node)
            self.kill(node)
        return number

    def _replies(self, numbers: Iterable[str], seconds: float | None) -> list[Message]:
        """Return what has come, or comes within so many *seconds*, to the *numbers*."""
        calls = {self._asked[n][1]: n for n in numbers if n in self._asked}
        replies = (self._reply(calls[each]) for each in self._done(calls, seconds))
        return [each for each in replies if each is not None]

    def _done(self, calls: Collection[Any], seconds: float | None) -> list[Any]:
        if not calls:
            return []
        waited = self._ray.wait([*calls], num_returns=len(calls), timeout=seconds)
        return [*waited[0]]

    def _reply(self, number: str) -> Message | None:
        """Return what was said; a hospital that is gone for good says nothing."""
        (node, call), errors = self._asked.pop(number), self._ray.exceptions
        try:
            reply: Message = self._ray.get(call)
        except errors.RayTaskError as failed:
            raise failed.cause from None
        except errors.RayError as reason:
            LOG.warning("%s is lost: %s", self._name(node), type(reason).__name__)
            return None
        if number in self._again and reply.has_content():
            self._back.add(node)
        return reply

    def _await_all(self) -> None:
        calls = [each.ready.remote() for each in self._hospitals.values()]
        done = self._done(calls, START_SECONDS)
        if len(done) < len(calls):
            raise MachineError(
                f"Ray has started {len(done)} of {len(calls)} hospitals, and no more "
                f"in {START_SECONDS:g} s",
                likely="too little memory or too few processors",
                fix="fewer hospitals, or RAY_ADDRESS of a cluster with more machines",
            )
        try:
            self._ray.get(done)
        except self._ray.exceptions.RayError as reason:
            raise MachineError(
                f"a hospital's process did not start: {type(reason).__name__}",
                likely="a machine of the cluster has another version of consilium",
                fix="pip install 'consilium[ray]'        # the same on every machine",
            ) from reason

    def _name(self, node: int) -> str:
        return site.read(Path(str(self._contexts[node].node_config["site"]))).name


def on_ray(journal: Path | None = None, *, kill_one: bool = False) -> Engine:
    """Return the engine that runs a study with an actor of Ray for each hospital.

    With a *journal*, a run in it goes on. With *kill_one* a hospital is killed after a
    few rounds, and comes back. Raises MachineError where Ray is not installed.
    """
    cluster.load()

    def whole(study: Study, sites: Sequence[Path]) -> Ran:
        with cluster.running() as ray:
            grid = OnRay(ray, sites, study, kill_one=kill_one)
            outcome = engine.conduct(grid, grid.keys, study, journal)
        return Ran(outcome, "ray", rejoined=grid.rejoined)

    return whole
