"""What a site keeps of its last answer: read again as written, and held once."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from client.books import answers
from client.books.memory import Turn
from common.errors import IntegrityError
from common.travel.wire import Place

DIGEST = "a" * 64
TURN = Turn((1, 2), Place(DIGEST, "run", "fit", 2, "b" * 64, "c" * 64, 3), "d" * 64)
COUNT = 2**20


@pytest.fixture
def home(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path


def stored(home: Path) -> Path:
    (path,) = (home / "answers").iterdir()
    return path


@pytest.mark.parametrize("count", [0, 1, 7, COUNT])
def test_an_answer_is_read_as_it_was_kept(home: Path, count: int) -> None:
    vector = np.random.default_rng(0).normal(size=count)
    answers.keep(home, TURN, vector)
    assert answers.find(home, DIGEST) is not None
    turn, found = answers.find(home, DIGEST)
    assert turn == TURN
    np.testing.assert_array_equal(found, vector)


def test_what_a_killed_process_had_half_written_is_removed(home: Path) -> None:
    answers.keep(home, TURN, np.arange(3.0))
    torn = stored(home).with_name(f".{stored(home).name}.7.new")
    torn.write_bytes(b"half")
    answers.keep(home, TURN, np.arange(4.0))
    assert not torn.exists()
    np.testing.assert_array_equal(answers.find(home, DIGEST)[1], np.arange(4.0))


def test_what_is_half_written_goes_with_its_study(home: Path) -> None:
    answers.keep(home, TURN, np.arange(3.0))
    path = stored(home)
    torn = path.with_name(f".{path.name}.7.new")
    torn.write_bytes(b"half")
    answers.drop(home, [DIGEST])
    assert torn.exists()
    assert path.exists()
    answers.drop(home, ["b" * 64])
    assert not list(path.parent.iterdir())


def test_the_same_answer_is_not_written_again_and_another_is(home: Path) -> None:
    vector = np.arange(float(COUNT))
    answers.keep(home, TURN, vector)
    first = stored(home).stat()
    answers.keep(home, TURN, vector)
    assert stored(home).stat().st_ino == first.st_ino
    vector[-1] += 1.0
    answers.keep(home, TURN, vector)
    np.testing.assert_array_equal(answers.find(home, DIGEST)[1], vector)


@pytest.mark.parametrize("how", ["cut", "longer", "number", "head"])
def test_a_damaged_answer_is_refused_and_replaced(home: Path, how: str) -> None:
    vector = np.arange(9.0)
    answers.keep(home, TURN, vector)
    path, whole = stored(home), stored(home).read_bytes()
    place = {"number": len(whole) - 3, "head": 80}.get(how, 0)
    changed = bytearray(whole)
    changed[place] ^= 1
    damaged = {"cut": whole[:-8], "longer": whole + bytes(8)}.get(how, bytes(changed))
    path.write_bytes(damaged)
    with pytest.raises(IntegrityError, match="not what was written"):
        answers.find(home, DIGEST)
    answers.keep(home, TURN, vector)
    assert path.read_bytes() == whole


def test_an_answer_is_kept_without_a_copy_of_it(home: Path) -> None:
    vector = np.arange(float(4 * COUNT))
    answers.keep(home, TURN, vector + 1.0)
    tracemalloc.start()
    try:
        answers.keep(home, TURN, vector)  # compared with the one before, and written
        answers.keep(home, TURN, vector)  # compared to its end
        kept = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        answers.find(home, DIGEST)
        found = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert kept < 0.2 * vector.nbytes
    assert found < 2.2 * vector.nbytes
