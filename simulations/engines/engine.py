"""Runs the real ServerApp and ClientApp of many sites in one process, to the last bit.

Flower's Grid is an open interface; this one calls the ClientApp where a SuperLink would
carry a message. No thread, no clock and no random number decides anything, so a study
gives the same bytes every time.
"""

import itertools
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from flwr.app import Context, Message, RecordDict, UserConfig
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

import client.app
import client.site
import server.app
from client.site import Site
from common.errors import ConsiliumError
from common.study import Study
from common.travel.pinned import Pinned
from common.trust import identity
from common.trust.identity import SigningKey
from server.conduct.rounds import Outcome

RUN = itertools.count(1)
AGGREGATOR = ""
"""The name under which the aggregator's throw-away key is remembered."""


@lru_cache(maxsize=1024)
def key_of(name: str) -> SigningKey:
    """Return the key of a simulated site, or of the aggregator: of this process only.

    The masks of a simulation are real. Its identities are made up.
    """
    del name  # one key each
    return SigningKey.generate()


@dataclass(frozen=True, slots=True)
class Ran:
    """What a study came to on an engine, and how the engine did."""

    outcome: Outcome
    engine: str = "in-process"
    seconds_per_round: float | None = None
    rejoined: tuple[str, ...] = ()


Answers = Callable[[Message, Context], Message | None]
"""What a site says to a message, or that it is silent."""
Engine = Callable[[Study, Sequence[Path]], Ran]
"""Runs a study over the ``site.toml`` of each hospital."""


def in_process(journal: Path | None = None) -> Engine:
    """Return the engine of this module; with a *journal*, a run in it goes on."""
    return lambda study, sites: Ran(run(study, sites, journal))


class InProcess(Grid):
    """A Grid whose nodes are site folders on this machine."""

    def __init__(
        self, sites: Iterable[Path], run_id: int, answers: Answers | None = None
    ) -> None:
        """Number *sites* from 1, in the order given; *answers* instead of the app."""
        self.keys, self._contexts = numbered(sites, run_id)
        self._answers = answers or client.app.app
        self._replies: dict[str, Message] = {}
        self._sent = 0
        self._run = Run.create_empty(run_id)

    def get_node_ids(self) -> Iterable[int]:
        """Return the number of every site."""
        return list(self._contexts)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Let each site answer at once, and keep the answer for the next pull."""
        return [self._answer(message) for message in messages]

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Hand over the answers to *message_ids*."""
        wanted = [each for each in message_ids if each in self._replies]
        return [self._replies.pop(each) for each in wanted]

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Push and pull at once: no answer can be late here, so *timeout* is moot."""
        del timeout
        return self.pull_messages(self.push_messages(messages))

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

    def _answer(self, message: Message) -> str:
        self._sent += 1
        number = named(message, self._sent)
        context = self._contexts[message.metadata.dst_node_id]
        if reply := self._answers(message, context):
            self._replies[number] = reply
        return number


def run(study: Study, sites: Iterable[Path], journal: Path | None = None) -> Outcome:
    """Run *study* over the site folders whose ``site.toml`` files are *sites*.

    With a *journal* folder, a run that was begun there goes on.
    """
    return on(InProcess(sites, next(RUN)), study, journal)


def on(grid: InProcess, study: Study, journal: Path | None = None) -> Outcome:
    """Run *study* on *grid*, through the apps that a deployment runs."""
    return conduct(grid, grid.keys, study, journal)


def conduct(
    grid: Grid, keys: UserConfig, study: Study, journal: Path | None = None
) -> Outcome:
    """Run *study* on *grid* as the aggregator that has these *keys*."""
    run_id = grid.run.run_id
    config: UserConfig = {"study": study.canonical().decode(), **keys}
    if journal is not None:
        config["journal"] = str(journal)
    context = Context(run_id, 0, {}, RecordDict(), config)
    become(run_id)
    server.app.app(grid, context)
    return server.app.outcome_of(context)


def named(message: Message, number: int) -> str:
    """Give *message* a number as its name, which only Flower's own Grid can set."""
    message.metadata.__dict__["_message_id"] = str(number)
    return str(number)


def numbered(
    sites: Iterable[Path], run_id: int
) -> tuple[UserConfig, dict[int, Context]]:
    """Return the aggregator's keys, and what each of *sites* is told, numbered from 1.

    Every site has a throw-away key, and all pin each other's.
    """
    configured = {node: str(path) for node, path in enumerate(sites, start=1)}
    pinned = _pinned(configured.values()).text()
    told = {
        node: Context(
            run_id,
            node,
            {"site": path, "key": _private(path), "pinned": pinned},
            RecordDict(),
            {},
        )
        for node, path in configured.items()
    }
    return {"key": _private(AGGREGATOR), "pinned": pinned}, told


def approving(local: Site, study: Study) -> Site:
    """Return *local*; where it has no steward, it approves *study*."""
    if local.mapping.approved is not None or local.home is not None:
        return local
    mapping = local.mapping.model_copy(update={"approved": (study.digest(),)})
    return replace(local, mapping=mapping)


def _pinned(paths: Iterable[str]) -> Pinned:
    """Return the keys of the sites at *paths*; one that cannot be read has none."""
    found = {}
    for path in paths:
        with suppress(ConsiliumError):
            name = client.site.read(Path(path)).name
            found[name] = identity.public_text(key_of(path))
    return Pinned(identity.public_text(key_of(AGGREGATOR)), found)


def _private(name: str) -> str:
    return key_of(name).private_bytes_raw().hex()


def become(run_id: int) -> None:
    """Be task *run_id*: a Flower process is told so when it starts; we have none."""
    TaskIdentity.run_id, TaskIdentity.task_id, TaskIdentity.node_id = run_id, run_id, 0
