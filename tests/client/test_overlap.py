"""The same people do not get a second budget by a second home."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from client.door import overlap
from common.errors import IntegrityError, Refusal
from tests import charges
from tests.charges import Aggregator


def keys(first: int, last: int) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """Return numbers of people as they come: spread over all numbers, some twice."""
    every = np.random.default_rng(0).integers(0, 2**63, 4000).astype(np.uint64)
    return np.concatenate([every[first:last], every[first : first + 9]])


def homes(place: Path) -> tuple[Path, Path]:
    made = place / "state", place / "again"
    for each in made:
        each.mkdir(mode=0o700)
    return made


def test_the_same_people_in_another_home_are_refused(tmp_path: Path) -> None:
    first, second = homes(tmp_path)
    overlap.check(first, keys(0, 2000))
    overlap.check(first, keys(0, 2000))
    with pytest.raises(Refusal, match="under the budget of") as caught:
        overlap.check(second, keys(0, 1900))
    assert 'home = "state"' in caught.value.hints["fix"]
    assert not (second / overlap.NAME).exists()


def test_other_people_may_have_another_home(tmp_path: Path) -> None:
    first, second = homes(tmp_path)
    overlap.check(first, keys(0, 2000))
    overlap.check(second, keys(2000, 4000))


@pytest.mark.parametrize("few", [0, 5])
def test_of_few_people_most_have_to_be_others(tmp_path: Path, few: int) -> None:
    first, second = homes(tmp_path)
    overlap.check(first, keys(0, 20))
    with pytest.raises(Refusal, match="under the budget of"):
        overlap.check(second, keys(few, 20 + few))


def test_a_sketch_says_nothing_without_the_key(tmp_path: Path) -> None:
    first, second = homes(tmp_path)
    overlap.check(first, keys(0, 2000))
    shutil.rmtree(second)
    kept = (first / overlap.NAME).read_text()
    (first / "table.key").unlink()
    overlap.check(first, keys(0, 2000))
    assert set(kept.split()).isdisjoint((first / overlap.NAME).read_text().split())
    (first / overlap.NAME).write_text("{")
    second.mkdir(mode=0o700)
    with pytest.raises(IntegrityError, match="not what was written"):
        overlap.check(second, keys(0, 9))


def test_a_site_with_a_new_home_is_refused_and_charges_nothing(tmp_path: Path) -> None:
    """A steward who changes `home` would have the whole budget once more."""
    study = charges.study()
    path = charges.site(tmp_path / "north", study)
    with charges.counting():
        asking = Aggregator(path)
        assert asking.open(study).has_content()
        assert asking.close(study).has_content()
        asking.restart()
        text = path.read_text().replace('home = "state"', 'home = "fresh"')
        path.write_text(text)
        assert asking.open(study, run="another").has_error()
        asking.restart()  # what is held open is no other test's
