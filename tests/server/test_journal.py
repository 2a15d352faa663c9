"""What is written down: whole or not there, and never taken for something else."""

import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common import large_arrays
from common.errors import IntegrityError, MachineError, UsageError
from common.task import State, fingerprint, rowwise
from common.trust import private_files
from server.conduct import journal, sealed
from server.conduct.journal import Entry, Journal, Traffic
from server.conduct.sealed import Record

DIGEST = "d" * 64
TRAFFIC = Traffic({"north": 10}, {"north": 20})


def held(folder: Path) -> Journal:
    with journal.held(folder, DIGEST, 1) as book:
        return book


def entry(number: int) -> Entry:
    arrays = {"weights": np.arange(3.0) / number, "none": np.zeros((0, 2))}
    kept = {"best": np.array(-0.0), "objective": np.array([np.inf])}
    state = State(arrays, kept, done=number == 3)
    return Entry("fit", number, state, {"north": "a" * 64})


def written(folder: Path, rounds: int = 3) -> Journal:
    with journal.held(folder, DIGEST, 1) as book:
        book.opened(("north",), ("refused, id 1",))
        for number in range(1, rounds + 1):
            book.add(entry(number), TRAFFIC)
    return book


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("journal")
    written(folder)
    return folder


def same(one: State, other: State) -> bool:
    return (
        [fingerprint(one.arrays), fingerprint(one.kept), one.done]
        == [fingerprint(other.arrays), fingerprint(other.kept), other.done]
    ) and [*one.arrays, *one.kept] == [*other.arrays, *other.kept]


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    before, book = written(tmp_path), held(tmp_path)
    assert (book.run, book.roster) == (before.run, ("north",))
    assert book.refusals == ("refused, id 1",)
    assert book.traffic == TRAFFIC
    assert book.last["fit"].answers == {"north": "a" * 64}
    assert same(book.last["fit"].state, entry(3).state)
    assert book.finished("fit")
    assert not book.finished("evaluate")
    assert not book.closed


def test_a_journal_goes_on_where_it_was(tmp_path: Path) -> None:
    written(tmp_path, 2)
    with journal.held(tmp_path, DIGEST, 1) as book:
        book.add(entry(3), TRAFFIC)
        book.close(TRAFFIC)
    again = held(tmp_path)
    assert again.last["fit"].round == 3
    assert again.closed


def test_no_folder_means_nothing_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    book = Journal(DIGEST)
    book.opened(("north",), ())
    book.add(entry(1), TRAFFIC)
    assert not list(tmp_path.iterdir())
    assert book.last["fit"].round == 1


