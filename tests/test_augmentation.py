"""Pictures that are mirrored and moved while a network learns: each by itself."""

from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest, chisquare

from client.learning import training
from client.learning.training import Design
from common import costs
from common.errors import StudyError
from common.release import flatten
from common.sections.networks import ImageNetwork
from common.study import Study
from common.task import Images, State
from common.tasks.networks import augmentation, image_network
from simulations import plain
from tests import clinics
from tests.test_networks import PRIVACY, begun
from tests.test_tasks import table_of

KIND = "image_network"
PEOPLE = np.random.default_rng(1).integers(0, 2**63, 3000).astype(np.uint64)


def model(**changes: Any) -> ImageNetwork:
    return ImageNetwork(kind="image_network", **changes)


def asked(changes: dict[str, Any], **study: Any) -> Study:
    small = {"kind": KIND, **clinics.MODELS[KIND], **changes}
    return clinics.study(**{"model": small} | clinics.NEEDS[KIND] | study)


def pictures(count: int, high: int = 6, wide: int = 9, channels: int = 2) -> Images:
    draw = np.random.default_rng(2)
    return draw.uniform(0.1, 1.0, (count, high, wide, channels)).astype(np.float32)


def test_what_nobody_asks_for_moves_nothing() -> None:
    images = pictures(len(PEOPLE))
    assert augmentation.moved(images, PEOPLE, model(), 3) is images


def test_half_of_the_pictures_are_mirrored_and_nothing_else() -> None:
    images = pictures(len(PEOPLE))
    found = augmentation.moved(images, PEOPLE, model(flip=True), 3)
    kept = (found == images).all(axis=(1, 2, 3))
    np.testing.assert_array_equal(found[~kept], images[~kept][:, :, ::-1])
    assert binomtest(int(kept.sum()), len(kept), 0.5).pvalue > 1e-6


def test_a_picture_is_moved_by_each_distance_as_often_and_what_is_empty_is_black() -> (
    None
):
    most, images = 2, pictures(len(PEOPLE))
    found = augmentation.moved(images, PEOPLE, model(shift=most), 3)
    counts = np.zeros((2 * most + 1, 2 * most + 1))
    around = np.pad(images, [(0, 0), (most, most), (most, most), (0, 0)])
    for down, right in np.ndindex(*counts.shape):
        cut = around[:, down : down + 6, right : right + 9]
        counts[down, right] = (found == cut).all(axis=(1, 2, 3)).sum()
    assert counts.sum() == len(PEOPLE)
    assert chisquare(counts.ravel()).pvalue > 1e-6


def test_a_draw_is_the_same_for_a_person_wherever_they_are_and_new_in_a_round() -> None:
    asking, images = model(flip=True, shift=1), pictures(len(PEOPLE))
    whole = augmentation.moved(images, PEOPLE, asking, 3)
    some = augmentation.moved(images[1::3], PEOPLE[1::3], asking, 3)
    np.testing.assert_array_equal(some, whole[1::3])
    assert (augmentation.moved(images, PEOPLE, asking, 4) != whole).any()
    other = model(flip=True, shift=1, training={"seed": 1})
    assert (augmentation.moved(images, PEOPLE, other, 3) != whole).any()


def test_hospitals_together_learn_what_one_with_everybody_does() -> None:
    whole, study = table_of(KIND, 200), asked({"flip": True, "shift": 1})
    dealt = clinics.split(whole, np.random.default_rng(0).integers(0, 3, 200))
    pooled, again, together, other = (
        plain.run(each, tables)[KIND].arrays["parameters"]
        for each, tables in (
            (study, [whole]),
            (study, [whole]),
            (study, dealt),
            (asked({}), [whole]),
        )
    )
    np.testing.assert_array_equal(again, pooled)
    np.testing.assert_allclose(together, pooled, atol=1e-5)
    assert np.abs(other - pooled).max() > 1e-3


def test_a_person_moves_a_private_sum_by_the_clip_at_most() -> None:
    changes, rounds = {"flip": True, "shift": 1}, {"quorum": 1, "maximum": 100}
    study, whole = asked(changes, privacy=PRIVACY, rounds=rounds), table_of(KIND, 40)
    task, state = begun(study, whole)
    moved = {**state.arrays, "parameters": state.arrays["parameters"] * 30.0}
    fewer = clinics.split(whole, (np.arange(40) == 0).astype(int))[0]
    one, other = (
        flatten(task.release(study), training.run(task, study, State(moved), Design(t)))
        for t in (whole, fewer)
    )
    assert 0.0 < np.linalg.norm(one - other) <= costs.noisy(task).clip(study)


def test_a_shift_out_of_sight_is_refused_with_the_most_that_fits() -> None:
    size = clinics.study(**clinics.NEEDS[KIND]).image
    assert size is not None
    most = (min(size.size) - 1) // 2
    image_network.asked(asked({"shift": most}))
    with pytest.raises(StudyError, match=f"a shift of {most + 1} pixels") as caught:
        image_network.asked(asked({"shift": most + 1}))
    assert caught.value.hints["fix"].startswith(f"shift = {most} ")
