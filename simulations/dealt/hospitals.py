"""Deals real people to four hospitals that do not exist, and damages their exports.

    out/study.toml              what the consortium agreed
    out/truth.json              what a perfect cleaning finds
    out/northmere/site.toml     how this hospital writes, beside its export; three more

The same seed writes the same bytes. No person is invented: damage adds copies of
records, and takes cells away.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from itertools import compress
from pathlib import Path

import numpy as np

from common.errors import UsageError
from common.schema import Number
from simulations.dealt import breast_study, exports, truth
from simulations.dealt.breast_study import COHORT, DIAGNOSIS, Cells
from simulations.dealt.dialects import HOSPITALS, Declared, Dialect
from simulations.dealt.truth import Copy, Planted, Record

NAMES = tuple(dialect.site for dialect in HOSPITALS)
SEED = 1
SHARES = (0.45, 0.30, 0.17, 0.08)
SORTED_BY = "mean_radius"
NOISE = 1.5
"""Chance in the order of dealing, in standard deviations of what people are sorted by:
with none, the smallest hospital would see malignant cases only."""

FIRST_DAY = date(2021, 1, 4)
DAYS = 900
SHIFT = 2
"""A typo loses the decimal point: the value is off by this power of ten."""

CLEARLY = 1.1
"""How far beyond the range a typo lands at least: no rounding brings it back."""


@dataclass(frozen=True, slots=True)
class Dirt:
    """How much is planted: a share of the cells, and numbers of records.

    ``typos`` is also a number of columns: no column gets two, so that none has so many
    that the hospital must refuse to take part.
    """

    gaps: float
    typos: int
    same: int
    blanked: int
    nameless: int
    undiagnosed: int


DIRT = (
    Dirt(gaps=0.02, typos=12, same=9, blanked=6, nameless=4, undiagnosed=2),
    Dirt(gaps=0.03, typos=9, same=6, blanked=4, nameless=3, undiagnosed=1),
    Dirt(gaps=0.01, typos=5, same=4, blanked=3, nameless=2, undiagnosed=0),
    Dirt(gaps=0.03, typos=4, same=2, blanked=2, nameless=1, undiagnosed=0),
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a hospital's records are planted by."""

    dialect: Dialect
    declared: tuple[Declared, ...]
    dirt: Dirt

    def open_to_damage(self) -> list[Declared]:
        """Return the variables that gaps and typos may hit.

        Who is in the cohort and who was diagnosed does not depend on an accident.
        """
        spared = {COHORT.variable, DIAGNOSIS.name, self.dialect.absent}
        return [variable for variable in self.declared if variable.name not in spared]


def write(out: Path, seed: int = SEED) -> Path:
    """Write study, truth and four hospitals into *out*; return the study's path.

    Raises UsageError for a seed that is negative or whose hospitals cannot be tested.
    """
    if seed < 0:
        raise UsageError("a seed is not negative", fix=f"--seed {SEED}")
    people = breast_study.people()
    variables = breast_study.variables(people)
    hospitals = []
    for index, share in enumerate(_deal(people, np.random.default_rng(seed))):
        plan = Plan(HOSPITALS[index], (*variables, DIAGNOSIS), DIRT[index])
        rng = np.random.default_rng((seed, index))
        hospitals.append(_plant(share, plan, rng))
        _write_hospital(out / NAMES[index], hospitals[index], rng)
    drawn = truth.split_seed(hospitals)
    study = out / "study.toml"
    _write_text(study, breast_study.text(variables, NAMES, drawn))
    _write_text(out / "truth.json", truth.text(hospitals, drawn))
    return study


def _deal(people: Sequence[Cells], rng: np.random.Generator) -> list[list[Cells]]:
    """Give every hospital its share of *people*, the smallest nuclei first."""
    sizes = np.array([cells[SORTED_BY] for cells in people], dtype=np.float64)
    score = (sizes - sizes.mean()) / sizes.std()
    order = np.argsort(score + NOISE * rng.standard_normal(len(people)), kind="stable")
    cuts = np.rint(np.cumsum(SHARES) * len(people)).astype(int)[:-1]
    return [[people[index] for index in part] for part in np.split(order, cuts)]


