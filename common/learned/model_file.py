"""A learned model as two files that anybody can read: JSON, and arrays as safetensors.

    model.json          the study, who took part, how good it is, and the arrays' hash
    model.safetensors   the arrays, by name

A study of a treatment's effect has treatments.json and its arrays, in the same form.
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

from common.arithmetic import calibration
from common.errors import IntegrityError, StudyError
from common.release import Array
from common.study import Study
from common.task import Model, State, model_of
from common.tasks.evaluation import evaluate
from common.tasks.linear import curvature
from common.tasks.treatment import treatments
from common.tasks.treatment.treatments import TREATMENTS
from common.trust import signed
from common.trust.identity import SigningKey
from common.trust.signed import Payload

CONTEXT = "consilium/model/1"
ENDING = ".safetensors"
MODEL, TREATED = "model", "treatments"
NAME, ARRAYS = f"{MODEL}.json", f"{MODEL}{ENDING}"


@dataclass(frozen=True, slots=True)
class Learned:
    """A model, the study that asked for it, and what is known of it.

    ``part`` says which model of the study: the one it names, or those of treatment.
    """

    study: Study
    arrays: Mapping[str, Array]
    about: Payload
    part: str = MODEL

    @property
    def model(self) -> Model:
        """Return how it predicts."""
        return TREATMENTS if self.part == TREATED else model_of(self.study)


def of(study: Study, states: Mapping[str, State], about: Payload) -> Learned:
    """Return what *study* learned, by its final *states*.

    Where its evaluation released exact sums, ``about`` says how far its chances hold.
    Errors of weights that would tell of few are left out
    (common/tasks/linear/curvature.py).
    """
    arrays = states[model_of(study).fit.name].arrays
    tested = states["evaluate"].arrays if "evaluate" in states else {}
    exact = study.outcome.kind == "binary" and "said" in tested
    told = exact and not evaluate.withheld(study, tested)
    line = calibration.fitted(tested, study.disclosure.cell) if told else None
    known = about if line is None else {**about, "calibration": line}
    if study.privacy == "none":
        kept = curvature.given(study, arrays, states["describe"].arrays)
    else:
        kept = {name: arrays[name] for name in sorted(arrays)}
    return Learned(study, kept, known)


def treated(study: Study, states: Mapping[str, State], about: Payload) -> Learned:
    """Return what *study* learned of outcomes under each treatment."""
    return Learned(study, treatments.arrays(study, states), about, TREATED)


def write(learned: Learned, folder: Path, key: SigningKey | None = None) -> Path:
    """Write both files into *folder*, signed by *key* if any; return the JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    packed = save({name: np.ascontiguousarray(a) for name, a in learned.arrays.items()})
    payload = {
        **learned.about,
        "part": learned.part,
        "study": json.loads(learned.study.canonical()),
        "digest": learned.study.digest(),
        "arrays": hashlib.sha256(packed).hexdigest(),
    }
    plain: Payload = {"context": CONTEXT, "payload": payload, "signature": ""}
    sealed = signed.sign(payload, key, CONTEXT) if key else rfc8785.dumps(plain)
    path = folder / f"{learned.part}.json"
    path.with_suffix(ENDING).write_bytes(packed)
    path.write_bytes(sealed)
    return path


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
    beside, part = path.with_suffix(ENDING), str(payload.pop("part"))
    packed = _bytes(beside)
    if hashlib.sha256(packed).hexdigest() != payload.pop("arrays"):
        raise IntegrityError(f"{beside} is not what {path.name} seals")
    learned = Learned(study, _unpacked(beside, packed), payload, part)
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
        raise IntegrityError(f"{path} is damaged") from None


def _whole(learned: Learned, path: Path) -> None:
    """Raise IntegrityError unless every array is there that a prediction needs."""
    for name, shape in learned.model.carries(learned.study).items():
        array = learned.arrays.get(name)
        if array is None or array.shape != shape or not np.isfinite(array).all():
            raise IntegrityError(f"the array {name} of {path} is not as declared")
