"""How the numbers of a task become whole numbers that masks can hide, from the study.

Nobody has to choose: a limit follows from what a release declares, and the fractional
bits from the limit. Every site and the aggregator compute the same, and a mask is bound
to it.

    a count, a flag      one word, no fractional bits
    a sum                two words, as many bits as fit, 40 if it does not say ``each``
    a large sum          one word, if it says ``each``: 4096 numbers and more
    a sum with noise     one word, in steps of the noise's grid
"""

import math
from typing import Final

from common import costs, plan, promise
from common.errors import IntegrityError, StudyError
from common.masked import fixed_point
from common.masked.fixed_point import Part, Parts
from common.release import Field, length
from common.study import Study
from common.task import Task
from common.written.slips import of_key

RECORDS: Final = 1e7
"""Records that a site's sum stands for, at most."""
COUNT: Final = 2.0**40
"""A count may also be of days or events."""
WIDE, WIDE_BITS = 2.0**60, 40
"""How large a number is that declares nothing, and its fractional bits."""
LARGE = 4096
"""Numbers of an array from which on it is worth its bytes to halve them."""
WORD, MIB = 8, 2**20
LARGEST: Final = 256 * MIB
"""Bytes that a message carries: as many as common/travel/arrivals.py takes."""
REACH: Final = 12
"""Deviations that noise may have: client/learning/noise.py reaches 8.5."""


def parts(study: Study, task: Task) -> Parts:
    """Return how each array of *task* is encoded, in declared order."""
    declared = task.release(study)
    if costs.promise(study):
        limit, bits = _noisy(study, task)
        return tuple(Part(n, f.size, limit, bits) for n, f in declared.items())
    sites = len(study.study.sites)
    return tuple(_exact(name, field, sites) for name, field in declared.items())


def check(study: Study) -> None:
    """Raise StudyError when a sum of *study* could not be masked, or not be sent."""
    for task in plan.tasks(study):
        if study.masked:
            _masked(task, parts(study, task), len(study.study.sites))
        _sent(study, task, _answer(study, task))


def limits(study: Study, task: Task) -> dict[str, float]:
    """Return how large a number of each array of *task* can be at one site.

    A sum that does not declare how far one record moves it has no limit, in clear.
    """
    declared = task.release(study)
    if costs.promise(study):
        limit, _ = _noisy(study, task)
        return dict.fromkeys(declared, limit)
    return {name: _limit(field) for name, field in declared.items()}


def _limit(field: Field) -> float:
    if field.kind != "sum":
        return COUNT if field.kind == "count" else 1.0
    return math.inf if field.each is None else field.each * RECORDS


def largest(study: Study) -> int:
    """Return the bytes of the largest answer that *study* asks of a site."""
    return WORD * max(_answer(study, task) for task in plan.tasks(study))


def _answer(study: Study, task: Task) -> int:
    """Return of how many words an answer to *task* is."""
    if study.masked:
        return fixed_point.length(parts(study, task))
    return length(task.release(study))


def _masked(task: Task, made: Parts, sites: int) -> None:
    try:
        fixed_point.check(made, sites)
    except IntegrityError as wrong:
        raise StudyError(
            f"{task.name} cannot be masked: {wrong.what}",
            likely=wrong.hints["likely"] or "a range that is not finite",
            fix="a narrower range, or more noise; or in [rounds]   "
            "secure_aggregation = false",
        ) from None


def _sent(study: Study, task: Task, answer: int) -> None:
    """Raise StudyError for *answer* words, or a state, that no message carries."""
    shown = sum(math.prod(shape) for shape in task.shows(study).values())
    needed = WORD * max(answer, shown)
    if needed > LARGEST:
        end = StudyError(
            f"{task.name} needs messages of {needed / MIB:,.0f} MiB, and one carries "
            f"{LARGEST / MIB:,.0f}",
            likely="a network with many numbers, most of them in its widest layers",
            fix='narrower layers; of an image network   head = "average"',
        )
        raise of_key("model", end)


def _exact(name: str, field: Field, sites: int) -> Part:
    limit, wide = _limit(field), field.size < LARGE
    if field.kind != "sum":
        return Part(name, field.size, limit, bits=0)
    if field.each is None:
        return Part(name, field.size, WIDE, WIDE_BITS, wide=True)
    bits = fixed_point.bits(limit, sites, wide=wide)
    return Part(name, field.size, limit, bits, wide)


def _noisy(study: Study, task: Task) -> tuple[float, int]:
    """Return limit and bits of sums with noise: their steps are those of the noise."""
    deviation = costs.deviation(study, task)
    most = costs.noisy(task).clip(study) * RECORDS + REACH * deviation
    return most, promise.grid(deviation)
