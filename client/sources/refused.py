"""What a database means by an error, in words of ours: its own may quote a value."""

from collections.abc import Mapping
from typing import Final

Meaning = tuple[str, str]
"""Why, and what to do about it."""

TABLE: Final = (
    "there is no table or view of that name, or it is in another schema",
    "correct the name, or `namespace` of the source",
)
COLUMN: Final = (
    "there is no column of that name",
    "correct the name: an OMOP CDM is read as version 5.4 has it",
)
DAMAGED: Final = (
    "half a file, or no SQLite file",
    "export it again, or correct `file`",
)
RIGHTS: Final = ("the account may not read it", "ask for the right to SELECT from it")
LOGIN: Final = ("user or password are wrong", "correct the URL")
WRITES: Final = ("it would write", "ask with a SELECT that only reads")
BUSY: Final = ("another program holds it", "try again when that has ended")
WORDS: Final = ("it is no SQL that this database knows", "try it in a SQL console")
TYPES: Final = (
    "a value is not of the type that the query makes of it",
    "return the column as it is: text is read here",
)
DATABASE: Final = ("there is no database of that name", "correct the URL")
STATES: Final[Mapping[str, Meaning]] = {
    "42P01": TABLE,
    "3F000": TABLE,
    "42703": COLUMN,
    "42501": RIGHTS,
    "28P01": LOGIN,
    "28000": LOGIN,
    "25006": WRITES,
    "42601": WORDS,
    "22P02": TYPES,
    "3D000": DATABASE,
    "57014": (
        "it took longer than the server allows",
        "ask for less, or for more time",
    ),
}
"""By SQLSTATE, of the SQL standard and PostgreSQL."""
NAMES: Final[Mapping[str, Meaning]] = {
    "SQLITE_NOTADB": DAMAGED,
    "SQLITE_CORRUPT": DAMAGED,
    "SQLITE_BUSY": BUSY,
    "SQLITE_LOCKED": BUSY,
    "SQLITE_READONLY": WRITES,
}
"""By the name of SQLite's code."""
SAID: Final[Mapping[str, Meaning]] = {
    "no such table": TABLE,
    "no such column": COLUMN,
    "near ": WORDS,
}
"""By how SQLite's words begin where its code says nothing."""
UNREACHED: Final[Mapping[str, Meaning]] = {
    "password": LOGIN,
    'FATAL:  role "': LOGIN,
    'FATAL:  database "': DATABASE,
    "no pg_hba.conf entry": (
        "the server does not let this account in from here, or only over TLS",
        "ask for an entry in pg_hba.conf, or end the URL in ?sslmode=require",
    ),
    "Connection refused": (
        "no server listens at that host and port",
        "correct the URL: …@HOST:PORT/DATABASE",
    ),
    "certificate verify failed": (
        "the server's certificate is of no authority that is known here",
        "name the hospital's own in the URL: sslrootcert=FILE",
    ),
}
"""By words of libpq's, which gives no SQLSTATE while nothing is open."""
DRIVER: Final = (
    "what reads such a database is not installed",
    "pip install 'consilium[sql]', and begin the URL with postgresql+psycopg://",
)
KINDS: Final[Mapping[str, Meaning]] = {
    "ModuleNotFoundError": DRIVER,
    "NoSuchModuleError": DRIVER,
    "ArgumentError": (
        "the variable holds no URL",
        "write postgresql+psycopg://USER:PASSWORD@HOST:PORT/DATABASE",
    ),
}
"""By the kind of error, where nothing was asked yet."""
NOTHING: Final = ("", "")


def meaning(broken: Exception) -> Meaning:
    """Return why the database refused, and a fix; nothing where that is not known."""
    cause = getattr(broken, "orig", None)
    if state := getattr(cause, "sqlstate", None):
        return STATES.get(state, NOTHING)
    if named := NAMES.get(getattr(cause, "sqlite_errorname", None) or ""):
        return named
    if kind := KINDS.get(type(broken).__name__):
        return kind
    words = str(cause)
    found = (
        *(said for begins, said in SAID.items() if words.startswith(begins)),
        *(said for part, said in UNREACHED.items() if part in words),
    )
    return next(iter(found), NOTHING)
