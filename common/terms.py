"""How many rounds and sites a study takes, and whether the sites' sums are masked."""

from typing import Final

from pydantic import Field

from common.schema import Document
from common.toml_file import noted

FEWEST, MOST = 3, 50
"""Sites that can mask. Of two, each would learn the other's part of the sum."""
MASKED: Final = "secure_aggregation = false"


class Rounds(Document):
    """How long the consortium tries: most rounds, fewest sites, seconds a round.

    With ``secure_aggregation`` the aggregator learns the sites' sum and no site's part
    of it: so it is for three invited sites and more, unless the study says otherwise.
    ``dropouts`` sites may then be missing in a round: its sum is of the others.
    """

    maximum: int = Field(default=25, ge=1, le=1000)
    quorum: int = Field(ge=1, le=10_000)
    deadline_seconds: int = Field(default=600, ge=1, le=10_000_000)
    secure_aggregation: bool | None = None
    dropouts: int = Field(default=0, ge=0, le=MOST)


def threshold(sites: int) -> int:
    """Return how many of *sites* must survive, share and open: t with 2t > n + n/3.

    Bonawitz et al. 2017, section 6.2: against an aggregator that cheats.
    """
    return max(FEWEST, 2 * sites // 3 + 1)


def check(rounds: Rounds, invited: int) -> None:
    """Raise ValueError for masks that so many *invited* sites cannot make."""
    if not masked(rounds, invited):
        if rounds.dropouts:
            raise noted("rounds.dropouts", "only a masked sum can do without a site")
        return
    if not FEWEST <= invited <= MOST:
        told = f"{FEWEST} to {MOST} sites can mask, and {invited} are invited"
        raise noted("rounds.secure_aggregation", f"{told}: write {MASKED}")
    fewest = needed(rounds, invited)
    spare = fewest - threshold(fewest)
    if rounds.dropouts > spare:
        told = f"of {fewest} sites {threshold(fewest)} must survive: {spare} dropouts"
        raise noted("rounds.dropouts", f"{told} at most")


def masked(rounds: Rounds, invited: int) -> bool:
    """Say whether sums are masked."""
    wish = rounds.secure_aggregation
    return FEWEST <= invited <= MOST if wish is None else wish


def needed(rounds: Rounds, invited: int) -> int:
    """Return with how many sites a study may run."""
    return max(rounds.quorum, FEWEST) if masked(rounds, invited) else rounds.quorum


def honest(rounds: Rounds, invited: int, noise: str, colluders: int) -> None:
    """Raise ValueError for *noise* that so many *colluders* would undo.

    Masks hold against an aggregator with c < 2t - n sites, however many n take part.
    """
    if noise == "site":
        if colluders:
            raise ValueError('colluders change nothing with noise = "site": none')
        return
    if not masked(rounds, invited):
        told = "needs masked sums, of three sites and more"
        raise ValueError(f'noise = "shared" {told}; or noise = "site"')
    fewest = needed(rounds, invited)
    if colluders >= fewest - rounds.dropouts:
        raise ValueError("a quorum in which all collude keeps nothing: fewer colluders")
    most = min(2 * threshold(n) - n - 1 for n in range(fewest, invited + 1))
    if colluders > most:
        raise ValueError(f"masks hold against {most} colluders of so many sites")
