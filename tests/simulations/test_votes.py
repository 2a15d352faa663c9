"""One site of four leads astray: the others take it back, or look past it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Message
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydantic import ValidationError
from sklearn.metrics import roc_auc_score

from client.learning import training
from client.learning.training import Design
from common import plan
from common.errors import IntegrityError, StudyError
from common.release import Array, Summands
from common.sections.networks import Training
from common.study import Study
from common.task import Rows, State, Task
from common.tasks.networks import robust, voting
from common.travel import wire
from server.conduct import rounds
from server.conduct import voice as voices
from server.conduct.rounds import Terms
from simulations import plain, private
from simulations.engines import engine
from simulations.engines.engine import InProcess
from simulations.private import Hospitals
from tests.simulations.test_engine import hospitals
from tests.simulations.test_masked_study import NAMES, study_of
from tests.simulations.test_tabular_network import TRAINING, asked, quality

Attack = Callable[[int, State, Summands], Summands]
MASKLESS = {"quorum": 4, "maximum": 100, "secure_aggregation": False}
MIDDLES = ("trimmed", "median")


@pytest.fixture(scope="module")
def clinics() -> Hospitals:
    return private.opened(None)


def learning(clinics: Hospitals, **changes: Any) -> Study:
    """Return the demo's study with a network that learns with *changes*."""
    model = {"kind": "tabular_network", "dense": [8]}
    masks = {"rounds": MASKLESS} if "combine" in changes else {}
    return asked(clinics, model={**model, "training": TRAINING | changes}, **masks)


def run(study: Study, clinics: Hospitals, attack: Attack) -> dict[str, State]:
    """Run *study* where the first site's answers go through *attack*."""
    designs = [Design(each) for each in clinics.tables]
    states: dict[str, State] = {}
    for task in plan.tasks(study):
        state, number = plan.begin(study, task, states), 0
        while not state.done:
            answers = [training.run(task, study, state, each) for each in designs]
            if task.name == "tabular_network":
                answers[0] = attack(number, state, answers[0])
            state = task.finish(study, state, plain.total(task, study, answers))
            number += 1
        states[task.name] = state
    return states


def astray(answer: Summands) -> Summands:
    """Return the opposite of *answer*, as long as its records can be at most."""
    way = answer["sum"] / np.linalg.norm(answer["sum"])
    return {**answer, "sum": -way * answer["records"] * Training().clip}


def honest(number: int, state: State, answer: Summands) -> Summands:
    del number, state
    return answer


def early(number: int, state: State, answer: Summands) -> Summands:
    del state
    return astray(answer) if number < 6 else answer


def often(number: int, state: State, answer: Summands) -> Summands:
    del number, state
    return astray(answer)


def test_votes_cost_little_when_nobody_leads_astray(clinics: Hospitals) -> None:
    usual, voted = learning(clinics), learning(clinics, votes=True)
    tables = list(clinics.tables)
    without = quality(usual, run(usual, clinics, honest), tables)[0]
    states = run(voted, clinics, honest)
    assert states["tabular_network"].kept["rolled_back"] == 0
    assert quality(voted, states, tables)[0] > without - 0.01


def test_a_step_that_leads_astray_is_taken_back(clinics: Hospitals) -> None:
    """In the first rounds, with long steps; then all go on from the best."""
    study = learning(clinics, votes=True, rate=3.0, optimizer="plain")
    states = run(study, clinics, early)
    assert states["tabular_network"].kept["rolled_back"] >= 1
    clean = quality(study, run(study, clinics, honest), list(clinics.tables))[0]
    assert quality(study, states, list(clinics.tables))[0] > clean - 0.03


def test_who_always_leads_astray_ends_the_study(clinics: Hospitals) -> None:
    study = learning(clinics, votes=True, rate=3.0, optimizer="plain")
    with pytest.raises(IntegrityError, match="half of the sites cannot bear") as end:
        run(study, clinics, often)
    assert end.value.__notes__ == ["model.training.rate"]


