"""The studies that an aggregator was given: a folder each, by name and digest.

study.json      the study, as it was submitted
progress.json   what is being done, for whom it waits and since when
journal/        every round, durable
answer.json     how large a site's answer may be: see server/gate/allowance.py
begin           the operator's word: begin with those that are there
stop            the operator's word: end it
retry           the operator's word: end it, and begin anew
without.json    the sites that the run of now leaves out
"""

import json
import secrets
import shutil
import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Literal

from common import study as studies
from common.errors import MachineError, UsageError
from common.study import Study
from common.travel import wire
from common.trust import private_files
from server.conduct import journal, rounds, sealed
from server.conduct.line import Tell
from server.conduct.roster import Waits
from server.conduct.rounds import Outcome

HEX = 12
Phase = Literal["submitted", "running", "finished", "failed", "stopped"]
Mark = Literal["begin", "stop", "retry"]
MARKS: tuple[Mark, ...] = ("begin", "stop", "retry")
WITHOUT = "without.json"
OPEN = frozenset({"submitted", "running"})
"""The phases of a study that is not over."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a study is: its phase, what is done, who is waited for, since when.

    ``said`` is the last word of each site that said no.
    """

    phase: Phase
    doing: str = ""
    waiting: tuple[str, ...] = ()
    since: str = ""
    error: dict[str, str | int] | None = None
    said: Mapping[str, str] = field(default_factory=dict)


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
    def aggregator(self) -> Path:
        """The folder of the aggregator that it was given to."""
        return self.folder.parent.parent

    def command(self, name: str) -> str:
        """Return what an operator types to do *name* with this very study."""
        word = self.study.digest()[:HEX]
        return f"consilium server {name} {word} --dir {self.aggregator}"

    @property
    def journal(self) -> Path:
        """Where its rounds are kept."""
        return self.folder / "journal"


def submit(aggregator: Path, study: Study) -> Submitted:
    """Lay *study* down for the aggregator, or take it up again where it ended.

    Raises UsageError for one that has finished.
    """
    place = aggregator / "studies" / f"{study.study.name}-{study.digest()[:HEX]}"
    given = Submitted(place, study)
    if (place / "study.json").exists():
        _again(given)
        return given
    for folder in (place.parent, place):
        private_files.make_folder(folder)
    try:
        note(given, Progress("submitted", since=now()))
        private_files.write(place / "study.json", study.canonical())
    except MachineError:  # nothing of it is to be found
        shutil.rmtree(place, ignore_errors=True)
        raise
    return given


def listed(aggregator: Path) -> tuple[Submitted, ...]:
    """Return every study that was submitted, by folder."""
    found = sorted((aggregator / "studies").glob("*/study.json"))
    return tuple(at(aggregator, path.parent.name) for path in found)


def find(aggregator: Path, word: str) -> Submitted:
    """Return the study that *word* names: a name, the start of a digest, or a file.

    Raises UsageError when it is not clear which one is meant.
    """
    wanted = studies.read(Path(word)).digest() if word.endswith(".toml") else word
    every = listed(aggregator)
    found = [each for each in every if wanted == each.name]
    found = found or [each for each in every if each.study.digest().startswith(wanted)]
    if len(found) == 1:
        return found[0]
    known = ", ".join(each.folder.name for each in found or every) or "none yet"
    raise UsageError(
        f"{len(found) or 'no'} submitted studies are called {word}",
        likely=f"submitted are: {known}",
        fix="name it by the start of its digest, at the end of its folder's name",
        then=f"consilium server status --dir {aggregator}",
    )


def needing(aggregator: Path, site: str) -> tuple[Submitted, ...]:
    """Return the studies that are not over and invite *site*."""
    found = [at(aggregator, name) for name in unfinished(aggregator)]
    return tuple(each for each in found if site in each.study.study.sites)


def at(aggregator: Path, folder: str) -> Submitted:
    """Return the study in the folder of that name."""
    place = aggregator / "studies" / folder
    text = private_files.read(place / "study.json")
    return Submitted(place, Study.model_validate_json(text))


def mark(given: Submitted, word: Mark) -> None:
    """Leave the operator's word for the run of a study."""
    phase = progress(given).phase
    if phase not in OPEN:
        raise UsageError(
            f"{given.name} {_ended(phase)}: there is nothing to {word}",
            then=f"consilium server status --dir {given.aggregator}",
        )
    private_files.write(given.folder / word, now().encode())


