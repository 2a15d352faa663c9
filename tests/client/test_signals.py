"""Bedside signals: windows of hours as numbers, from a CSV and from WFDB records."""

import struct
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as some

from client.documents.mapping import Column
from client.formats import waveform, windows
from client.formats.raw import PERSON, TIME
from client.formats.waveform import Malformed
from client.formats.windows import TAKES, Samples
from client.sources import csv
from common.errors import DataError, StudyError
from tests.places import CANARY, read, refusal, site

WIDE = {
    "kind": "signals",
    "file": "monitor.csv",
    "person": "who",
    "event_time": "from",
    "time": "at",
    "missing": ["---"],
}
LONG = {**WIDE, "channel": "channel", "value": "value"}
COLUMNS = {take: {"column": "HR", "take": take, "hours": [0.0, 24.0]} for take in TAKES}
LINES = """\
who,from,at,HR,SpO2
a,2024-01-01T10:00,2024-01-01T09:00,20,90
a,2024-01-01T10:00,2024-01-01T12:00,70,91
a,2024-01-01T10:00,2024-01-01T11:00,80,92
a,2024-01-01T10:00,2024-01-01T13:00,---,93
a,2024-01-01T10:00,2024-01-01T14:00,60,94
a,2024-01-01T10:00,2024-01-02T10:00,200,95
b,2024-01-03T10:00,2024-01-03T10:00,50,96
b,2024-02-03T10:00,2024-02-03T10:00,,96
"""


def wide(folder: Path, lines: str = LINES) -> list[dict[str, str]]:
    local = site(folder, WIDE, COLUMNS)
    (folder / "monitor.csv").write_text(lines, encoding="utf-8")
    (raw,) = read(local)
    return [dict(row) for _, row in raw.cells.iterrows()]


def test_a_window_is_half_open_and_in_order_of_time(tmp_path: Path) -> None:
    first, one, empty = wide(tmp_path)
    assert (first[PERSON], first[TIME]) == ("a", "2024-01-01T10:00")
    assert {take: float(first[take]) for take in ("min", "max", "last", "count")} == {
        "min": 60.0,
        "max": 80.0,
        "last": 60.0,
        "count": 3.0,
    }
    assert float(first["mean"]) == pytest.approx(70.0)
    slope = np.polyfit([1, 2, 4], [80, 70, 60], 1)[0]
    assert float(first["slope"]) == pytest.approx(slope)
    assert (one["last"], one["slope"]) == ("50.0", "")
    assert (empty["mean"], empty["count"]) == ("", "0.0")


def test_a_line_for_each_sample_says_the_same(tmp_path: Path) -> None:
    header, *lines = LINES.splitlines()
    long = ["who,from,at,channel,value"]
    for line in reversed(lines):
        who, begun, at, *values = line.split(",")
        long += [
            f"{who},{begun},{at},{name},{value}"
            for name, value in zip(header.split(",")[3:], values, strict=True)
        ]
    local = site(tmp_path / "long", LONG, COLUMNS)
    (tmp_path / "long" / "monitor.csv").write_text("\n".join(long) + "\n")
    (raw,) = read(local)
    assert [dict(row) for _, row in raw.cells.iterrows()][::-1] == wide(tmp_path)


@pytest.mark.parametrize("block", [1, 60, 150])
def test_a_recording_over_several_parts_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    whole = wide(tmp_path / "whole")
    monkeypatch.setattr(csv, "BLOCK", block)
    parts = wide(tmp_path / "parts")
    for one, other in zip(whole, parts, strict=True):
        before, after = (
            [float(row[take] or "nan") for take in TAKES] for row in (one, other)
        )
        np.testing.assert_allclose(after, before, rtol=1e-12)
        assert one.keys() == other.keys()
        assert (one[PERSON], one[TIME]) == (other[PERSON], other[TIME])


def test_without_an_event_hours_count_from_the_first_sample(tmp_path: Path) -> None:
    source = {key: value for key, value in WIDE.items() if key != "event_time"}
    local = site(tmp_path, source, {"n": COLUMNS["count"]})
    (tmp_path / "monitor.csv").write_text(LINES)
    (raw,) = read(local)
    assert raw.cells["n"].tolist() == ["4.0", "1.0"]
    assert TIME not in raw.cells


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        (",---,", f",{CANARY},", "1 sample is not a number: in .* line 5"),
        ("2024-01-01T11:00", CANARY, "1 time is no date as ISO8601: in .* line 4"),
        ("50,96", f"50,96,{CANARY}", "has 6 cells for 5 columns in line 8"),
        ("who,", "whom,", "column 'who' is not in"),
        ("50,96", '50,"96', "cannot be read as a table"),
    ],
)
def test_what_does_not_fit_is_said_with_its_line_and_no_value(
    tmp_path: Path, old: str, new: str, match: str
) -> None:
    with pytest.raises(DataError, match=match) as caught:
        wide(tmp_path, LINES.replace(old, new, 1))
    assert CANARY not in str(caught.value)


