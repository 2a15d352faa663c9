"""On what terms sites take part: rounds, quorum, masks, and the promise to a person."""

from typing import Annotated, Final, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from common.schema import Document
from common.written.slips import noted

FEWEST, MOST = 3, 50
"""Sites that can mask. Of two, each would learn the other's part of the sum."""
UNTOLD = 1e-5
"""The largest delta of a study that does not say how many people it expects."""
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


class Privacy(Document):
    """What a person risks by being in the study: nothing has a default that matters.

    Protected are all records of one person at one site: whether they are there at all.
    With noise ``"site"`` each site's own releases keep (epsilon, delta); with
    ``"shared"`` only the sum over the honest sites does, ``colluders`` of the quorum
    being not honest. ``expected_people`` is about how many will train at all sites
    together, from what is publicly known: it sets how many steps are worth taking.
    """

    epsilon: float = Field(gt=0.0, le=100.0)
    delta: float = Field(gt=0.0, le=1e-3)
    noise: Literal["site", "shared"]
    colluders: int = Field(default=0, ge=0)
    expected_people: int | None = Field(default=None, ge=1, le=10**9)

    @model_validator(mode="after")
    def _rarer_than_a_person(self) -> Self:
        most = 1 / self.expected_people if self.expected_people else UNTOLD
        if self.delta > most:
            known = self.expected_people or "an untold number of"
            msg = f"a delta of {self.delta:g} gives away one of {known} people"
            raise noted("delta", msg, f"delta = {most:.1g}")
        return self


def _form(value: object) -> str:
    """Return how privacy is written: in a word or in a table."""
    return "word" if isinstance(value, str) else "table"


Kept = Annotated[
    Annotated[Literal["none"], Tag("word")] | Annotated[Privacy, Tag("table")],
    Discriminator(_form),
]
"""A promise of privacy, or the word that there is none."""


def threshold(sites: int) -> int:
    """Return how many of *sites* must survive, share and open: t with 2t > n + n/3.

    Bonawitz et al. 2017, section 6.2: against an aggregator that cheats.
    """
    return max(FEWEST, 2 * sites // 3 + 1)


def check(rounds: Rounds, invited: int) -> None:
    """Raise ValueError for masks that so many *invited* sites cannot make."""
    if not masked(rounds, invited):
        if rounds.dropouts:
            told = "only a masked sum can do without a site"
            raise noted("rounds.dropouts", told, "dropouts = 0")
        return
    if not FEWEST <= invited <= MOST:
        told = f"{FEWEST} to {MOST} sites can mask, and {invited} are invited"
        raise noted("rounds.secure_aggregation", told, MASKED)
    fewest = needed(rounds, invited)
    spare = fewest - threshold(fewest)
    if rounds.dropouts > spare:
        told = f"of {fewest} sites {threshold(fewest)} must survive: {spare} dropouts"
        raise noted("rounds.dropouts", f"{told} at most", f"dropouts = {max(spare, 0)}")


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
            told = 'colluders change nothing with noise = "site"'
            raise noted("privacy.colluders", told, "colluders = 0")
        return
    if not masked(rounds, invited):
        told = "needs masked sums, of three sites and more"
        raise noted("privacy.noise", f'noise = "shared" {told}', 'noise = "site"')
    fewest = needed(rounds, invited)
    most = min(2 * threshold(n) - n - 1 for n in range(fewest, invited + 1))
    if colluders > most:
        told = f"masks hold against {most} colluders of so many sites"
        raise noted("privacy.colluders", told, f"colluders = {most}")
