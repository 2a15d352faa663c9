"""A learned model as two files that anybody can read: JSON, and arrays as safetensors.

    model.json          the study, who took part, how good it is, and the arrays' hash
    model.safetensors   the arrays, by name

Nothing in them can be executed. In a consortium the aggregator signs model.json; a
simulation does not, and whoever reads its model is told so.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PublicKey as PublicKey,
)
from safetensors import SafetensorError
from safetensors.numpy import load, save

from common import signed
from common.errors import IntegrityError, StudyError
from common.identity import SigningKey
from common.release import Array
from common.signed import Payload
from common.study import Study
from common.task import Model, State, model_of

CONTEXT = "consilium/model/1"
NAME, ARRAYS = "model.json", "model.safetensors"


@dataclass(frozen=True, slots=True)
class Learned:
    """A model, the study that asked for it, and what is known of it."""

    study: Study
    arrays: Mapping[str, Array]
    about: Payload

    @property
    def model(self) -> Model:
        """Return how it predicts."""
        return model_of(self.study)


def of(study: Study, states: Mapping[str, State], about: Payload) -> Learned:
    """Return what *study* learned, by its final *states*."""
    arrays = states[model_of(study).fit.name].arrays
    return Learned(study, {name: arrays[name] for name in sorted(arrays)}, about)


def write(learned: Learned, folder: Path, key: SigningKey | None = None) -> Path:
    """Write both files into *folder*, signed by *key* if any; return the JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    packed = save({name: np.ascontiguousarray(a) for name, a in learned.arrays.items()})
    payload = {
        **learned.about,
        "study": json.loads(learned.study.canonical()),
        "digest": learned.study.digest(),
        "arrays": hashlib.sha256(packed).hexdigest(),
    }
    plain: Payload = {"context": CONTEXT, "payload": payload, "signature": ""}
    sealed = signed.sign(payload, key, CONTEXT) if key else rfc8785.dumps(plain)
    (folder / ARRAYS).write_bytes(packed)
    (folder / NAME).write_bytes(sealed)
    return folder / NAME


def read(path: Path, key: PublicKey | None = None) -> Learned:
    """Return the model of the JSON at *path*; with a *key* it must be signed by it.

    Raises StudyError when there is none, IntegrityError when it is not what it was, and
    IdentityError when somebody else signed it.
    """
    sealed = _bytes(path)
    known = signed.verify(sealed, key, CONTEXT) if key else None
    payload = known or signed.unverified(sealed, CONTEXT)
    study = Study.model_validate(payload.pop("study"))
    if study.digest() != payload.pop("digest"):
        raise IntegrityError(f"{path} holds another study than it says")
    packed = _bytes(path.with_name(ARRAYS))
    if hashlib.sha256(packed).hexdigest() != payload.pop("arrays"):
        raise IntegrityError(f"{path.with_name(ARRAYS)} is not what {path.name} seals")
    learned = Learned(study, _unpacked(path, packed), payload)
    _whole(learned, path)
    return learned


def is_signed(path: Path) -> bool:
    """Tell whether the model at *path* carries a signature, whoever made it."""
    return bool(json.loads(_bytes(path)).get("signature"))


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as absent:
        raise StudyError(
            f"{path} cannot be read ({type(absent).__name__})",
            likely=f"{NAME} and {ARRAYS} stand side by side where a study reported",
            fix="give the path of a model.json",
        ) from None


def _unpacked(path: Path, packed: bytes) -> dict[str, Array]:
    try:
        return {name: array.copy() for name, array in load(packed).items()}
    except SafetensorError:
        raise IntegrityError(f"{path.with_name(ARRAYS)} is damaged") from None


def _whole(learned: Learned, path: Path) -> None:
    """Raise IntegrityError unless every array is there that a prediction needs."""
    for name, shape in learned.model.carries(learned.study).items():
        array = learned.arrays.get(name)
        if array is None or array.shape != shape or not np.isfinite(array).all():
            raise IntegrityError(f"the array {name} of {path} is not as declared")
