"""The budget at the door: looked at before records are, charged before a reply is."""

import json
import logging
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

import client.app
from client import site
from client.books import home
from client.door import budget, egress, opened
from client.door.opened import open_study
from common import costs, plan, terminal
from common.cli import build
from common.errors import BudgetError
from common.study import Study
from common.tasks.describe import DESCRIBE
from tests import charges, clinics
from tests.charges import Aggregator

SHARED = {**charges.PRIVACY, "noise": "shared", "colluders": 1}
THREE = {**clinics.ABOUT, "sites": ["north", "south", "west"]}
"""Shared noise is for sums that are masked, of three sites at least."""


@pytest.fixture(autouse=True)
def only_counting(request: pytest.FixtureRequest) -> Iterator[None]:
    if "real" in request.keywords:
        yield
    else:
        with charges.counting():
            yield
    client.app.SHELF.held.clear()


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Write down each time that records are read, or a formula runs."""
    seen: list[str] = []
    table, run = opened.cache.table, egress.training.run

    def reading(*rest: Any) -> Any:
        seen.append("read")
        return table(*rest)

    def running(*rest: Any) -> Any:
        seen.append("run")
        return run(*rest)

    monkeypatch.setattr(opened.cache, "table", reading)
    monkeypatch.setattr(egress.training, "run", running)
    return seen


@pytest.fixture
def study() -> Study:
    return charges.study()


@pytest.fixture(params=["home", "simulated"])
def either(request: pytest.FixtureRequest, tmp_path: Path, study: Study) -> Aggregator:
    """Return who asks a site with a home, and who asks one without."""
    path = charges.site(tmp_path / "north", study)
    if request.param == "simulated":
        path.write_text(path.read_text().replace('home = "state"', ""))
    return Aggregator(path)


@pytest.fixture
def asked(tmp_path: Path, study: Study) -> Aggregator:
    return Aggregator(charges.site(tmp_path / "north", study))


def kinds(asked: Aggregator, kind: str) -> list[Any]:
    return [e.facts for e in site.read(asked.path).entries() if e.kind == kind]


def test_the_same_question_is_answered_with_the_noise_that_was_paid(
    either: Aggregator, study: Study, read: list[str]
) -> None:
    assert either.open(study).has_content()
    first = charges.seal(either.ask(study, 1))
    assert {charges.seal(either.ask(study, 1)) for _ in range(3)} == {first}
    assert read == ["read", "run"]
    (held,) = client.app.SHELF.held.values()
    lines = held.site.entries() or held.book
    assert [each.kind for each in lines].count("released") == 1


def test_what_leaves_is_the_sum_with_noise_of_the_deviation(
    tmp_path: Path, study: Study
) -> None:
    path = charges.site(tmp_path / "north", study, budget="epsilon = 500")
    path.write_text(path.read_text().replace('home = "state"', ""))
    either, drawn = Aggregator(path), []
    for run in range(60):
        either.open(study, f"run {run}")
        for number in range(1, charges.ROUNDS + 1):
            reply = either.ask(study, number, run=f"run {run}")
            drawn += list(charges.vector(reply))
    (held,) = client.app.SHELF.held.values()
    factor = min(1.0, 1.5 / math.sqrt(2))
    exact, deviation = factor * 60, costs.deviation(study, charges.COUNT)
    assert held.table.people["train"] == 60
    noise = (np.array(drawn) - exact) / deviation
    assert stats.kstest(noise, "norm").pvalue > 1e-4
    assert len(set(drawn)) == len(drawn)


def test_a_site_that_restarted_sends_the_stored_answer(
    asked: Aggregator, study: Study, read: list[str]
) -> None:
    asked.open(study)
    asked.ask(study, 1)
    first = charges.seal(asked.ask(study, 2))
    asked.restart()
    assert asked.ask(study, 2).has_error(), "it has forgotten that it opened the study"
    asked.open(study)
    assert charges.seal(asked.ask(study, 2)) == first
    assert asked.ask(study, 2, sequence=3).has_error()
    assert asked.ask(study, 1).has_error()
    assert read.count("run") == len(kinds(asked, "released")) == 2
    assert asked.ask(study, 3).has_content()


def test_an_answer_that_was_lost_is_charged_again(
    asked: Aggregator, study: Study
) -> None:
    asked.open(study)
    first = charges.seal(asked.ask(study, 1))
    (stored,) = (asked.path.parent / "state" / "answers").iterdir()
    stored.unlink()
    asked.restart()
    asked.open(study)
    assert charges.seal(asked.ask(study, 1)) != first
    assert len(kinds(asked, "released")) == 2


def test_a_fork_is_refused_by_the_ledger_when_all_else_is_forgotten(
    asked: Aggregator, study: Study, caplog: pytest.LogCaptureFixture
) -> None:
    asked.open(study)
    asked.ask(study, 1)
    asked.ask(study, 2)
    for stored in (asked.path.parent / "state" / "answers").iterdir():
        stored.unlink()
    asked.restart()
    asked.open(study)
    with caplog.at_level(logging.WARNING, "consilium.client"):
        assert asked.ask(study, 1).has_error()
        other = {"arrays": {"x": np.ones(1)}}
        assert asked.ask(study, 2, **other).has_error()
    assert "replayed or forked" in caplog.text
    assert asked.ask(study, 2).has_content()


def test_a_stored_answer_that_was_changed_is_not_sent(
    asked: Aggregator, study: Study, caplog: pytest.LogCaptureFixture
) -> None:
    asked.open(study)
    asked.ask(study, 1)
    (stored,) = (asked.path.parent / "state" / "answers").iterdir()
    whole = stored.read_bytes()
    for place in (0, 20, len(whole) // 2, len(whole) - 1):
        changed = bytearray(whole)
        changed[place] ^= 1
        stored.write_bytes(changed)
        asked.restart()
        with caplog.at_level(logging.WARNING, "consilium.client"):
            assert asked.open(study).has_error()
    assert "stored answer is not what was written" in caplog.text


def test_an_answer_without_its_charge_is_not_sent_again(
    asked: Aggregator, study: Study
) -> None:
    """Somebody put back an older ledger: what it does not hold is charged anew."""
    asked.open(study)
    book = home.log(asked.path.parent / "state")
    before = book.read_bytes()
    first = charges.seal(asked.ask(study, 1))
    book.write_bytes(before)
    asked.restart()
    asked.open(study)
    assert charges.seal(asked.ask(study, 1)) != first
    assert len(kinds(asked, "released")) == 1


def test_a_study_that_closed_leaves_no_answer_and_frees_the_rest(
    asked: Aggregator, study: Study
) -> None:
    asked.open(study)
    asked.ask(study, 1)
    folder = asked.path.parent / "state" / "answers"
    assert len(list(folder.iterdir())) == 1
    assert asked.close(study).has_content()
    assert list(folder.iterdir()) == []
    assert len(kinds(asked, "closed")) == 1
    found = budget.spending.accounts(site.read(asked.path).entries(), clinics.TODAY)
    assert [each.committed() for each in found] == [each.spent() for each in found]


def test_an_answer_of_a_study_that_was_never_closed_goes_too(
    tmp_path: Path, study: Study
) -> None:
    other = charges.study(disclosure={"min_people": 2})
    asked = Aggregator(charges.site(tmp_path / "n", study, other, budget="epsilon = 9"))
    asked.open(study)
    asked.ask(study, 1)
    asked.restart()
    asked.open(other)
    asked.ask(other, 1)
    folder = asked.path.parent / "state" / "answers"
    assert len(list(folder.iterdir())) == 2, "both are under way"
    site_ = site.read(asked.path)
    note = home.about("revoked", study, by="me")
    yes = home.about("approved", study, by="me", until="2999-01-01")
    for each in (yes, note):
        home.note(site_.home, each, client.app._now)
    asked.open(other, "another")
    assert [each.stem for each in folder.iterdir()] == [other.digest()]


Hostile = tuple[str, dict[str, Any], str]
HOSTILE: dict[str, Hostile] = {
    "nothing granted": ("", {}, "no budget was granted here yet"),
    "beyond the budget": ("epsilon = 0.9", {}, "epsilon would be 1 of 0.9"),
    "at a smaller delta": (
        "epsilon = 1.0\ndelta = 1e-7",
        {},
        "does not fit into the privacy budget of north",
    ),
    "no promise": (
        "epsilon = 9.0\nrequire = true",
        {"privacy": "none"},
        "promises no privacy, and north requires it",
    ),
    "shared noise": (
        'epsilon = 9.0\nnoise = "site"',
        {"privacy": SHARED, "study": THREE, "rounds": {"quorum": 3}},
        "shares its noise among sites",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_study_is_refused_before_records_are_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, read: list[str], case: str
) -> None:
    rules, changes, says = HOSTILE[case]
    study = charges.study(**changes)
    asked = Aggregator(charges.site(tmp_path / "north", study, budget=rules))
    with caplog.at_level(logging.WARNING, "consilium.client"):
        assert asked.open(study).has_error()
    assert says in caplog.text
    assert read == []
    assert kinds(asked, "admitted") == []
    assert asked.ask(study, 1).has_error()


@pytest.mark.parametrize(
    "privacy",
    [
        {**charges.PRIVACY, "epsilon": 1.4},
        {**charges.PRIVACY, "delta": 1e-6},
        "none",
    ],
)
def test_another_promise_than_the_approved_one_is_another_study(
    asked: Aggregator,
    read: list[str],
    caplog: pytest.LogCaptureFixture,
    privacy: Any,
) -> None:
    with caplog.at_level(logging.WARNING, "consilium.client"):
        assert asked.open(charges.study(privacy=privacy)).has_error()
    assert "has not approved this version" in caplog.text
    assert read == []


@pytest.mark.parametrize("how", ["closed", "open", "restarted"])
def test_a_second_run_is_a_new_spend(
    asked: Aggregator,
    study: Study,
    read: list[str],
    caplog: pytest.LogCaptureFixture,
    how: str,
) -> None:
    path = asked.path
    path.write_text(path.read_text().replace("epsilon = 1.5", "epsilon = 1.2"))
    asked.open(study)
    for number in range(1, charges.ROUNDS + 1):
        assert asked.ask(study, number).has_content()
    if how == "closed":
        asked.close(study)
    if how == "restarted":
        asked.restart()
    read.clear()
    with caplog.at_level(logging.WARNING, "consilium.client"):
        assert asked.open(study, "run again").has_error()
    assert "does not fit into the privacy budget" in caplog.text
    assert read == []
    assert len(kinds(asked, "admitted")) == 1


def test_a_simulated_site_counts_as_long_as_the_study_is_open(
    either: Aggregator, study: Study, read: list[str]
) -> None:
    either.open(study)
    for number in range(1, charges.ROUNDS + 1):
        assert either.ask(study, number).has_content()
    assert either.open(study, "second").has_content(), "1.41 of 1.5"
    for number in range(1, charges.ROUNDS + 1):
        assert either.ask(study, number, run="second").has_content()
    read.clear()
    assert either.open(study, "third").has_error()
    assert read == []


@pytest.mark.real
def test_more_rounds_than_the_study_has_are_refused(
    tmp_path: Path, read: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """The real tasks: 1 round to describe, a fixed number to fit, 1 to evaluate."""
    study = clinics.study(privacy=charges.PRIVACY)
    asked = Aggregator(charges.site(tmp_path / "north", study))
    asked.open(study)
    counts = {each.name: costs.noisy(each).rounds(study) for each in plan.tasks(study)}
    assert counts["logistic"] < study.rounds.maximum
    assert asked.ask(study, 1, "describe").has_content()
    read.clear()
    with caplog.at_level(logging.WARNING, "consilium.client"):
        for task, count in counts.items():
            assert asked.ask(study, count + 1, task, sequence=2).has_error()
            assert f"no round {count + 1} of '{task}'" in caplog.text
        assert asked.ask(study, 1, "describe", sequence=2).has_error()
    assert read == []
    assert len(kinds(asked, "released")) == 1


def test_two_processes_do_not_hold_the_same_budget_twice(
    tmp_path: Path, study: Study
) -> None:
    """Both looked before either was let in; the second is told when it is let in."""
    other = charges.study(disclosure={"min_people": 2})
    budgeted = "epsilon = 1.2"
    path = charges.site(tmp_path / "north", study, other, budget=budgeted)
    local, now = site.read(path), client.app._now
    one, two = (open_study(local, each, now().date()) for each in (study, other))
    for each in (study, other):
        budget.expect(local, each, "run", None, now)
    budget.admit(one, "run", now)
    with pytest.raises(BudgetError, match="does not fit"):
        budget.admit(two, "run", now)
    assert [e.digest for e in local.entries() if e.kind == "admitted"] == [one.digest]


def test_a_charge_is_looked_at_again_when_it_is_written(
    tmp_path: Path, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The budget was lowered while a round was computed: nothing leaves."""
    asked = Aggregator(charges.site(tmp_path / "north", study))
    asked.open(study)
    run, path = egress.training.run, asked.path

    def meanwhile(*rest: Any) -> Any:
        home.note(path.parent / "state", granted, client.app._now)
        return run(*rest)

    granted = home.about("granted", study, epsilon="-1.4", by="me", reason="a test")
    monkeypatch.setattr(egress.training, "run", meanwhile)
    assert asked.ask(study, 1).has_error()
    assert kinds(asked, "released") == []


