"""Ray, started for one run, or joined where somebody runs it for several machines.

Started here it listens on loopback alone, takes calls of this run alone, and keeps its
files in a folder of this user's alone. It calls nobody.
"""

import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common.errors import ConsiliumError, MachineError, NetworkError

ADDRESS = "RAY_ADDRESS"
"""Where Ray itself looks for a cluster that is to be joined."""
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_USAGE_STATS_REPORT_URL": "http://127.0.0.1:9",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
"""Ray tells its makers how it is used, and of some clusters that they do not tell; and
it warns of what it will do about accelerators, which nobody asks for."""
ALONE = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_AUTH_MODE": "token",
}
"""Ray takes loopback as its address where it must not make a cluster, whatever the
system; and whoever else is on this machine has no token to run code by."""
TOKEN = "RAY_AUTH_TOKEN"  # noqa: S105 - the name of one
CONNECT_SECONDS = 10.0
"""How long a cluster may take to answer a call."""
SHORT = 24
"""Longest path of a temporary folder in which the names of Ray's sockets still fit."""


def load() -> Any:  # noqa: ANN401 - an extra without types
    """Return the module ray, set up before it loads.

    Raises MachineError where it is not installed.
    """
    os.environ.update(QUIET)
    if ADDRESS not in os.environ:
        os.environ.update(ALONE)
        os.environ.setdefault(TOKEN, secrets.token_hex(32))
    try:
        import ray  # noqa: PLC0415 - an extra, and slow to load
    except ModuleNotFoundError as lacking:
        raise MachineError(
            f"--engine ray needs the package {lacking.name}",
            fix="pip install 'consilium[ray]'",
        ) from None
    return ray


@contextmanager
def running() -> Iterator[Any]:
    """Yield ray, connected: to the cluster at RAY_ADDRESS, or to one of this run."""
    ray, address = load(), os.environ.get(ADDRESS, "")
    with _joined(ray, address) if address else _alone(ray):
        yield ray


@contextmanager
def _joined(ray: Any, address: str) -> Iterator[None]:  # noqa: ANN401
    """Be connected to a cluster; what was started there for this run ends with it."""
    host, _, port = address.rpartition(":")
    try:  # Ray itself would try for minutes
        with socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS):
            pass
        ray.init(address=address, log_to_driver=False, configure_logging=False)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as reason:
        raise NetworkError(
            f"no Ray answers at {address}, where {ADDRESS} points",
            likely=_first_line(reason),
            fix=f"{ADDRESS}=HOST:PORT of `ray start --head`; without it, Ray runs on "
            "this machine alone",
        ) from reason
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _alone(ray: Any) -> Iterator[None]:  # noqa: ANN401
    """Run Ray for this process; after an error of the study its logs are kept."""
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir=_short()))
    kept = False
    try:
        _start(ray, folder / "r")  # Ray opens to everybody what it is given
        yield
    except ConsiliumError as error:
        kept = True
        error.hints["where"] = f"the logs in {folder}"
        raise
    finally:
        ray.shutdown()
        if not kept:  # a process that is still ending may write a last line
            shutil.rmtree(folder, ignore_errors=True)


def _start(ray: Any, folder: Path) -> None:  # noqa: ANN401
    try:
        ray.init(
            address="local",
            include_dashboard=False,
            log_to_driver=False,
            configure_logging=False,
            _temp_dir=str(folder),
        )
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as reason:
        raise MachineError(
            "Ray did not start on this machine",
            likely=_first_line(reason),
            fix="--engine processes        # the same without Ray",
        ) from reason


def _short() -> str | None:
    """Return a temporary folder with a short path, where the usual one has a long."""
    return None if len(tempfile.gettempdir()) <= SHORT else "/tmp"  # noqa: S108 - mkdtemp


def _first_line(reason: Exception) -> str:
    return str(reason).strip().partition("\n")[0]
