"""What a site tells twice, or of whom too little: it says no before it leaves."""

import logging
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from client import site as sites
from client.books import chain, home, spending
from client.books.chain import Entry
from client.door import once
from client.line import answering
from client.office import review
from client.site import Site
from client.tables import integration, withdrawals
from common import plan
from common.encoding import bounds, columns
from common.errors import Refusal, StudyError
from common.study import Study
from simulations import plain
from tests import charges, clinics
from tests.charges import Aggregator, vector

EXACT = clinics.study(model=None, evaluation=None, analysis={"quantiles": [0.5]})
SHAPE = (2, 4)


def windows(width: float) -> dict[str, np.ndarray]:
    return {"first": np.zeros(SHAPE), "width": np.full(SHAPE, width)}


@pytest.fixture
def asked(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Aggregator:
    caplog.set_level(logging.WARNING, "consilium.client")
    one = Aggregator(charges.site(tmp_path, EXACT))
    assert one.open(EXACT).has_content()
    yield one
    one.restart()


def again(one: Aggregator) -> None:
    """Close the run, let the site forget it, approve once more, and open another."""
    one.close(EXACT)
    one.restart()
    state = one.path.parent / "state"
    yes = home.about("approved", EXACT, until="2030-12-31", typed="small")
    home.note(state, yes, lambda: datetime(2026, 11, 23, tzinfo=UTC))
    assert one.open(EXACT, "again").has_content()


def test_the_same_question_in_another_run_gets_the_same_answer(
    asked: Aggregator,
) -> None:
    first = asked.ask(EXACT, 1, "describe")
    again(asked)
    second = asked.ask(EXACT, 1, "describe", run="again")
    assert vector(first).tobytes() == vector(second).tobytes()


def test_asked_without_one_of_the_sites_it_refuses(
    asked: Aggregator, caplog: pytest.LogCaptureFixture
) -> None:
    assert asked.ask(EXACT, 1, "describe").has_content()
    again(asked)
    reply = asked.ask(EXACT, 1, "describe", run="again", sites=("north",))
    assert reply.has_error()
    assert "among other sites" in caplog.text


def test_another_task_among_other_sites_is_refused_too(asked: Aggregator) -> None:
    assert asked.ask(EXACT, 1, "describe").has_content()
    again(asked)
    other = {"sequence": 2, "arrays": windows(16.0), "sites": ("north",)}
    assert asked.ask(EXACT, 1, "quantiles", run="again", **other).has_error()


def test_asked_after_one_person_came_it_refuses(
    asked: Aggregator, caplog: pytest.LogCaptureFixture
) -> None:
    assert asked.ask(EXACT, 1, "describe").has_content()
    export = asked.path.parent / "export.csv"
    export.write_text(export.read_text() + "new,2020-01-01,77,250,mild,f,yes\n")
    again(asked)
    assert asked.ask(EXACT, 1, "describe", run="again").has_error()
    assert "from other records" in caplog.text


def test_asked_from_another_state_it_refuses(
    asked: Aggregator, caplog: pytest.LogCaptureFixture
) -> None:
    assert asked.ask(EXACT, 1, "describe").has_content()
    one = {"sequence": 2, "arrays": windows(16.0)}
    assert asked.ask(EXACT, 1, "quantiles", **one).has_content()
    again(asked)
    other = {**one, "arrays": windows(15.0), "run": "again"}
    assert asked.ask(EXACT, 1, "quantiles", **other).has_error()
    assert "from another state" in caplog.text
    assert asked.ask(EXACT, 1, "quantiles", **{**one, "run": "again"}).has_content()


def test_within_a_run_a_site_that_restarted_goes_on(asked: Aggregator) -> None:
    first = asked.ask(EXACT, 1, "describe")
    asked.restart()
    assert asked.open(EXACT).has_content()
    second = asked.ask(EXACT, 1, "describe")
    assert vector(first).tobytes() == vector(second).tobytes()


def test_an_exact_study_of_two_sites_must_say_so(tmp_path: Path) -> None:
    silent = clinics.study(disclosure={"min_people": 1})
    site = sites.read(charges.site(tmp_path, silent))
    with pytest.raises(Refusal, match="may run with fewer than 3 sites"):
        sites.invited(site, silent, clinics.TODAY)
    sites.invited(site, EXACT, clinics.TODAY)
    kept = charges.study(disclosure={"min_people": 1})
    sites.invited(site, kept, clinics.TODAY)
    simulated = sites.read(clinics.folder(tmp_path / "simulated", clinics.lines(40)))
    sites.invited(simulated, silent, clinics.TODAY)


def narrow(oldest: int) -> Study:
    return clinics.study(
        model=None,
        evaluation=None,
        cohort=[{"variable": "age", "at_most": oldest}],
        disclosure={"min_people": 5, "min_sites": 1},
    )


@pytest.mark.parametrize(("oldest", "left"), [(86, 3), (80, 8), (90, 0)])
def test_a_cohort_that_leaves_out_a_few_is_refused(
    tmp_path: Path, oldest: int, left: int
) -> None:
    ages = [*range(30, 72), *[81] * 5, 87, 88, 89]
    records = [f"p{i},2020-01-01,{age},200,mild,f,yes" for i, age in enumerate(ages)]
    study = narrow(oldest)
    path = clinics.folder(tmp_path, records, approved=study.digest())
    path.write_text(path.read_text().replace("[data]", "min_people = 2\n[data]", 1))
    site: Site = sites.read(path)
    table = integration.table(site, study)
    assert table.outside == left
    refused = 0 < left < 5
    assert review.check(site, study).enough is not refused
    asked = Aggregator(path)
    assert asked.open(study).has_error() is refused
    asked.restart()


def test_sums_of_too_many_columns_are_not_asked_for() -> None:
    study = clinics.study()
    few, enough = (clinics.table(people, 3) for people in (25, 60))
    with pytest.raises(StudyError, match="7 columns need 21 records"):
        plain.run(study, [few])
    assert plain.run(study, [enough])["logistic"].done


def encoded(study: Study, share: float) -> dict[str, np.ndarray]:
    """Return a state of the model that encodes around a *share* of each range."""
    shows = plan.find(study, "logistic").shows(study)
    ends = np.array([bounds(study, each) for each in columns(study)])
    middle = ends[:, 0] + share * (ends[:, 1] - ends[:, 0])
    quarter = (ends[:, 1] - ends[:, 0]) / 4
    blank = {name: np.zeros(shape) for name, shape in shows.items()}
    return {**blank, "centre": middle, "fill": middle.copy(), "scale": quarter}


def test_another_encoding_cannot_be_waited_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second one would only serve to look at few records at a time."""
    caplog.set_level(logging.WARNING, "consilium.client")
    study = clinics.study()
    one = Aggregator(charges.site(tmp_path, study))
    assert one.open(study).has_content()
    first, second = encoded(study, 0.5), encoded(study, 0.25)
    assert one.ask(study, 1, "logistic", arrays=first).has_content()
    assert one.ask(study, 2, "logistic", arrays=second).has_error()
    monkeypatch.setattr(answering, "QUIET", -1.0)
    assert answering.tidy()
    assert one.open(study).has_content()
    assert one.ask(study, 2, "logistic", arrays=second).has_error()
    assert "by another encoding before" in caplog.text
    assert one.ask(study, 2, "logistic", arrays=first).has_content()
    one.restart()


def test_a_floor_that_was_raised_is_heard_while_a_study_is_open(
    asked: Aggregator, caplog: pytest.LogCaptureFixture
) -> None:
    assert asked.ask(EXACT, 1, "describe").has_content()
    text = asked.path.read_text()
    asked.path.write_text(text.replace("[data]", "min_people = 5000\n[data]", 1))
    other = {"sequence": 2, "arrays": windows(16.0)}
    assert asked.ask(EXACT, 1, "quantiles", **other).has_error()
    assert asked.open(EXACT).has_error()
    assert "its floor of 5000" in caplog.text


def test_what_the_steward_stopped_is_not_said_again(asked: Aggregator) -> None:
    assert asked.ask(EXACT, 1, "describe").has_content()
    state = asked.path.parent / "state"
    for kind, facts in (("approved", {"until": "2030-12-31"}), ("revoked", {})):
        note = home.about(kind, EXACT, **facts)
        home.note(state, note, lambda: datetime(2026, 11, 23, tzinfo=UTC))
    assert asked.ask(EXACT, 1, "describe").has_error()


def test_within_a_run_the_sites_stay_though_somebody_withdrew(
    asked: Aggregator,
) -> None:
    assert asked.ask(EXACT, 1, "describe").has_content()
    state = asked.path.parent / "state"
    gone = home.about("withdrawn", EXACT, people=1)
    home.note(state, gone, lambda: datetime(2026, 11, 23, tzinfo=UTC))
    withdrawals.add(state, 12345)
    assert asked.open(EXACT).has_content()
    other = {"sequence": 2, "arrays": windows(16.0)}
    assert asked.ask(EXACT, 1, "quantiles", **other, sites=("north",)).has_error()
    assert asked.ask(EXACT, 1, "quantiles", **other).has_content()


def test_who_asks_cannot_fill_the_ledger(asked: Aggregator) -> None:
    def count() -> int:
        return len(sites.read(asked.path).entries())

    asked.ask(EXACT, 1, "describe", run="stranger")
    before = count()
    for number in range(20):
        assert asked.ask(EXACT, 1, "describe", run=f"run {number}").has_error()
        assert asked.open(EXACT).has_content()
    assert count() == before
    assert asked.ask(EXACT, 1, "describe", run="r" * 65).has_error()
    asked.restart()
    before = count()
    assert asked.open(EXACT).has_content()
    assert count() == before + 1, "that it came back is worth a line"


def test_records_that_nobody_asks_for_are_let_go_and_the_run_goes_on(
    asked: Aggregator, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = asked.ask(EXACT, 1, "describe")
    assert not answering.tidy(), "it was asked a moment ago"
    monkeypatch.setattr(answering, "QUIET", -1.0)
    assert answering.tidy()
    assert answering.studies() == ()
    assert asked.ask(EXACT, 1, "describe").has_error()
    assert asked.open(EXACT).has_content()
    second = asked.ask(EXACT, 1, "describe")
    assert vector(first).tobytes() == vector(second).tobytes()


def test_the_next_run_ends_the_one_before(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Side by side, closing one would make a site draw the other's noise anew."""
    caplog.set_level(logging.WARNING, "consilium.client")
    study = charges.study()
    path = charges.site(tmp_path, study, budget="epsilon = 9")
    one = Aggregator(path)
    with charges.counting():
        assert one.open(study, "first").has_content()
        assert one.ask(study, 1, run="first").has_content()
        assert one.open(study, "second").has_content()
        assert one.ask(study, 1, run="first").has_error()
        assert one.close(study, "second").has_content()
        assert one.open(study, "first").has_error()
        one.restart()
        assert one.open(study, "first").has_error()
    assert "another one has followed it" in caplog.text
    kinds = [each.kind for each in sites.read(path).entries()]
    assert kinds.count("released") == 1


def lines(study: Study, *said: tuple[str, dict[str, str | int]]) -> list[Entry]:
    """Return a ledger that says of *study* what is *said*, kind by kind."""
    kept: list[Entry] = []
    for kind, facts in said:
        note = home.about(kind, study, **facts)
        now = datetime(2026, 11, 23, tzinfo=UTC)
        kept.append(chain.seal(note, chain.head(kept), now))
    return kept


def sum_of(
    run: str, number: int, survivors: str, state: str = "s"
) -> dict[str, str | int]:
    turn = {"run": run, "task": "describe", "round": number, "state": state}
    return {**turn, "sites": 3, "survivors": survivors}


@pytest.mark.parametrize("study", [EXACT, charges.study()])
def test_a_sum_is_opened_for_one_list_of_survivors(study: Study) -> None:
    before = lines(study, ("opened", sum_of("run", 1, "abc")))
    same = home.about("opened", study, **sum_of("run", 1, "abc"))
    once.opening(before, study, same)
    once.opening(before, study, home.about("opened", study, **sum_of("run", 2, "ab")))
    other = home.about("opened", study, **sum_of("run", 1, "ab"))
    with pytest.raises(Refusal, match="opened here for other sites before"):
        once.opening(before, study, other)


def test_exact_sums_are_opened_for_one_list_in_all_runs() -> None:
    before = lines(EXACT, ("opened", sum_of("run", 1, "abc")))
    other = sum_of("again", 1, "ab")
    with pytest.raises(Refusal, match="opened here for other sites before"):
        once.opening(before, EXACT, home.about("opened", EXACT, **other))
    moved = home.about("opened", EXACT, **sum_of("again", 1, "abc", "t"))
    with pytest.raises(Refusal, match="from another state"):
        once.opening(before, EXACT, moved)
    noisy = charges.study()
    paid = lines(noisy, ("opened", sum_of("run", 1, "abc")))
    once.opening(paid, noisy, home.about("opened", noisy, **other))


def test_after_somebody_withdrew_a_new_run_may_be_of_others() -> None:
    before = lines(EXACT, ("opened", sum_of("run", 1, "abc")), ("withdrawn", {}))
    other = home.about("opened", EXACT, **sum_of("again", 1, "ab"))
    once.opening(before, EXACT, other)
    with pytest.raises(Refusal, match="opened here for other sites before"):
        once.opening(
            before, EXACT, home.about("opened", EXACT, **sum_of("run", 1, "ab"))
        )


def test_within_a_run_nobody_is_told_who_withdrew_between(asked: Aggregator) -> None:
    """The same round, once with and once without somebody, would tell of them."""
    path = asked.path
    assert asked.ask(EXACT, 1, "describe").has_content()
    state = path.parent / "state"
    gone = home.about("withdrawn", EXACT, people=1)
    home.note(state, gone, lambda: datetime(2026, 11, 23, tzinfo=UTC))
    export = path.parent / "export.csv"
    export.write_text("".join(export.read_text().splitlines(keepends=True)[:-1]))
    asked.restart()
    assert asked.open(EXACT).has_content()
    assert asked.ask(EXACT, 1, "describe").has_error()


def test_a_run_that_was_revoked_spends_nothing_until_it_is_let_in_anew() -> None:
    study = charges.study()
    admitted = ("admitted", {"run": "run", "train": "0.5", "test": "0.5"})
    said = [admitted, ("revoked", {}), ("approved", {"until": "2030-12-31"})]
    (account,) = spending.accounts(lines(study, *said), clinics.TODAY)
    assert account.committed() == ()
    assert once.running(lines(study, *said), clinics.TODAY) == {}
    (account,) = spending.accounts(lines(study, *said, admitted), clinics.TODAY)
    assert account.committed() != ()
    assert once.running(lines(study, *said, admitted), clinics.TODAY) != {}
