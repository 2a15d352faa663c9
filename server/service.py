"""What ``consilium server start`` keeps alive: SuperLink, gateway, a runner a study.

This process looks after the others and does nothing else: it holds no key open but the
one that it starts the gateway with, and hears no site. Killed with all it started, or
without, it is started again, and every study goes on from its journal.
"""

import fcntl
import json
import logging
import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import httpx

from common import private_files
from common.errors import MachineError, UsageError
from server import consortium, studies, superlink
from server.consortium import Consortium
from server.processes import Crew, Program, end_orphans
from server.superlink import Link

LOG = logging.getLogger("consilium.server")
TEND_SECONDS = 0.2
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Service:
    """A running aggregator: which process, since when, and where it listens."""

    pid: int
    since: str
    listen: str
    port: int
    """The SuperLink's, on loopback."""


@dataclass(slots=True)
class Members:
    """Which certificate of which site the SuperLink was told of."""

    told: dict[str, str] = field(default_factory=dict)
    seen: bytes = b""


def serve(folder: Path, listen: str, stop: threading.Event) -> None:
    """Look after the aggregator in *folder* until *stop* is set.

    Raises UsageError when another process does, MachineError when it cannot begin.
    """
    opened = consortium.load(folder)
    for name in ("run", "logs", "studies"):
        private_files.make_folder(folder / name)
    with _only(folder / "aggregator.lock"):
        end_orphans(folder / "run")
        link = superlink.prepare(folder / "superlink", _free_port())
        superlink.forget(link)
        programs = (superlink.program(link), _gateway(folder, link, listen))
        with Crew(programs, folder / "run") as crew:
            crew.await_ready()
            _announce(folder, listen, link)
            _tend(opened, link, crew, stop)


def running(folder: Path) -> Service | None:
    """Return the service that runs in *folder*, if one does."""
    path = folder / "service.json"
    if not path.exists() or not _held(folder / "aggregator.lock"):
        return None
    return Service(**json.loads(private_files.read(path)))


def _tend(opened: Consortium, link: Link, crew: Crew, stop: threading.Event) -> None:
    members = Members()
    while not stop.wait(TEND_SECONDS):
        crew.tend()
        try:
            _register(opened, link, members)
        except httpx.HTTPError as reason:
            LOG.info("the SuperLink is not up: %s", type(reason).__name__)
        _run_studies(opened.folder, link, crew)


def _register(opened: Consortium, link: Link, members: Members) -> None:
    """Tell the SuperLink of every certificate in the roster that it does not know."""
    sealed = opened.sealed_roster()
    if sealed == members.seen:
        return
    for member in opened.roster().members:
        known = members.told.get(member.site) == member.tls_fingerprint
        if member.state == "active" and not known:
            certificate = opened.certificate_of(member.site)
            superlink.register(link, member.site, certificate)
            members.told[member.site] = member.tls_fingerprint
            LOG.info("%s may connect", member.site)
    members.seen = sealed


def _run_studies(folder: Path, link: Link, crew: Crew) -> None:
    """Start a runner for every study that is not over and has none."""
    for name in studies.unfinished(folder):
        if name not in crew.names():
            command = (sys.executable, "-m", "server.runner", str(folder), name)
            log = folder / "logs" / f"{name}.log"
            settings = superlink.settings()
            crew.add(
                Program(name, (*command, str(link.port)), settings, log, ends=True)
            )


def _gateway(folder: Path, link: Link, listen: str) -> Program:
    command = (
        *(sys.executable, "-m", "server.gateway", "--dir", str(folder)),
        *("--listen", listen, "--upstream", f"https://{link.address}"),
        *("--upstream-cert", str(link.certificate)),
    )
    log = folder / "logs" / "gateway.log"
    return Program(
        "gateway", command, superlink.settings(), log, lambda: _listens(listen)
    )


def _announce(folder: Path, listen: str, link: Link) -> None:
    """Say where we listen, for ``server status`` and for the person who looks on."""
    service = Service(os.getpid(), studies.now(), listen, link.port)
    content = json.dumps(asdict(service)).encode()
    private_files.write(folder / "service.json", content)
    LOG.info("listening on %s; logs are in %s", listen, folder / "logs")


@contextmanager
def _only(path: Path) -> Iterator[None]:
    """Hold *path* while inside; raise UsageError when another process does."""
    number = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(number)
        raise UsageError(
            "this aggregator is running already",
            where=str(path.parent),
            then=f"consilium server status --dir {path.parent}",
        ) from None
    try:
        yield
    finally:
        os.close(number)


def _held(path: Path) -> bool:
    try:
        with _only(path):
            return False
    except UsageError:
        return True


def _free_port() -> int:
    with socket.create_server((LOOPBACK, 0)) as found:
        return int(found.getsockname()[1])


def address(listen: str) -> tuple[str, int]:
    """Return (host, port) of ``HOST:PORT``; raise UsageError for anything else."""
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal():
        raise UsageError(f"{listen} is no address", fix="--listen 0.0.0.0:9443")
    return host.strip("[]"), int(port)


def require_free(listen: str) -> None:
    """Raise MachineError unless this machine lets us listen there."""
    host, port = address(listen)
    try:
        socket.create_server((host, port)).close()
    except OSError as reason:
        raise MachineError(
            f"nobody can listen on {listen}: {(reason.strerror or '').lower()}",
            likely="another program has the port, or it is below 1024",
            fix="--listen HOST:PORT   with another port, as the invites say",
        ) from None


def _listens(listen: str) -> bool:
    host, port = address(listen)
    try:
        target = LOOPBACK if host == "0.0.0.0" else host  # noqa: S104 - a comparison
        socket.create_connection((target, port), 1.0).close()
    except OSError:
        return False
    return True