@pytest.mark.parametrize("combine", MIDDLES)
@pytest.mark.parametrize("attack", [honest, often])
def test_a_middle_looks_past_one_site(
    clinics: Hospitals, combine: str, attack: Attack
) -> None:
    usual = learning(clinics)
    study, tables = learning(clinics, combine=combine), list(clinics.tables)
    clean = quality(usual, run(usual, clinics, honest), tables)[0]
    assert quality(study, run(study, clinics, attack), tables)[0] > clean - 0.03


def test_a_middle_of_what_masks_hide_is_refused(clinics: Hospitals) -> None:
    rounds = {**MASKLESS, "secure_aggregation": True}
    model = {"kind": "tabular_network", "training": {"combine": "median", "steps": 3}}
    with pytest.raises(ValidationError, match="and masks hide it") as refused:
        asked(clinics, model=model, rounds=rounds)
    told = refused.value.errors()[0]["ctx"]["error"].__notes__
    fix = "in [rounds]:   secure_aggregation = false"
    assert told == ["model.training.combine", fix]


def answer(mean: Array, records: float) -> Summands:
    sums = {"sum": mean * records, "loss": np.ones(1)}
    return {**sums, "records": np.array([records])}


def middle(combine: str, answers: Sequence[Summands]) -> Mapping[str, Array]:
    combining = robust.combining(Training.model_validate({"combine": combine}))
    assert combining is not None
    return combining(answers)


MEANS = arrays(np.float64, (6, 3), elements=st.floats(-1e3, 1e3))


@given(MEANS, st.floats(-1e9, 1e9), st.sampled_from(MIDDLES))
@settings(max_examples=100, deadline=None)
def test_one_site_moves_a_middle_no_further_than_the_others_lie(
    means: Array, far: float, combine: str
) -> None:
    """Whatever it sends, and whatever number of records it says it has."""
    told = [answer(mean, 10.0 + place) for place, mean in enumerate(means)]
    found = middle(combine, [*told, answer(np.full(3, far), 5.0)])
    mean = found["sum"] / found["records"]
    assert (mean >= means.min(axis=0) - 1e-6).all()
    assert (mean <= means.max(axis=0) + 1e-6).all()


def test_a_median_is_that_of_the_sites_with_records() -> None:
    means = [np.array([each]) for each in (1.0, 5.0, 2.0)]
    told = [answer(mean, 10.0) for mean in means]
    nobody = {"sum": np.zeros(1), "loss": np.zeros(1), "records": np.zeros(1)}
    found = middle("median", [*told, nobody])
    assert found["sum"] / found["records"] == 2.0
    with pytest.raises(IntegrityError, match="2 sites have records"):
        middle("median", [*told[:2], nobody])


def test_too_few_held_out_people_do_not_vote(clinics: Hospitals) -> None:
    study = learning(clinics, votes=True)
    rows = clinics.tables[0].rows("train")
    learns, held = voting.split(study, Training(), rows)
    assert len(held.y) + len(learns.y) == len(rows.y)
    own = replace(rows, fewest=len(np.unique(held.key)) + 1)
    learns, few = voting.split(study, Training(), own)
    assert not len(few.y), "the site's own floor counts as well"
    assert len(learns.y)
    nobody, _ = voting.split(study, Training(), replace(rows, fewest=len(rows.y)))
    assert not len(nobody.y)
    good, bad = held.y * 0.8 + 0.1, np.full(len(held.y), 0.5)
    assert voting.vote(held, good, bad).tolist() == [1, 1, 1, 1]
    assert voting.vote(held, bad, good).tolist() == [0, 0, 0, 1]
    assert voting.vote(held, good * 0.99, good).tolist() == [0, 1, 1, 1]
    assert voting.vote(held, good * np.nan, good).tolist() == [0, 0, 0, 1]
    assert voting.vote(few, good[:0], bad[:0]).tolist() == [0, 0, 0, 0]


def people(having: int, lacking: int) -> Rows:
    y = np.repeat([1.0, 0.0], [having, lacking])
    return Rows(np.zeros((len(y), 1)), y, np.arange(len(y), dtype=np.uint64))


