"""A fit that has not seen a site is the others', and tells no more than it may."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest

from client import site as sites
from client.door import egress
from client.door.opened import open_study
from client.learning import training
from client.learning.training import Design
from client.office import review
from client.table import Table
from common import encoding, plan
from common.errors import IntegrityError, Refusal
from common.learned import exporting
from common.registry import MODELS
from common.sections import evaluation
from common.sections.terms import Rounds
from common.study import Study
from common.task import Rows, State, model_of
from common.tasks import side_by_side
from common.tasks.evaluation import by_site, evaluate, left_out
from common.told import manifest
from server.conduct.studies import Took
from server.reports import report, results
from simulations import plain
from simulations.engines import engine
from tests import clinics
from tests.simulations.test_engine import hospitals

NAMES = ("east", "north", "south", "west")
KINDS = sorted(MODELS)


def study_of(kind: str = "logistic", **changes: Any) -> Study:
    given: dict[str, Any] = {
        "study": {**clinics.ABOUT, "sites": [*NAMES]},
        "outcome": clinics.OUTCOMES[MODELS[kind].outcomes[0]],
        "model": {"kind": kind, **clinics.MODELS[kind]},
        "evaluation": {"test": 0.3, "bins": 200, "by_site": True, "leave_out": 1},
        "rounds": {"quorum": 4, "deadline_seconds": 20},
        **clinics.NEEDS.get(kind, {}),
    }
    return clinics.study(**{**given, **changes})


def tables_of(kind: str = "logistic", people: int = 240) -> list[Table]:
    whole = clinics.table(people, 5, MODELS[kind].outcomes[0])
    places = np.random.default_rng(5).choice(4, people, p=[0.4, 0.3, 0.2, 0.1])
    return clinics.dealt(whole, places)


def fitted(study: Study, tables: list[Table], described: State) -> State:
    """Return the model's last state over *tables* alone, by *described* constants."""
    states, model = {"describe": described}, model_of(study)
    designs = [Design(table) for table in tables]
    for task in (*model.before(study), model.fit):
        state = task.start(study, states)
        while not state.done:
            sums = [training.run(task, study, state, each) for each in designs]
            state = task.finish(study, state, plain.total(task, study, sums))
        states[task.name] = state
    return states[model.fit.name]


@pytest.mark.parametrize("kind", KINDS)
def test_each_fit_is_that_of_the_other_sites_alone(kind: str) -> None:
    study, tables = study_of(kind), tables_of(kind)
    states, model = plain.run(study, tables), model_of(study)
    found = State(left_out.learned(study, model, states))
    for place in (0, 3):
        others = [table for at, table in enumerate(tables) if at != place]
        alone = fitted(study, others, states["describe"])
        learned = side_by_side.learned(study, model, found, place)
        for name in model.carries(study):
            np.testing.assert_allclose(
                learned[name], alone.arrays[name], rtol=1e-7, atol=1e-9
            )


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_told_is_of_people_whose_site_was_not_seen(kind: str) -> None:
    study, tables = study_of(kind), tables_of(kind)
    states, model = plain.run(study, tables), model_of(study)
    found = State(left_out.learned(study, model, states))
    sums = []
    for place, table in enumerate(tables):
        arrays = side_by_side.learned(study, model, found, place)
        rows = Design(table).rows(study, plan.find(study, "left_out"), found)
        score = model.predict(study, arrays, rows)
        sums.append(evaluate.counted(study, score, rows))
    total = {name: np.sum([s[name] for s in sums], axis=0) for name in sums[0]}
    expected = evaluate.read(study, State(total, done=True))
    told = plan.find(study, "left_out").read(study, states["left_out"])
    for name in left_out.MEASURES:
        if expected.get(name) is not None:
            assert told[name] == pytest.approx(expected[name]), name
    assert told["groups"] == [[name] for name in NAMES]


@pytest.mark.parametrize("kind", KINDS)
def test_any_split_tells_the_same_of_each_site(kind: str) -> None:
    study, tables = study_of(kind), tables_of(kind)
    many, one = (plain.run(study, each) for each in (tables, [plain.pooled(tables)]))
    for name in (left_out.NAME, by_site.NAME):
        for key, array in one[name].arrays.items():
            near = {"rtol": 1e-6, "atol": 1e-6}
            np.testing.assert_allclose(many[name].arrays[key], array, **near)


def test_each_site_tells_its_own_figures_rounded() -> None:
    study, tables = study_of(), tables_of(people=900)
    states = plain.run(study, tables)
    found = by_site.figures(study, states["by_site"])
    for name, table in zip(NAMES, tables, strict=True):
        rows = Design(table).rows(
            study, plan.find(study, "evaluate"), states["logistic"]
        )
        score = model_of(study).predict(study, states["logistic"].arrays, rows)
        counts = evaluate.counted(study, score, rows)
        exact = evaluate.read(study, State(counts, done=True))
        own, unseen = found[name]["own"], found[name]["unseen"]
        for measure in ("auc", "accuracy", "brier", "expected"):
            assert own[measure] == pytest.approx(exact[measure], abs=0.005 + 1e-9)
            assert own[measure] == pytest.approx(round(own[measure], 2), abs=1e-12)
        low, high = own["records_band"]
        assert own["records"] == low <= len(rows.y) < high
        assert unseen["records_band"] == own["records_band"]
    (sheet,) = by_site.show(study, states["by_site"])
    assert {len(row) for row in sheet.rows} == {len(sheet.columns)}
    assert len(sheet.rows) == 2 * len(NAMES)


