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
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import httpx

from common import talk
from common.errors import MachineError, UsageError
from common.trust import private_files
from common.trust.certificates import fingerprint
from server.conduct import studies
from server.members import consortium
from server.members.consortium import Consortium
from server.running import ending, logs, room, superlink
from server.running.processes import Crew, Program, end_orphans
from server.running.superlink import Link

LOG = logging.getLogger("consilium.server")
TEND_SECONDS = 0.2
LOOK_SECONDS = 0.5
"""How long a lock is tried: ``server status`` may hold it for an instant."""
FREE_SECONDS = 2.0
"""How long a port is tried: one who was just ended may not have let go of it."""
LOCK, FACTS = "aggregator.lock", "service.json"
LOOPBACK = "127.0.0.1"
ANY = ("0.0.0.0", "::")  # noqa: S104 - to be recognised, not bound to
LOG_SECONDS = 60.0
"""How often the sizes of the logs are looked at."""


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
    """Which roster the SuperLink was told of, and which life of it that was."""

    told: tuple[bytes, int] = (b"", 0)
    silent: bool = False


def prepare(folder: Path) -> Consortium:
    """Return the consortium in *folder*, with the places that a service writes to.

    From here on this process makes nothing that other users can read.
    """
    os.umask(0o077)
    opened = consortium.load(folder)
    for name in ("run", "logs", "studies"):
        private_files.make_folder(folder / name)
    return opened


def serve(opened: Consortium, listen: str, stop: threading.Event) -> None:
    """Look after the aggregator of a prepared consortium until *stop* is set.

    Raises MachineError when another process does, or when it cannot begin.
    """
    folder = opened.folder
    with _only(folder):
        (folder / FACTS).unlink(missing_ok=True)
        end_orphans(folder / "run")
        require_free(listen)
        link = superlink.prepare(folder / "superlink", free_port())
        superlink.forget(link)
        with Crew(_programs(folder, link, listen), folder / "run") as crew:
            crew.await_ready()
            members = Members()
            _tell(opened, link, crew, members)
            _announce(folder, listen, link)
            _tend(opened, link, crew, members, stop)
            talk.event(LOG, logging.INFO, "stopping", event="stopping")
    talk.event(LOG, logging.INFO, "stopped", event="stopped")


def running(folder: Path) -> Service | None:
    """Return the service that runs in *folder*, if one does."""
    path, lock = folder / FACTS, folder / LOCK
    if not path.exists() or not lock.exists():
        return None
    with lock.open("rb") as held:
        if _locked(held.fileno(), fcntl.LOCK_SH):
            return None
    return Service(**json.loads(private_files.read(path)))


def starting(folder: Path) -> bool:
    """Say whether a service in *folder* was begun and is not up yet."""
    lock = folder / LOCK
    if (folder / FACTS).exists() or not lock.exists():
        return False
    with lock.open("rb") as held:
        return not _locked(held.fileno(), fcntl.LOCK_SH)


def _tend(
    opened: Consortium,
    link: Link,
    crew: Crew,
    members: Members,
    stop: threading.Event,
) -> None:
    look = 0.0
    while not stop.wait(TEND_SECONDS):
        for ended in crew.tend():
            ending.say(opened.folder, ended)
        _tell(opened, link, crew, members)
        _run_studies(opened.folder, link, crew)
        if time.monotonic() >= look:
            logs.shorten(opened.folder / "logs")
            room.warn(opened.folder)
            look = time.monotonic() + LOG_SECONDS


def _tell(opened: Consortium, link: Link, crew: Crew, members: Members) -> None:
    """Tell the SuperLink of every site, when the roster or the SuperLink is new."""
    now = opened.sealed_roster(), crew.pid("superlink")
    if now == members.told:
        return
    try:
        late = _register(opened, link)
        why = f"the admission of {', '.join(late)} is not in the folder" * bool(late)
    except httpx.HTTPError as reason:
        why = f"the SuperLink does not answer yet ({type(reason).__name__})"
    if why and not members.silent:
        text = f"{why}; it is tried again"
        talk.event(LOG, logging.WARNING, text, event="not registered", why=why)
    members.silent = bool(why)
    members.told = members.told if why else now


