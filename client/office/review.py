"""The steward's dry run: what was mapped, converted, dropped, and what would leave."""

from dataclasses import asdict, dataclass, replace
from datetime import date

from client import site as sites
from client.door.egress import few_left_out, few_outside, short
from client.site import Site
from client.table import Count, Table
from client.tables import integration
from common import plan
from common.errors import MachineError, Refusal
from common.study import Study
from common.told import manifest

INDENT = " " * 22


@dataclass(frozen=True, slots=True)
class Review:
    """What a study would do at one site."""

    site: Site
    study: Study
    table: Table
    approved: bool
    lacking: MachineError | None = None

    def facts(self) -> dict[str, object]:
        """Return the review as plain data: counts only."""
        return {
            "ok": True,
            "site": self.site.name,
            "study": self.study.study.name,
            "digest": self.study.digest(),
            "approved": self.approved,
            "records": len(self.table.outcome),
            "people": dict(self.table.people),
            "floor": sites.floor(self.site, self.study),
            "enough": self.enough,
            "lacking": self.lacking and self.lacking.what,
            "cleaning": [asdict(count) for count in self.table.report],
            "leaves": [line.facts() for line in manifest.lines(self.study)],
        }

    @property
    def enough(self) -> bool:
        """Whether enough people train, test where there is a test, or are left out."""
        site, study, table = self.site, self.study, self.table
        few = any(short(site, study, table, task) for task in plan.tasks(study))
        few |= few_left_out(study, table)
        return not few and not few_outside(site, study, table)

    def text(self) -> str:
        """Return the review for a terminal."""
        leaves = manifest.text(self.study, manifest.lines(self.study))
        return "\n".join([*self.lines(), "", leaves])

    def lines(self) -> list[str]:
        """Return what happened to the records here, without what would leave."""
        people = self.table.people
        records, name = f"{len(self.table.outcome)} records", self.study.study.name
        few = "" if self.enough else "   TOO FEW: this site would refuse"
        floor = f"floor {sites.floor(self.site, self.study)}{few}"
        return [
            f"{self.site.name}: {records} are ready for {name}; nothing was sent",
            f"  people   {people['train']} train, {people['test']} test; {floor}",
            f"  approval {self._approval()}",
            *self._lacks(),
            *self._doubtful(),
            "",
            "What cleaning did:",
            *(_line(count) for count in self.table.report),
        ]

    @property
    def doubts(self) -> tuple[Count, ...]:
        """Counts that tell of a mapping which is probably wrong.

        What is the same of several variables is said once, with all of their names.
        """
        named: dict[Count, list[str]] = {}
        for count in self.table.report:
            if count.fix:
                same = replace(count, variable="")
                named.setdefault(same, []).append(count.variable)
        return tuple(
            replace(count, variable=", ".join(filter(None, names)))
            for count, names in named.items()
        )

    def _doubtful(self) -> list[str]:
        """Return the doubts for a terminal, each with what would change it."""
        lines = [f"{_line(each)}\n{INDENT}{each.fix}" for each in self.doubts]
        return ["", "Doubtful:", *lines] if lines else []

    def _lacks(self) -> list[str]:
        """Return what this machine lacks for the study, and what brings it."""
        if self.lacking is None:
            return []
        what, fix = self.lacking.what, self.lacking.hints["fix"]
        return [f"  lacking  {what}: this site would refuse\n{INDENT}fix     {fix}"]

    def _approval(self) -> str:
        if self.approved:
            return "this version is approved here"
        digest = self.study.digest()
        if self.site.home:
            return "not approved; the steward's command is `consilium client approve`"
        line = f'approved = ["{digest}"]'
        return f"not approved; after reading it, at the top of site.toml:\n    {line}"


def check(site: Site, study: Study, today: date = date.min) -> Review:
    """Read and clean as the study would; raise what the study would meet.

    Whether it is approved is said as of *today*; by default an approval has not ended.
    """
    sites.invited(site, study, today)
    table = integration.table(site, study)
    approved = _is_approved(site, study, today)
    return Review(site, study, table, approved, _lacking(study))


def _lacking(study: Study) -> MachineError | None:
    try:
        plan.load(study)
    except MachineError as lacks:
        return lacks
    return None


def _is_approved(site: Site, study: Study, today: date) -> bool:
    try:
        sites.approval(site, study, site.entries(), today)
    except Refusal:
        return False
    return True


def _line(count: Count) -> str:
    return f"  {count.step:<11}{count.count:>7,}  {count.what}" + (
        f" ({count.variable})" if count.variable else ""
    )
