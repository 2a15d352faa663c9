"""How long the readers of signals, texts and films take, against the library alone.

Each pair does the same work on the same files and must find the same numbers; what ours
adds is the checks, the redaction and the promise that no cell is quoted.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd
from pydicom import dcmread
from sklearn.feature_extraction.text import HashingVectorizer

from client import site as sites
from client.formats.raw import Place, Raw
from client.numbers import redaction
from client.sources import opening
from common.errors import IntegrityError
from common.schema import Image
from simulations.invented import linked, stays, wards
from simulations.invented.stays import Stay

REPEATS, BUCKETS, LINES = 5, 64, 300_000
PEOPLE = 1_000
MONITOR = """\
site = "pace"

[sources.monitor]
kind = "signals"
file = "monitor.csv"
person = "who"
event_time = "begun"
time = "at"

[columns.mean]
source = "monitor"
column = "HR"
take = "mean"
hours = [0, 24]
"""
EQUAL = 1e-9


def signals() -> tuple[float, float]:
    """Return seconds per million samples: ours, and pandas doing the same."""
    with _folder() as folder:
        _monitor(folder)
        ours = Place(sites.read(folder / "site.toml"), "monitor")

        def read() -> np.ndarray:
            (raw,) = _parts(ours)
            return np.sort(raw.cells["mean"].to_numpy(dtype=np.float64))

        def plain() -> np.ndarray:
            lines = pd.read_csv(folder / "monitor.csv", parse_dates=["begun", "at"])
            after = (lines["at"] - lines["begun"]).dt.total_seconds()
            inside = lines[(after >= 0) & (after < 24 * 3600)]
            means = inside.groupby(["who", "begun"])["HR"].mean()
            return np.sort(means.to_numpy(dtype=np.float64))

        _equal(read(), plain())
        one, other = _in_turn(read, plain)
    return one * 1e6 / LINES, other * 1e6 / LINES


def texts() -> tuple[float, float]:
    """Return seconds per thousand notes: redacted and hashed, and hashed alone."""
    notes = [stay.media.note.said for stay in _stays() if stay.media] * 10
    hashing = HashingVectorizer(n_features=BUCKETS, alternate_sign=False)
    one, other = _in_turn(
        lambda: redaction.hashed(notes, BUCKETS, 1),
        lambda: hashing.transform(notes).toarray(),
    )
    return one * 1e3 / len(notes), other * 1e3 / len(notes)


def films() -> tuple[float, float]:
    """Return seconds per thousand films: ours, and pydicom's pixels alone."""
    with _folder() as folder:
        linked.write(folder, 1)
        local = sites.read(folder / "dunmere" / "site.toml")
        ours = Place(local, "radiographs", Image(name="radiograph", size=(28, 28)))
        out = set(local.mapping.named["radiographs"].model_dump()["leave_out"])
        there = sorted((folder / "dunmere" / "radiographs").glob("*.dcm"))
        files = [each for each in there if each.name not in out]
        one, other = _in_turn(
            lambda: _parts(ours), lambda: [dcmread(each).pixel_array for each in files]
        )
    return one * 1e3 / len(files), other * 1e3 / len(files)


def _stays() -> list[Stay]:
    return stays.admit(wards.ASHFORD, np.random.default_rng(0))


def _parts(place: Place) -> list[Raw]:
    named = place.site.mapping.columns.items()
    wanted = {name: each for name, each in named if each.source == place.name}
    return [*opening.read(place, wanted)]


def _monitor(folder: Path) -> None:
    """Write LINES samples of PEOPLE recordings, one a person."""
    draw = np.random.default_rng(0)
    who = np.repeat(np.arange(PEOPLE), LINES // PEOPLE)
    begun = np.datetime64("2024-01-01T00:00") + who * np.timedelta64(7, "m")
    minutes = np.tile(np.arange(LINES // PEOPLE), PEOPLE) * 10
    at = begun + minutes.astype("timedelta64[m]")
    pulse = draw.integers(40, 180, LINES)
    lines = pd.DataFrame({"who": who, "begun": begun, "at": at, "HR": pulse})
    lines.to_csv(folder / "monitor.csv", index=False, date_format="%Y-%m-%dT%H:%M:%S")
    (folder / "site.toml").write_text(MONITOR, encoding="utf-8")


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def _equal(one: np.ndarray, other: np.ndarray) -> None:
    if one.shape != other.shape or not np.allclose(one, other, rtol=EQUAL):
        raise IntegrityError("the two readings differ: no ratio is printed")


def _in_turn(
    one: Callable[[], object], other: Callable[[], object]
) -> tuple[float, float]:
    """Return the median seconds of each, measured A B A B … after one warm-up."""
    one(), other()
    pairs = [(_seconds(one), _seconds(other)) for _ in range(REPEATS)]
    return median(each for each, _ in pairs), median(each for _, each in pairs)


def _seconds(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun
