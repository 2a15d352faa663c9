"""From answers to a total: check each against the question, then add in a fixed order.

Floating-point addition is not associative, so answers are added by site name: the same
answers give the same total to the last bit, whoever answered first. None is kept,
unless the task takes a middle of them all.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from common.errors import IntegrityError
from common.release import Array, Release, Summands, length, unflatten
from common.task import Combine
from common.wire import Answer, Place


def total(
    release: Release,
    place: Place,
    answers: Iterable[Answer],
    combine: Combine | None = None,
) -> Summands:
    """Return the sum of *answers*, which come by site name and are not kept.

    Or what they *combine* to, all of them at hand. Raises IntegrityError for one that
    does not fit, or that came before.
    """
    vectors = _fitting(release, place, answers)
    if combine:
        return combine([unflatten(release, vector) for vector in vectors])
    summed, sites = np.zeros(length(release)), 0
    for vector in vectors:
        summed += vector
        sites += 1
    return unflatten(release, summed, sites)


def _fitting(
    release: Release, place: Place, answers: Iterable[Answer]
) -> Iterator[Array]:
    """Yield the numbers of each answer, once it is known to fit."""
    last = ""
    for answer in answers:
        if answer.site <= last:
            raise IntegrityError(f"{answer.site} answered twice, or out of its order")
        _belongs(release, place, answer)
        last = answer.site
        yield answer.vector


def _belongs(release: Release, place: Place, answer: Answer) -> None:
    if answer.place != place:
        raise IntegrityError(f"{answer.site} answered another question than was asked")
    try:
        unflatten(release, answer.vector)
    except IntegrityError as broken:
        raise IntegrityError(f"{answer.site}: {broken.what}") from None