def test_a_study_without_a_promise_is_counted_and_not_charged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = charges.study(privacy="none")
    asked = Aggregator(charges.site(tmp_path / "north", study, budget=""))
    asked.open(study)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "tasks", lambda _: (DESCRIBE,))
        reply = asked.ask(study, 1, "describe")
        assert reply.has_content()
        asked.close(study)
    (facts,) = kinds(asked, "released")
    assert "mu" not in facts
    assert not (asked.path.parent / "state" / "answers").exists()
    found = says(capsys, "budget", site=asked.path)
    assert found["unprotected"] == {"studies": 1, "releases": 1}
    assert (found["spent"], found["reserved"], found["left"]) == (0, 0, 0)


def says(capsys: pytest.CaptureFixture[str], *words: str, site: Path) -> Any:
    capsys.readouterr()
    arguments = ["client", *words, "--site", str(site), "--json"]
    assert terminal.run(build(), arguments) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("exact", [False, True])
def test_a_run_that_was_closed_is_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, *, exact: bool
) -> None:
    study = charges.study(**({"privacy": "none"} if exact else {}))
    asked = Aggregator(charges.site(tmp_path / "north", study, budget="epsilon = 9.0"))
    asked.open(study)
    assert asked.ask(study, 1).has_content()
    assert asked.close(study).has_content()
    for again in (asked.restart, lambda: None):
        again()
        with caplog.at_level(logging.WARNING, "consilium.client"):
            assert asked.open(study).has_error()
        assert "is over here: it was closed" in caplog.text
        assert asked.ask(study, 1).has_error()
    assert len(kinds(asked, "released")) == 1


