"""A clean table at rest: encrypted for one study and one state of the records.

    tables/<digest>.table     blocks of AES-256-GCM (client/books/at_rest.py)

After a restart a site need not read gigabytes again. The key is in the home. What the
table is of (site, study, settings, files, withdrawals) is authenticated with every
block, so a table of another study or of older records does not open: it is read anew.
It is erased when its study closes, or loses its approval. Nothing is ever on the disk
in clear, and nothing is unpickled.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Collection, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Final

import numpy as np

from client.books import at_rest
from client.documents.mapping import Sql
from client.site import Site
from client.table import Count, Table
from client.tables import integration, withdrawals
from common.study import Study
from common.trust import private_files

CONTEXT: Final = "consilium/table/1"
ENDING: Final = ".table"


def table(site: Site, study: Study) -> Table:
    """Return the clean table of *study*: from the cache, or read and then kept.

    A site without a home, or with a database that tells nobody when it changes, keeps
    none.
    """
    state = _state(site, study)
    if site.home is None or state is None:
        return integration.table(site, study)
    path, secret = _path(site.home, study.digest()), at_rest.key(site.home)
    if (found := _opened(path, secret, state)) is not None:
        return found
    made = integration.table(site, study)
    private_files.make_folder(path.parent)
    sealed = at_rest.sealed(_packed(made), secret, _about(state))
    private_files.write(path, b"".join(sealed))
    return made


def erase(home: Path | None, digest: str) -> None:
    """Remove the table of the study of *digest*, if there is one."""
    if home is not None:
        _path(home, digest).unlink(missing_ok=True)


def sweep(home: Path | None, digests: Collection[str]) -> None:
    """Remove the tables of all studies but those of *digests*."""
    if home is not None:
        for path in (home / "tables").glob(f"*{ENDING}"):
            if path.stem not in digests:
                path.unlink(missing_ok=True)


def _path(home: Path, digest: str) -> Path:
    return home / "tables" / f"{digest}{ENDING}"


def _state(site: Site, study: Study) -> str | None:
    """Return what a table depends on, hashed; None when that cannot be told."""
    sources = site.mapping.named.values()
    if any(isinstance(each, Sql) and each.file is None for each in sources):
        return None
    seen: list[object] = [CONTEXT, site.name, study.digest()]
    seen.append(site.mapping.model_dump(mode="json", exclude={"approved", "budget"}))
    seen.append(withdrawals.read(site.home).tolist())
    for each in sources:
        seen += _files(site.path.parent / each.called)
    return hashlib.sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest()


def _files(path: Path) -> list[object]:
    """Return name, size and time of change of every file at *path*."""
    found = sorted(path.rglob("*")) if path.is_dir() else [path]
    stats = [(each, each.stat()) for each in found if each.is_file()]
    return [[each.name, stat.st_size, stat.st_mtime_ns] for each, stat in stats]


def _about(state: str) -> str:
    return f"{CONTEXT}:{state}"


def _opened(path: Path, key: bytes, state: str) -> Table | None:
    """Return the table at *path*; None unless it is whole and of this very state."""
    if not path.exists():
        return None
    found = at_rest.opened(private_files.read(path), key, _about(state))
    try:
        return None if found is None else _unpacked(found)
    except (ValueError, KeyError, zipfile.BadZipFile):
        return None


def _packed(table: Table) -> bytes:
    """Return a table as an archive of arrays, and its words as JSON among them."""
    arrays: dict[str, np.ndarray] = {}
    words: dict[str, Any] = {"report": [asdict(each) for each in table.report]}
    for each in fields(table):
        value = getattr(table, each.name)
        if isinstance(value, np.ndarray):
            arrays[each.name] = value
        elif isinstance(value, Mapping) and _of_arrays(value):
            words.setdefault("mapped", {})[each.name] = [*value]
            arrays |= {f"{each.name}/{key}": array for key, array in value.items()}
        elif each.name != "report":
            words[each.name] = value
    stream = io.BytesIO()
    said = np.frombuffer(json.dumps(words).encode(), dtype=np.uint8)
    np.savez(stream, words=said, **arrays)  # type: ignore[arg-type] # of the stubs
    return stream.getvalue()


def _of_arrays(value: Mapping[str, object]) -> bool:
    return all(isinstance(each, np.ndarray) for each in value.values())


def _unpacked(content: bytes) -> Table:
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        words = json.loads(archive["words"].tobytes())
        mapped = words.pop("mapped", {})
        known: dict[str, Any] = {
            name: {key: archive[f"{name}/{key}"] for key in keys}
            for name, keys in mapped.items()
        }
        names = [n for n in archive.files if n != "words" and "/" not in n]
        known |= {name: archive[name] for name in names}
    report = tuple(Count(**each) for each in words.pop("report"))
    return Table(**known, **words, report=report)
