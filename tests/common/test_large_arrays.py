"""A large array is what a small one is, and a process holds a few MB of it."""

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest

from common import large_arrays
from common.errors import MachineError
from common.trust import private_files

COUNT = 16 * large_arrays.LARGE // 8
"""Numbers that are sixteen times as large as those that lie in files: 128 MiB."""
STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak() -> float:
    """Return how much this process has held at most since it was asked last, in MB."""
    (found,) = re.findall(r"VmHWM:\s+(\d+)", STATUS.read_text("ascii"))
    RESET.write_text("5", "ascii")
    return int(found) / 1024


def filled(count: int) -> np.ndarray:
    array = large_arrays.empty(count)
    for part in large_arrays.passing(array):
        array[part] = np.arange(part.start, min(part.stop, count))
    return array


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every array be a large one, which is looked at by threes."""
    monkeypatch.setattr(large_arrays, "LARGE", 1)
    monkeypatch.setattr(large_arrays, "SOME", 3)


@pytest.mark.parametrize("count", [1, 3, 4, 1000])
@pytest.mark.usefixtures("tiny")
def test_an_array_in_a_file_is_what_was_written(count: int, tmp_path: Path) -> None:
    array, plain = filled(count), np.arange(float(count))
    np.testing.assert_array_equal(array, plain)
    seal = hashlib.sha256()
    large_arrays.hashed(seal.update, array)
    assert seal.hexdigest() == hashlib.sha256(plain.tobytes()).hexdigest()
    data = large_arrays.joined(large_arrays.bytes_of(array))
    assert bytes(data) == plain.tobytes()
    private_files.write_parts(tmp_path / "kept", large_arrays.bytes_of(array))
    assert bytes(large_arrays.content(tmp_path / "kept")) == plain.tobytes()
    doubled = large_arrays.made(lambda one, other: one + other, array, plain)
    np.testing.assert_array_equal(doubled, 2 * plain)
    assert large_arrays.norm(array) == pytest.approx(float(np.linalg.norm(plain)))


@pytest.mark.usefixtures("tiny")
def test_what_is_not_finite_is_found_wherever_it_is() -> None:
    array = filled(10)
    assert large_arrays.finite(array)
    array[8] = np.nan
    assert not large_arrays.finite(array)
    assert not large_arrays.finite(array.reshape(2, 5))


@pytest.mark.usefixtures("tiny")
def test_zeros_are_zeros_and_rows_stay_rows() -> None:
    assert not large_arrays.zeros(100, np.uint64).any()
    turned = np.arange(6).reshape(2, 3).T
    assert b"".join(large_arrays.bytes_of(turned)) == turned.tobytes()


def test_a_process_holds_little_of_a_large_array() -> None:
    peak()
    before = peak()
    array = filled(COUNT)
    total = large_arrays.zeros(COUNT)
    for part in large_arrays.passing(total, array):
        total[part] += array[part]
    data = large_arrays.joined(large_arrays.bytes_of(total))
    large_arrays.hashed(hashlib.sha256().update, data)
    large_arrays.norm(total)
    assert total[-1] == COUNT - 1
    size = 8 * COUNT / 2**20
    assert peak() - before < size / 4, "of three such arrays"


def test_a_full_disk_is_said_before_anything_is_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(MachineError, match="No space left") as said:
        large_arrays.empty(COUNT)
    assert "TMPDIR" in said.value.hints["fix"]
