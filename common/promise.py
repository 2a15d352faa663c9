"""How much noise a private study has in its totals, which its formulas may know.

A deviation is "whole" when one site's own release would keep the promise with it. With
noise ``"site"`` every site adds the whole. With ``"shared"`` the quorum without its
colluders makes up one whole together, each with the same part of the variance.
"""

import math
from typing import Final

from common.errors import StudyError
from common.privacy import mu_of
from common.sections.terms import Privacy
from common.study import Study

GRID: Final = 32
"""A step of the grid is the deviation's power of two, divided by 2 so many times."""


def of(study: Study) -> Privacy:
    """Return what *study* promises; raise StudyError when it promises nothing."""
    if study.privacy == "none":
        raise StudyError(f"study {study.study.name} promises no privacy")
    return study.privacy


def whole(study: Study, clip: float, share: float) -> float:
    """Return the deviation by which a sum of people's parts costs *share* of mu^2."""
    kept = of(study)
    return clip / (mu_of(kept.epsilon, kept.delta) * math.sqrt(share))


def parts(study: Study) -> int:
    """Return how many sites make up one whole of the noise together."""
    kept = of(study)
    if kept.noise == "site":
        return 1
    return study.needed - study.rounds.dropouts - kept.colluders


def at_a_site(study: Study, deviation: float) -> float:
    """Return what one site adds where the whole would be *deviation*."""
    return deviation / math.sqrt(parts(study))


def in_total(study: Study, deviation: float) -> float:
    """Return what a total over all invited sites has, and over fewer at most."""
    return at_a_site(study, deviation) * math.sqrt(len(study.study.sites))


def of_share(study: Study, clip: float, share: float) -> float:
    """Return the deviation in a total of sums that cost *share* of mu^2 at a site."""
    return in_total(study, whole(study, clip, share))


def grid(deviation: float) -> int:
    """Return how often 1 is halved to a step of the grid: the same at every site.

    Sums and noise are whole steps of it (client/learning/noise.py).
    """
    return GRID + 1 - math.frexp(deviation)[1]
