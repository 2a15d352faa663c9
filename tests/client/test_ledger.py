"""The ledger: nothing in it changes unseen, and no crash or second writer harms it."""

import errno
import multiprocessing
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.books import chain, ledger
from client.books.chain import GENESIS, Head, Note
from common.errors import IntegrityError, MachineError
from tests import ledgers

PLACE = Path("ledger.jsonl")
FACTS = st.dictionaries(
    st.sampled_from(["id", "round", "reason", "by"]),
    st.text(max_size=20) | st.integers(0, 2**53 - 1),
)
NOTES = st.builds(
    Note,
    st.sampled_from(chain.KINDS),
    st.sampled_from(["", "ab" * 32]),
    st.sampled_from(["", "small"]),
    FACTS,
)
LEDGERS = st.lists(NOTES, min_size=1, max_size=5)


def content(notes: list[Note]) -> list[bytes]:
    return [each.line() for each in ledgers.entries(notes)]


def broken(data: bytes) -> bool:
    try:
        chain.parse(PLACE, data)
    except IntegrityError as error:
        return f"{PLACE} line " in error.hints["where"]
    return False


@given(LEDGERS)
def test_what_is_written_is_read(notes: list[Note]) -> None:
    made = ledgers.entries(notes)
    data = b"".join(each.line() for each in made)
    assert chain.parse(PLACE, data) == chain.Parsed(tuple(made), len(data))


def test_a_ledger_is_read_whatever_a_call_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "home" / "ledger.jsonl"
    for number in range(5):
        ledger.append(path, ledgers.note(number), ledgers.now)
    whole = ledger.read(path)
    monkeypatch.setattr(ledger, "PIECE", 7)
    assert ledger.read(path) == whole
    assert len(whole) == 5


@pytest.mark.slow
def test_a_ledger_of_more_than_a_call_gives_is_read_to_its_end(tmp_path: Path) -> None:
    """A file with a hole: 2 GiB and more, of which the disk holds a line."""
    path, hole = tmp_path / "ledger.jsonl", 2**31 + 4096
    with path.open("wb") as stream:
        stream.seek(hole)
        stream.write(b"the last line")
    with path.open("rb") as stream:
        read = ledger._content(stream.fileno())
    assert len(read) == hole + len("the last line")
    assert read.endswith(b"the last line")


def test_what_was_read_is_not_parsed_again_and_a_change_in_it_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "home" / "ledger.jsonl"
    for number in range(3):
        ledger.append(path, ledgers.note(number), ledgers.now)
    whole, parsed = ledger.read(path), []
    entry = chain._entry

    def counted(line: bytes) -> chain.Entry:
        parsed.append(line)
        return entry(line)

    monkeypatch.setattr(chain, "_entry", counted)
    assert ledger.read(path) == whole
    assert parsed == []
    ledger.append(path, ledgers.note(3), ledgers.now)
    assert len(ledger.read(path)) == 4
    assert len(parsed) == 1
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"number":1', b'"number":7', 1))
    with pytest.raises(IntegrityError, match="line 1 of the ledger"):
        ledger.read(path)
    path.write_bytes(data[: -len(parsed[0]) - 1])
    assert ledger.read(path) == whole


@given(LEDGERS, st.data())
def test_any_changed_byte_is_seen(notes: list[Note], data: st.DataObject) -> None:
    whole = bytearray(b"".join(content(notes)))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    assert broken(bytes(whole))


def test_a_change_anywhere_is_seen() -> None:
    whole = b"".join(content([ledgers.note(0), ledgers.note(1), ledgers.note(2)]))
    for place in range(len(whole)):
        for bit in (0x01, 0x20, 0x80):
            changed = bytearray(whole)
            changed[place] ^= bit
            assert broken(bytes(changed)), place


