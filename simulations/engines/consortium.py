"""A consortium that lives as long as a simulation: real keys, real certificates.

Every hospital gets a folder of its own beside the others: its settings as they are, its
records by a link, and a home with an identity. What is simulated is not written into.
"""

import re
import secrets
import shutil
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from client import site as sites
from client.documents import media
from client.numbers import persons
from client.site import Site
from client.trust import enrolment as hospital
from common.study import Study
from common.trust import private_files
from server.members import addresses, consortium, enrolment
from server.members.authority import Authority
from server.members.consortium import Consortium

NAME, HOME = "simulated", "state"
HOME_LINE = re.compile(r"home\s*=")
LEFT = ("ledger.jsonl", "inbox", "studies", "person.key")
"""What a steward decided at a hospital; its simulated double begins with the same."""


def found(
    folder: Path, study: Study, hospitals: Iterable[Path], port: int
) -> tuple[Path, ...]:
    """Found a consortium in *folder*, admit every hospital; return their settings."""
    about = addresses.about(NAME, [f"127.0.0.1:{port}"])
    passphrase = secrets.token_hex(16).encode()
    made = enrolment.found(folder / "aggregator", about, passphrase, _now())
    private_files.write(folder / "passphrase", passphrase)
    root = consortium.unlock(made, made.folder / "ca.key", passphrase)
    doubles = tuple(double(folder, study, sites.read(path)) for path in hospitals)
    for path in doubles:
        _enrol(made, root, path.parent.name, path.parent / HOME)
    return doubles


def double(folder: Path, study: Study, real: Site) -> Path:
    """Write a copy of *real* into *folder*, which approves *study* if nobody may."""
    place = folder / real.name
    private_files.make_folder(place / HOME)
    text = real.path.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not HOME_LINE.match(line)]
    head = [f'home = "{HOME}"']
    if real.home is None and real.mapping.approved is None:
        head.append(f'approved = ["{study.digest()}"]')
    (place / "site.toml").write_text("\n".join([*head, *lines]) + "\n", "utf-8")
    for source in real.mapping.named.values():
        for called in media.places(source):
            _link(place, real, called)
    if real.home:
        for name in LEFT:
            _copy(real.home / name, place / HOME / name)
    else:  # the same people as where they are simulated in one process
        private_files.write(persons.file(place / HOME), persons.SIMULATED)
    return place / "site.toml"


def _link(place: Path, real: Site, called: str) -> None:
    """Let the double find what *real* finds under this name, unless it is no file."""
    linked, there = place / called, real.path.parent / called
    if there.exists() and not linked.exists():  # one named by its whole path is there
        linked.parent.mkdir(parents=True, exist_ok=True)
        linked.symlink_to(there.resolve())


def _copy(old: Path, new: Path) -> None:
    if old.is_dir():
        shutil.copytree(old, new)
    elif old.exists():
        shutil.copy2(old, new)


def _enrol(made: Consortium, root: Authority, site: str, home: Path) -> None:
    """Invite, join, admit: the words are compared by nobody, for it is one person."""
    now = _now()
    joined = hospital.join(enrolment.invite(made, site, 1, now), home, now)
    answer = enrolment.admit(made, root, joined.request(), now)
    hospital.admitted(answer, home, now)


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
