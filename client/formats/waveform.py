"""Decodes one WFDB record: a text header, and samples of format 16 or 212.

The format is PhysioNet's: WFDB Applications Guide, header(5) and signal(5). What a
header says of lengths and checksums is held against the samples, so that half a file is
found out. Records of several segments, or with several samples a frame, are refused.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from common.release import Array

Counts = NDArray[np.int64]
_RECORD = re.compile(
    r"(?P<name>[\w-]+)(?P<segments>/\d+)?\s+(?P<signals>\d+)"
    r"(?:\s+(?P<rate>[\d.eE+-]+)(?:/[\d.eE+()-]+)?"
    r"(?:\s+(?P<samples>\d+)"
    r"(?:\s+(?P<time>\d{1,2}:\d{2}:\d{2})(?:\.\d+)?"
    r"(?:\s+(?P<date>\d{1,2}/\d{1,2}/\d{4}))?)?)?)?"
)
_SIGNAL = re.compile(
    r"(?P<file>[\w.~-]+)\s+(?P<format>\d+)(?P<frame>x\d+)?(?::\d+)?(?:\+(?P<skip>\d+))?"
    r"(?:\s+(?P<gain>[\d.eE+-]+)(?:\((?P<baseline>-?\d+)\))?(?:/\S+)?"
    r"(?:\s+-?\d+(?:\s+(?P<zero>-?\d+)(?:\s+-?\d+(?:\s+(?P<checksum>-?\d+)"
    r"(?:\s+-?\d+(?:\s+(?P<channel>.*))?)?)?)?)?)?)?"
)
RATE, GAIN, MOST, MOST_12 = 250.0, 200.0, 64, 0x7FF
"""What a header means that leaves out its rate and gains; most signals of a record;
the largest number of 12 bits."""


class Malformed(Exception):  # noqa: N818 - it is turned into an error where it is known
    """The record is not what its format says; the text holds no value of it."""


@dataclass(frozen=True, slots=True)
class Channel:
    """One signal of a record, as its header describes it."""

    name: str
    file: str
    format: str
    skip: int
    gain: float
    baseline: int
    checksum: int | None


@dataclass(frozen=True, slots=True)
class Header:
    """A record: samples a second, samples of each channel, and when it began."""

    rate: float
    samples: int | None
    begun: datetime | None
    channels: tuple[Channel, ...]

    def files(self) -> list[tuple[str, tuple[Channel, ...]]]:
        """Return the channels by the file that holds their samples, in its order."""
        grouped = groupby(self.channels, key=lambda each: each.file)
        return [(file, tuple(each)) for file, each in grouped]


def header(text: str) -> Header:
    """Return what the *text* of a header says; raise Malformed when it is none."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    said = _RECORD.match(lines[0]) if lines else None
    if said is None:
        raise Malformed("has no record line")
    if said["segments"]:
        raise Malformed("has several segments: join them first")
    count = int(said["signals"])
    if not 0 < count <= MOST or len(lines) <= count:
        raise Malformed("has other signal lines than it says")
    channels = tuple(_channel(line) for line in lines[1 : count + 1])
    samples = int(said["samples"] or 0) or None
    rate = _number(said["rate"] or str(RATE))
    return Header(rate, samples, _begun(said["time"], said["date"]), channels)


def signals(
    found: Header, file: bytes, channels: Sequence[Channel]
) -> dict[str, Array]:
    """Return the samples of *channels*, which share one *file*, in their own units.

    A sample that was lost is NaN. Raises Malformed for half a file, and for one whose
    checksums differ.
    """
    first = channels[0]
    known = FORMATS.get(first.format)
    if known is None or any(each.format != first.format for each in channels):
        raise Malformed("has samples in another format than 16 or 212")
    counts = known.decode(file[first.skip :])
    whole = len(counts) // len(channels)
    wanted = whole if found.samples is None else found.samples
    if whole < wanted or not wanted:
        raise Malformed("has fewer samples than its header says: half a file?")
    rows = counts[: wanted * len(channels)].reshape(wanted, len(channels))
    return {
        each.name: _physical(each, rows[:, place], known.lost)
        for place, each in enumerate(channels)
    }


def _physical(channel: Channel, counts: Counts, lost: int) -> Array:
    if channel.checksum is not None and (int(counts.sum()) - channel.checksum) % 65536:
        raise Malformed("has another checksum than its header says: damaged?")
    values = (counts - channel.baseline) / channel.gain
    return np.where(counts == lost, np.nan, values)


def _channel(line: str) -> Channel:
    said = _SIGNAL.match(line)
    if said is None:
        raise Malformed("has a signal line that is none")
    if said["frame"] not in (None, "x1"):
        raise Malformed("has several samples a frame: write them at one rate first")
    gain = _number(said["gain"] or "0") or GAIN
    zero = int(said["zero"] or 0)
    return Channel(
        name=(said["channel"] or "").strip(),
        file=said["file"],
        format=said["format"],
        skip=int(said["skip"] or 0),
        gain=gain,
        baseline=int(said["baseline"] or zero),
        checksum=int(said["checksum"]) if said["checksum"] else None,
    )


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise Malformed("has a rate or a gain that is no number") from None
    if not 0 <= number < np.inf:
        raise Malformed("has a rate or a gain that cannot be")
    return number


def _begun(time: str | None, date: str | None) -> datetime | None:
    if not time or not date:
        return None
    try:
        return datetime.strptime(f"{date} {time}", "%d/%m/%Y %H:%M:%S")  # noqa: DTZ007
    except ValueError:
        raise Malformed("began at a time that is none") from None


@dataclass(frozen=True, slots=True)
class Format:
    """How samples are packed, and which one stands for a lost sample."""

    decode: Callable[[bytes], Counts]
    lost: int


def _sixteen(file: bytes) -> Counts:
    """Return two's complement numbers of 16 bits, the low byte first."""
    return np.frombuffer(file[: len(file) // 2 * 2], "<i2").astype(np.int64)


def _twelve(file: bytes) -> Counts:
    """Return pairs of 12-bit numbers packed into 3 bytes.

    The low nibble of the second byte is on top of the first byte, the high nibble on
    top of the third.
    """
    padded = file + bytes(-len(file) % 3)
    low, both, high = np.frombuffer(padded, np.uint8).reshape(-1, 3).T.astype(np.int64)
    counts = np.empty(2 * len(low), dtype=np.int64)
    counts[0::2] = low | (both & 0x0F) << 8
    counts[1::2] = high | (both & 0xF0) << 4
    counts = counts[: len(file) * 2 // 3]
    return np.where(counts > MOST_12, counts - 0x1000, counts)


FORMATS: Mapping[str, Format] = MappingProxyType(
    {"16": Format(_sixteen, -0x8000), "212": Format(_twelve, -0x800)}
)
