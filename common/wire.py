"""The three messages of a study, to and from Flower's records: nothing else travels.

    Opening   server -> site   the whole study, for the site to admit or refuse
    Ask       server -> site   one round: which task, which round, the state
    Answer    site -> server   that round's summands, as one vector in declared order

Each names the protocol, the study's digest, the task and the round, so that an answer
to one question is never taken for the answer to another.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from flwr.app import Array as FlowerArray
from flwr.app import ArrayRecord, ConfigRecord, RecordDict

from common.errors import IntegrityError
from common.release import Array
from common.study import Study
from common.task import State

PROTOCOL = 1
OPEN, ROUND, CLOSE = "query.open", "query.round", "query.close"


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a study a message belongs."""

    digest: str
    task: str
    round: int


@dataclass(frozen=True, slots=True)
class Ask:
    """The server's question of one round."""

    place: Place
    state: State


@dataclass(frozen=True, slots=True)
class Answer:
    """One site's answer: its summands in declared order."""

    place: Place
    site: str
    vector: Array


def opening(study: Study) -> RecordDict:
    """Return the message that shows *study* to a site."""
    text = study.canonical().decode()
    return RecordDict({"about": ConfigRecord({"protocol": PROTOCOL, "study": text})})


def read_opening(record: RecordDict) -> Study:
    """Return the study of an opening; raise IntegrityError when it is none."""
    return Study.model_validate_json(str(_about(record)["study"]))


def closing(digest: str) -> RecordDict:
    """Return the message that ends a study at a site."""
    return _record(Place(digest, "", 0), {}, {})


def ready(digest: str, site: str) -> RecordDict:
    """Return a site's word that it admitted the study: its name and nothing more."""
    return _record(Place(digest, "", 0), {"site": site}, {})


def read_ready(record: RecordDict) -> tuple[str, str]:
    """Return (digest, site) of a site's word that it is ready."""
    return read_place(record).digest, str(_about(record)["site"])


def ask(question: Ask) -> RecordDict:
    """Return a question as a Flower record."""
    return _record(question.place, {}, question.state.arrays)


def read_ask(record: RecordDict) -> Ask:
    """Return the question in a Flower record."""
    return Ask(read_place(record), State(_arrays(record)))


def answer(reply: Answer) -> RecordDict:
    """Return an answer as a Flower record."""
    return _record(reply.place, {"site": reply.site}, {"vector": reply.vector})


def read_answer(record: RecordDict) -> Answer:
    """Return the answer in a Flower record."""
    vector = _arrays(record)["vector"]
    return Answer(read_place(record), str(_about(record)["site"]), vector)


def read_place(record: RecordDict) -> Place:
    """Return where in a study a message belongs."""
    about = _about(record)
    return Place(str(about["digest"]), str(about["task"]), int(str(about["round"])))


def size(record: RecordDict) -> int:
    """Return how many bytes of content a message carries."""
    arrays = sum(len(each.data) for part in _parts(record) for each in part.values())
    words = record.config_records.values()
    return arrays + sum(len(str(value)) for each in words for value in each.values())


def _record(
    place: Place, words: Mapping[str, str], arrays: Mapping[str, Array]
) -> RecordDict:
    about = ConfigRecord(
        {
            "protocol": PROTOCOL,
            "digest": place.digest,
            "task": place.task,
            "round": place.round,
            **words,
        }
    )
    packed = {name: FlowerArray(array) for name, array in arrays.items()}
    return RecordDict({"about": about, "arrays": ArrayRecord(packed)})


def _about(record: RecordDict) -> ConfigRecord:
    about = record.config_records.get("about")
    if about is None or about.get("protocol") != PROTOCOL:
        raise IntegrityError(f"a message is not of protocol {PROTOCOL}")
    return about


def _parts(record: RecordDict) -> list[ArrayRecord]:
    return list(record.array_records.values())


def _arrays(record: RecordDict) -> dict[str, Array]:
    packed = record.array_records["arrays"]
    return {name: np.asarray(each.numpy()) for name, each in packed.items()}
