"""Every task's sums survive as whole numbers: what a result could show is not lost."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from client.learning import noise as drawn
from common import costs, plan
from common.errors import IntegrityError, StudyError
from common.masked import coding, fixed_point
from common.masked.fixed_point import Part
from common.registry import ANALYSES, MODELS
from common.release import Field, Summands
from common.study import Study
from common.task import Task
from common.travel import arrivals
from simulations import plain
from tests import clinics, test_analyses
from tests.test_tasks import ROUNDING

KINDS = sorted(MODELS)
NAMES = ["east", "north", "south", "west"]


def study_of(kind: str, privacy: object = "none") -> Study:
    return clinics.study(
        **clinics.NEEDS.get(kind, {}),
        study={**clinics.ABOUT, "sites": NAMES},
        outcome=clinics.OUTCOMES[MODELS[kind].outcomes[0]],
        model={"kind": kind, **clinics.MODELS[kind]},
        privacy=privacy,
        rounds={"quorum": 4},
    )


def in_the_ring(task: Task, study: Study, answers: Sequence[Summands]) -> Summands:
    parts, count = coding.parts(study, task), len(NAMES)
    rings = [fixed_point.encode(parts, count, each) for each in answers]
    found = fixed_point.decode(parts, count, np.sum(rings, axis=0, dtype=np.uint64))
    release = task.release(study)
    return {name: found[name].reshape(release[name].shape) for name in release}


@pytest.mark.parametrize("kind", KINDS)
def test_results_from_whole_numbers_are_the_same(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, outcome = study_of(kind), MODELS[kind].outcomes[0]
    whole = clinics.table(400, outcome=outcome)
    tables = clinics.split(whole, np.arange(400) % 4)
    expected = plain.run(study, tables)
    monkeypatch.setattr(plain, "total", in_the_ring)
    found = plain.run(study, tables)
    least = ROUNDING.get(kind, 1e-9)
    for name, state in expected.items():
        for key, array in state.arrays.items():
            error = np.abs(found[name].arrays[key] - array)
            assert (error <= least * np.maximum(1.0, np.abs(array))).all(), (name, key)


@pytest.mark.parametrize("name", sorted(ANALYSES))
def test_analyses_from_whole_numbers_are_the_same(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = test_analyses.study(**{name: test_analyses.ASKED[name]})
    four = asked.study.model_copy(update={"sites": tuple(NAMES)})
    study = asked.model_copy(update={"study": four})
    tables = clinics.split(test_analyses.table_of(name, 400), np.arange(400) % 4)
    expected = plain.run(study, tables)
    monkeypatch.setattr(plain, "total", in_the_ring)
    found = plain.run(study, tables)
    assert name in found
    for task, state in expected.items():
        for key, array in state.arrays.items():
            error = np.abs(found[task].arrays[key] - array)
            assert (error <= 1e-9 * np.maximum(1.0, np.abs(array))).all(), (task, key)


@pytest.mark.parametrize("noise", ["site", "shared"])
def test_noisy_sums_are_whole_steps_and_lose_nothing(noise: str) -> None:
    """Integers are added to integers: the sum's noise is what was charged for."""
    kept = {"epsilon": 1.0, "delta": 1e-5, "noise": noise}
    study = study_of("logistic", kept)
    for task in coding.plan.tasks(study):
        parts, release = coding.parts(study, task), task.release(study)
        deviation, clip = costs.deviation(study, task), costs.noisy(task).clip(study)
        size = fixed_point.length(parts)
        sums = np.random.default_rng(0).normal(0, 1e4, (4, size))
        noisy = [drawn.add(each, deviation, clip) for each in sums]
        grid = drawn.step(deviation)
        assert {part.bits for part in parts} == {-int(np.log2(grid))}
        split = np.cumsum([field.size for field in release.values()])[:-1]
        rings = [
            fixed_point.encode(
                parts, 4, dict(zip(release, np.split(each, split), strict=True))
            )
            for each in noisy
        ]
        for ring, each in zip(rings, noisy, strict=True):
            np.testing.assert_array_equal(ring.view(np.int64) * grid, each)
        total = np.sum(rings, axis=0, dtype=np.uint64)
        found = np.concatenate([*fixed_point.decode(parts, 4, total).values()])
        steps = sum((each / grid).astype(np.int64) for each in noisy)
        np.testing.assert_array_equal(found, steps * grid)