def test_a_site_with_few_of_a_kind_tells_nothing() -> None:
    study = study_of(disclosure={"min_people": 10, "min_sites": 1})
    whole = clinics.table(900, 5)
    tables = clinics.dealt(whole, np.arange(900) % 4)
    test = np.flatnonzero(~tables[2].train)
    tables[2].outcome[test] = 0.0
    tables[2].outcome[test[:9]] = 1.0
    states = plain.run(study, tables)
    told = by_site.figures(study, states["by_site"])
    assert told["south"] == {"own": None, "unseen": None}
    assert told["north"]["own"] is not None
    rows = tables[1].rows("test")
    strict = replace(rows, fewest=int(min(rows.y.sum(), (1 - rows.y).sum())) + 1)
    task = plan.find(study, "by_site")
    begun = task.start(study, states)
    for each, tells in ((rows, True), (strict, False)):
        seen = encoding.seen(study, model_of(study).fit, begun.arrays, each)
        assert task.local(study, begun, seen)["told"].any() == tells
    assert not states["by_site"].arrays["value"][2].any()


def told_by(study: Study, states: dict[str, State], rows: Rows) -> bool:
    """Return whether a site with *rows* tells figures of its own."""
    task = plan.find(study, "by_site")
    begun = task.start(study, states)
    seen = encoding.seen(study, model_of(study).fit, begun.arrays, rows)
    return bool(task.local(study, begun, seen)["told"].any())


def test_the_floor_of_a_kind_counts_people_and_every_kind() -> None:
    study = study_of(disclosure={"min_people": 10, "min_cell": 2, "min_sites": 1})
    tables = tables_of(people=900)
    states = plain.run(study, tables)
    rows = tables[1].rows("test")
    few, many = (np.flatnonzero(rows.y == each) for each in (1.0, 0.0))
    assert told_by(study, states, rows)
    for fewer in (few, many):
        rest = np.setdiff1d(np.arange(len(rows.y)), fewer)
        assert told_by(study, states, rows.take(np.union1d(rest, fewer[:10])))
        assert not told_by(study, states, rows.take(np.union1d(rest, fewer[:9])))
        assert not told_by(study, states, rows.take(rest)), "all have the same outcome"
        one = rows.key.copy()
        one[fewer] = one[fewer[0]]
        assert not told_by(study, states, replace(rows, key=one)), (
            "one person's records"
        )
    assert not told_by(study, states, replace(rows, tells=False))


def test_each_level_of_a_category_has_enough_people() -> None:
    study = study_of("multinomial", disclosure={"min_people": 10, "min_sites": 1})
    tables = tables_of("multinomial", people=900)
    states = plain.run(study, tables)
    rows = tables[1].rows("test")
    assert told_by(study, states, rows)
    first = np.flatnonzero(rows.y == 0.0)
    assert not told_by(
        study, states, rows.take(np.setdiff1d(range(len(rows.y)), first[9:]))
    )


def test_a_number_that_few_have_besides_the_commonest_is_not_told() -> None:
    """Both measures are of the same variance: of one person it would be the number."""
    study = study_of("linear", disclosure={"min_people": 10, "min_sites": 1})
    tables = tables_of("linear", people=900)
    states = plain.run(study, tables)
    rows = tables[1].rows("test")
    assert told_by(study, states, rows)
    for few, told in ((9, False), (10, True)):
        alike = rows.y.copy()
        alike[few:] = 100.0
        assert told_by(study, states, replace(rows, y=alike)) is told


@pytest.mark.parametrize(
    ("name", "at", "lie"),
    [
        ("told", (1, 0, 1, 0), 2.0),
        ("value", (1, 0, 1, 0), 1.5),
        ("value", (1, 0, 0, 0), -1.0),
        ("value", (2, 0, 1, 0), 0.5),
    ],
)
def test_figures_that_nobody_can_have_told_are_refused(
    name: str, at: tuple[int, ...], lie: float
) -> None:
    """Figure 1 is the AUC, 0 the number of records; the third site tells nothing."""
    study, tables = study_of(), tables_of(people=900)
    states = plain.run(study, tables)
    task, found = plan.find(study, "by_site"), states["by_site"]
    total = {each: array.copy() for each, array in found.arrays.items()}
    for array in total.values():
        array[2] = 0.0
    begun = task.start(study, states)
    assert task.finish(study, begun, total).done
    total[name][at] = lie
    with pytest.raises(IntegrityError, match=NAMES[at[0]]):
        task.finish(study, begun, total)


