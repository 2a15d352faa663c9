"""The real thing on one machine: an aggregator and its hospitals as processes.

They are started by the commands that a deployment runs, and meet on loopback over
mutual TLS, with the papers of a throw-away consortium.

    with federation(folder, study, hospitals) as running:
        outcome = run(study, running)
"""

import logging
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from client import site as sites
from client.books import home, ledger
from client.documents.mapping import Sql
from common.errors import ConsiliumError, QuorumError
from common.study import Study
from common.trust import private_files
from server.conduct import studies
from server.conduct.rounds import Outcome
from server.conduct.studies import Progress, Submitted
from server.running import service, superlink
from server.running.processes import Crew, Program
from simulations.engines import consortium
from simulations.engines.engine import Engine, Ran

LOG = logging.getLogger("consilium.simulations")
LOOPBACK = "127.0.0.1"
LOOK_SECONDS = 0.1
AGGREGATOR = "aggregator"
BEFORE_KILL = 3
"""Rounds that are over before a hospital is killed."""


@dataclass(frozen=True, slots=True)
class Federation:
    """A running federation: its folder and processes, and where its door is."""

    folder: Path
    crew: Crew
    port: int
    sites: tuple[Path, ...]

    @property
    def aggregator(self) -> Path:
        """The consortium's folder."""
        return self.folder / AGGREGATOR

    def pid(self, name: str) -> int:
        """Return the process of an aggregator's own program."""
        return int((self.aggregator / "run" / name).read_text(encoding="utf-8"))

    @property
    def link(self) -> superlink.Link:
        """The SuperLink that runs now."""
        running = service.running(self.aggregator)
        return superlink.link(self.aggregator, running.port if running else 0)


def engine(*, kill_one: bool) -> Engine:
    """Return the engine that runs a study in a federation of its own.

    With *kill_one* a hospital is killed after a few rounds, and comes back.
    """

    def whole(study: Study, hospitals: Sequence[Path]) -> Ran:
        folder = Path(tempfile.mkdtemp(prefix="consilium-"))
        try:
            ran = _run_in(folder, study, hospitals, kill_one=kill_one)
        except ConsiliumError as error:
            known = filter(None, [error.hints["where"], f"the logs in {folder}"])
            error.hints["where"] = "; ".join(known)
            raise
        shutil.rmtree(folder)
        return ran

    return whole


def _run_in(
    folder: Path, study: Study, hospitals: Sequence[Path], *, kill_one: bool
) -> Ran:
    victims: list[str] = []
    with federation(folder, study, hospitals) as running:

        def meanwhile(given: Submitted) -> None:
            if kill_one and not victims and len(studies.written(given)) > BEFORE_KILL:
                victims.append(running.sites[0].parent.name)
                LOG.warning("killing %s, as a power cut would", victims[0])
                running.crew.kill(victims[0])

        outcome = run(study, running, meanwhile)
        given = studies.find(running.aggregator, study.digest())
        steady = studies.took(given).steady
        back = tuple(name for name in victims if _opened(running, name) > 1)
    return Ran(outcome, "processes", steady, back)


def _opened(running: Federation, name: str) -> int:
    """Return how often a hospital has opened the study, as its own ledger says."""
    entries = ledger.read(home.log(running.folder / name / consortium.HOME))
    return sum(1 for each in entries if each.kind == "admitted")


@contextmanager
def federation(
    folder: Path, study: Study, hospitals: Iterable[Path]
) -> Iterator[Federation]:
    """Start everything in *folder*, and leave nothing running."""
    port = service.free_port()
    sites = consortium.found(folder, study, hospitals, port)
    private_files.make_folder(folder / "run")
    programs = [_aggregator(folder, port), *(hospital(folder, each) for each in sites)]
    with Crew(programs, folder / "run") as crew:
        crew.await_ready()
        yield Federation(folder, crew, port, sites)


def run(
    study: Study,
    running: Federation,
    meanwhile: Callable[[Submitted], None] = lambda _: None,
) -> Outcome:
    """Submit *study*, tend everything until it is over; return what it came to.

    *meanwhile* is called again and again. Raises QuorumError with the reason when the
    study fails.
    """
    given, told = studies.submit(running.aggregator, study), ""
    while (now := studies.progress(given)).phase in studies.OPEN:
        running.crew.tend()
        if now.doing != told:
            LOG.info("%s", now.doing)
            told = now.doing
        meanwhile(given)
        time.sleep(LOOK_SECONDS)
    if now.phase != "finished":
        raise _failed(given.name, now)
    return studies.outcome(given)


def _failed(name: str, now: Progress) -> QuorumError:
    """Return why a study failed; its next command is for an aggregator that stays."""
    error = now.error or {}
    what = str(error.get("what", f"{name} has {now.phase}"))
    hints = {each: str(error.get(each, "")) for each in ("where", "likely", "fix")}
    return QuorumError(what, **hints)


def _aggregator(folder: Path, port: int) -> Program:
    place, listen = folder / AGGREGATOR, f"{LOOPBACK}:{port}"
    arguments = ("server", "start", "--dir", str(place), "--listen", listen)
    log = folder / f"{AGGREGATOR}.log"
    return Program(
        AGGREGATOR,
        _consilium(*arguments),
        superlink.settings(),
        log,
        lambda: service.running(place) is not None,
    )


def hospital(folder: Path, path: Path) -> Program:
    """Return the program of one hospital; it sees the URLs of its own databases."""
    name = path.parent.name
    command = _consilium("client", "start", "--site", str(path))
    environment = {**superlink.settings(), **_urls(path)}
    return Program(name, command, environment, folder / f"{name}.log")


def _urls(path: Path) -> dict[str, str]:
    """Return the variables that a hospital's databases are found by: its own alone."""
    named = sites.read(path).mapping.named.values()
    wanted = {each.url_env for each in named if isinstance(each, Sql) and each.url_env}
    return {name: os.environ[name] for name in wanted if name in os.environ}


def _consilium(*arguments: str) -> tuple[str, ...]:
    return (str(Path(sys.executable).with_name("consilium")), *arguments)