def _plant(people: Sequence[Cells], plan: Plan, rng: np.random.Generator) -> Planted:
    """Register *people* and damage their records, in an order that tells nothing."""
    records = _register(people, plan, rng)
    for damage in (_leave_undiagnosed, _leave_gaps, _mistype, _copy):
        records = damage(records, plan, rng)
    shuffled = tuple(records[index] for index in rng.permutation(len(records)))
    return Planted(plan.dialect, plan.declared, shuffled)


def _register(
    people: Sequence[Cells], plan: Plan, rng: np.random.Generator
) -> list[Record]:
    """Give everyone a made-up number and day; leave out what is never measured here."""
    numbers = 100_000 + rng.choice(900_000, len(people), replace=False)
    days = rng.integers(DAYS, size=len(people))
    absent = [plan.dialect.absent] if plan.dialect.absent else []
    return [
        Record(
            person=plan.dialect.person.format(number),
            number=number,
            visit=FIRST_DAY + timedelta(days=day),
            cells=_without(cells, absent),
        )
        for cells, number, day in zip(
            people, numbers.tolist(), days.tolist(), strict=True
        )
    ]


def _without(cells: Cells, names: Iterable[str]) -> Cells:
    return {**cells, **dict.fromkeys(names)}


def _leave_undiagnosed(
    records: list[Record], plan: Plan, rng: np.random.Generator
) -> list[Record]:
    """Take the diagnosis from a few."""
    damaged = list(records)
    for i in rng.choice(len(records), plan.dirt.undiagnosed, replace=False):
        cells = _without(records[i].cells, [DIAGNOSIS.name])
        damaged[i] = replace(records[i], cells=cells)
    return damaged


def _leave_gaps(
    records: list[Record], plan: Plan, rng: np.random.Generator
) -> list[Record]:
    """Take cells away completely at random."""
    names = [variable.name for variable in plan.open_to_damage()]
    gone = rng.random((len(records), len(names))) < plan.dirt.gaps
    return [
        replace(record, cells=_without(record.cells, compress(names, row)))
        for record, row in zip(records, gone, strict=True)
    ]


def _mistype(
    records: list[Record], plan: Plan, rng: np.random.Generator
) -> list[Record]:
    """Lose the decimal point of one value in each of a few columns."""
    numbers = [each for each in plan.open_to_damage() if isinstance(each, Number)]
    damaged = list(records)
    for column in rng.permutation(len(numbers))[: plan.dirt.typos]:
        variable = numbers[column]
        shifted = {i: _shifted(record, variable) for i, record in enumerate(damaged)}
        limit = CLEARLY * variable.range[1]
        chosen = int(rng.choice([i for i, typo in shifted.items() if typo > limit]))
        damaged[chosen] = _with_typo(damaged[chosen], variable.name, shifted[chosen])
    return damaged


def _shifted(record: Record, variable: Number) -> float:
    """Return the record's value with its decimal point lost, 0 where there is none."""
    value = record.cells[variable.name] or 0.0
    return float(Decimal(str(value)).scaleb(SHIFT))


def _with_typo(record: Record, name: str, typo: float) -> Record:
    typos = {**record.typos, name: typo}
    return replace(record, cells=_without(record.cells, [name]), typos=typos)


def _copy(records: list[Record], plan: Plan, rng: np.random.Generator) -> list[Record]:
    """Register a few people a second time, each in one of three ways."""
    numbers: dict[Copy, int] = {
        "same": plan.dirt.same,
        "blanked": plan.dirt.blanked,
        "nameless": plan.dirt.nameless,
    }
    ways = [way for way, number in numbers.items() for _ in range(number)]
    chosen = rng.choice(len(records), len(ways), replace=False)
    copies = [
        _copied(records[i], way, rng) for i, way in zip(chosen, ways, strict=True)
    ]
    return records + copies


def _copied(record: Record, way: Copy, rng: np.random.Generator) -> Record:
    if way == "nameless":
        return replace(record, copy=way, person="")
    known = [name for name, value in record.cells.items() if value is not None]
    lost = [known[int(rng.integers(len(known)))]] if way == "blanked" else []
    return replace(record, copy=way, cells=_without(record.cells, lost))


def _write_hospital(folder: Path, hospital: Planted, rng: np.random.Generator) -> None:
    """Write one hospital's export and its map."""
    dialect = hospital.dialect
    folder.mkdir(parents=True, exist_ok=True)
    (folder / dialect.format.file).write_bytes(exports.table(hospital, rng))
    _write_text(folder / "site.toml", exports.site_text(dialect, hospital.declared))


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
