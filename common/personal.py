"""Layers of a network that each site keeps for itself: where they are, and how put in.

A site puts its own into the state that it was shown, and the formulas are the same as
without: they train and predict with what stands there. In the common model these places
hold the public first draw, which is nobody's.
"""

from collections.abc import Mapping

import numpy as np

from common.errors import StudyError
from common.release import Array
from common.study import Study
from common.task import Flags, model_of

WHERE = "parameters"
"""The array of a state in which they are."""
WORDS = {"head": "last layer", "normalisation": "layers of normalisation"}


def named(study: Study) -> str:
    """Return which layers of *study* are personal, in words; nothing when none are."""
    training = getattr(study.model, "training", None)
    return WORDS[training.personal] if training and training.personal else ""


def told(study: Study) -> str:
    """Return what the common model of *study* lacks, in words; nothing if nothing."""
    words = named(study)
    return words and (
        f"each hospital keeps its own {words}, and here stands the public first draw: "
        "what is expected with it means nothing; predict at a hospital that took part"
    )


def about(study: Study) -> dict[str, str]:
    """Return what a file of the common model in another form says of itself."""
    lacks = told(study)
    said = {"digest": study.digest(), "title": study.study.title}
    return said | ({"lacks": lacks} if lacks else {})


def places(study: Study, arrays: Mapping[str, Array]) -> Flags | None:
    """Return which numbers of *arrays* are a site's own; None when none are there."""
    if WHERE not in arrays or not named(study):
        return None
    return model_of(study).stays(study)


def taken(study: Study, arrays: Mapping[str, Array]) -> Array:
    """Return what stands in *arrays* where a site's own may stand, or nothing."""
    found = places(study, arrays)
    return np.zeros(0) if found is None else arrays[WHERE][found]


def put(
    study: Study, arrays: Mapping[str, Array], own: Array | None
) -> Mapping[str, Array]:
    """Return *arrays* with a site's *own* layers in their places, if it has any."""
    found = places(study, arrays)
    if found is None or own is None:
        return arrays
    whole = arrays[WHERE].copy()
    whole[found] = own
    return {**arrays, WHERE: whole}


def applied(
    study: Study, arrays: Mapping[str, Array], own: Array | None
) -> Mapping[str, Array]:
    """Return :func:`put`; raise StudyError where none *own* personal layers."""
    if own is None and named(study):
        raise StudyError(f"each site has its own {named(study)}: the rest is no model")
    return put(study, arrays, own)


def without(study: Study) -> Study:
    """Return *study* with all layers common: what a site by itself can learn."""
    training = getattr(study.model, "training", None)
    if study.model is None or training is None or not training.personal:
        return study
    common = training.model_copy(update={"personal": None})
    model = study.model.model_copy(update={"training": common})
    return study.model_copy(update={"model": model})
