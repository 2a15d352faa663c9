"""The real thing on one machine: SuperLink, gateway and hospitals as processes.

They meet on loopback over mutual TLS, with the papers they are given, exactly as on
separate machines; this process is the executor that runs the study.

    with federation(folder, door, hospitals) as links:
        outcome = run(study, links)
"""

import os
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from common.errors import IdentityError
from common.study import Study
from common.tls import Files
from server import executor, superlink
from server.processes import Crew, Program
from server.rounds import Outcome

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Hospital:
    """One hospital: its settings, and its papers."""

    site: Path
    files: Files


@dataclass(frozen=True, slots=True)
class Federation:
    """A running federation: its SuperLink, its processes, and where its door is."""

    link: superlink.Link
    crew: Crew
    port: int


@contextmanager
def federation(
    folder: Path, door: Files, hospitals: Mapping[str, Hospital]
) -> Iterator[Federation]:
    """Start everything in *folder*, and leave nothing running."""
    link, port = superlink.prepare(folder / "superlink", _free_port()), _free_port()
    nodes = [_node(folder, name, port, hospitals[name]) for name in hospitals]
    programs = [superlink.program(link), gateway(folder, link, port, door), *nodes]
    with Crew(programs) as crew:
        crew.await_ready()
        for name, hospital in hospitals.items():
            superlink.admit(link, name, _public_key(hospital.files.certificate))
        yield Federation(link, crew, port)


def run(study: Study, running: Federation) -> Outcome:
    """Run *study* over the hospitals of *running*."""
    return executor.conduct(study, running.link)


def gateway(folder: Path, link: superlink.Link, port: int, door: Files) -> Program:
    """Return the gateway of *link* at *port*, with the papers *door*."""
    command = (
        *(sys.executable, "-m", "server.gateway", "--listen", f"{LOOPBACK}:{port}"),
        *("--upstream", f"https://{link.address}"),
        *("--upstream-cert", str(link.certificate), *_options(door)),
    )
    log = folder / "gateway.log"
    return Program("gateway", command, _settings(), log, lambda: _listens(port))


def _node(folder: Path, name: str, port: int, hospital: Hospital) -> Program:
    command = (
        *(sys.executable, "-m", "client.node", "--url", f"https://{LOOPBACK}:{port}"),
        *("--site", str(hospital.site), *_options(hospital.files)),
    )
    return Program(name, command, _settings(), folder / f"{name}.log", lambda: True)


def _options(files: Files) -> tuple[str, ...]:
    return (
        *("--cert", str(files.certificate), "--key", str(files.key)),
        *("--ca", str(files.authority), "--crl", str(files.revoked)),
    )


def _settings() -> dict[str, str]:
    """Return this process' settings: modules are found where they were found here."""
    package = str(Path(superlink.__file__).parents[1])
    one = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return {**os.environ, **superlink.QUIET, **one, "PYTHONPATH": package}


def _public_key(path: Path) -> ec.EllipticCurvePublicKey:
    key = x509.load_pem_x509_certificate(path.read_bytes()).public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key
    raise IdentityError("a certificate's key is not of a NIST curve", where=str(path))


def _free_port() -> int:
    with socket.create_server((LOOPBACK, 0)) as found:
        return int(found.getsockname()[1])


def _listens(port: int) -> bool:
    try:
        socket.create_connection((LOOPBACK, port), 1.0).close()
    except OSError:
        return False
    return True
