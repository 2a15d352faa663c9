"""Writes what monitors recorded: CSV files in three manners, or WFDB records.

WFDB is the format of PhysioNet: a text header beside 16-bit samples (WFDB Applications
Guide, header(5) and signal(5)). Lost samples are written as each device would.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simulations.invented.monitors import CHANNELS, Recording
from simulations.invented.stays import Stay
from simulations.invented.tables import write_lines
from simulations.invented.wards import Ward

SHORT: Mapping[str, str] = {
    "heart_rate": "HR",
    "saturation": "SpO2",
    "respiration": "RR",
}
"""What every monitor calls its channels."""
LOST, OFF, SPIKE = "---", "-1", 999
INVALID = -32768
GAIN = 10
BEFORE = timedelta(hours=2)


def write_wide(path: Path, ward: Ward, stays: Sequence[Stay]) -> None:
    """Write a line for each moment, a column for each channel; lost samples as ---."""
    header = ("Hospital number", "Admitted", "Time", *SHORT.values())
    write_lines(path, header, (row for stay in stays for row in _wide(ward, stay)))


def write_long(path: Path, ward: Ward, stays: Sequence[Stay]) -> None:
    """Write a line for each sample; a lost one is -1 where it is not left out."""
    header = ("patient_id", "started_at", "sampled_at", "channel", "value")
    write_lines(path, header, (row for stay in stays for row in _long(ward, stay)))


def write_wfdb(folder: Path, stays: Sequence[Stay]) -> None:
    """Write a WFDB record of format 16 for each stay: a header and its samples."""
    folder.mkdir(parents=True, exist_ok=True)
    for stay in stays:
        if stay.filed:
            _record(folder, stem(stay), stay, stay.filed.recording)


def stem(stay: Stay) -> str:
    """Return the name of a stay's files: whose it is, and when it began."""
    return f"{stay.person}_{stay.admitted:%Y%m%dT%H%M}"


def _wide(ward: Ward, stay: Stay) -> Iterable[list[str]]:
    """Yield the lines of one stay; those before the admission are the last ward's."""
    if stay.filed is None:
        return
    key, begun = stay.person, f"{stay.admitted:{ward.time}}"
    yield [key, begun, f"{stay.admitted - BEFORE:{ward.time}}", "0", "0", "0"]
    lost = LOST if ward.technology == "csv" else ""
    columns = [stay.filed.recording.values[name] for name in SHORT]
    for hour, *shown in zip(stay.filed.recording.hours, *columns, strict=True):
        when = stay.admitted + timedelta(hours=float(hour))
        cells = [lost if np.isnan(each) else f"{each:.0f}" for each in shown]
        yield [key, begun, f"{when:{ward.time}}", *cells]


def _long(ward: Ward, stay: Stay) -> Iterable[list[str]]:
    if stay.filed is None:
        return
    begun = f"{stay.admitted:{ward.time}}"
    recording = stay.filed.recording
    for place, hour in enumerate(recording.hours.tolist()):
        when = f"{stay.admitted + timedelta(hours=hour):{ward.time}}"
        for name, said in SHORT.items():
            value = float(recording.values[name][place])
            if not np.isnan(value):
                yield [stay.person, begun, when, said, f"{value:.0f}"]
            elif place % 2:
                yield [stay.person, begun, when, said, OFF]
            elif place % 7 == 0:
                yield [stay.person, begun, when, said, str(SPIKE)]


def _record(folder: Path, name: str, stay: Stay, recording: Recording) -> None:
    samples = np.column_stack([_counts(recording.values[each]) for each in SHORT])
    step = float(recording.hours[1] - recording.hours[0]) * 3600.0
    start = f"{stay.admitted:%H:%M:%S %d/%m/%Y}"
    lines = [f"{name} {len(SHORT)} {1 / step:.12g} {len(samples)} {start}"]
    for column, (channel, said) in enumerate(SHORT.items()):
        counts = samples[:, column]
        total = int(counts.astype(np.int64).sum()) & 0xFFFF
        checksum = total - 0x10000 if total & 0x8000 else total
        unit = CHANNELS[channel].unit
        head = f"{name}.dat 16 {GAIN}(0)/{unit} 16 0 {counts[0]} {checksum} 0"
        lines.append(f"{head} {said}")
    text = "".join(f"{line}\n" for line in lines)
    (folder / f"{name}.hea").write_text(text, encoding="ascii", newline="\n")
    (folder / f"{name}.dat").write_bytes(samples.astype("<i2").tobytes())


def _counts(values: NDArray[np.float64]) -> NDArray[np.int16]:
    lost = np.isnan(values)
    return np.where(lost, INVALID, np.nan_to_num(values) * GAIN).astype(np.int16)
