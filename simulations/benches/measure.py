"""One measured thing, and how two things are timed so that their ratio means something.

Absolute seconds depend on the machine and its load; a ratio of two things measured in
turn depends much less.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """One measured thing: its figure in words, and the goal it has to meet."""

    what: str
    figure: str
    goal: str
    met: bool


def at_most(what: str, figure: str, value: float, goal: float) -> Line:
    """Return the line of a *value* that may be *goal* at most."""
    return Line(what, figure, f"{goal:g}", value <= goal)


def in_turn(
    one: Callable[[], object], other: Callable[[], object], repeats: int
) -> tuple[float, float]:
    """Return the median seconds of each, measured A B A B … after one warm-up."""
    one()
    other()
    pairs = [(_seconds(one), _seconds(other)) for _ in range(repeats)]
    first, second = zip(*pairs, strict=True)
    return statistics.median(first), statistics.median(second)


def _seconds(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun
