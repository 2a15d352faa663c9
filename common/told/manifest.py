"""What a study would let leave, in words: from the declarations the door enforces."""

from dataclasses import asdict, dataclass

import click

from common import personal, plan
from common.masked import coding
from common.study import Study
from common.tasks.evaluation import left_out
from common.told import advice


@dataclass(frozen=True, slots=True)
class Leaving:
    """One array that may leave a site, every round of its task."""

    task: str
    name: str
    meaning: str
    numbers: int
    kind: str

    def facts(self) -> dict[str, str | int]:
        """Return the line as plain data."""
        return asdict(self)


def lines(study: Study) -> tuple[Leaving, ...]:
    """Return every array that may leave a site of *study*, in order.

    Raises StudyError when one of them could not be masked.
    """
    coding.check(study)
    return tuple(
        Leaving(task.name, name, field.meaning, field.size, field.kind)
        for task in plan.tasks(study)
        for name, field in task.release(study).items()
    )


def text(study: Study, leaves: tuple[Leaving, ...]) -> str:
    """Return the manifest as a table for a terminal."""
    wide = max([8, *(len(line.task) for line in leaves)]) + 2
    rows = [f"{'task':<{wide}}{'numbers':>8}  {'kind':<6}meaning"]
    rows += [
        f"{line.task:<{wide}}{line.numbers:>8,}  {line.kind:<6}{line.meaning}"
        for line in leaves
    ]
    table = "\n".join(f"  {row}" for row in rows)
    about = study.study
    return (
        f"{about.name}: {about.title}\n"
        f"purpose  {about.purpose}\n"
        f"contact  {about.contact}, until {about.expires}\n"
        f"size     {len(study.variables)} variables, {len(about.sites)} sites, "
        f"quorum {study.needed}\n"
        f"digest   {study.digest()}\n"
        f"privacy  {privacy(study)}\n"
        f"sums     {sums(study)}\n{_noise(study)}{_apart(study)}{_stays(study)}\n"
        f"What leaves each site, per round of its task, and nothing else:\n{table}\n"
    )


def privacy(study: Study) -> str:
    """Return what the study's privacy setting means, in words."""
    if study.privacy == "none":
        return click.style('"none": sums leave exact, without noise', fg="red")
    kept = study.privacy
    together = f", {kept.colluders} may collude" if kept.noise == "shared" else ""
    return (
        f"epsilon {kept.epsilon:g}, delta {kept.delta:g} for each person at each site, "
        f'noise "{kept.noise}"{together}'
    )


def sums(study: Study) -> str:
    """Return who sees which sums, in words."""
    if not study.masked:
        told = "the aggregator sees each site's own (secure_aggregation = false)"
        if study.rounds.secure_aggregation is None:
            told = "the aggregator sees each site's own: fewer than three sites"
        return click.style(told, fg="red")
    rounds, spare = study.rounds, ""
    if rounds.dropouts:
        spare = f"; {rounds.dropouts} may be missing in a round"
    few = study.needed - rounds.dropouts
    return f"masked: the aggregator learns the total of {few} sites or more{spare}"


def apart(study: Study) -> tuple[str, ...]:
    """Return what is told of single sites, in words."""
    tested, said = study.evaluation, list[str]()
    if tested and tested.by_site:
        said.append(
            "how good the model is at each site, rounded, to all who read the report; "
            "by_site = false in site.toml keeps this site's to itself"
        )
    if left_out.tells(study):
        sums_ = "each site's own sums of the fit, which are a total with it less one "
        said.append(
            (f"{sums_}without it, to the aggregator; and " if study.masked else "")
            + "a model without each site to every site (leave_out)"
        )
    return tuple(said)


def _noise(study: Study) -> str:
    told = advice.noise(study)
    return f"noise    {told}\n" if told else ""


def _apart(study: Study) -> str:
    told = [f"by site  {click.style(each, fg='red')}\n" for each in apart(study)]
    return "".join(told)


def _stays(study: Study) -> str:
    words = personal.named(study)
    return f"stays    each site's own {words}: it is in no sum\n" if words else ""


def sentence(study: Study, rounds: dict[str, int]) -> str:
    """Return in one sentence what left each site of a finished study."""
    parts = []
    for task in plan.tasks(study):
        numbers = sum(field.size for field in task.release(study).values())
        times = rounds[task.name]
        parts.append(f"{times} x {numbers:,} numbers for {task.name}")
    return f"Each hospital sent only sums over its people: {', '.join(parts)}; 0 rows."
