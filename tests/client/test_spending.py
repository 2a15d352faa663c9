"""What was spent is read from the ledger, and is never less than it was."""

import math
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.books import chain, spending
from client.books.chain import Entry, Note
from client.books.spending import Ceiling
from common import privacy
from common.privacy import Event, Gaussian, Subsampled
from tests import charges, clinics, ledgers

TODAY = date(2026, 11, 22)
OWN, OTHER = "ab" * 32, "cd" * 32
MUS = st.floats(0.001, 2.0)
EVENTS = st.builds(Gaussian, MUS) | st.builds(
    Subsampled, MUS, st.floats(0.01, 1.0), st.integers(1, 99)
)


def admitted(mu: float = 0.5, digest: str = OWN, run: str = "1") -> Note:
    facts = {"run": run, "train": repr(mu), "test": repr(mu)}
    return Note("admitted", digest, "small", facts)


def released(event: Event | float, digest: str = OWN, **facts: Any) -> Note:
    cost = event if not isinstance(event, float) else Gaussian(event)
    about = {"run": "1", "split": "train", "task": "count", "round": 1}
    written = spending.written(cost)
    return Note("released", digest, "small", about | facts | written)


def lines(*notes: Note) -> list[Entry]:
    return ledgers.entries(list(notes))


def mu_of(*notes: Note, committed: bool = False) -> float:
    runs = spending.accounts(lines(*notes), TODAY)
    events = spending.committed(runs) if committed else spending.spent(runs)
    return privacy.together(e for e in events if isinstance(e, Gaussian))


@given(EVENTS)
def test_a_charge_is_read_as_it_was_written(event: Event) -> None:
    (entry,) = lines(released(event))
    assert spending.event_of(entry.facts) == event
    whole = chain.parse(charges.Path("ledger"), entry.line()).entries
    assert spending.event_of(whole[0].facts) == event


@given(st.lists(st.tuples(MUS, st.booleans(), st.integers(1, 3)), max_size=12))
def test_runs_add_up_and_the_dearer_split_counts(
    given_: list[tuple[float, bool, int]],
) -> None:
    notes = [
        released(mu, run=str(run), split="train" if train else "test", round=number)
        for number, (mu, train, run) in enumerate(given_)
    ]
    wanted = sum(
        max(
            sum(mu**2 for mu, train, other in given_ if other == run and train == side)
            for side in (True, False)
        )
        for run in (1, 2, 3)
    )
    assert mu_of(*notes) == pytest.approx(math.sqrt(wanted))
    assert mu_of(*notes, committed=True) == mu_of(*notes)


@given(st.lists(EVENTS, min_size=1, max_size=6), st.data())
def test_steps_over_samples_are_counted_on_both_sides_and_sums_on_the_dearer(
    events: list[Event], data: st.DataObject
) -> None:
    sides = [data.draw(st.sampled_from(spending.SPLITS)) for _ in events]
    charged = list(zip(events, sides, strict=True))
    notes = [released(e, split=s) for e, s in charged]
    found = spending.spent(spending.accounts(lines(*notes), TODAY))
    counted = [each for each in found if isinstance(each, Subsampled)]
    assert len({(each.sigma, each.rate) for each in counted}) == len(counted)
    for each in counted:
        alike = [e for e in events if isinstance(e, Subsampled)]
        steps = [
            e.steps for e in alike if replace(e, steps=1) == replace(each, steps=1)
        ]
        assert each.steps == sum(steps)
    dearer = max(
        privacy.together(e for e, s in charged if s == side and isinstance(e, Gaussian))
        for side in spending.SPLITS
    )
    sums = [each.mu for each in found if isinstance(each, Gaussian)]
    assert sums == ([pytest.approx(dearer)] if dearer else [])


def test_steps_that_were_not_taken_yet_are_held_for_a_run_under_way() -> None:
    plan = {"train": "0.2", "test": "0.1", **spending.written(Subsampled(2.0, 0.1, 9))}
    begun = Note("admitted", OWN, "small", {"run": "1", **plan})
    step = Subsampled(2.0, 0.1, 1)
    notes = [begun, released(0.2), *(released(step, round=n) for n in (2, 3, 3))]
    (run,) = spending.accounts(lines(*notes), TODAY)
    assert run.spent() == (Gaussian(0.2), Subsampled(2.0, 0.1, 3))
    assert run.rest() == (Gaussian(0.1), Subsampled(2.0, 0.1, 7))
    assert run.committed() == (Gaussian(0.2), Subsampled(2.0, 0.1, 10))
    over = [*notes, Note("closed", OWN, "small", {"run": "1"})]
    (run,) = spending.accounts(lines(*over), TODAY)
    assert run.committed() == run.spent()