def test_who_may_be_missing_counts_for_how_many_records_a_group_needs() -> None:
    one, absent = (
        study_of(
            evaluation={"test": 0.3, "leave_out": 2},
            rounds={"quorum": quorum, "secure_aggregation": True},
        )
        for quorum in (4, 3)
    )
    assert left_out.fewest(absent) >= 2 * left_out.fewest(one) - 1 > 0


def test_a_site_keeps_its_figures_and_the_rest_of_the_study_is_the_same(
    tmp_path: Path,
) -> None:
    study = study_of(model={"kind": "svm", "ridge": 1.0})
    assert study.masked
    paths = hospitals(tmp_path, study, list(NAMES))
    for path in paths:
        path.write_text(path.read_text().replace("[data]", "min_people = 3\n[data]", 1))
    before = engine.run(study, paths)
    keeps = paths[1].read_text().replace("[data]", "by_site = false\n[data]", 1)
    paths[1].write_text(keeps)
    after = engine.run(study, paths)
    name = sites.read(paths[1]).name
    for task, state in before.states.items():
        if task != by_site.NAME:
            same = after.states[task].arrays
            assert all(np.array_equal(same[n], a) for n, a in state.arrays.items())
    released = {
        each["name"]: each["released"]
        for each in by_site.read(study, after.states["by_site"])["sites"]
    }
    assert released == {**dict.fromkeys(NAMES, True), name: False}
    made = results.report(study, after, Took(datetime.now(UTC), 1.0, None))
    assert "At each site by itself" in [sheet.title for sheet in made.sheets]
    assert any("own sums of the fit" in each for each in made.limits)
    shown = {each.name: each.together for each in made.sites}
    assert shown[name].note == by_site.NOT_RELEASED
    assert all(shown[other].auc_interval for other in NAMES if other != name)
    page = report.page(made)
    assert "own sums of the fit" in page
    assert by_site.NOT_RELEASED in page
    (learned,) = results.learned(study, after, made)
    card = exporting.write(learned, "card", tmp_path / "card").read_text()
    assert "For people of hospitals left out of the fit" in card
    unseen = made.findings["left_out"]["accuracy"]
    assert f"| accuracy | {unseen:.4g} |" in card


def test_sums_of_a_large_enough_group_are_told_and_no_smaller_ones() -> None:
    about = {**clinics.ABOUT, "sites": [f"s{place}" for place in range(7)]}
    tested = {"test": 0.3, "leave_out": 3}
    rules = {"min_people": 1, "min_sites": 3}
    seven = {"study": about, "evaluation": tested, "disclosure": rules}
    study = clinics.study(**seven, rounds={"quorum": 7})
    assert left_out.groups(study) == ((0, 2, 4, 6), (1, 3, 5))
    assert not left_out.tells(study)
    assert not manifest.apart(study)
    with pytest.raises(ValueError, match="may leave out as few as 2, whose sums"):
        clinics.study(**seven, rounds={"quorum": 6})
    lone = clinics.study(
        **{**seven, "evaluation": {**tested, "leave_out": 1}}, rounds={"quorum": 6}
    )
    assert left_out.tells(lone)
    shown = click.unstyle(manifest.text(lone, manifest.lines(lone)))
    assert (
        "each site's own sums of the fit, which are a total with it less one without"
        in shown
    )


def test_a_group_has_as_many_sites_as_were_asked_or_more() -> None:
    for sites_ in range(2, 30):
        for wanted in range(1, sites_ + 1):
            parts = evaluation.groups(wanted, sites_)
            assert sorted(sum(parts, ())) == list(range(sites_))
            assert min(map(len, parts)) >= wanted
    rounds = Rounds(quorum=9, dropouts=1)
    assert evaluation.together(5, rounds, 10) == 3


def test_a_site_of_few_records_refuses_to_be_left_out(tmp_path: Path) -> None:
    study = study_of(evaluation={"test": 0.5, "leave_out": 1})
    assert left_out.fewest(study) == 3 * 7
    tables = clinics.dealt(clinics.table(60, 5), np.arange(60) % 4)
    assert egress.few_left_out(study, tables[0])
    lines, digest = clinics.lines(24), study.digest()
    path = clinics.folder(tmp_path / "north", lines, approved=digest)
    assert not review.check(sites.read(path), study).enough
    with pytest.raises(Refusal, match="may be left out, and fewer than 21"):
        egress.enough(open_study(sites.read(path), study, clinics.TODAY))


PROMISE = {"epsilon": 1.0, "delta": 1e-5, "noise": "site"}
ONE = {"test": 0.3, "leave_out": 1}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"privacy": PROMISE, "evaluation": ONE}, "leave_out has no private form"),
        (
            {"privacy": PROMISE, "evaluation": {"test": 0.3, "by_site": True}},
            "by_site has no private form",
        ),
        ({"evaluation": {"test": 0.3, "leave_out": 3}}, "leaves nobody to learn from"),
        ({"selection": {"ridge": [1.0, 2.0]}}, "a setting chosen with every site"),
        (
            {"model": {"kind": "logistic", "ridge": 0.0, "site_intercepts": True}},
            "with site_intercepts takes a ridge",
        ),
    ],
)
def test_what_cannot_be_told_is_refused_at_once(
    changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        study_of(**changes)
