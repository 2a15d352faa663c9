"""A site's home: the folder of its ledger and of the studies it was shown.

    state/ledger.jsonl            what was asked, decided and released
    state/inbox/<digest>.json     every study that was received, as canonical JSON
    state/studies/<digest>.json   those of them that were ever approved

A study's file is named by its digest, so a changed file is seen when it is read.
"""

from collections.abc import Collection
from pathlib import Path

from client.books import ledger
from client.books.chain import Entry, Note
from client.books.ledger import Clock
from common.errors import IntegrityError, Refusal
from common.study import Study
from common.trust import private_files

MOST = 1000
"""Studies that an inbox holds: whoever may ask must not be able to fill the disk."""


def log(home: Path) -> Path:
    """Return where the ledger of *home* is."""
    return home / "ledger.jsonl"


def inbox(home: Path) -> Path:
    """Return the folder of the studies that were received."""
    return home / "inbox"


def approved(home: Path) -> Path:
    """Return the folder of the studies that were ever approved."""
    return home / "studies"


def note(home: Path | None, text: Note, clock: Clock) -> None:
    """Write *text* into the ledger of a site, durably; a site without a home has none.

    Raises MachineError or IntegrityError when it cannot: then nothing may follow.
    """
    if home is not None:
        ledger.append(log(home), text, clock)


def about(kind: str, study: Study, **facts: str | int) -> Note:
    """Return a note of *kind* about *study*."""
    return Note(kind, study.digest(), study.study.name, facts)


def once(
    home: Path | None, text: Note, same: Collection[str], clock: Clock
) -> Entry | None:
    """Write *text*; return the entry that stood there already with the *same* facts.

    The aggregator asks again and again until the steward decides; once is enough.
    """
    if home is None:
        return None

    def what(each: Note | Entry) -> tuple[object, ...]:
        return each.kind, each.digest, *(each.facts.get(name) for name in same)

    with ledger.writing(log(home)) as open_:
        for entry in reversed(open_.entries):
            if what(entry) == what(text):
                return entry
        open_.append(text, clock)
    return None


def request(home: Path | None, study: Study, run: str, clock: Clock) -> None:
    """Put a study into the inbox, and the first run that asked into the ledger."""
    if home is not None:
        keep(inbox(home), study)
        facts = {"contact": study.study.contact, "run": run}
        once(home, about("requested", study, **facts), (), clock)


def keep(folder: Path, study: Study) -> None:
    """Store *study* in *folder* under its digest; whole or not at all.

    Raises Refusal when the folder is full.
    """
    ledger.private_folder(folder.parent)
    ledger.private_folder(folder)
    path = folder / f"{study.digest()}.json"
    if path.exists():
        return
    if sum(1 for _ in folder.iterdir()) >= MOST:
        raise Refusal(
            f"{folder} holds {MOST} studies already",
            likely="somebody asks for studies without end",
            fix="remove those that nobody wants; the ledger still knows them",
        )
    try:
        private_files.replace(path, study.canonical())
        private_files.sync_folder(folder.parent)
    except OSError as fault:
        raise ledger.unusable(path, fault) from None


def stored(folder: Path) -> tuple[Study, ...]:
    """Return every study in *folder*, by digest."""
    return tuple(_read(path) for path in sorted(folder.glob("*.json")))


def find(folder: Path, digest: str) -> Study | None:
    """Return the study in *folder* with this *digest*, if it is there."""
    path = folder / f"{digest}.json"
    return _read(path) if path.exists() else None


def _read(path: Path) -> Study:
    try:
        study = Study.model_validate_json(path.read_bytes())
    except OSError as fault:
        raise ledger.unusable(path, fault) from None
    except ValueError:
        raise _changed(path) from None
    if study.digest() != path.stem:
        raise _changed(path)
    return study


def _changed(path: Path) -> IntegrityError:
    return IntegrityError(
        f"{path.name[:12]}… in the {path.parent.name} is not the study of that digest",
        where=str(path),
        likely="the file was changed, or another version of Consilium wrote it",
        fix="remove it, and let the consortium send the study again",
    )
