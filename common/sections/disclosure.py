"""How few people a number may stand for: what a study says in ``[disclosure]``."""

from pydantic import Field

from common.schema import Document

PER_COLUMN = 3
"""Records for each column, as DataSHIELD's nfilter.glm has it: a third at most."""


class Disclosure(Document):
    """How few people a sum may stand for; a site may ask for more, never for fewer.

    ``min_cell`` is for what is told of all sites together: a count of fewer records is
    withheld, and so is an extreme of fewer. It is ``min_people`` unless it is said.
    With fewer sites than ``min_sites`` one of them could compute another's exact sum.
    Fewer than ``min_outside``, left out by the cohort at a site, could be computed too.
    """

    min_people: int = Field(default=10, ge=1, le=10**9)
    min_cell: int | None = Field(default=None, ge=1, le=10**9)
    min_sites: int = Field(default=3, ge=1, le=10_000)
    min_outside: int | None = Field(default=None, ge=0, le=10**9)

    @property
    def cell(self) -> int:
        """The fewest records that a count, or a group in a result, may stand for."""
        return self.min_cell or self.min_people