def test_a_channel_that_never_occurs_is_a_slip_and_no_gap(tmp_path: Path) -> None:
    wrong = {"n": {"column": "PULSE", "take": "mean"}}
    local = site(tmp_path, LONG, wrong)
    (tmp_path / "monitor.csv").write_text(
        "who,from,at,channel,value\na,2024-01-01T10:00,2024-01-01T12:00,HR,70\n"
    )
    with pytest.raises(DataError, match="'PULSE' has no sample"):
        read(local)


@pytest.mark.parametrize(
    "column", [{"column": "HR"}, {"column": "HR", "take": "mean", "hours": [3, 3]}]
)
def test_a_window_says_what_it_takes(tmp_path: Path, column: dict[str, str]) -> None:
    local = site(tmp_path, WIDE, {"n": column})
    with pytest.raises(StudyError, match=r"one of mean|go from the earlier"):
        read(local)


HOURS = some.integers(-5 * 3600, 60 * 3600).map(lambda seconds: seconds / 3600)
"""Real clocks: a rise over 1e-26 hours is not one that two ways can agree about."""
VALUES = some.one_of(some.just(np.nan), some.integers(0, 250).map(float))


@given(some.lists(some.tuples(some.integers(0, 3), HOURS, VALUES), max_size=40))
@example([(0, 319 / 3600, 0.0)] * 3)
@example([(0, 319 / 3600, float(value)) for value in range(7)])
@settings(deadline=None)
def test_windows_are_what_a_loop_over_samples_finds(
    rows: list[tuple[int, float, float]],
) -> None:
    """The vectorised windows are held against the definition, sample by sample."""
    whose, hours, values = (
        (np.array(each) for each in zip(*rows, strict=True))
        if (rows)
        else (np.zeros(0), np.zeros(0), np.zeros(0))
    )
    found = windows.samples(whose.astype(np.int64), hours, values)
    cut = len(rows) // 3
    parts = [
        windows.samples(whose[some].astype(np.int64), hours[some], values[some])
        for some in (slice(cut), slice(cut, None))
    ]
    for take in TAKES:
        column = Column(column="HR", take=take, hours=(0.0, 24.0))
        got = windows.taken(column, found, 4)
        wanted = [by_hand(take, rows, each) for each in range(4)]
        np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-7)
        few = int(parts[0].recording.max(initial=0)) + 1  # as many as are known by then
        one, other = (
            windows.part(column, *of) for of in zip(parts, (few, 4), strict=True)
        )
        both = windows.result(column, windows.merged(column, one, other))
        np.testing.assert_allclose(both, wanted, rtol=1e-6, atol=1e-7)


def by_hand(take: str, rows: list[tuple[int, float, float]], whose: int) -> float:
    kept = sorted(
        ((h, v) for r, h, v in rows if r == whose and 0 <= h < 24 and not np.isnan(v)),
        key=lambda each: each[0],
    )
    if take == "count":
        return len(kept)
    if not kept:
        return np.nan
    hours, values = (np.array(each) for each in zip(*kept, strict=True))
    if take == "slope":
        wide = ((hours - hours.mean()) ** 2).sum()
        rise = ((hours - hours.mean()) * values).sum()
        return rise / wide if np.ptp(hours) > 0 else np.nan
    return {
        "mean": values.mean(),
        "min": values.min(),
        "max": values.max(),
        "last": values[-1],
    }[take]


def record(folder: Path, samples: np.ndarray, kind: str = "16") -> None:
    """Write a WFDB record of two channels as the format's own page describes it."""
    folder.mkdir(parents=True, exist_ok=True)
    flat = samples.reshape(-1).tolist()
    if kind == "16":
        data = b"".join(struct.pack("<h", each) for each in flat)
    else:
        data = b""
        for one, two in zip(flat[::2], flat[1::2], strict=True):
            low, high = one & 0xFFF, two & 0xFFF
            both = (low >> 8) | ((high >> 8) << 4)
            data += bytes([low & 0xFF, both, high & 0xFF])
    (folder / "a.dat").write_bytes(data)
    lines = [f"a 2 0.25/1 {len(samples)} 10:00:00 01/02/2024"]
    for place, name in enumerate(("HR", "SpO2 finger")):
        total = int(samples[:, place].sum())
        checksum = (total + 2**15) % 2**16 - 2**15
        lines.append(
            f"a.dat {kind} 10(5)/mV 12 0 {samples[0, place]} {checksum} 0 {name}"
        )
    (folder / "a.hea").write_text("\n".join([*lines, "# a comment"]) + "\n")


SAMPLES = np.array([[5, 15], [-100, 1005], [2000, -1995], [7, 8]])


@pytest.mark.parametrize("kind", ["16", "212"])
def test_samples_come_back_as_they_were_written(tmp_path: Path, kind: str) -> None:
    record(tmp_path, SAMPLES, kind)
    head = waveform.header((tmp_path / "a.hea").read_text())
    ((file, channels),) = head.files()
    found = waveform.signals(head, (tmp_path / file).read_bytes(), channels)
    np.testing.assert_allclose(found["HR"], (SAMPLES[:, 0] - 5) / 10)
    np.testing.assert_allclose(found["SpO2 finger"], (SAMPLES[:, 1] - 5) / 10)
    assert head.rate == 0.25
    assert head.begun is not None
    assert head.begun.isoformat() == "2024-02-01T10:00:00"