@pytest.mark.slow
def test_steps_and_sums_have_one_epsilon() -> None:
    notes = [released(Subsampled(4.0, 0.25, 60)), released(0.2, split="test")]
    found = spending.spent(spending.accounts(lines(*notes), TODAY))
    together = privacy.epsilon_of(found, 1e-5)
    assert 2.04 < together < privacy.epsilon_of(found[:1], 1e-5) + 1
    assert not spending.fits(found, Ceiling(together - 0.1, 1e-5))
    left = spending.room(found, Ceiling(together + 0.5, 1e-5))
    assert spending.fits((*found, Gaussian(0.95 * left)), Ceiling(together + 0.5, 1e-5))
    assert not spending.fits(
        (*found, Gaussian(1.1 * left)), Ceiling(together + 0.5, 1e-5)
    )


def test_a_run_under_way_counts_with_all_that_it_may_cost() -> None:
    begun = [admitted(0.5)]
    assert mu_of(*begun) == 0
    assert mu_of(*begun, committed=True) == pytest.approx(0.5)
    one = [*begun, released(0.3)]
    assert mu_of(*one) == pytest.approx(0.3)
    assert mu_of(*one, committed=True) == pytest.approx(0.5)
    lost = [*one, released(0.3)]
    assert mu_of(*lost) == pytest.approx(math.sqrt(0.18))
    assert mu_of(*lost, committed=True) == pytest.approx(math.sqrt(0.25 + 0.09))


@pytest.mark.parametrize(
    "end",
    [
        Note("closed", OWN, "small", {"run": "1"}),
        Note("revoked", OWN, "small", {"by": "me"}),
        Note("denied", OWN, "small", {"by": "me"}),
    ],
)
def test_what_a_run_did_not_use_is_free_when_it_is_over(end: Note) -> None:
    yes = Note("approved", OWN, "small", {"until": "2026-12-31", "by": "me"})
    notes = [yes, admitted(0.5), released(0.3), end]
    assert mu_of(*notes, committed=True) == pytest.approx(0.3)
    other = Note(end.kind, OTHER, "small", end.facts)
    assert mu_of(*notes[:3], other, committed=True) == pytest.approx(0.5)


def test_a_new_run_of_a_study_takes_the_place_of_the_one_before() -> None:
    notes = [admitted(0.5), released(0.3), admitted(0.5, run="2")]
    assert mu_of(*notes, committed=True) == pytest.approx(math.hypot(0.3, 0.5))
    other = [admitted(0.5), released(0.3), admitted(0.5, OTHER)]
    assert mu_of(*other, committed=True) == pytest.approx(math.hypot(0.5, 0.5))


@given(st.lists(MUS, max_size=5), st.floats(0.1, 20.0), st.floats(1e-8, 1e-3))
def test_what_is_left_fits_and_nothing_more(
    mus: list[float], epsilon: float, delta: float
) -> None:
    events, under = [Gaussian(mu) for mu in mus], Ceiling(epsilon, delta)
    left = spending.room(events, under)
    if left:
        assert spending.fits([*events, Gaussian(left)], under)
    more = Gaussian(max(left * 1.01, left + 1e-3))
    assert not spending.fits([*events, more], under)


def test_nothing_granted_is_nothing_to_spend() -> None:
    assert spending.room([], Ceiling(0.0, 1e-5)) == 0
    more = [Note("granted", "", "", {"epsilon": "0.5"}) for _ in range(3)]
    total = spending.ceiling(Ceiling(1.0, 1e-5), lines(*more))
    assert total == Ceiling(2.5, 1e-5)


@pytest.mark.parametrize("epsilon", [0.1, 0.5, 1.0, 3.0, 8.0])
def test_a_whole_study_costs_its_epsilon_and_fits_exactly(epsilon: float) -> None:
    kept = {"epsilon": epsilon, "delta": 1e-5, "noise": "shared", "colluders": 1}
    three = {**clinics.ABOUT, "sites": ["north", "south", "west"]}
    study = clinics.study(privacy=kept, study=three, rounds={"quorum": 3})
    events = spending.whole(study)
    assert privacy.epsilon_of(events, 1e-5) == pytest.approx(epsilon, abs=1e-6)
    assert spending.fits(events, Ceiling(epsilon, 1e-5))
    assert not spending.fits(events, Ceiling(epsilon * 0.999, 1e-5))
    alone = privacy.epsilon_of(spending.whole_alone(study), 1e-5)
    assert alone > epsilon, "two honest sites add it together"
    assert set(spending.planned(study)) == {"train", "test"}