def _register(opened: Consortium, link: Link) -> tuple[str, ...]:
    """Let every active member of the roster connect, by its certificate of now.

    Returns whose certificate is not there: an admission is written after the roster
    that it brings, and who looks in between finds none, or the one before it.
    """
    known, late = superlink.registered(link), list[str]()
    for member in opened.roster().members:
        if member.state != "active":
            continue
        certificate = opened.certificate_of(member.site)
        if not certificate or fingerprint(certificate) != member.tls_fingerprint:
            late.append(member.site)
        elif superlink.key(certificate) not in known:
            superlink.register(link, member.site, certificate)
            facts = {"event": "registered", "site": member.site}
            talk.event(LOG, logging.INFO, f"{member.site} may connect", **facts)
    return tuple(late)


def _run_studies(folder: Path, link: Link, crew: Crew) -> None:
    """Start a runner for every study that is not over and has none."""
    for name in studies.unfinished(folder):
        if name not in crew.names():
            command = (sys.executable, "-m", "server.running.runner", str(folder), name)
            log = folder / "logs" / f"{name}.log"
            # Large arrays lie there without a name; /tmp may be in memory.
            place = {"TMPDIR": str(folder / "run")}
            settings = {**place, **superlink.settings(), **superlink.LEAN}
            crew.add(
                Program(name, (*command, str(link.port)), settings, log, ends=True)
            )


def _programs(folder: Path, link: Link, listen: str) -> tuple[Program, Program]:
    command = (
        *(sys.executable, "-m", "server.gate.gateway", "--dir", str(folder)),
        *("--listen", listen, "--upstream", f"https://{link.address}"),
        *("--upstream-cert", str(link.certificate)),
    )
    flower = replace(superlink.program(link), log=folder / "logs" / "superlink.log")
    log, settings = folder / "logs" / "gateway.log", superlink.settings()
    door = Program("gateway", command, settings, log, lambda: listens(listen))
    return flower, door


def _announce(folder: Path, listen: str, link: Link) -> None:
    """Say where we listen, for ``server status`` and for the person who looks on."""
    service = Service(os.getpid(), studies.now(), listen, link.port)
    content = json.dumps(asdict(service)).encode()
    private_files.write(folder / FACTS, content)
    text = f"listening on {listen}; logs are in {folder / 'logs'}"
    talk.event(LOG, logging.INFO, text, event="listening", listen=listen)


@contextmanager
def _only(folder: Path) -> Iterator[None]:
    """Hold the aggregator in *folder*; raise MachineError when another process does."""
    number = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _hold(number, folder)
        os.ftruncate(number, 0)
        os.pwrite(number, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(number)


def _hold(number: int, folder: Path) -> None:
    until = time.monotonic() + LOOK_SECONDS
    while not _locked(number, fcntl.LOCK_EX):
        if time.monotonic() > until:
            pid = os.pread(number, 20, 0).decode()
            raise MachineError(
                f"this aggregator is running already: process {pid}",
                where=str(folder),
                fix=f"use the one that runs, or   kill {pid}",
                then=f"consilium server status --dir {folder}",
            )
        time.sleep(TEND_SECONDS / 4)


def _locked(number: int, how: int) -> bool:
    try:
        fcntl.flock(number, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.create_server((LOOPBACK, 0)) as found:
        return int(found.getsockname()[1])


def address(listen: str) -> tuple[str, int]:
    """Return (host, port) of ``HOST:PORT``; raise UsageError for anything else."""
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise UsageError(f"{listen} is no address", fix="--listen 0.0.0.0:9443")
    return host.strip("[]"), int(port)


def require_free(listen: str) -> None:
    """Raise MachineError unless this machine lets us listen there."""
    host, port = address(listen)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    until = time.monotonic() + FREE_SECONDS
    while (why := _taken(host, port, family)) and time.monotonic() < until:
        time.sleep(TEND_SECONDS)
    if why:
        raise MachineError(
            f"nobody can listen on {listen}: {why}",
            likely="another program has the port, it is below 1024, or the address is "
            "not this machine's",
            fix="--listen HOST:PORT   with another port, as the invites say",
            then=f"ss -ltnp 'sport = :{port}'   shows who has it",
        )


def _taken(host: str, port: int, family: socket.AddressFamily) -> str:
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as reason:
        return (reason.strerror or type(reason).__name__).lower()
    return ""


def listens(listen: str) -> bool:
    """Say whether somebody listens at ``HOST:PORT``."""
    host, port = address(listen)
    try:
        target = LOOPBACK if host in ANY else host
        socket.create_connection((target, port), 1.0).close()
    except OSError:
        return False
    return True
