"""Every private analysis: charged as declared, stated, finite, withstands attack."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common import costs, plan, promise
from common.errors import ConsiliumError
from common.registry import ANALYSES
from common.sheet import Sheet
from common.study import Study
from common.told import statement
from simulations import plain
from simulations.attacks import audit
from simulations.engines import engine
from tests import clinics, promising, test_analyses
from tests.test_analyses import PROMISED
from tests.test_tasks import odd_tables

SITE = {"epsilon": 1.0, "delta": 1e-5, "noise": "site"}
ABOUT = {"study": promising.FOUR, "rounds": {"quorum": 4, "deadline_seconds": 2}}


def study(name: str, **changes: Any) -> Study:
    kept = changes.pop("privacy", SITE)
    return test_analyses.promised(name, kept, **{**ABOUT, **changes})


def outcome(name: str) -> str:
    return "survival" if name == "survival" else "binary"


@pytest.mark.parametrize("name", PROMISED)
def test_a_study_of_an_analysis_spends_its_promise(name: str) -> None:
    asked = study(name)
    spent = sum(
        costs.charges(asked)[task.name].mu ** 2 * plan.rounds(asked, task)
        for task in plan.tasks(asked)
    )
    assert spent == pytest.approx(promise.mu_of(1.0, 1e-5) ** 2, rel=1e-9)
    shares = [costs.noisy(task).weight for task in plan.tasks(asked)]
    assert shares == [0.1, 0.9]


def test_analyses_and_a_model_share_one_promise_alike() -> None:
    model = {"kind": "logistic", "ridge": 1.0}
    asked = together(model=model, evaluation={"test": 0.3})
    spent = [
        costs.charges(asked)[task.name].mu ** 2 * plan.rounds(asked, task)
        for task in plan.tasks(asked)
        if task.rows == "train"
    ]
    whole = promise.mu_of(1.0, 1e-5) ** 2
    assert sum(spent) == pytest.approx(whole, rel=1e-9)
    assert spent[1:] == pytest.approx(
        [0.9 / (0.1 + 0.9 * len(spent[1:])) * whole] * len(spent[1:])
    )


@pytest.mark.parametrize("name", PROMISED)
def test_only_sums_leave_and_the_statement_says_of_what(name: str) -> None:
    asked = study(name)
    task = plan.find(asked, name)
    assert {field.kind for field in task.release(asked).values()} == {"sum"}
    for language in ("en", "zh"):
        said = {each.key: each for each in statement.answers(asked, language)}
        assert name in said[f"part_{name}"].question


@pytest.mark.parametrize("name", sorted(set(ANALYSES) - set(PROMISED)))
def test_what_has_no_private_form_is_refused_by_name(name: str) -> None:
    assert ANALYSES[name].unable
    with pytest.raises(ValueError, match=f"{name} has no private form: noise takes"):
        study(name)


@pytest.mark.parametrize("name", PROMISED)
@pytest.mark.parametrize("odd", [*sorted(odd_tables("logistic")), "usual"])
def test_odd_sites_are_read_to_something_finite(name: str, odd: str) -> None:
    usual = clinics.table(120, 1, outcome(name))
    one = usual if odd == "usual" else odd_tables("logistic")[odd]
    for seed, epsilon in enumerate((0.1, 1.0, 100.0)):
        asked = study(name, privacy={**SITE, "epsilon": epsilon})
        noise = plain.gaussian(np.random.default_rng(seed))
        states = plain.run(asked, [one, usual, one, one], noise)
        task = plan.find(asked, name)
        json.dumps(task.read(asked, states[name]), allow_nan=False)
        sheets = task.show(asked, states[name])
        assert sheets
        assert any("noise" in note for sheet in sheets for note in sheet.notes)
        assert all(_square(sheet) for sheet in sheets)


def _square(sheet: Sheet) -> bool:
    return all(len(row) == len(sheet.columns) for row in sheet.rows)


@pytest.mark.parametrize("name", PROMISED)
def test_rounds_and_noise_are_the_same_whatever_the_records_say(name: str) -> None:
    asked, heard = study(name), []
    for table in (
        clinics.table(150, 2, outcome(name)),
        odd_tables("logistic")["empty"],
    ):
        told: list[str] = []

        def noise(
            vector: np.ndarray, spread: float, seen: list[str] = told
        ) -> np.ndarray:
            seen.append(f"{vector.size} {spread}")
            return vector

        plain.run(asked, [table] * 4, noise)
        heard.append(told)
    assert heard[0] == heard[1]


@pytest.mark.parametrize("name", PROMISED)
def test_no_attack_finds_more_than_the_claim(name: str) -> None:
    found = audit.audit(study(name), 2000)
    assert found.holds
    assert 0.0 < found.lower <= 1.0


def together(**changes: Any) -> Study:
    """Return a study that splits one promise over all analyses, with masked sums."""
    wanted = {
        name: test_analyses.ASKED[name] for name in PROMISED if name != "survival"
    }
    return clinics.study(
        variables=test_analyses.VARIABLES,
        analysis=wanted,
        **{"privacy": SITE, "model": None, "evaluation": None, **ABOUT, **changes},
    )


def test_all_analyses_leave_masked_and_noised_through_one_door(tmp_path: Path) -> None:
    asked = together(privacy=promising.SHARED)
    assert asked.masked
    paths = budgeted(tmp_path, asked, 1.0)
    found = engine.run(asked, paths)
    assert set(found.states) == {task.name for task in plan.tasks(asked)}
    for task in plan.tasks(asked):
        told = task.read(asked, found.states[task.name])
        json.dumps(told, allow_nan=False)
    first, second = (found, engine.run(asked, budgeted(tmp_path / "b", asked, 1.0)))
    for name in PROMISED:
        if name != "survival":
            one, other = (each.states[name].arrays for each in (first, second))
            assert any(not np.array_equal(one[key], other[key]) for key in one)


def test_a_site_that_grants_less_than_all_of_them_cost_answers_nothing(
    tmp_path: Path,
) -> None:
    asked = together()
    with pytest.raises(ConsiliumError):
        engine.run(asked, budgeted(tmp_path, asked, 0.99))


def budgeted(place: Path, asked: Study, epsilon: float) -> list[Path]:
    """Write hospitals that grant *epsilon* to the study; return their settings."""
    paths = clinics.hospitals(place, asked, 200)
    for path in paths:
        words = f'\n[budget]\nepsilon = {epsilon}\ndelta = 1e-5\nnoise = "any"\n'
        path.write_text(path.read_text(encoding="utf-8") + words, encoding="utf-8")
    return paths


@pytest.mark.parametrize("name", ["chi_square", "compare"])
def test_a_pair_is_not_paid_for_twice(name: str) -> None:
    pair = [["age", "ill"]] * 2
    assert clinics.study(
        model=None,
        evaluation=None,
        variables=test_analyses.VARIABLES,
        analysis={name: pair},
    )
    with pytest.raises(ValueError, match=f"{name} names a pair twice"):
        study(name, analysis={name: pair})