def test_the_steward_sees_what_was_spent_and_what_may_be(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Study, "masked", property(lambda _: False))  # asked in clear
    kept = {**SHARED, "epsilon": 0.5}
    study = charges.study(privacy=kept, study=THREE, rounds={"quorum": 3})
    other = charges.study(privacy={**charges.PRIVACY, "epsilon": 0.7})
    asked = Aggregator(
        charges.site(
            tmp_path / "north", study, other, budget='epsilon = 2.0\nnoise = "any"'
        )
    )
    assert says(capsys, "budget", site=asked.path)["left"] == pytest.approx(2, abs=1e-5)
    asked.open(study)
    asked.ask(study, 1)
    found = says(capsys, "budget", site=asked.path)
    (waiting,) = found["waiting"]
    assert (waiting["study"], waiting["how"]) == ("small", "under way")
    for number in range(2, charges.ROUNDS + 1):
        asked.ask(study, number)
    asked.open(other)
    found = says(capsys, "budget", site=asked.path)
    assert found["spent"] == pytest.approx(0.5, abs=1e-5)
    assert found["reserved"] == pytest.approx(0.7, abs=1e-5)
    assert 0.7 < found["spent_if_masking_fails"] < 0.75
    assert 1.5 < found["left"] < 1.75
    assert sum(found["shares"].values()) == pytest.approx(1)
    assert terminal.run(build(), ["client", "budget", "--site", str(asked.path)]) == 0
    shown = capsys.readouterr().out
    assert "if masking had failed" in shown
    assert len([each for each in shown if each in "█▒░"]) == 40
    row = says(capsys, "releases", site=asked.path)["releases"][0]
    assert float(row["mu"]) == pytest.approx(costs.charges(study)["count"].mu)
    assert 0.1 < row["epsilon"] < 0.5


