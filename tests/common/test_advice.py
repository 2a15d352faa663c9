"""What a study check says of a network's noise is what its sites add."""

import re

import numpy as np
import pytest

from common import costs, plan
from common.release import length
from common.study import Study
from common.told import advice, manifest
from tests.test_sampled_steps import KIND, PROMISE, SHARED, asked


def study(kept: dict[str, object], people: int | None = 400) -> Study:
    return asked(kept if people is None else {**kept, "expected_people": people})


def told(words: str) -> float:
    found = re.match(r"[\d.e+-]+", words)
    assert found
    return float(found.group())


@pytest.mark.parametrize("kept", [PROMISE, SHARED], ids=["site", "shared"])
def test_the_noise_is_as_long_as_that_of_three_sites(kept: dict[str, object]) -> None:
    wanted, draw = study(kept), np.random.default_rng(0)
    task = plan.find(wanted, KIND)
    size, deviation = length(task.release(wanted)), costs.deviation(wanted, task)
    drawn = draw.normal(0, deviation, (2000, 3, size)).sum(axis=1) / (400 * 0.25)
    usual = np.sqrt((drawn**2).sum(axis=1).mean())
    assert told(advice.noise(wanted)) == pytest.approx(usual, rel=0.06)


def test_weights_have_more_noise_where_sites_share_it() -> None:
    shared, alone = (advice.noise(study(kept)) for kept in (SHARED, PROMISE))
    assert "1.4 times as long" in shared
    assert "would be as long" in alone
    assert told(shared) < told(alone)


def test_a_step_that_is_mostly_noise_is_told_so() -> None:
    few, many = advice.noise(study(PROMISE, 30)), advice.noise(study(PROMISE, 90_000))
    assert "would drown less" in few
    assert "would drown less" not in many


def test_a_short_clip_is_told_to_make_chances_too_sure() -> None:
    short, far = (clipped(study(PROMISE), clip) for clip in (1.0, 4.0))
    assert "too sure" in short
    assert "too sure" not in far


def clipped(wanted: Study, clip: float) -> str:
    said = wanted.model_dump(mode="json")
    said["model"]["training"]["clip"] = clip
    return advice.noise(Study.model_validate(said))


def test_it_stands_in_the_check_where_a_promise_is_made() -> None:
    wanted = study(SHARED)
    shown = manifest.text(wanted, manifest.lines(wanted))
    assert f"noise    {advice.noise(wanted)}" in shown
    assert "expected_people" in advice.noise(study(SHARED, None))
    exact = Study.model_validate(wanted.model_dump() | {"privacy": "none"})
    assert advice.noise(exact) == ""
