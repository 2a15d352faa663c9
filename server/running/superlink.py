"""Flower's SuperLink on loopback: how it is made ready, started, and asked.

    link = prepare(folder, port)           # its certificate and secret, made here
    program(link)                          # what a Crew starts, and starts again
    register(link, "north", certificate)   # a site may take part

The bundle that Flower demands of a run holds no code: the ServerApp is the one that is
installed here, and server/running/executor.py runs it.
"""

import io
import ipaddress
import logging
import os
import secrets
import ssl
import sys
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.proto.control_pb2 import (
    ListNodesRequest,
    RegisterNodeRequest,
    StartRunRequest,
)
from flwr.proto.fab_pb2 import Fab
from flwr.proto.node_pb2 import NodeInfo
from flwr.supercore.constant import NodeStatus
from flwr.supercore.control.control_http_client import ControlHttpClient

from common.travel.direct import Direct
from common.trust import private_files
from server.running.processes import Program

LOG = logging.getLogger("consilium.server.superlink")
QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "FLWR_SUPERGRID_API_URL": "http://127.0.0.1:9",
}
"""Settings that keep Flower from calling out or installing anything."""
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""The order of a sum must not depend on how many processors there are."""
LEAN = {"MALLOC_ARENA_MAX": "2", "MALLOC_MMAP_THRESHOLD_": str(2**20)}
"""What is large goes back to the machine when it is let go; glibc keeps it otherwise.

Pieces of messages are of 5 MiB, and each thread would hold on to its own.
"""
SILENCE = 20
"""Seconds without a sign of life after which a site counts as gone: two beats."""
KEPT = ("PATH", "PYTHONPATH", "LANG", "TMPDIR", "VIRTUAL_ENV")
BUNDLE = """\
[project]
name = "consilium"
version = "0"

[tool.flwr.app]
publisher = "consilium"

[tool.flwr.app.components]
serverapp = "server.app:app"
clientapp = "client.app:app"

[tool.flwr.app.config]
"""
"""All that a run's bundle holds: names of what is installed, and no code."""


@dataclass(frozen=True, slots=True)
class Link:
    """One SuperLink: where it keeps its files, and the port it has on loopback."""

    folder: Path
    port: int

    @property
    def address(self) -> str:
        """Where it listens: on this machine, and nowhere else."""
        return f"127.0.0.1:{self.port}"

    @property
    def certificate(self) -> Path:
        """Its certificate: its own authority, and known on this machine only."""
        return self.folder / "loopback.pem"

    @property
    def key(self) -> Path:
        """The key of that certificate."""
        return self.folder / "loopback.key"

    @property
    def secret(self) -> Path:
        """What an executor must know to be given a run."""
        return self.folder / "executor.secret"


@dataclass(frozen=True, slots=True)
class Presence:
    """Whether a site is connected, and since when it is or is not.

    ``since`` is empty when it never was. One that went without a goodbye is noticed by
    its silence: it may have gone so much as SILENCE earlier.
    """

    site: str
    connected: bool
    since: str


def link(aggregator: Path, port: int) -> Link:
    """Return the SuperLink of the aggregator in a folder, which listens at *port*."""
    return Link(aggregator / "superlink", port)


def prepare(folder: Path, port: int) -> Link:
    """Make what a SuperLink needs in *folder*, unless it is there."""
    link = Link(folder, port)
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    if not link.secret.exists():
        private_files.write(link.secret, secrets.token_bytes(32))
    if not link.certificate.exists():
        _loopback(link)
    return link


def _loopback(link: Link) -> None:
    """Write a certificate for this machine's own address, signed by itself."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    here = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=3650))
        .add_extension(x509.SubjectAlternativeName([here]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    shape, none = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    private_files.write(link.key, key.private_bytes(pem, shape, none))
    link.certificate.write_bytes(certificate.public_bytes(pem))


def trust(link: Link) -> ssl.SSLContext:
    """Return a context that trusts this SuperLink's certificate and no other."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(link.certificate)
    return context


def program(link: Link) -> Program:
    """Return the SuperLink as a program: no proxies, no secrets of this process."""
    home = {"FLWR_HOME": str(link.folder), "HOME": str(link.folder)}
    return Program(
        name="superlink",
        command=_command(link),
        environment={**settings(), **LEAN, **home},
        log=link.folder / "superlink.log",
        ready=lambda: healthy(link),
    )


def settings() -> dict[str, str]:
    """Return what a program of ours sees of this process' environment."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {**kept, **QUIET, **ONE_THREAD}


def forget(link: Link) -> None:
    """Remove what an earlier SuperLink kept: the journals hold all that matters."""
    for path in link.folder.glob("state.db*"):
        path.unlink()


def _command(link: Link) -> tuple[str, ...]:
    return (
        *(sys.executable, "-m", "server.running.lean_superlink"),
        *("--host", "127.0.0.1", "--port", str(link.port)),
        *("--database", str(link.folder / "state.db"), "--isolation", "process"),
        *("--ssl-certfile", str(link.certificate), "--ssl-keyfile", str(link.key)),
        *("--ssl-ca-certfile", str(link.certificate), "--enable-supernode-auth"),
        *("--superexec-auth-secret-file", str(link.secret)),
        "--disable-runtime-dependency-installation",
    )


def healthy(link: Link) -> bool:
    """Tell whether the SuperLink answers."""
    try:
        with httpx.Client(verify=trust(link), trust_env=False, timeout=2.0) as http:
            return http.get(f"https://{link.address}/health").is_success
    except httpx.TransportError:
        return False


def key(certificate: x509.Certificate) -> bytes:
    """Return the key of a certificate, as the SuperLink knows sites by it."""
    pem = serialization.Encoding.PEM
    shape = serialization.PublicFormat.SubjectPublicKeyInfo
    return certificate.public_key().public_bytes(pem, shape)


def register(link: Link, site: str, certificate: x509.Certificate) -> int:
    """Let the site with this certificate take part; return its number."""
    with _control(link) as control:
        request = RegisterNodeRequest(public_key=key(certificate), name=site)
        return int(control.RegisterNode(request).node_id)


def registered(link: Link) -> dict[bytes, Presence]:
    """Return who may take part, by key, and whether each is connected."""
    with _control(link) as control:
        nodes = control.ListNodes(ListNodesRequest()).nodes_info
    return {
        each.public_key: _presence(each)
        for each in nodes
        if each.status != NodeStatus.UNREGISTERED
    }


def _presence(node: NodeInfo) -> Presence:
    if node.status == NodeStatus.ONLINE:
        return Presence(node.name, connected=True, since=node.last_activated_at)
    return Presence(node.name, connected=False, since=node.last_deactivated_at)


@contextmanager
def _control(link: Link) -> Iterator[ControlHttpClient]:
    context = trust(link)
    with (
        closing(Direct(context)) as direct,
        ControlHttpClient(
            f"https://{link.address}", interceptors=[direct], verify=context
        ) as control,
    ):
        yield control


def bundle() -> bytes:
    """Return the bundle that Flower demands of a run: names, and no code."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(zipfile.ZipInfo("pyproject.toml"), BUNDLE)
    return packed.getvalue()


def begin(link: Link, content: bytes) -> int:
    """Enter a run with the bundle *content* into the SuperLink; return its number."""
    request = StartRunRequest(fab=Fab(content=content))
    with _control(link) as control:
        return int(control.StartRun(request).run_id)
