"""From answers to a total: check each against the question, then add in a fixed order.

Floating-point addition is not associative, so answers are added by site name: the same
answers give the same total to the last bit, whoever answered first. None is kept,
unless the task takes a middle of them all.
"""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from common.errors import IntegrityError
from common.release import Array, Release, Summands, length, unflatten
from common.task import Combine
from common.travel.wire import Answer, Place

NONE: Mapping[str, float] = {}


def total(
    release: Release,
    place: Place,
    answers: Iterable[Answer],
    combine: Combine | None = None,
    limits: Mapping[str, float] = NONE,
) -> Summands:
    """Return the sum of *answers*, which come by site name and are not kept.

    Or what they *combine* to, all of them at hand. Raises IntegrityError for one that
    does not fit, that came before, or is of numbers beyond the *limits* of their array.
    """
    vectors = _fitting(release, place, answers, limits)
    if combine:
        return combine([unflatten(release, vector) for vector in vectors])
    summed, sites = np.zeros(length(release)), 0
    for vector in vectors:
        summed += vector
        sites += 1
    return unflatten(release, summed, sites)


def _fitting(
    release: Release,
    place: Place,
    answers: Iterable[Answer],
    limits: Mapping[str, float],
) -> Iterator[Array]:
    """Yield the numbers of each answer, once it is known to fit."""
    last = ""
    for answer in answers:
        if answer.site <= last:
            raise IntegrityError(f"{answer.site} answered twice, or out of its order")
        _belongs(release, place, answer, limits)
        last = answer.site
        yield answer.vector


def _belongs(
    release: Release, place: Place, answer: Answer, limits: Mapping[str, float]
) -> None:
    if answer.place != place:
        raise IntegrityError(f"{answer.site} answered another question than was asked")
    try:
        arrays = unflatten(release, answer.vector)
    except IntegrityError as broken:
        raise IntegrityError(f"{answer.site}: {broken.what}") from None
    for name, limit in limits.items():
        least, most = (f(arrays[name], initial=0.0) for f in (np.min, np.max))
        if max(-least, most) > limit:
            told = f"{answer.site}: {name} holds numbers beyond {limit:g}, its limit"
            raise IntegrityError(told)
