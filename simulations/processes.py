"""The real thing on one machine: SuperLink, gateway and hospitals as processes.

They meet on loopback over mutual TLS, with the papers of a throw-away consortium,
exactly as on separate machines; this process is the executor that runs the study.
"""

import os
import socket
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from common.study import Study
from server import consortium as consortia
from server import executor, studies, superlink
from server.processes import Crew, Program
from server.rounds import Outcome
from simulations import consortium

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Federation:
    """A running federation: its SuperLink, its processes, and where its door is."""

    folder: Path
    link: superlink.Link
    crew: Crew
    port: int
    sites: tuple[Path, ...]


@contextmanager
def federation(
    folder: Path, study: Study, hospitals: Iterable[Path]
) -> Iterator[Federation]:
    """Start everything in *folder*, and leave nothing running."""
    link, port = superlink.prepare(folder / "superlink", _free_port()), _free_port()
    sites = consortium.found(folder, study, hospitals, port)
    made = consortia.load(folder / "aggregator")
    nodes = [_node(folder, path) for path in sites]
    programs = [superlink.program(link), gateway(folder, link, port), *nodes]
    with Crew(programs) as crew:
        crew.await_ready()
        for path in sites:
            name = path.parent.name
            superlink.register(link, name, made.certificate_of(name))
        yield Federation(folder, link, crew, port, sites)


def run(study: Study, running: Federation) -> Outcome:
    """Run *study* over the hospitals of *running*."""
    aggregator = running.folder / "aggregator"
    given = studies.submit(aggregator, study)
    return executor.conduct(
        study,
        running.link,
        {
            "consortium": str(aggregator),
            "submitted": str(given.folder),
            "journal": str(given.journal),
        },
    )


def gateway(folder: Path, link: superlink.Link, port: int) -> Program:
    """Return the gateway of *link* at *port*."""
    command = (
        *(sys.executable, "-m", "server.gateway", "--dir", str(folder / "aggregator")),
        *("--listen", f"{LOOPBACK}:{port}", "--upstream", f"https://{link.address}"),
        *("--upstream-cert", str(link.certificate)),
    )
    log = folder / "gateway.log"
    return Program("gateway", command, _settings(), log, lambda: _listens(port))


def _node(folder: Path, path: Path) -> Program:
    name = path.parent.name
    consilium = str(Path(sys.executable).with_name("consilium"))
    command = (consilium, "client", "start", "--site", str(path))
    return Program(name, command, _settings(), folder / f"{name}.log", lambda: True)


def _settings() -> dict[str, str]:
    """Return this process' settings: modules are found where they were found here."""
    package = str(Path(superlink.__file__).parents[1])
    one = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return {**os.environ, **superlink.QUIET, **one, "PYTHONPATH": package}


def _free_port() -> int:
    with socket.create_server((LOOPBACK, 0)) as found:
        return int(found.getsockname()[1])


def _listens(port: int) -> bool:
    try:
        socket.create_connection((LOOPBACK, port), 1.0).close()
    except OSError:
        return False
    return True