def marked(given: Submitted, word: Mark) -> bool:
    """Say whether the operator left *word* for a study."""
    return (given.folder / word).exists()


def _again(given: Submitted) -> None:
    """Let a study that failed go on, and one that was stopped begin anew.

    Sites were told that a stopped run is over, and do not open it again.
    """
    require_open(given)
    phase = progress(given).phase
    if phase == "stopped":
        (given.folder / WITHOUT).unlink(missing_ok=True)
        anew(given)
    elif phase == "failed":
        _from_here(given)


def anew(given: Submitted) -> None:
    """Let a study begin anew, as another run; all but large states is laid aside."""
    if given.journal.exists():
        aside = given.folder / f"journal-stopped-{secrets.token_hex(4)}"
        given.journal.rename(aside)
        sealed.drop(aside, kept=())
    _from_here(given)


def require_open(given: Submitted) -> None:
    """Raise UsageError for a study that has finished: its result is never replaced."""
    if progress(given).phase == "finished":
        raise UsageError(
            f"{given.name} has finished already",
            fix="change the study to run another one: its digest will be another",
            then=given.command("report"),
        )


def _from_here(given: Submitted) -> None:
    for word in MARKS:
        (given.folder / word).unlink(missing_ok=True)
    note(given, Progress("submitted", since=now()))


def progress(given: Submitted) -> Progress:
    """Return how far a study is."""
    return _progress(given.folder)


def unfinished(aggregator: Path) -> tuple[str, ...]:
    """Return the folders of the studies that are not over."""
    found = sorted((aggregator / "studies").glob("*/study.json"))
    folders = [path.parent for path in found]
    return tuple(each.name for each in folders if _progress(each).phase in OPEN)


def _progress(folder: Path) -> Progress:
    facts = json.loads(private_files.read(folder / "progress.json"))
    return Progress(**{**facts, "waiting": tuple(facts["waiting"])})


def note(given: Submitted, so_far: Progress) -> None:
    """Write down how far a study is."""
    content = json.dumps(asdict(so_far), indent=2).encode()
    private_files.write(given.folder / "progress.json", content)


def tells(given: Submitted) -> Tell:
    """Return what a run calls to say what it does, for whom it waits, and why."""

    def tell(doing: str, waiting: tuple[str, ...], said: Mapping[str, str]) -> None:
        before = progress(given)
        after = Progress("running", doing, waiting, now(), said=dict(said))
        if before.doing == doing and set(waiting) <= set(before.waiting):
            after = replace(after, since=before.since)  # they were waited for before
        if after != before:
            note(given, after)

    return tell


def waits(given: Submitted) -> Waits:
    """Return whether a study still waits for sites that have not opened it.

    It does until every site has, until a quorum has and its operator says begin, or
    until it has expired.
    """
    expires, quorum = given.study.study.expires, given.study.needed

    def wait(here: int) -> bool:
        begins = here >= quorum and marked(given, "begin")
        return not begins and datetime.now(UTC).date() <= expires

    return wait


def outcome(given: Submitted) -> Outcome:
    """Return what a finished study came to; raise UsageError for another."""
    phase = progress(given).phase
    if phase != "finished":
        raise UsageError(
            f"{given.name} has not finished: it {_ended(phase)}",
            then=f"consilium server status --dir {given.aggregator}",
        )
    digest = given.study.digest()
    with journal.held(given.journal, digest, wire.PROTOCOL) as book:
        return rounds.outcome_of(book)


@dataclass(frozen=True, slots=True)
class Took:
    """When a run was over, and how many seconds it took, pauses and all.

    ``steady`` is the median between two records; a run of one record has none.
    """

    end: datetime
    seconds: float
    steady: float | None


def took(given: Submitted) -> Took:
    """Return how long a run took, by the times of its records on the disk."""
    times = written(given)
    rounds = [after - before for before, after in pairwise(times)]
    steady = statistics.median(rounds) if rounds else None
    return Took(datetime.fromtimestamp(times[-1], UTC), times[-1] - times[0], steady)


def written(given: Submitted) -> list[float]:
    """Return when each record of a run came on the disk."""
    records = sorted(given.journal.glob(f"*{sealed.ENDING}"))
    return [path.stat().st_mtime for path in records]


def _ended(phase: Phase) -> str:
    words = {"submitted": "is submitted", "running": "runs", "stopped": "was stopped"}
    return words.get(phase, f"has {phase}")


def now() -> str:
    """Return the time as progress and log say it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
