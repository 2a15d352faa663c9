"""The statement says what the study costs, in two languages, with the same figures."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from common import costs, plan
from common.cli import build
from common.study import Study
from common.told import statement
from tests import clinics

PROMISE = {"epsilon": 2.0, "delta": 1e-5, "noise": "site"}
SHARED = {**PROMISE, "noise": "shared", "colluders": 1}
ROUNDS = {"quorum": 3, "deadline_seconds": 2}
ABOUT = {**clinics.ABOUT, "sites": ["north", "south", "west"]}


def study(privacy: object) -> Study:
    return clinics.study(privacy=privacy, study=ABOUT, rounds=ROUNDS)


@pytest.mark.parametrize("privacy", ["none", PROMISE, SHARED], ids=str)
def test_both_languages_answer_the_same_with_the_same_figures(privacy: object) -> None:
    english, chinese = (
        statement.answers(study(privacy), "en"),
        statement.answers(study(privacy), "zh"),
    )
    assert [each.key for each in english] == [each.key for each in chinese]
    for one, other in zip(english, chinese, strict=True):
        figures = [
            re.findall(r"\d+\.\d+|\de-\d+", each.answer) for each in (one, other)
        ]
        assert figures[0] == figures[1], one.key
        assert re.search("[\u4e00-\u9fff]", other.question + other.answer)
        assert "{" not in one.answer + other.answer


def test_every_task_is_stated_with_its_noise() -> None:
    asked = study(PROMISE)
    told = [e for e in statement.answers(asked, "en") if e.key == "mechanism"]
    for task, answer in zip(plan.tasks(asked), told, strict=True):
        assert task.name in answer.question
        assert f"sigma = {costs.deviation(asked, task):.4g}" in answer.answer
        rounds = costs.noisy(task).rounds(asked)
        assert f"T = {rounds} releases" in answer.answer


def test_what_either_side_spends_is_the_promise() -> None:
    said = {e.key: e.answer for e in statement.answers(study(PROMISE), "en")}
    assert "epsilon 2 and 2." in said["composition"]


def test_shared_noise_states_the_weaker_promise_too() -> None:
    asked = study(SHARED)
    said = {e.key: e.answer for e in statement.answers(asked, "en")}
    assert f"epsilon {costs.if_masking_fails(asked):.3g}" in said["trust_shared"]


def test_the_command_prints_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()
    runner.invoke(build(), ["study", "new", "heart"])
    ran = runner.invoke(build(), ["study", "privacy", "heart.toml", "--json"])
    assert json.loads(ran.stdout)["statement"][0]["key"] == "promise"
    given = ["study", "privacy", "heart.toml", "--lang", "zh"]
    assert "差分隐私" in runner.invoke(build(), given).stdout
