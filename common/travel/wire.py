"""The three messages of a study, to and from Flower's records: nothing else travels.

    Opening   server -> site   the whole study, for the site to admit or refuse
    Ask       server -> site   one round: which task, which round, the state
    Answer    site -> server   that round's summands, as one vector in declared order

Each names the protocol, the study's digest, the run, the task, the round, its number
in the run, the hash of the state and that of the roster, so that an answer to one
question is never taken for that to another. common/travel/seal.py signs all of it.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, RecordDict
from numpy.typing import NDArray
from pydantic import ValidationError

from common.errors import IntegrityError
from common.release import Array
from common.study import Study
from common.task import State, fingerprint
from common.travel import content, packed_arrays

PROTOCOL = 1
OPEN, ROUND, CLOSE = "query.open", "query.round", "query.close"
REFUSED = 1
"""The error code of every refusal: the server learns that, not why."""
DIGITS = 10
RUN = 64
"""Letters that a run's name may have."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a message belongs: in which study and run, and at which round of them.

    ``state`` is the hash of what the sites are shown in that round, ``roster`` that of
    who takes part, and ``sequence`` counts the rounds of the whole run from 1.
    """

    digest: str
    run: str
    task: str = ""
    round: int = 0
    state: str = ""
    roster: str = ""
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class Ask:
    """The server's question of one round, to every site of the run's roster."""

    place: Place
    state: State
    sites: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """One site's answer: its summands in declared order, and its ledger's head.

    Of a masked study the vector is what its mask made of them, as whole numbers. A site
    without a ledger, in a simulation, has no head.
    """

    place: Place
    site: str
    vector: NDArray[Any]
    head: str = ""


def roster(sites: Iterable[str]) -> str:
    """Return the hash of who takes part."""
    return hashlib.sha256(json.dumps(sorted(sites)).encode()).hexdigest()


def opening(study: Study, run: str, members: str = "") -> RecordDict:
    """Return the message that shows *study* to a site, for the run called *run*.

    *members* is the consortium's roster, signed, where there is a consortium.
    """
    words = {"run": run, "study": study.canonical().decode(), "members": members}
    return RecordDict({"about": ConfigRecord({"protocol": PROTOCOL, **words})})


def read_members(record: RecordDict) -> str:
    """Return the consortium's roster that an opening brings, signed, or nothing."""
    return _words(record, "members")[0]


def read_opening(record: RecordDict) -> tuple[Study, str]:
    """Return (study, run) of an opening; raise IntegrityError when it is none."""
    text, run = _words(record, "study", "run")
    if len(run) > RUN:
        raise IntegrityError(f"a run's name is longer than {RUN} letters")
    try:
        study = Study.model_validate_json(text)
    except ValidationError:
        raise IntegrityError("an opening holds no valid study") from None
    return study, run


def closing(digest: str, run: str) -> RecordDict:
    """Return the message that ends a study at a site."""
    return _record(Place(digest, run), {}, {})


def ready(place: Place, site: str) -> RecordDict:
    """Return a site's word that it admitted the study: its name and nothing more."""
    return _record(place, {"site": site}, {})


def read_ready(record: RecordDict) -> tuple[Place, str]:
    """Return (place, site) of a site's word that it is ready."""
    return read_place(record), _words(record, "site")[0]


def ask(question: Ask) -> RecordDict:
    """Return a question as a Flower record."""
    sites = {"sites": json.dumps(question.sites)}
    return _record(question.place, sites, question.state.arrays)


def read_ask(record: RecordDict) -> Ask:
    """Return the question in a Flower record; raise IntegrityError for a torn one."""
    place, arrays = read_place(record), _arrays(record)
    if fingerprint(arrays) != place.state:
        raise IntegrityError(f"the state of round {place.round} is not what it says")
    return Ask(place, State(arrays), read_among(record, place))


def asking(place: Place, sites: Iterable[str]) -> RecordDict:
    """Return a question that shows no state, to the sites of a masked round."""
    return _record(place, {"sites": json.dumps(tuple(sites))}, {})


def read_among(record: RecordDict, place: Place) -> tuple[str, ...]:
    """Return of which sites a question is asked; IntegrityError if not of *place*."""
    sites = read_sites(record)
    if roster(sites) != place.roster:
        raise IntegrityError(f"the roster of round {place.round} is not what it says")
    return sites


def read_sites(record: RecordDict) -> tuple[str, ...]:
    """Return of which sites a round is asked, as the message says."""
    return _names(_words(record, "sites")[0])


def answer(reply: Answer) -> RecordDict:
    """Return an answer as a Flower record."""
    words = {"site": reply.site, "head": reply.head}
    return _record(reply.place, words, {"vector": reply.vector})


def read_answer(record: RecordDict) -> Answer:
    """Return the answer in a Flower record."""
    arrays = _arrays(record)
    if set(arrays) != {"vector"}:
        raise IntegrityError("an answer holds other arrays than its one vector")
    site, head = _words(record, "site", "head")
    return Answer(read_place(record), site, arrays["vector"], head)


def read_place(record: RecordDict) -> Place:
    """Return where a message belongs."""
    words = _words(record, "digest", "run", "task", "state", "roster")
    digest, run, task, state, roster_ = words
    if len(run) > RUN:
        raise IntegrityError(f"a run's name is longer than {RUN} letters")
    number, sequence = (_number(each) for each in _words(record, "round", "sequence"))
    return Place(digest, run, task, number, state, roster_, sequence)


def size(record: RecordDict) -> int:
    """Return how many bytes of content a message carries."""
    parts = [each for each in record.values() if isinstance(each, ArrayRecord)]
    arrays = sum(len(each.data) for part in parts for each in part.values())
    words = [each for each in record.values() if isinstance(each, ConfigRecord)]
    return arrays + sum(len(str(value)) for each in words for value in each.values())


def _record(
    place: Place,
    words: Mapping[str, str],
    arrays: Mapping[str, NDArray[Any]],
) -> RecordDict:
    about = ConfigRecord(
        {
            "protocol": PROTOCOL,
            "digest": place.digest,
            "run": place.run,
            "task": place.task,
            "round": place.round,
            "state": place.state,
            "roster": place.roster,
            "sequence": place.sequence,
            **words,
        }
    )
    packed = {name: packed_arrays.packed(array) for name, array in arrays.items()}
    return RecordDict({"about": about, "arrays": packed_arrays.record(packed)})


def _words(record: RecordDict, *names: str) -> list[str]:
    """Return what a message says under *names*."""
    about = dict(content.words(record, "about").items())
    if about.get("protocol") != PROTOCOL:
        raise IntegrityError(f"a message is not of protocol {PROTOCOL}")
    missing = [name for name in names if name not in about]
    if missing:
        raise IntegrityError(f"a message lacks its {missing[0]}")
    return [str(about[name]) for name in names]


def _number(word: str) -> int:
    if not (word.isascii() and word.isdecimal() and len(word) < DIGITS):
        raise IntegrityError("a message names a round that is no number")
    return int(word)


def _names(text: str) -> tuple[str, ...]:
    """Return a list of names; raise IntegrityError when it is none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise IntegrityError("a message names its sites in no list")
    return tuple(found)


def _arrays(record: RecordDict) -> dict[str, Array]:
    """Return the arrays of a message: nothing in them is run, unpacked or believed."""
    packed = content.arrays(record)
    try:
        return {name: packed_arrays.read(each) for name, each in packed.items()}
    except Exception:  # noqa: BLE001 - numpy's reader compiles a head that others wrote
        raise IntegrityError("a message holds arrays that cannot be read") from None