def part(field: Field) -> Part:
    return coding._exact("x", field, 4)


def test_a_field_needs_to_say_nothing() -> None:
    assert part(Field("people", (3,), "count")).words == 3
    plain_ = part(Field("anything", (3,), "sum"))
    assert (plain_.words, plain_.bits) == (6, 40)
    numbers = {"x": np.array([1e18, -1e-9, -2.5])}
    ring = fixed_point.encode((plain_,), 4, numbers)
    back = fixed_point.decode((plain_,), 4, ring)["x"]
    np.testing.assert_allclose(back, numbers["x"], rtol=1e-15, atol=2**-40)


def test_a_large_field_that_says_how_far_a_record_moves_it_takes_one_word() -> None:
    small, large = (part(Field("g", (n,), "sum", 1.0)) for n in (4095, 4096))
    assert (small.words, large.words) == (2 * 4095, 4096)
    assert large.bits >= 32
    with pytest.raises(
        IntegrityError, match="x is beyond its declared limit of 1e\\+07"
    ):
        fixed_point.encode((large,), 4, {"x": np.full(4096, 1.1e7)})


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6, 1e14])
def test_two_words_hold_large_and_small_numbers_at_once(scale: float) -> None:
    draw = np.random.default_rng(1)
    numbers = draw.normal(0, scale, (50, 300)) * 10.0 ** draw.integers(-6, 1, 300)
    wide = (part(Field("x", (300,), "sum", scale * 1e3)),)
    rings = [fixed_point.encode(wide, 50, {"x": each}) for each in numbers]
    total = np.sum(rings, axis=0, dtype=np.uint64)
    found = fixed_point.decode(wide, 50, total)["x"]
    exact = np.array([float(sum(map(float, column))) for column in numbers.T])
    slack = 50 * 2.0 ** -wide[0].bits + 1e-13 * np.abs(numbers).sum(axis=0)
    assert (np.abs(found - exact) <= slack).all()


@pytest.mark.parametrize("masked", [True, False])
def test_what_no_message_carries_is_refused_before_anybody_is_asked(
    *, masked: bool
) -> None:
    """It would be refused at the door, asked again, and so on without end."""
    assert coding.LARGEST == arrivals.MOST
    rest = {"kind": "tabular_network", "training": {"steps": 3, "by": "weights"}}
    rounds = {"quorum": 3, "secure_aggregation": masked}
    about = {**clinics.ABOUT, "sites": ["a", "b", "c"]}

    def study(layers: int) -> Study:
        model = {**rest, "dense": [4096] * layers}
        return clinics.study(model=model, rounds=rounds, study=about)

    with pytest.raises(StudyError, match=r"needs messages of .* MiB, and one carries"):
        coding.check(study(2 if masked else 3))
    if not masked:
        coding.check(study(2))


def test_a_limit_in_clear_is_that_of_the_masks_where_one_is_declared() -> None:
    sites = ["east", "north", "south"]
    study = clinics.study(
        study={**clinics.ABOUT, "sites": sites},
        rounds={"quorum": 3},
        analysis={"correlation": ["age", "chol"]},
    )
    for task in plan.tasks(study):
        limits, declared = coding.limits(study, task), task.release(study)
        for part in coding.parts(study, task):
            open_ = declared[part.name].kind == "sum" and not declared[part.name].each
            assert limits[part.name] == (math.inf if open_ else part.limit)


def test_a_limit_of_noisy_sums_is_that_of_the_masks() -> None:
    promised = {"epsilon": 1.0, "delta": 1e-5, "noise": "site"}
    study = clinics.study(privacy=promised)
    for task in plan.tasks(study):
        made = {part.name: part.limit for part in coding.parts(study, task)}
        assert coding.limits(study, task) == made
