"""What is measured of bytes is measured for every kind of model that a table feeds."""

import pytest

from common import plan
from common.registry import ANALYSES, MODELS
from simulations.benches import traffic


@pytest.mark.parametrize("kind", sorted(set(MODELS) - traffic.PICTURED))
def test_every_kind_has_a_study_to_be_measured_on(kind: str) -> None:
    study = traffic._study(kind)
    assert study.kind == kind
    assert plan.find(study, kind).release(study)


def test_what_is_sent_is_what_is_declared_by_rounds() -> None:
    study = traffic._study("linear")
    described, fitted, tested = traffic.sent(study, traffic._tables("number"))
    assert (described.rounds, fitted.rounds, tested.rounds) == (1, 1, 1)
    products = 21 * 22 // 2  # of 20 columns and the intercept
    assert fitted.numbers >= products
    assert fitted.size == 8 * fitted.numbers


def test_every_analysis_is_measured_and_each_task_once() -> None:
    asked = [name for told in traffic.ANALYSED.values() for name in told]
    assert sorted(asked) == sorted(ANALYSES)
    for outcome, told in traffic.ANALYSED.items():
        study = traffic._analysed(outcome)
        (described, *counted) = traffic.sent(study, traffic._armed(outcome))
        assert described.task == "describe"
        assert len({each.task for each in counted}) == len(counted) >= len(told)
        for each in counted:
            assert each.rounds > 0
            assert each.size == 8 * each.numbers * each.rounds > 0