def test_who_has_one_kind_of_people_alone_has_no_vote() -> None:
    """An order takes three with the outcome, and three without it."""
    for having, lacking, votes in ((30, 2, 0), (2, 30, 0), (30, 3, 1), (3, 30, 1)):
        out = people(having, lacking)
        assert voting.vote(out, out.y, out.y)[3] == votes


def test_many_records_of_one_person_are_one_person() -> None:
    """Else a site would vote on how one of its people is ordered."""
    out = people(30, 30)
    for key in (out.key.clip(29), out.key.clip(max=30)):
        few = replace(out, key=key)
        assert voting.vote(few, out.y, out.y).tolist() == [0, 0, 0, 0]


ROUNDING = 1e-9
CHANCES = arrays(np.float64, 40, elements=st.floats(0.05, 0.95), unique=True)


@given(CHANCES, CHANCES, st.floats(-3.0, 3.0))
@settings(max_examples=100, deadline=None)
def test_a_vote_is_of_the_order_and_not_of_how_common_the_outcome_is(
    candidate: Array, best: Array, moved: float
) -> None:
    """All log-odds of a candidate a bit higher: as in a step of sites that differ."""
    out = people(20, 20)
    odds = candidate / (1 - candidate) * np.exp(moved)
    one, other = (
        voting.vote(out, each, best) for each in (candidate, odds / (1 + odds))
    )
    assert one[1:].tolist() == other[1:].tolist()


@given(CHANCES, CHANCES)
@settings(max_examples=50, deadline=None)
def test_an_order_is_useful_by_scikit_learns_area(now: Array, before: Array) -> None:
    out = people(12, 28)
    areas = [float(roc_auc_score(out.y, each)) for each in (now, before)]
    _, bearable, useful, _ = voting.vote(out, now, before)
    if abs(areas[0] - voting.EVEN) > ROUNDING:
        assert useful == (areas[0] > voting.EVEN)
    if areas[0] > areas[1] - voting.SLACK + ROUNDING:
        assert bearable


TIED = arrays(np.float64, 40, elements=st.integers(0, 8).map(float))


@given(TIED, TIED)
@settings(max_examples=100, deadline=None)
def test_the_error_of_two_areas_is_that_of_delong(now: Array, before: Array) -> None:
    """By their covariances, over every pair of one who has it and one who lacks it."""
    having, lacking = 12, 28
    pairs = [np.subtract.outer(s[:having], s[having:]) for s in (now, before)]
    above = [np.sign(each) / 2 + 0.5 for each in pairs]
    parts = (
        np.cov([each.mean(axis=1) for each in above]) / having
        + np.cov([each.mean(axis=0) for each in above]) / lacking
    )
    apart = np.array([1.0, -1.0])
    error = np.sqrt(max(apart @ parts @ apart, 0.0))
    y = people(having, lacking).y
    areas = (voting._above(each, y) for each in (now, before))
    assert voting._error(*areas) == pytest.approx(error, abs=1e-7)


@pytest.mark.parametrize(("times", "bearable"), [(1, 1.0), (40, 0.0)])
def test_the_fewer_are_held_out_the_more_is_borne(times: int, bearable: float) -> None:
    """An area less by 0.08 is chance among ten people, and is not among 400."""
    one = np.array([0.6, 0.8, 0.9, 0.4, 0.7, 0.1, 0.2, 0.3, 0.5, 0.55])
    before = np.sort(one)[::-1]
    y = np.repeat([1.0, 0.0], 5)
    lost = roc_auc_score(y, before) - roc_auc_score(y, one)
    assert lost == pytest.approx(0.08)
    out, order = people(5 * times, 5 * times), np.arange(10).repeat(times)
    assert voting.vote(out, one[order], before[order])[1] == bearable


