"""A PostgreSQL server of the test's own: on a socket in a folder, and then gone."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PORT = "54329"
NEEDED = ("initdb", "pg_ctl")


def here() -> bool:
    """Tell whether this machine has a PostgreSQL that can be started."""
    return all(shutil.which(each) for each in NEEDED) and _user() is not None


@contextmanager
def server() -> Iterator[str]:
    """Start a server; return the SQLAlchemy URL of an empty database."""
    with tempfile.TemporaryDirectory(prefix="pg") as name:
        place, user = Path(name), _user()
        if os.getuid() == 0:
            shutil.chown(place, user)
        data = str(place / "data")
        run(["initdb", "-D", data, "-A", "trust", "-U", "steward"], user)
        options = f"-k {name} -p {PORT} -c listen_addresses=''"
        run(
            ["pg_ctl", "-D", data, "-o", options, "-l", f"{name}/log", "-w", "start"],
            user,
        )
        try:
            host = f"host={name}&port={PORT}"
            yield f"postgresql+psycopg://steward@/postgres?{host}"
        finally:
            run(["pg_ctl", "-D", data, "-m", "immediate", "-w", "stop"], user)


def run(command: list[str], user: str | None) -> None:
    path = shutil.which(command[0])
    assert path is not None
    done = subprocess.run(  # noqa: S603 - programs of this machine, our own words
        [path, *command[1:]],
        check=False,
        capture_output=True,
        user=user if os.getuid() == 0 else None,
        cwd="/",
        timeout=60,
    )
    assert done.returncode == 0, done.stderr[-400:]


def _user() -> str | None:
    """Return who may run a server: not root, which PostgreSQL refuses."""
    if os.getuid() != 0:
        return pwd.getpwuid(os.getuid()).pw_name
    names = [each.pw_name for each in pwd.getpwall()]
    return "postgres" if "postgres" in names else None
