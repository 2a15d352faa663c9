"""Carries out a study on a SuperLink, as the executor that Flower asks for.

    conduct(study, link, {})   # the study's Outcome

The ServerApp is the one installed here. Flower's own executor would unpack and run the
code that came with the run, and its own Grid waits seconds where ours waits hundredths.
"""

import fcntl
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime

import httpx
from flwr.app import Context, RecordDict, UserConfig
from flwr.common.constant import SubStatus
from flwr.common.serde import run_from_proto
from flwr.proto.runtime_pb2 import (
    AcquireTaskRequest,
    PullTaskInputRequest,
    PushTaskOutputRequest,
    SendTaskHeartbeatRequest,
)
from flwr.supercore.constant import TaskType
from flwr.supercore.interceptors import (
    RuntimeTokenHttpInterceptor,
    RuntimeVersionHttpInterceptor,
    SuperExecAuthHttpInterceptor,
)
from flwr.supercore.protobuf.client import ProtobufClientInterceptor
from flwr.supercore.runtime import RuntimeHttpClient
from flwr.supercore.task_identity import TaskIdentity

from common.errors import IntegrityError, NetworkError
from common.study import Study
from common.travel.direct import Direct
from server.app import app, outcome_of
from server.conduct.rounds import Outcome
from server.running.superlink import Link, begin, bundle, trust
from server.running.wide import Wide

LOG = logging.getLogger("consilium.server")
BEAT = 10.0
"""Seconds between two signs of life; Flower gives a run up after a minute."""
PAUSE_FIRST, PAUSE_LAST = 0.2, 5.0
"""Seconds before a SuperLink that broke off is tried again."""
ACQUIRE = "/flwr.proto.Runtime/AcquireTask"


def conduct(study: Study, link: Link, settings: Mapping[str, str]) -> Outcome:
    """Run *study* over the sites that are present, as the SuperLink's executor.

    A SuperLink that dies takes its run with it. Another run then goes on from the
    journal, and asks again what was not recorded: the sites repeat their answers.

    Args:
        study: what to run.
        link: the SuperLink, whose secret this process can read.
        settings: what ``server.app`` is told besides: its journal, its consortium.
    """
    config: UserConfig = {**settings, "study": study.canonical().decode()}
    broken = Broken(link)
    while True:
        try:
            return _once(link, config, broken)
        except httpx.HTTPError as reason:
            if "journal" not in settings:
                raise broken.error(reason) from None
            broken.note(reason)


def _once(link: Link, config: UserConfig, broken: "Broken") -> Outcome:
    run, token = take(link)
    with acquired(link, token) as grid:
        broken.over()
        context = Context(run, 0, {}, RecordDict(), config)
        app(grid, context)
    return outcome_of(context)


class Broken:
    """A SuperLink that does not answer: since when, said once, and how long to wait."""

    def __init__(self, link: Link) -> None:
        """Nothing is broken yet."""
        self._link, self._since, self._pause = link, "", PAUSE_FIRST

    def error(self, reason: httpx.HTTPError) -> NetworkError:
        """Return what happened, in words."""
        return NetworkError(
            "Flower's SuperLink broke off",
            where=self._link.address,
            likely=f"it died, or does not know the run any more: {_told(reason)}",
            fix=f"read the end of {self._link.folder / 'superlink.log'}",
        )

    def note(self, reason: httpx.HTTPError) -> None:
        """Say so, unless it was said, and wait a little."""
        if not self._since:
            self._since = datetime.now(UTC).isoformat(timespec="seconds")
            told = _told(reason)
            LOG.warning("waiting for the SuperLink since %s: %s", self._since, told)
        time.sleep(self._pause)
        self._pause = min(2 * self._pause, PAUSE_LAST)

    def over(self) -> None:
        """Say that it answers again."""
        if self._since:
            LOG.info("the SuperLink answers again; going on from the journal")
        self._since, self._pause = "", PAUSE_FIRST


def _told(reason: httpx.HTTPError) -> str:
    if isinstance(reason, httpx.HTTPStatusError):
        return f"status {reason.response.status_code}"
    return type(reason).__name__


def take(link: Link) -> tuple[int, str]:
    """Enter a run, and be the one who carries it out: its number, and the token.

    One process at a time does both, or two would be given each other's run.
    """
    with (link.folder / "turn").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        run = begin(link, bundle())
        return run, _token(link, run)


@contextmanager
def acquired(link: Link, token: str) -> Iterator[Wide]:
    """Be the executor of a run: alive while inside, and done or failed after."""
    auth = RuntimeTokenHttpInterceptor(token)
    with _runtime(link, auth) as runtime, _alive(runtime):
        try:
            grid = _begun(runtime)
            with closing(grid.coming):
                yield grid
        except BaseException:
            with suppress(httpx.HTTPError):  # it may be the SuperLink that failed
                _end(runtime, SubStatus.FAILED)
            raise
        _end(runtime, SubStatus.COMPLETED)


def _end(runtime: RuntimeHttpClient, how: str) -> None:
    runtime.PushTaskOutput(PushTaskOutputRequest(sub_status=how, details=how))


@contextmanager
def _alive(runtime: RuntimeHttpClient) -> Iterator[None]:
    """Tell the SuperLink now and then that the run is carried out.

    Flower's own beats end the process when one is not heard.
    """
    over = threading.Event()

    def beat() -> None:
        while not over.wait(BEAT):
            try:
                runtime.SendTaskHeartbeat(SendTaskHeartbeatRequest())
            except httpx.HTTPError as reason:
                LOG.info("a sign of life did not arrive: %s", _told(reason))

    beats = threading.Thread(target=beat, daemon=True)
    beats.start()
    try:
        yield
    finally:
        over.set()
        beats.join()


def _begun(runtime: RuntimeHttpClient) -> Wide:
    """Take the run over; Flower's messages read who sends them from TaskIdentity."""
    given = runtime.PullTaskInput(PullTaskInputRequest())
    TaskIdentity.task_id, TaskIdentity.run_id = given.task_id, given.run.run_id
    TaskIdentity.node_id = given.context.node_id
    return Wide(runtime, run_from_proto(given.run))


def _token(link: Link, run: int) -> str:
    """Return the token that lets this process carry out *run*, and no other run.

    A run that was entered and never taken is one whose process died: it is ended.
    """
    auth = SuperExecAuthHttpInterceptor(
        master_secret=link.secret.read_bytes(), protected_methods=[ACQUIRE]
    )
    wanted = AcquireTaskRequest(supported_task_types=[TaskType.SERVER_APP])
    with _runtime(link, auth) as runtime:
        while (answer := runtime.AcquireTask(wanted)).token:
            if answer.task.run_id == run:
                return str(answer.token)
            LOG.info("ending a run of Flower's that nobody carries out")
            with _runtime(link, RuntimeTokenHttpInterceptor(answer.token)) as stale:
                _begun(stale)
                _end(stale, SubStatus.FAILED)
    raise IntegrityError(
        "the SuperLink did not hand out the run that was just begun",
        likely="another program is running studies on the same SuperLink",
        fix="stop it; only `consilium server start` runs studies here",
    )


@contextmanager
def _runtime(
    link: Link, auth: ProtobufClientInterceptor
) -> Iterator[RuntimeHttpClient]:
    context = trust(link)
    version = RuntimeVersionHttpInterceptor(component_name="flwr-serverapp")
    with (
        closing(Direct(context)) as direct,
        RuntimeHttpClient(
            f"https://{link.address}",
            interceptors=[version, auth, direct],
            verify=context,
        ) as runtime,
    ):
        yield runtime
