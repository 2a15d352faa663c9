"""From answers to a total: check each against the question, then add in a fixed order.

Floating-point addition is not associative, so answers are added by site name: the same
answers give the same total to the last bit, whoever answered first.
"""

from collections.abc import Iterable

import numpy as np

from common.errors import IntegrityError
from common.release import Array, Release, Summands, unflatten
from common.wire import Answer, Place


def total(release: Release, place: Place, answers: Iterable[Answer]) -> Summands:
    """Return the sum of *answers*; raise IntegrityError for one that does not fit."""
    ordered = sorted(answers, key=lambda answer: answer.site)
    sites = [answer.site for answer in ordered]
    if twice := sorted({site for site in sites if sites.count(site) > 1}):
        raise IntegrityError(f"{', '.join(twice)} answered twice")
    for answer in ordered:
        _belongs(release, place, answer)
    summed: Array = np.sum([answer.vector for answer in ordered], axis=0)
    return unflatten(release, summed)


def _belongs(release: Release, place: Place, answer: Answer) -> None:
    if answer.place != place:
        raise IntegrityError(f"{answer.site} answered another question than was asked")
    try:
        unflatten(release, answer.vector)
    except IntegrityError as broken:
        raise IntegrityError(f"{answer.site}: {broken.what}") from None