@pytest.mark.parametrize(("kind", "lost"), [("16", -(2**15)), ("212", -(2**11))])
def test_a_lost_sample_is_a_gap(tmp_path: Path, kind: str, lost: int) -> None:
    samples = SAMPLES.copy()
    samples[1, 0] = lost
    record(tmp_path / "monitor", samples, kind)
    local = site(
        tmp_path,
        {"kind": "wfdb", "files": "monitor/{person}.hea"},
        {take: {"column": "HR", "take": take} for take in ("min", "count")},
    )
    (raw,) = read(local)
    assert raw.cells["min"].tolist() == ["0.0"]
    assert raw.cells["count"].tolist() == ["3.0"]
    assert raw.cells[PERSON].tolist() == ["a"]
    assert raw.cells[TIME].tolist() == ["2024-02-01T10:00:00"]


@pytest.mark.parametrize(
    ("damage", "match"),
    [
        (lambda hea, dat: (hea, dat[:-1]), "fewer samples"),
        (lambda hea, dat: (hea, dat[:-1] + b"\x09"), "another checksum"),
        (lambda hea, dat: (hea.replace("a 2", "a/3 2"), dat), "several segments"),
        (lambda hea, dat: (hea.replace("a 2", "a 9"), dat), "other signal lines"),
        (lambda hea, dat: (hea.replace(" 16 ", " 80 ", 1), dat), "another format"),
        (lambda hea, dat: (hea.replace(" 16 ", " 16x4 ", 1), dat), "samples a frame"),
        (lambda hea, dat: (hea.replace("HR", "EKG"), dat), "no channel 'HR'"),
        (lambda _hea, dat: (CANARY, dat), "no record line"),
        (lambda hea, dat: (hea.replace("a.dat", "b.dat"), dat), "FileNotFoundError"),
        (lambda hea, dat: (hea.replace("01/02", "31/02"), dat), "a time that is none"),
    ],
)
def test_a_damaged_record_is_said_by_its_number(
    tmp_path: Path, damage: object, match: str
) -> None:
    folder = tmp_path / "monitor" / CANARY
    record(folder, SAMPLES)
    files = (folder / "a.hea").read_text(), (folder / "a.dat").read_bytes()
    header, data = damage(*files)  # type: ignore[operator]
    (folder / "a.hea").write_text(header)
    (folder / "a.dat").write_bytes(data)
    local = site(
        tmp_path,
        {"kind": "wfdb", "files": "monitor/{person}/a.hea"},
        {"n": {"column": "HR", "take": "mean"}},
    )
    with pytest.raises(DataError, match=match) as caught:
        read(local)
    assert "file 1 of monitor/*/a.hea" in str(caught.value)
    assert CANARY not in str(caught.value)


@given(some.text(max_size=300), some.binary(max_size=300))
@settings(deadline=None)
def test_any_header_and_any_samples_are_malformed_or_a_record(
    text: str, data: bytes
) -> None:
    line = "a 1 250 3\na.dat 212 200 12 0 0 0 0 HR\n"
    for said in (text, line + text, f"a 1 {text}", f"a 1 250 3\na.dat {text}"):
        with suppress(Malformed):
            head = waveform.header(said)
            for _, channels in head.files():
                waveform.signals(head, data, channels)


CELLS = some.one_of(
    some.sampled_from([CANARY, '"', ",", "", "NaN", "-", "1e999", "0x1", "nan", "٣"]),
    some.sampled_from(["2024-01-01T10:00", "9999-99-99", "70", "HR", "\ufeff", "\0"]),
    some.text(max_size=5),
)
ENCODINGS = some.sampled_from(["utf-8", "latin-1", "utf-16"])
ROWS = some.lists(some.lists(CELLS, min_size=1, max_size=6), max_size=8)


@given(rows=ROWS, encoding=ENCODINGS, long=some.booleans())
@settings(deadline=None, max_examples=80)
def test_any_lines_are_windows_or_one_sentence_without_a_cell(
    rows: list[list[str]], encoding: str, *, long: bool
) -> None:
    """Quotes, spellings of nothing, other encodings, times that are none."""
    header = "who,from,at,channel,value" if long else "who,from,at,HR,SpO2"
    text = "\n".join([header, *(",".join(row) for row in rows)]) + "\n"
    with TemporaryDirectory() as folder:
        local = site(Path(folder), LONG if long else WIDE, COLUMNS)
        content = text.encode(encoding, errors="replace")
        (Path(folder) / "monitor.csv").write_bytes(content)
        said = refusal(lambda: read(local))
    assert CANARY not in said
    assert not said or "site.toml" in said


def test_samples_do_not_print_themselves() -> None:
    one = Samples(np.zeros(1, np.int64), np.zeros(1), np.array([77123.5]))
    assert "77123" not in repr(one)
