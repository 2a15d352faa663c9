"""Votes where each hospital has mostly one kind of people: honest studies go on.

Two of four have nine in ten of those with the outcome. A step that moves all chances up
is good for their people and bad for the others', and still leads somewhere.
"""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client import site
from client.table import Table
from client.tables import integration
from common import study as studies
from common.errors import IntegrityError
from common.release import Summands
from common.study import Study
from common.task import State
from simulations import plain, private
from simulations.dealt import films
from simulations.private import Hospitals
from tests.simulations.test_films import needs_data
from tests.simulations.test_heart import DATA as HEART
from tests.simulations.test_heart import needs_data as needs_heart
from tests.simulations.test_tabular_network import asked, quality
from tests.simulations.test_votes import MASKLESS, Attack, honest, run

SHARES = (0.4, 0.4, 0.1, 0.1)
"""Which share of those with the outcome each hospital gets; of others backwards."""
EXACT = {"quorum": 4, "maximum": 100}
ADAM = {"steps": 30, "rate": 0.05}
PLAIN = {"steps": 30, "rate": 1.0, "optimizer": "plain"}
WEIGHTS = {
    "by": "weights",
    "steps": 20,
    "optimizer": "plain",
    "rate": 1.0,
    "local_steps": 5,
    "local_rate": 0.3,
}
WAYS = (ADAM, PLAIN, WEIGHTS)


def only(table: Table, some: np.ndarray, place: int) -> Table:
    """Return *some* records of *table*, as those of the site at *place*."""
    train = table.train[some]
    return replace(
        table,
        values=table.values[some],
        outcome=table.outcome[some],
        train=train,
        person=np.unique(table.person[some], return_inverse=True)[1],
        key=table.key[some],
        people={"train": int(train.sum()), "test": int((~train).sum())},
        site=np.full(len(some), place),
        images=table.images[some] if len(table.images) else table.images,
    )


def dealt(clinics: Hospitals) -> Hospitals:
    """Return the same records, dealt again to four hospitals by their outcome."""
    whole, draw = plain.pooled(clinics.tables), np.random.default_rng(0)
    where = np.empty(len(whole.outcome), dtype=np.int64)
    for outcome, shares in ((1.0, SHARES), (0.0, SHARES[::-1])):
        chosen = whole.outcome == outcome
        where[chosen] = draw.choice(len(shares), int(chosen.sum()), p=shares)
    tables = [only(whole, np.flatnonzero(where == each), each) for each in range(4)]
    return replace(clinics, tables=tuple(tables))


@pytest.fixture(scope="module")
def wards() -> Hospitals:
    return dealt(private.opened(None))


@pytest.fixture(scope="module")
def hearts() -> Hospitals:
    return private.opened(HEART)


def learning(clinics: Hospitals, training: dict[str, Any], **more: Any) -> Study:
    model = {"kind": "tabular_network", "dense": [16], "training": training | more}
    return asked(clinics, model=model, rounds=MASKLESS)


def auc(clinics: Hospitals, study: Study, attack: Attack = honest) -> float:
    states = run(study, clinics, attack)
    return quality(study, states, list(clinics.tables))[0]


@pytest.mark.parametrize("training", WAYS)
def test_votes_of_honest_sites_with_one_kind_of_people_end_nothing(
    wards: Hospitals, training: dict[str, Any]
) -> None:
    common = [float(each.outcome.mean()) for each in wards.tables]
    assert min(common[:2]) > 0.6
    assert max(common[2:]) < 0.2
    without = auc(wards, learning(wards, training))
    assert auc(wards, learning(wards, training, votes=True)) > without - 0.01


@needs_heart
@pytest.mark.parametrize("training", WAYS)
def test_votes_of_four_real_hospitals_end_nothing(
    hearts: Hospitals, training: dict[str, Any]
) -> None:
    """Of whom 38 to 98 % have the outcome. A fifth of few people does not train."""
    without = auc(hearts, learning(hearts, training))
    assert auc(hearts, learning(hearts, training, votes=True)) > without - 0.03


def astray(length: float) -> Attack:
    def turned(number: int, state: State, answer: Summands) -> Summands:
        del number, state
        way = answer["sum"] / np.linalg.norm(answer["sum"])
        return {**answer, "sum": -way * answer["records"] * length}

    return turned


@pytest.mark.parametrize(("training", "length"), [(ADAM, 1.0), (WEIGHTS, 1.5)])
def test_who_always_leads_such_sites_astray_ends_the_study(
    wards: Hospitals, training: dict[str, Any], length: float
) -> None:
    with pytest.raises(IntegrityError, match=r"cannot bear|than by lots"):
        run(learning(wards, training, votes=True), wards, astray(length))


@needs_heart
def test_what_is_wrong_from_the_first_step_on_has_learned_nothing(
    hearts: Hospitals,
) -> None:
    """It is never worse than before: the largest hospital turns its part around."""

    def turned(number: int, state: State, answer: Summands) -> Summands:
        del number, state
        return {**answer, "sum": -answer["sum"]}

    with pytest.raises(IntegrityError, match="1 of 3 sites find their held-out") as end:
        run(learning(hearts, ADAM, votes=True), hearts, turned)
    assert end.value.__notes__ == ["model.training.votes"]


def seldom(factor: float) -> Attack:
    def wrong(number: int, state: State, answer: Summands) -> Summands:
        del state
        bad = {**answer, "sum": answer["sum"] * factor}
        return bad if number in (6, 13) else answer

    return wrong


@pytest.mark.parametrize("training", WAYS)
@pytest.mark.parametrize("factor", [100.0, -1.0, -100.0])
def test_wrong_parts_cost_such_sites_little(
    wards: Hospitals, training: dict[str, Any], factor: float
) -> None:
    study = learning(wards, training, votes=True)
    assert auc(wards, study, seldom(factor)) > auc(wards, study) - 0.03


@pytest.fixture(scope="module")
def radiology(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Table]]:
    """150 films that train at each of four hospitals, nine in ten of one kind."""
    place, before = tmp_path_factory.mktemp("films"), dict(films.SITES)
    given = os.environ.get("CONSILIUM_FILMS")
    shared = Path(__file__).parents[2].parent / "shared" / "data" / films.NPZ
    parted = [(0.45, 0.05), (0.45, 0.05), (0.05, 0.45), (0.05, 0.45)]
    films.SITES.update(zip(before, parted, strict=True))
    try:
        study = studies.read(films.write(Path(given) if given else shared, place))
        draw, tables = np.random.default_rng(0), []
        for number, name in enumerate(films.SITES):
            whole = integration.table(site.read(place / name / "site.toml"), study)
            trains = draw.permutation(np.flatnonzero(whole.train))[:150]
            some = np.concatenate([trains, np.flatnonzero(~whole.train)])
            tables.append(only(whole, np.sort(some), number))
        yield [study, *tables]
    finally:
        films.SITES.update(before)


@needs_data
@pytest.mark.slow
@pytest.mark.parametrize("rate", [0.01, 0.03])
def test_votes_of_hospitals_with_one_kind_of_films_end_nothing(
    radiology: list[Any], rate: float
) -> None:
    study, *tables = radiology
    training = {"steps": 20, "rate": rate, "votes": True}
    model = {"kind": "image_network", "training": training}
    document = study.model_dump(mode="json", exclude_none=True)
    changed = {**document, "model": model, "rounds": MASKLESS}
    states = plain.run(Study.model_validate(changed), tables)
    assert quality(Study.model_validate(changed), states, tables)[0] > 0.85
