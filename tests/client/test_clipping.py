"""One person moves a private sum by the clip at most, whatever comes in."""

from unittest import mock

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from client.learning import clipping, training
from client.learning.clipping import Part
from client.learning.training import Design
from client.table import Table
from common import costs, plan
from common.encoding import columns, shapes
from common.errors import IntegrityError
from common.release import flatten, length
from common.study import Study
from common.task import Rows, State, Task
from common.travel.shown import check_state
from tests import clinics, test_analyses

PRIVACY = {"epsilon": 1.0, "delta": 1e-5, "noise": "site"}
STUDY = clinics.study(privacy=PRIVACY)
TASKS = plan.tasks(STUDY)
ASKED = [test_analyses.promised(name, PRIVACY) for name in test_analyses.PROMISED]
CASES = [
    *((STUDY, task) for task in TASKS),
    *((study, plan.tasks(study)[-1]) for study in ASKED),
]
"""Every private task of a study with a model, and every private analysis."""
ANY = st.floats(allow_nan=True, allow_infinity=True)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
Case = tuple[Study, Task]


@st.composite
def states(draw: st.DrawFn, case: Case) -> State:
    """Draw any state that a site admits for the task of *case*."""
    study, task = case
    shown = {
        name: draw(arrays(np.float64, shape, elements=FINITE))
        for name, shape in task.shows(study).items()
    }
    state = State(shown)
    check_state(task, study, state)
    return state


@st.composite
def people(draw: st.DrawFn, case: Case) -> tuple[Rows, np.ndarray]:
    """Draw any records of any people, as the formula of *case* would be shown them."""
    study, task = case
    count = draw(st.integers(1, 12))
    width = len(columns(study)) if task.encoded else len(study.variables)
    x = draw(arrays(np.float64, (count, width), elements=ANY))
    y = draw(arrays(np.float64, count, elements=st.sampled_from([0.0, 1.0, 7.0])))
    person = draw(arrays(np.int64, count, elements=st.integers(0, 4)))
    return Rows(x, y), person


def part(case: Case, state: State) -> Part:
    study, task = case
    noisy = costs.noisy(task)
    return Part(
        each=lambda rows: noisy.each(study, state, rows),
        width=length(task.release(study)),
        clip=noisy.clip(study),
    )


each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case[1].name)


@each_case
@pytest.mark.parametrize("block", [1, 2**20])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_one_person_moves_the_sum_by_the_clip_at_most(
    case: Case, block: int, data: st.DataObject
) -> None:
    rows, person = data.draw(people(case))
    bounded = part(case, data.draw(states(case)))
    stays = person != data.draw(st.sampled_from(sorted(set(person.tolist()))))
    with mock.patch.object(clipping, "BLOCK", block):
        all_of_them = clipping.add(bounded, rows, person).total
        without = Rows(rows.x[stays], rows.y[stays])
        fewer = clipping.add(bounded, without, person[stays]).total
    assert np.isfinite(all_of_them).all()
    moved = np.linalg.norm(all_of_them - fewer)
    assert moved <= bounded.clip * (1 + 1e-9)


@each_case
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_part_depends_on_its_own_record_to_the_last_bit(
    case: Case, data: st.DataObject
) -> None:
    """A matrix product rounds by who is beside; see the example further below."""
    (rows, _), state = data.draw(people(case)), data.draw(states(case))
    with np.errstate(all="ignore"):
        together = part(case, state).each(rows)
        for i in range(len(rows.y)):
            alone = part(case, state).each(Rows(rows.x[i : i + 1], rows.y[i : i + 1]))
            assert np.array_equal(together[i], alone[0], equal_nan=True)


@pytest.mark.parametrize("case", CASES[len(TASKS) :], ids=lambda case: case[1].name)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_one_record_of_an_analysis_is_not_clipped(
    case: Case, data: st.DataObject
) -> None:
    """Its row is within the bound by its own weights, whatever it says: no bias."""
    (rows, _), state = data.draw(people(case)), data.draw(states(case))
    bounded = part(case, state)
    with np.errstate(all="ignore"):
        each = bounded.each(rows)
    finite = each[np.isfinite(each).all(axis=1)]
    assert (np.linalg.norm(finite, axis=1) <= bounded.clip * (1 + 1e-9)).all()


def test_large_numbers_that_cancel_out_stay_one_persons_own() -> None:
    """Found by the law above: a product's rounding moved another person's bin."""
    case = CASES[len(TASKS) - 1]
    task = case[1]
    shown = {name: np.zeros(shape) for name, shape in task.shows(STUDY).items()}
    shown["weights"][:] = 15.0
    x = np.zeros((2, len(columns(STUDY))))
    x[1, :2] = 4.63602964e92, -4.63602964e92
    rows, bounded = Rows(x, np.zeros(2)), part(case, State(shown))
    both = clipping.add(bounded, rows, np.arange(2)).total
    one = clipping.add(bounded, Rows(x[1:], rows.y[1:]), np.arange(1)).total
    assert np.linalg.norm(both - one) <= bounded.clip * (1 + 1e-9)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