@given(st.lists(NOTES, min_size=2, max_size=5), st.data())
def test_a_line_removed_moved_repeated_or_added_is_seen(
    notes: list[Note], data: st.DataObject
) -> None:
    lines = content(notes)
    place = data.draw(st.integers(0, len(lines) - 2))
    other = data.draw(st.integers(place + 1, len(lines) - 1))
    removed = lines[:place] + lines[place + 1 :]
    swapped = list(lines)
    swapped[place], swapped[other] = swapped[other], swapped[place]
    repeated = [*lines[: other + 1], lines[place], *lines[other + 1 :]]
    foreign = [*lines[:other], *content(notes[:1]), *lines[other:]]
    for odd in (removed, swapped, repeated, foreign, [*lines, b"\n"]):
        assert broken(b"".join(odd))


@given(LEDGERS)
def test_a_head_finds_a_cut_end_and_another_past(notes: list[Note]) -> None:
    made = ledgers.entries(notes)
    for count in range(len(made) + 1):
        assert chain.holds(made, chain.head(made[:count]))
    assert not chain.holds(made[:-1], chain.head(made))
    assert not chain.holds(ledgers.entries(notes), chain.head(made))
    assert not chain.holds(made, Head(-1, GENESIS))


@pytest.mark.parametrize(
    "old_to_new",
    [
        {"kind": "forgotten"},
        {"facts": []},
        {"number": 2},
        {"previous": "1" * 64},
        {"more": 1},
    ],
)
def test_a_line_that_seals_itself_may_still_be_none(old_to_new: dict[str, Any]) -> None:
    (made,) = ledgers.entries([ledgers.note()])
    fields = {name: getattr(made, name) for name in made.__slots__} | old_to_new
    del fields["hash"]
    fields["hash"] = chain._hash(fields)
    assert broken(chain.rfc8785.dumps(fields) + b"\n")


@pytest.mark.parametrize(
    ("old", "new"),
    [(b'{"digest"', b'{ "digest"'), (b'"kind":', b'"kind":"denied","kind":')],
)
def test_a_line_in_another_form_is_none(old: bytes, new: bytes) -> None:
    (line,) = content([ledgers.note()])
    assert old in line
    assert broken(line.replace(old, new))


def test_an_unknown_kind_is_not_written() -> None:
    with pytest.raises(ValueError, match="forgotten"):
        chain.seal(ledgers.note(kind="forgotten"), Head(0, GENESIS), ledgers.NOW)


def test_equal_notes_seal_differently() -> None:
    one, other = (ledgers.entries([ledgers.note(people=12)])[0] for _ in range(2))
    assert one.hash != other.hash


def test_a_name_that_utf8_cannot_hold_is_written_all_the_same() -> None:
    (made,) = ledgers.entries([ledgers.note(reason="export\udcff.csv")])
    assert made.facts["reason"] == "export?.csv"


def test_a_ledger_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert ledger.verify(tmp_path / "ledger.jsonl") == Head(0, GENESIS)
    with pytest.raises(IntegrityError, match="entry 3 as it was witnessed"):
        ledger.verify(tmp_path / "ledger.jsonl", Head(3, "a" * 64))


def test_the_file_is_its_owners_alone_and_verified(tmp_path: Path) -> None:
    path = tmp_path / "state" / "ledger.jsonl"
    heads = []
    for number in range(3):
        entry = ledger.append(path, ledgers.note(number), ledgers.now)
        heads.append(Head(entry.number, entry.hash))
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [entry.time for entry in ledger.read(path)] == 3 * [ledgers.NOW.isoformat()]
    assert all(ledger.verify(path, head) == heads[-1] for head in heads)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2]))
    assert ledger.verify(path) == heads[1]
    with pytest.raises(IntegrityError, match="as it was witnessed") as caught:
        ledger.verify(path, heads[2])
    assert caught.value.hints["where"] == f"{path} line 2"


@pytest.mark.parametrize("which", ["folder", "file"])
def test_what_others_may_read_is_not_used(tmp_path: Path, which: str) -> None:
    path = tmp_path / "state" / "ledger.jsonl"
    ledger.append(path, ledgers.note(), ledgers.now)
    odd = path if which == "file" else path.parent
    odd.chmod(0o755)
    with pytest.raises(MachineError, match="other users") as caught:
        ledger.append(path, ledgers.note(), ledgers.now)
    assert caught.value.hints["fix"].startswith("chmod ")
    odd.chmod(0o700)
    assert ledger.append(path, ledgers.note(), ledgers.now).number == 2