def test_a_torn_tail_at_every_byte_counts_as_not_written(
    whole: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "torn"
    shutil.copytree(whole, folder)
    last = folder / "000003.record"
    data = last.read_bytes()
    for length in range(len(data)):
        last.write_bytes(data[:length])
        assert held(folder).last["fit"].round == 2
    last.unlink()
    for length in range(len(data) + 1):
        (folder / ".000003.record.7.new").write_bytes(data[:length])
        assert held(folder).last["fit"].round == 2
    with journal.held(folder, DIGEST, 1) as book:
        book.add(entry(3), TRAFFIC)
    assert held(folder).last["fit"].round == 3


@settings(max_examples=300)
@given(st.integers(0, 3), st.integers(0, 10_000), st.integers(1, 255))
def test_a_flipped_byte_anywhere_is_detected(
    whole: Path, number: int, place: int, flip: int
) -> None:
    path = whole / f"00000{number}.record"
    data = path.read_bytes()
    changed = bytearray(data)
    changed[place % len(data)] ^= flip
    path.write_bytes(changed)
    try:
        with pytest.raises(IntegrityError, match=f"record {number} of the") as caught:
            held(whole)
        assert caught.value.hints["where"] == str(path)
    finally:
        path.write_bytes(data)


def cut(folder: Path) -> None:
    path = folder / "000001.record"
    path.write_bytes(path.read_bytes()[:-1])


def empty(folder: Path) -> None:
    (folder / "000001.record").write_bytes(b"")


def remove(folder: Path) -> None:
    (folder / "000001.record").unlink()


def swap(folder: Path) -> None:
    (folder / "000001.record").rename(folder / "x")
    (folder / "000002.record").rename(folder / "000001.record")
    (folder / "x").rename(folder / "000002.record")


def lengthen(folder: Path) -> None:
    path = folder / "000003.record"
    path.write_bytes(path.read_bytes() + b"\0")


def zero(folder: Path) -> None:
    path = folder / "000003.record"
    path.write_bytes(bytes(len(path.read_bytes())))


@pytest.mark.parametrize("harm", [cut, empty, remove, swap, lengthen, zero])
def test_anything_else_that_is_broken_is_named(
    whole: Path, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    folder = tmp_path / "harmed"
    shutil.copytree(whole, folder)
    harm(folder)
    with pytest.raises(IntegrityError, match=r"record \d of the journal") as caught:
        held(folder)
    assert ".record" in caught.value.hints["where"]


@pytest.mark.parametrize(
    ("digest", "protocol", "says"),
    [("e" * 64, 1, "another study"), (DIGEST, 2, "another protocol version")],
)
def test_a_journal_of_something_else_is_refused(
    whole: Path, digest: str, protocol: int, says: str
) -> None:
    with (
        pytest.raises(IntegrityError, match=says),
        journal.held(whole, digest, protocol),
    ):
        pass


def test_two_cannot_hold_one_journal(tmp_path: Path) -> None:
    with (
        journal.held(tmp_path, DIGEST, 1),
        pytest.raises(UsageError, match="another process"),
        journal.held(tmp_path, DIGEST, 1),
    ):
        pass
    held(tmp_path)


def test_a_folder_that_cannot_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError, match="there can be no journal"):
        held(tmp_path / "file" / "journal")


def test_a_full_disk_is_said(tmp_path: Path) -> None:
    def full(what: str) -> None:
        if what == "sync":
            raise OSError(28, "No space left on device")

    with (
        journal.held(tmp_path, DIGEST, 1, full) as book,
        pytest.raises(MachineError, match="No space left"),
    ):
        book.opened(("north",), ())


def test_a_record_is_named_only_when_it_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    fsync = private_files.os.fsync
    monkeypatch.setattr(
        private_files.os, "fsync", lambda number: (seen.append("fsync"), fsync(number))
    )
    sealed.add(tmp_path, 0, Record({}, {}), "", seen.append)
    assert seen == ["write", "sync", "fsync", "name", "sync the folder", "fsync"]


def test_a_hash_tells_names_kinds_shapes_and_bits_apart() -> None:
    base = np.arange(6.0)
    parts = [
        {},
        {"a": base},
        {"b": base},
        {"a": base.reshape(2, 3)},
        {"a": base.astype(np.float32)},
        {"a": base, "b": base},
        {"a": base[::-1]},
        {"a": np.where(base == 0.0, -0.0, base)},
    ]
    assert len({fingerprint(part) for part in parts}) == len(parts)
    one, two = {"a": base, "b": base[:2]}, {"b": base[:2], "a": base}
    assert fingerprint(one) == fingerprint(two)
    square = base.reshape(2, 3)
    assert fingerprint({"a": np.asfortranarray(square)}) == fingerprint({"a": square})


def test_a_state_lies_in_memory_as_it_would_when_read_again() -> None:
    turned = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    state = rowwise(State({"a": turned}, {"k": np.array(1.0)}, done=True))
    assert state.arrays["a"].flags.c_contiguous
    assert state.kept["k"].shape == ()
    assert state.done


def test_a_large_state_is_written_and_hashed_from_where_it_lies(tmp_path: Path) -> None:
    state = State({"parameters": np.arange(2.0**20)}, {"first": np.ones((2, 2**19))})
    tracemalloc.start()
    try:
        with journal.held(tmp_path, DIGEST, 1) as book:
            book.opened(("north",), ())
            book.add(Entry("fit", 1, state, {}), TRAFFIC)
            fingerprint(state.arrays)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**20
    read = held(tmp_path).last["fit"].state
    np.testing.assert_array_equal(read.arrays["parameters"], np.arange(2.0**20))
    np.testing.assert_array_equal(read.kept["first"], np.ones((2, 2**19)))


def test_a_large_journal_is_read_with_little_more_than_thrice_one_state(
    tmp_path: Path,
) -> None:
    """The file, the state in it, and the one before, whose place it takes."""
    count = 2**20
    with journal.held(tmp_path, DIGEST, 1) as book:
        book.opened(("north",), ())
        for number in range(1, 4):
            state = State({"parameters": np.full(count, float(number))})
            book.add(Entry("fit", number, state, {}), TRAFFIC)
    tracemalloc.start()
    try:
        read = held(tmp_path).last["fit"].state
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(read.arrays["parameters"], np.full(count, 3.0))
    assert peak < 3.2 * 8 * count


def sized(folder: Path) -> list[str]:
    """Return the names of the files that hold large arrays."""
    return sorted(each.name for each in folder.glob("*.arrays"))


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a journal of three rounds whose states are large."""
    monkeypatch.setattr(large_arrays, "LARGE", 32)
    written(tmp_path / "large")
    return tmp_path / "large"


def test_large_states_are_kept_while_a_run_may_go_on_from_them(large: Path) -> None:
    assert sized(large) == ["000002.arrays", "000003.arrays"]
    with journal.held(large, DIGEST, 1) as book:
        book.add(Entry("evaluate", 1, entry(3).state, {}), TRAFFIC)
        assert sized(large) == ["000003.arrays", "000004.arrays"]
        book.add(Entry("evaluate", 2, entry(3).state, {}), TRAFFIC)
    assert len(sized(large)) == 3, "the last of each task, and the one before it"
    with journal.held(large, DIGEST, 1) as book:
        book.close(TRAFFIC)
    assert sized(large) == ["000003.arrays", "000005.arrays"]
    read = held(large)
    assert all(same(read.last[n].state, entry(3).state) for n in ("fit", "evaluate"))


def test_a_large_state_that_goes_leaves_its_record_and_hash(large: Path) -> None:
    records = [record for record, _ in sealed.read(large)]
    assert [each.facts["round"] for each in records[1:]] == [1, 2, 3]
    assert records[1].arrays is None
    path = large / "000001.record"
    data = path.read_bytes()
    assert b'"beside":"' in data
    place = data.index(b'"beside":"') + len(b'"beside":"')
    path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    with pytest.raises(IntegrityError, match="record 1 of the journal is not what"):
        held(large)


def test_large_arrays_that_end_early_count_as_not_written(large: Path) -> None:
    last = large / "000003.arrays"
    data = last.read_bytes()
    for length in range(len(data)):
        last.write_bytes(data[:length])
        assert held(large).last["fit"].round == 2
    last.unlink()
    assert same(held(large).last["fit"].state, entry(2).state)
    (large / "000004.arrays").write_bytes(data)
    (large / ".000003.arrays.7.new").write_bytes(data)
    with journal.held(large, DIGEST, 1) as book:
        book.add(entry(3), TRAFFIC)
    assert same(held(large).last["fit"].state, entry(3).state)
    assert sized(large) == ["000002.arrays", "000003.arrays"]
    assert not list(large.glob(".*")), "what was torn off is gone"


def test_large_arrays_that_are_broken_are_named(large: Path) -> None:
    for number in (2, 3):
        path = large / f"00000{number}.arrays"
        data = path.read_bytes()
        for changed in (bytes([data[0] ^ 1]) + data[1:], data + b"\0"):
            path.write_bytes(changed)
            with pytest.raises(IntegrityError, match=f"record {number} of") as caught:
                held(large)
            assert caught.value.hints["where"] == str(path)
        path.write_bytes(data)
    with journal.held(large, DIGEST, 1) as book:
        book.close(TRAFFIC)
    (large / "000003.arrays").unlink()
    with pytest.raises(IntegrityError, match="record 3 of the journal has lost") as it:
        held(large)
    assert it.value.hints["where"] == str(large / "000003.arrays")


def test_a_state_that_cannot_be_dropped_is_said(large: Path) -> None:
    def refused(what: str) -> None:
        if what == "drop":
            raise PermissionError(13, "Permission denied")

    with (
        journal.held(large, DIGEST, 1, refused) as book,
        pytest.raises(MachineError, match="cannot be written: Permission denied"),
    ):
        book.close(TRAFFIC)
