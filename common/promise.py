"""How much noise a private study has in its totals, which its formulas may know.

A deviation is "whole" when one site's own release would keep the promise with it. With
noise ``"site"`` every site adds the whole. With ``"shared"`` the quorum without its
colluders makes up one whole together, each with the same part of the variance.
"""

import math

from common.errors import StudyError
from common.privacy import mu_of
from common.study import Privacy, Study


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
    return study.rounds.quorum - kept.colluders if kept.noise == "shared" else 1


def at_a_site(study: Study, deviation: float) -> float:
    """Return what one site adds where the whole would be *deviation*."""
    return deviation / math.sqrt(parts(study))


def in_total(study: Study, deviation: float) -> float:
    """Return what a total over all invited sites has, and over fewer at most."""
    return at_a_site(study, deviation) * math.sqrt(len(study.study.sites))
