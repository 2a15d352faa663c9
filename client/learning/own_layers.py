"""The personal layers of a network at this site: what each round made of them.

    personal/<digest>.personal      blocks of AES-256-GCM (client/books/at_rest.py)

Nothing of them ever leaves. A round begins where the one before ended, and is answered
the same when it is asked again: so both ends of the last round are kept, on the disk
before its answer leaves. When the study closes the last end stays: without it the
common model predicts nothing here. It goes when the steward denies or revokes the
study, or when the study ends untested.
"""

import io
import json
import zipfile
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from client.books import at_rest
from client.books.memory import Turn, turn_of
from client.site import Site
from common import personal
from common.errors import IntegrityError, UsageError
from common.learned.model_file import Learned
from common.release import Array
from common.study import Study
from common.task import State, Task, fingerprint
from common.trust import private_files

CONTEXT: Final = "consilium/personal/1"
ENDING: Final = ".personal"


@dataclass(frozen=True, slots=True, repr=False)
class Kept:
    """The layers before and after the last round that trained.

    ``model`` is the hash of the common parameters with which they were tested last.
    """

    turn: Turn
    before: Array
    after: Array
    model: str = ""


@dataclass(frozen=True, slots=True)
class Owner:
    """A site in a study, and what it holds of its own in memory, by run."""

    site: Site
    study: Study
    held: dict[str, Kept]


def begin(owner: Owner, turn: Turn, state: State) -> Array | None:
    """Return the layers with which *turn* begins; None where none are personal.

    Those of *state*, the public first draw, where this run has not trained any here.
    """
    if personal.places(owner.study, state.arrays) is None:
        return None
    kept = _kept(owner, turn.place.run)
    if kept is None:
        return personal.taken(owner.study, state.arrays)
    return kept.before if kept.turn == turn else kept.after


def keep(
    owner: Owner, turn: Turn, task: Task, state: State, reached: Array | None
) -> None:
    """Make durable what *turn* made of the layers, or that it tested them."""
    before, run = begin(owner, turn, state), turn.place.run
    if before is None or reached is None:
        return
    kept = Kept(turn, before, reached)
    if task.both is None:
        model = fingerprint({personal.WHERE: state.arrays[personal.WHERE]})
        last = _kept(owner, run) or kept
        kept = replace(last, model=model)
        if last.model == model:
            return
    _store(owner, run, kept)


def close(owner: Owner, run: str) -> None:
    """Keep of a *run* that is over the last layers alone, or nothing if untested."""
    kept = _kept(owner, run)
    if kept is None:
        return
    if kept.model:
        _store(owner, run, replace(kept, before=kept.after[:0]))
    elif owner.site.home:
        _path(owner.site.home, owner.study.digest()).unlink(missing_ok=True)


def sweep(home: Path | None, digests: Collection[str]) -> None:
    """Remove the layers of the studies of *digests*."""
    if home is not None:
        for digest in digests:
            _path(home, digest).unlink(missing_ok=True)


def applied(site: Site, learned: Learned) -> Learned:
    """Return *learned* with this site's own layers in it, where it has personal ones.

    Raises UsageError where this site has none, IntegrityError where they belong to
    another run's model.
    """
    study, words = learned.study, personal.named(learned.study)
    if not words or personal.places(study, learned.arrays) is None:
        return learned
    kept = _read(site, study.digest())
    if kept is None or not kept.model:
        raise UsageError(
            f"each hospital keeps the {words} of this model, and {site.name} has none",
            likely="it took no part in the study, has no home, or revoked the study",
            fix="the model of another study, without `personal`; or take part, with "
            '  home = "state"   in site.toml',
            then=f"consilium client status --site {site.path}",
        )
    if kept.model != fingerprint({personal.WHERE: learned.arrays[personal.WHERE]}):
        raise IntegrityError(
            f"the {words} that {site.name} keeps belong to another model",
            likely="the study ran again here, and this is the model of another run",
            fix="the model.json of the last run; ask the aggregator's operator",
        )
    if np.array_equal(kept.after, personal.taken(study, learned.arrays)):
        raise UsageError(
            f"the {words} of this model learned nothing at {site.name}",
            likely="too few people trained here for a single step",
            fix="the model of another study, without `personal`",
            then=f"consilium client status --site {site.path}",
        )
    arrays = personal.put(study, learned.arrays, kept.after)
    return replace(learned, arrays=arrays)


def _kept(owner: Owner, run: str) -> Kept | None:
    """Return what is held of *run*: in memory, else on the disk."""
    if run not in owner.held:
        found = _read(owner.site, owner.study.digest())
        if found is None or found.turn.place.run != run:
            return None
        owner.held[run] = found
    return owner.held[run]


def _store(owner: Owner, run: str, kept: Kept) -> None:
    owner.held.clear()
    owner.held[run] = kept
    site, digest = owner.site, owner.study.digest()
    if site.home is None:
        return
    path = _path(site.home, digest)
    private_files.make_folder(path.parent)
    about = _about(site, digest)
    sealed = at_rest.sealed(_packed(kept), at_rest.key(site.home), about)
    private_files.write(path, *sealed)
    private_files.sync_folder(site.home)


def _read(site: Site, digest: str) -> Kept | None:
    """Return what is on the disk; raise IntegrityError for what was not written so."""
    if site.home is None or not _path(site.home, digest).exists():
        return None
    path = _path(site.home, digest)
    content = private_files.read(path)
    found = at_rest.opened(content, at_rest.key(site.home), _about(site, digest))
    try:
        return _unpacked(found or b"none")
    except (ValueError, TypeError, KeyError, zipfile.BadZipFile):
        raise IntegrityError(
            "the layers that this site keeps are not what was written",
            where=str(path),
            likely="the disk is failing, or somebody changed the file or table.key",
            fix="remove it; a study under way then trains them anew",
        ) from None


def _path(home: Path, digest: str) -> Path:
    return home / "personal" / f"{digest}{ENDING}"


def _about(site: Site, digest: str) -> str:
    return f"{CONTEXT}:{site.name}:{digest}"


def _packed(kept: Kept) -> bytes:
    """Return both ends as an archive of arrays, and the round as JSON among them."""
    stream, words = io.BytesIO(), {"turn": kept.turn.facts(), "model": kept.model}
    said = np.frombuffer(json.dumps(words).encode(), dtype=np.uint8)
    np.savez(stream, words=said, before=kept.before, after=kept.after)
    return stream.getvalue()


def _unpacked(content: bytes) -> Kept:
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        words: dict[str, Any] = json.loads(archive["words"].tobytes())
        turn = turn_of(words["turn"])
        return Kept(turn, archive["before"], archive["after"], words["model"])
