"""Admits invented people to a hospital, and damages what it wrote about them.

A stay is what one source's record will be. Damage adds copies of stays, and takes
cells away; what is true of each stay is kept beside what the hospital shows.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Literal

import numpy as np

from common.schema import Number
from simulations.dealt.breast_study import plain
from simulations.invented import notes, patients
from simulations.invented.monitors import Recording, record
from simulations.invented.notes import Case, Written
from simulations.invented.patient_study import CODED, LABORATORY, OUTCOME
from simulations.invented.patients import Person
from simulations.invented.radiographs import Picture, draw
from simulations.invented.wards import DIGITS, Ward

Copy = Literal["", "same", "blanked", "nameless", "twin"]
FIRST, DAYS = datetime(2023, 1, 2, 0, 0), 700  # noqa: DTZ001 - a wall clock in a ward
AGAIN = 0.15
"""The share of people who are admitted twice, at least 60 days later."""
MEASURES = {each.name: each for each in LABORATORY}
LEVELS = (*(each.name for each in CODED), OUTCOME.name)
CERTAIN = ("age", "sex", "diabetes", "statin")
"""Where technologies that list events cannot tell a gap from a no; and the cohort."""
SHIFT, YEAR = 2, 365.25


@dataclass(frozen=True, slots=True, repr=False)
class Media:
    """What was written, drawn and recorded during a stay."""

    note: Written
    abstract: Written
    picture: Picture
    recording: Recording


@dataclass(frozen=True, slots=True, repr=False)
class Stay:
    """One admission: what is true, and how the hospital shows it.

    ``true`` holds values in the study's units and levels, None where nothing true can
    be recovered. ``shown`` holds the hospital's own text, empty for a gap, in
    ``units`` where a variable has one.
    """

    person: str
    number: int
    born: date
    admitted: datetime
    true: Mapping[str, float | str | None]
    shown: Mapping[str, str]
    units: Mapping[str, str]
    media: Media | None = None
    copy: Copy = ""
    damage: Mapping[str, str] = field(default_factory=dict)

    @property
    def filed(self) -> Media | None:
        """What has a file of its own: copies of a record copy no file."""
        return None if self.copy else self.media

    def without(self, names: Iterable[str], why: str) -> "Stay":
        """Return the stay with these cells empty."""
        lost = [name for name in names if self.true.get(name) is not None]
        return replace(
            self,
            true={**self.true, **dict.fromkeys(lost)},
            shown={**self.shown, **dict.fromkeys(lost, "")},
            damage={**self.damage, **dict.fromkeys(lost, why)},
        )


Damage = Callable[[list[Stay], Ward, np.random.Generator], list[Stay]]


def admit(ward: Ward, rng: np.random.Generator) -> list[Stay]:
    """Return the stays of *ward*, damaged as planned, in no order."""
    stays = _undamaged(ward, rng)
    for damage in DAMAGE:
        stays = damage(stays, ward, rng)
    return [stays[index] for index in rng.permutation(len(stays))]


def _undamaged(ward: Ward, rng: np.random.Generator) -> list[Stay]:
    people = patients.invent(ward.people, rng)
    numbers = 100_000 + rng.choice(900_000, len(people), replace=False)
    stays = []
    for person, number in zip(people, numbers.tolist(), strict=True):
        first = FIRST + timedelta(minutes=int(rng.integers(DAYS * 1440)))
        times = [first]
        if rng.random() < AGAIN:
            later = timedelta(minutes=int(rng.integers(60 * 1440, 200 * 1440)))
            times.append(first + later)
        both = [_stay(ward, person, number, each, rng) for each in times]
        stays += [replace(each, born=both[0].born) for each in both]
    return stays


def _stay(
    ward: Ward,
    person: Person,
    number: int,
    admitted: datetime,
    rng: np.random.Generator,
) -> Stay:
    key = ward.person.format(number)
    true: dict[str, float | str | None] = {}
    shown: dict[str, str] = {}
    units = {name: _unit(ward, name, rng) for name in MEASURES}
    for name, unit in units.items():
        exact = float(person.values[name])
        shown[name] = _measured(MEASURES[name], exact, unit)
        true[name] = converted(MEASURES[name], shown[name], unit)
    for name in LEVELS:
        level = str(person.values[name])
        ways = ward.spellings[name][level]
        true[name], shown[name] = level, ways[int(rng.integers(len(ways)))]
    case = Case(person, key, admitted.date())
    media = Media(
        notes.note(case, rng),
        notes.abstract(case, rng),
        draw(person, rng),
        record(person, ward.monitor, rng),
    )
    born = birthday(number, float(person.values["age"]), admitted)
    return Stay(key, number, born, admitted, true, shown, units, media)


def birthday(number: int, age: float, admitted: datetime) -> date:
    """Return a birthday of whoever is *age*, and still will be after 200 days more."""
    days = int(age * YEAR) + 100 + number % 50
    return admitted.date() - timedelta(days=days)


def _unit(ward: Ward, name: str, rng: np.random.Generator) -> str:
    own = ward.units.get(name, MEASURES[name].unit)
    usual = name in ward.mixed and rng.integers(3) == 0
    return MEASURES[name].unit if usual else own


def _measured(variable: Number, exact: float, unit: str) -> str:
    """Return *exact*, in the declared unit, as a laboratory says it in *unit*."""
    factor, offset = variable.conversion(unit)
    return f"{(exact - offset) / factor:.{DIGITS[variable.name, unit]}f}"


def converted(variable: Number, shown: str, unit: str) -> float:
    """Return what *shown* in *unit* is in the declared unit."""
    factor, offset = variable.conversion(unit)
    return float(shown) * factor + offset


def _never(stays: list[Stay], ward: Ward, _: np.random.Generator) -> list[Stay]:
    """Leave out what this hospital does not measure."""
    return [each.without([ward.absent], "absent") for each in stays]


def _young(stays: list[Stay], ward: Ward, rng: np.random.Generator) -> list[Stay]:
    """Let a few be too young for the study."""
    damaged = list(stays)
    for place in rng.choice(len(stays), ward.dirt.children, replace=False).tolist():
        age = int(rng.integers(19, 45))
        born = birthday(stays[place].number, age, stays[place].admitted)
        for other, stay in enumerate(stays):
            if stay.number == stays[place].number:
                true = {**stay.true, "age": float(_years(born, stay.admitted))}
                shown = {**stay.shown, "age": f"{true['age']:.0f}"}
                damaged[other] = replace(stay, born=born, true=true, shown=shown)
    return damaged


def _years(born: date, admitted: datetime) -> int:
    had = (admitted.month, admitted.day) >= (born.month, born.day)
    return admitted.year - born.year - (not had)


def _undiagnosed(stays: list[Stay], ward: Ward, rng: np.random.Generator) -> list[Stay]:
    chosen = set(rng.choice(len(stays), ward.dirt.undiagnosed, replace=False).tolist())
    return [
        stay.without([OUTCOME.name], "unknown") if place in chosen else stay
        for place, stay in enumerate(stays)
    ]


def _gaps(stays: list[Stay], ward: Ward, rng: np.random.Generator) -> list[Stay]:
    """Take cells away: at random, and where nobody asked for them."""
    names = [name for name in (*MEASURES, "smoking") if name not in CERTAIN]
    damaged = []
    for stay in stays:
        gone = [name for name in names if rng.random() < ward.dirt.gaps]
        unasked = stay.true["diabetes"] == "no" and rng.random() < ward.dirt.unasked
        damaged.append(
            stay.without(gone, "gap").without(["hba1c"] if unasked else [], "unasked")
        )
    return damaged


def _typos(stays: list[Stay], ward: Ward, rng: np.random.Generator) -> list[Stay]:
    """Lose the decimal point of one value in each of a few columns."""
    names = [each for each in MEASURES if each not in (*CERTAIN, ward.absent)]
    damaged = list(stays)
    for column in rng.permutation(len(names))[: ward.dirt.typos].tolist():
        name = names[column]
        known = [i for i, stay in enumerate(damaged) if stay.true[name] is not None]
        place = known[int(rng.integers(len(known)))]
        stay = damaged[place]
        typo = plain(Decimal(stay.shown[name]).scaleb(SHIFT))
        emptied = stay.without([name], "typo")
        damaged[place] = replace(emptied, shown={**emptied.shown, name: typo})
    return damaged


def _share(stays: list[Stay], ward: Ward, rng: np.random.Generator) -> list[Stay]:
    """Give a few people the number of another, of the other sex."""
    damaged = list(stays)
    for _ in range(ward.dirt.shared):
        women, men = (
            [i for i, each in enumerate(damaged) if each.true["sex"] == sex]
            for sex in ("female", "male")
        )
        one = damaged[women[int(rng.integers(len(women)))]]
        place = men[int(rng.integers(len(men)))]
        damaged[place] = replace(
            damaged[place],
            person=one.person,
            number=one.number,
            damage={**damaged[place].damage, "person": "shared"},
        )
    return damaged


def _copies(stays: list[Stay], ward: Ward, rng: np.random.Generator) -> list[Stay]:
    """Write a few stays a second time, each in one of four ways."""
    dirt = ward.dirt
    numbers: dict[Copy, int] = {
        "same": dirt.same,
        "blanked": dirt.blanked,
        "nameless": dirt.nameless,
        "twin": dirt.twins,
    }
    ways = [way for way, number in numbers.items() for _ in range(number)]
    chosen = rng.choice(len(stays), len(ways), replace=False).tolist()
    pairs = zip(chosen, ways, strict=True)
    return stays + [_copied(stays[i], way, ward, rng) for i, way in pairs]


def _copied(stay: Stay, way: Copy, ward: Ward, rng: np.random.Generator) -> Stay:
    copy = replace(stay, copy=way)
    if way == "nameless":
        return replace(copy, person="")
    if way == "twin":
        copy = replace(copy, media=None)
        number = stay.number + 1_000_000
        return replace(copy, person=ward.person.format(number), number=number)
    if way == "same":
        return copy
    names = [each for each in MEASURES if each not in CERTAIN]
    known = [each for each in names if stay.true[each] is not None]
    return copy.without([known[int(rng.integers(len(known)))]], "blanked")


DAMAGE: tuple[Damage, ...] = (
    _never,
    _young,
    _undiagnosed,
    _gaps,
    _typos,
    _share,
    _copies,
)