@settings(max_examples=30)
@given(seed=st.integers(0, 1000), data=st.data())
def test_the_site_itself_keeps_the_bound(
    task: Task, seed: int, data: st.DataObject
) -> None:
    """Through the door's own call, with an encoding that a site accepts."""
    whole, state = clinics.table(30, seed), data.draw(states((STUDY, task)))
    inside = {name: np.full(shape, 0.3) for name, shape in shapes(STUDY).items()}
    inside = {name: inside[name] for name in inside if name in state.arrays}
    for index, column in enumerate(columns(STUDY)) if inside else ():
        low, high = (0, 1) if column.kind != "value" else ([(0, 120), (50, 700)][index])
        for name in ("centre", "fill"):
            inside[name][index] = (low + high) / 2
    state = State({**state.arrays, **inside})
    gone = data.draw(st.sampled_from(whole.persons(task.rows).tolist()))
    released = [
        flatten(task.release(STUDY), training.run(task, STUDY, state, Design(table)))
        for table in (whole, without(whole, gone))
    ]
    moved = np.linalg.norm(released[0] - released[1])
    assert moved <= costs.noisy(task).clip(STUDY) * (1 + 1e-9)


def without(whole: Table, gone: int) -> Table:
    stays = whole.person != gone
    return clinics.rows(whole.values[stays], whole.outcome[stays], whole.train[stays])


@given(data=st.data())
def test_blocks_change_nothing_but_the_order_of_adding(data: st.DataObject) -> None:
    x = data.draw(arrays(np.float64, (9, 3), elements=st.floats(-5, 5)))
    person = data.draw(arrays(np.int64, 9, elements=st.integers(0, 3)))
    bounded = Part(each=lambda rows: rows.x, width=3, clip=2.0)
    rows = Rows(x, np.zeros(9))
    whole = clipping.add(bounded, rows, person)
    with mock.patch.object(clipping, "BLOCK", 3 * data.draw(st.integers(1, 9))):
        parts = clipping.add(bounded, rows, person)
    np.testing.assert_allclose(parts.total, whole.total, atol=1e-12)
    by_hand = np.zeros(3)
    for each in set(person.tolist()):
        added = x[person == each].sum(axis=0)
        by_hand += added * min(1.0, 2.0 / max(np.linalg.norm(added), 1e-300))
    np.testing.assert_allclose(whole.total, by_hand, atol=1e-12)


def test_a_person_with_many_records_counts_as_one() -> None:
    bounded = Part(each=lambda rows: rows.x, width=2, clip=1.0)
    rows = Rows(np.ones((1000, 2)), np.zeros(1000))
    alone = clipping.add(bounded, rows, np.zeros(1000, dtype=np.int64))
    assert np.linalg.norm(alone.total) == pytest.approx(1.0)
    many = clipping.add(bounded, rows, np.arange(1000))
    assert np.linalg.norm(many.total) == pytest.approx(1000.0)


def test_a_record_that_is_not_finite_counts_as_nothing_and_is_counted() -> None:
    bounded = Part(each=lambda rows: rows.x, width=2, clip=9.0)
    x = np.array([[1.0, np.nan], [2.0, 3.0], [np.inf, 0.0]])
    found = clipping.add(bounded, Rows(x, np.zeros(3)), np.array([0, 0, 1]))
    assert found.broken == 2
    assert found.total.tolist() == [2.0, 3.0]


def test_a_formula_of_another_width_is_refused() -> None:
    bounded = Part(each=lambda rows: rows.x, width=3, clip=1.0)
    with pytest.raises(IntegrityError, match="other numbers"):
        clipping.add(bounded, Rows(np.ones((2, 2)), np.zeros(2)), np.arange(2))


def test_nobody_at_all_is_a_sum_of_nothing() -> None:
    bounded = Part(each=lambda rows: rows.x, width=2, clip=1.0)
    rows = Rows(np.ones((0, 2)), np.zeros(0))
    empty = clipping.add(bounded, rows, np.zeros(0, dtype=np.int64))
    assert empty.total.tolist() == [0.0, 0.0]


@given(seed=st.integers(0, 1000))
def test_a_formula_is_not_trusted_with_its_own_sum(seed: int) -> None:
    """What ``local`` says is not asked: a person there twice weighs no more."""
    task = TASKS[0]
    whole = clinics.table(20, seed)
    assume(whole.train.any())
    doubled = Table(
        values=np.r_[whole.values, whole.values],
        outcome=np.r_[whole.outcome, whole.outcome],
        train=np.r_[whole.train, whole.train],
        person=np.r_[whole.person, whole.person],
        key=np.r_[whole.key, whole.key],
        people=whole.people,
        report=(),
    )
    once, twice = (
        training.run(task, STUDY, State({}), Design(table))["records"][0]
        for table in (whole, doubled)
    )
    state, rows = State({}), doubled.rows("train")
    trusted = task.local(STUDY, state, rows)["records"][0]
    assert once <= twice < trusted
