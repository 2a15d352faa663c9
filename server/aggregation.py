"""From answers to a total: check each against the question, then add in a fixed order.

Floating-point addition is not associative, so answers are added by site name: the same
answers give the same total to the last bit, whoever answered first. None is kept.
"""

from collections.abc import Iterable

import numpy as np

from common.errors import IntegrityError
from common.release import Release, Summands, length, unflatten
from common.wire import Answer, Place


def total(release: Release, place: Place, answers: Iterable[Answer]) -> Summands:
    """Return the sum of *answers*, which come by site name and are not kept.

    Raises IntegrityError for one that does not fit, or that came before.
    """
    summed, last = np.zeros(length(release)), ""
    for answer in answers:
        if answer.site <= last:
            raise IntegrityError(f"{answer.site} answered twice, or out of its order")
        _belongs(release, place, answer)
        summed += answer.vector
        last = answer.site
    return unflatten(release, summed)


def _belongs(release: Release, place: Place, answer: Answer) -> None:
    if answer.place != place:
        raise IntegrityError(f"{answer.site} answered another question than was asked")
    try:
        unflatten(release, answer.vector)
    except IntegrityError as broken:
        raise IntegrityError(f"{answer.site}: {broken.what}") from None
