"""The studies that an aggregator was given: a folder each, and how far they are.

    study.json      the study, as it was submitted
    progress.json   what is being done, for whom it waits and since when
    journal/        every round, durable
    begin           the operator's word: begin with those that are there
    stop            the operator's word: end it

The folder is named by the study's name and the start of its digest.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from common import private_files, wire
from common.errors import UsageError
from common.study import Study
from server import journal, rounds
from server.line import Tell
from server.rounds import Outcome

HEX = 12
Phase = Literal["submitted", "running", "finished", "failed", "stopped"]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a study is: its phase, what is done, who is waited for, since when."""

    phase: Phase
    doing: str = ""
    waiting: tuple[str, ...] = ()
    since: str = ""
    error: dict[str, str | int] | None = None


@dataclass(frozen=True, slots=True)
class Submitted:
    """One study in its folder."""

    folder: Path
    study: Study

    @property
    def name(self) -> str:
        """The study's name."""
        return self.study.study.name

    @property
    def journal(self) -> Path:
        """Where its rounds are kept."""
        return self.folder / "journal"


def submit(aggregator: Path, study: Study) -> Submitted:
    """Lay *study* down for the aggregator in its folder; once, however often asked."""
    place = aggregator / "studies" / f"{study.study.name}-{study.digest()[:HEX]}"
    given = Submitted(place, study)
    if not (place / "study.json").exists():
        private_files.make_folder(place)
        note(given, Progress("submitted", since=_now()))
        private_files.write(place / "study.json", study.canonical())
    return given


def listed(aggregator: Path) -> tuple[Submitted, ...]:
    """Return every study that was submitted, by folder."""
    return tuple(
        Submitted(path.parent, Study.model_validate_json(private_files.read(path)))
        for path in sorted((aggregator / "studies").glob("*/study.json"))
    )


def progress(given: Submitted) -> Progress:
    """Return how far a study is."""
    facts = json.loads(private_files.read(given.folder / "progress.json"))
    return Progress(**{**facts, "waiting": tuple(facts["waiting"])})


def note(given: Submitted, now: Progress) -> None:
    """Write down how far a study is."""
    content = json.dumps(asdict(now), indent=2).encode()
    private_files.write(given.folder / "progress.json", content)


def tells(given: Submitted) -> Tell:
    """Return what a run calls to say what it does, and for whom it waits."""

    def tell(doing: str, waiting: tuple[str, ...]) -> None:
        note(given, Progress("running", doing, waiting, _now()))

    return tell


def waits(given: Submitted) -> Callable[[], bool]:
    """Return whether a study still waits for sites that have not opened it.

    It does until every site has, its operator says begin, or it has expired.
    """
    begin, expires = given.folder / "begin", given.study.study.expires
    return lambda: not begin.exists() and datetime.now(UTC).date() <= expires


def outcome(given: Submitted) -> Outcome:
    """Return what a finished study came to; raise UsageError for another."""
    digest = given.study.digest()
    with journal.held(given.journal, digest, wire.PROTOCOL) as book:
        if not book.closed:
            raise UsageError(
                f"{given.name} has not finished: {book.words()}",
                then="consilium server status --dir DIR",
            )
        return rounds.outcome_of(book)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