@pytest.mark.parametrize(
    ("votes", "error", "said"),
    [
        ([0, 0, 0, 0], StudyError, "no site has enough"),
        ([3, 2, 0, 3], IntegrityError, "3 sites vote for better, 2 for bearable"),
        ([2, 3, 0, 2], IntegrityError, "3 for bearable, 0 for better than lots, of 2"),
        ([2, 2, 3, 2], IntegrityError, "3 for better than lots, of 2 that vote"),
    ],
)
def test_votes_that_cannot_be_counted_are_refused(
    clinics: Hospitals, votes: list[float], error: type[Exception], said: str
) -> None:
    study = learning(clinics, votes=True)
    task = plan.find(study, "tabular_network")
    state = plan.begin(study, task, plain.run(asked(clinics), list(clinics.tables)))
    told = np.array(votes, dtype=np.float64)
    with pytest.raises(error, match=said):
        voting.judged(Training(), state, told, state)


def test_steps_are_shorter_after_one_that_was_taken_back(clinics: Hospitals) -> None:
    study = learning(clinics, votes=True)
    task = plan.find(study, "tabular_network")
    state = plan.begin(study, task, plain.run(asked(clinics), list(clinics.tables)))
    rates = []
    for bearable in (0.0, 4.0):
        votes = np.array([0.0, bearable, 4.0, 4.0])
        state = voting.judged(Training(), state, votes, state)
        rates.append(voting.paced(Training(), state).rate)
    assert rates == pytest.approx([0.5 * Training().rate, 0.55 * Training().rate])


def test_of_eight_sites_the_farthest_on_both_sides_are_left_out() -> None:
    means = [np.array([each]) for each in (1.0, 2, 3, 4, 5, 6, 7, -99)]
    found = middle("trimmed", [answer(mean, 10.0) for mean in means])
    assert found["sum"] / found["records"] == pytest.approx(np.mean([1, 2, 3, 4, 5, 6]))


def test_a_middle_of_samples_is_refused(clinics: Hospitals) -> None:
    with pytest.raises(ValidationError, match="sample may have none"):
        learning(clinics, combine="median", sample=0.2)


class Lying(InProcess):
    """A grid on which the first site adds to its masked *votes*, and nobody sees it."""

    def __init__(self, paths: list[Path], task: Task, votes: list[int]) -> None:
        super().__init__(paths, 91)
        self.task, self.votes = task, votes

    def _answer(self, message: Message) -> str:
        number, about = super()._answer(message), message.metadata
        if about.message_type == wire.ROUND and about.dst_node_id == 1:
            reply = self._replies[number]
            answer = wire.read_answer(reply.content)
            if answer.place.task == self.task.name:
                vector = answer.vector.copy()
                vector[-4:] += np.array(self.votes, np.int64).view(np.uint64)
                said = wire.answer(replace(answer, vector=vector))
                reply.content["arrays"] = said["arrays"]
        return number


@pytest.mark.parametrize("votes", [[-9, -9, 0, 0], [5, 5, 5, 5]])
def test_more_votes_than_sites_or_less_than_none_are_refused_under_masks(
    tmp_path: Path, votes: list[int]
) -> None:
    training = {"steps": 3, "votes": True}
    model = {"kind": "tabular_network", "dense": [4], "training": training}
    study = study_of(model=model, disclosure={"min_people": 1, "min_sites": 1})
    task = plan.find(study, "tabular_network")
    assert list(task.release(study))[-1] == "votes"
    grid = Lying(hospitals(tmp_path, study, NAMES), task, votes)
    engine.become(grid.run.run_id)
    keys = str(grid.keys["key"]), str(grid.keys["pinned"])
    with pytest.raises(IntegrityError, match="votes"):
        rounds.run(study, grid, terms=Terms(voices.simulated(*keys)))


def test_votes_are_masked_like_any_sum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through the door of every site: with masks and without, the same model."""
    monkeypatch.setattr(voting, "EVEN", -1.0)  # these outcomes are drawn by lots
    training = {"steps": 3, "votes": True}
    model = {"kind": "tabular_network", "dense": [4], "training": training}
    few = {"min_people": 1, "min_sites": 1}
    found = []
    for masked in (True, False):
        rounds = {"secure_aggregation": masked}
        study = study_of(model=model, disclosure=few, rounds=rounds)
        paths = hospitals(tmp_path / str(masked), study, NAMES)
        found.append(engine.run(study, paths).states["tabular_network"].arrays)
    for name, array in found[0].items():
        np.testing.assert_allclose(array, found[1][name], atol=1e-9)