def test_a_link_or_a_folder_in_its_place_is_not_followed(tmp_path: Path) -> None:
    path = tmp_path / "state" / "ledger.jsonl"
    ledger.append(path, ledgers.note(), ledgers.now)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    for use in (ledger.read, lambda at: ledger.append(at, ledgers.note(), ledgers.now)):
        with pytest.raises(MachineError, match="cannot be used"):
            use(path)
    path.unlink()
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError):
        ledger.append(tmp_path / "file" / "ledger.jsonl", ledgers.note(), ledgers.now)


def test_a_full_disk_leaves_the_ledger_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state" / "ledger.jsonl"
    ledger.append(path, ledgers.note(), ledgers.now)
    before = path.read_bytes()

    def full(file: int) -> None:
        assert path.stat().st_size > len(before), "the entry is written, then synced"
        assert file
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(ledger.os, "fsync", full)
    with pytest.raises(MachineError, match="no space left"):
        ledger.append(path, ledgers.note(), ledgers.now)
    assert path.read_bytes() == before


def test_a_ledger_replaced_meanwhile_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state" / "ledger.jsonl"
    ledger.append(path, ledgers.note(), ledgers.now)
    monkeypatch.setattr(ledger.fcntl, "flock", lambda *_: path.unlink())
    with pytest.raises(IntegrityError, match="was replaced"):
        ledger.append(path, ledgers.note(), ledgers.now)


def test_a_crash_at_any_byte_of_an_append_is_mended(tmp_path: Path) -> None:
    path = tmp_path / "state" / "ledger.jsonl"
    for number in range(2):
        ledger.append(path, ledgers.note(number), ledgers.now)
    before = path.read_bytes()
    last = chain.seal(
        ledgers.note(2, reason="é"), ledger.verify(path), ledgers.NOW
    ).line()
    for cut in range(len(last)):
        path.write_bytes(before + last[:cut])
        whole = cut == len(last) - 1
        assert len(ledger.read(path)) == 2 + whole
        with ledger.writing(path) as log:
            assert len(log.entries) == 2 + whole
        assert path.read_bytes() == before + (last if whole else b"")
    path.write_bytes(before + last[:40])
    assert ledger.append(path, ledgers.note(3), ledgers.now).number == 3
    assert ledger.verify(path).number == 3


def test_two_processes_write_one_chain(tmp_path: Path) -> None:
    path, count = tmp_path / "state" / "ledger.jsonl", 30
    spawn = multiprocessing.get_context("spawn")
    writers = [
        spawn.Process(target=ledgers.write_many, args=(str(path), writer, count))
        for writer in range(2)
    ]
    for each in writers:
        each.start()
    for each in writers:
        each.join(30)
    assert [each.exitcode for each in writers] == [0, 0]
    entries = ledger.read(path)
    assert len(entries) == 2 * count
    for writer in range(2):
        own = [
            each.facts["round"] for each in entries if each.facts["writer"] == writer
        ]
        assert own == list(range(count))


def test_killed_at_any_moment_the_chain_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "state" / "ledger.jsonl"
    program = (
        "import sys; from tests import ledgers; ledgers.write_forever(sys.argv[1])"
    )
    draw = np.random.default_rng(3)
    torn = 0
    for _ in range(10):
        writer = subprocess.Popen(  # noqa: S603 - our own interpreter and program
            [sys.executable, "-c", program, str(path)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        assert writer.stdout
        said = [writer.stdout.readline()]
        time.sleep(draw.uniform(0.0, 0.1))
        writer.kill()
        said += writer.communicate()[0].splitlines()
        durable = max(int(each) for each in said if each.strip())
        torn += not path.read_bytes().endswith(b"\n")
        assert len(ledger.read(path)) >= durable
        mended = ledger.append(path, ledgers.note(), ledgers.now)
        assert ledger.verify(path) == Head(mended.number, mended.hash)
    assert torn, "no kill came in the middle of a write: the test shows nothing"