@pytest.mark.real
def test_a_review_says_what_a_study_would_spend(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = clinics.study(privacy=SHARED, study=THREE, rounds={"quorum": 3})
    path = charges.site(tmp_path / "north", study, budget='noise = "site"\nepsilon = 3')
    Aggregator(path).open(study)
    shared = says(capsys, "review", "small", site=path)["budget"]
    assert "epsilon 1 of 3" in shared[0]
    assert "it would be refused: small shares its noise among sites" in shared[0]
    assert "if masking fails, this site's noise alone gives epsilon 1.4" in shared[1]
    assert says(capsys, "budget", "--study", "small", site=path)["study"]["words"]


Say = Callable[..., int]


@pytest.fixture
def say(asked: Aggregator) -> Say:
    def typed(*words: str) -> int:
        return terminal.run(
            build(), ["client", "budget", *words, "--site", str(asked.path)]
        )

    return typed


def test_a_grant_is_a_line_of_the_ledger_and_typed_by_name(
    say: Say, asked: Aggregator, capsys: pytest.CaptureFixture[str]
) -> None:
    grant = ("grant", "0.75", "--reason", "a second study", "--i-am-granting")
    for typed in ("North", "yes", "", "small"):
        assert say(*grant, typed) == 7
    assert kinds(asked, "granted") == []
    assert say(*grant, "north") == 0
    (facts,) = kinds(asked, "granted")
    assert (facts["epsilon"], facts["reason"]) == ("0.75", "a second study")
    assert says(capsys, "budget", site=asked.path)["epsilon"] == 2.25
    for odd in ("0", "nan", "1e9"):
        assert say("grant", odd, *grant[2:], "north") == 2
    assert say("grant", "1", "--reason", "no one types") != 0
    assert len(kinds(asked, "granted")) == 1


def test_a_budget_has_a_site(capsys: pytest.CaptureFixture[str]) -> None:
    assert terminal.run(build(), ["client", "budget"]) == 2
    assert "--site SITE.toml" in capsys.readouterr().err
