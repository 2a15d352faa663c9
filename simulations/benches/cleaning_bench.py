"""What cleaning costs: rows a second, against plain pandas that takes the same steps.

The same export is read and cleaned in a process of its own, once by us and once by the
pandas below, which counts nothing, explains nothing, and trusts every cell.
"""

import hashlib
import hmac
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from client import site
from client.tables import integration
from common.errors import IntegrityError
from common.study import Study

SIZES = (100_000, 1_000_000, 10_000_000)
PART = 500_000
WIDE, OTHERS = 1_000_000, 75
"""Records of a wide export, and its columns that no study asks for."""
LEVELS = {"pain": ["none", "mild", "severe"], "sex": ["f", "m"], "ill": ["no", "yes"]}
RANGES = {"age": (0.0, 120.0), "chol": (50.0, 700.0)}
SITE = """\
site = "bench"
[data]
file = "export.csv"
person = "patient"
event_time = "visit"
missing = ["NA"]
"""


def measure() -> list[tuple[int, dict[str, float], dict[str, float]]]:
    """Return for every size what we took, and what plain pandas took.

    Raises IntegrityError when the two do not agree on the people who train.
    """
    found = []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for size in SIZES:
            write(place, size)
            ours, plain = _apart(place, "ours"), _apart(place, "plain")
            if ours["check"] != plain["check"]:
                raise IntegrityError("the two tables differ: no figure is printed")
            found.append((size, ours, plain))
    return found


def wide() -> tuple[float, dict[str, float]]:
    """Return the gigabytes of an export of which 7 columns of 83 are used, and ours."""
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), WIDE, OTHERS).with_name("export.csv")
        return path.stat().st_size / 2**30, _apart(Path(folder), "ours")


def main() -> None:
    """Clean the export in a folder in one of the two ways, and print what it took."""
    place, way = Path(sys.argv[1]), sys.argv[2]
    begun = time.perf_counter()
    check = _ours(place) if way == "ours" else _plain(place / "export.csv")
    seconds = time.perf_counter() - begun
    peak = _peak_gigabytes()
    print(json.dumps({"seconds": seconds, "gigabytes": peak, "check": check}))  # noqa: T201 - read by the process that asked


def _peak_gigabytes() -> float:
    """Return the most memory that this process has held.

    Not what ``getrusage`` says: that begins with the peak of the process it came from.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 2**20


def _apart(place: Path, way: str) -> dict[str, float]:
    done = subprocess.run(  # noqa: S603 - this very interpreter
        [sys.executable, "-m", "simulations.benches.cleaning_bench", str(place), way],
        check=True,
        capture_output=True,
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def write(place: Path, size: int, others: int = 0) -> Path:
    """Write an export of so many people, a part at a time; return its site.toml.

    *others* is how many columns it has that the study does not ask for.
    """
    path, draw = place / "export.csv", np.random.default_rng(size)
    path.unlink(missing_ok=True)
    for first in range(0, size, PART):
        count = min(PART, size - first)
        rows: dict[str, object] = {
            "patient": [f"p{first + i}" for i in range(count)],
            "visit": "2020-01-01",
            "name": "never read",
            "age": draw.integers(18, 89, count),
            "chol": draw.integers(100, 400, count),
        }
        rows |= {name: draw.choice(levels, count) for name, levels in LEVELS.items()}
        frame = pd.DataFrame(rows)
        frame.loc[draw.random(count) < 0.02, "chol"] = pd.NA  # noqa: PLR2004 - 2 %
        _append(path, frame.to_csv(index=False, na_rep="NA", header=not first), others)
    mapped = "".join(f'[columns.{n}]\ncolumn = "{n}"\n' for n in (*RANGES, *LEVELS))
    (place / "site.toml").write_text(SITE + mapped, encoding="utf-8")
    return place / "site.toml"


def _append(path: Path, lines: str, others: int) -> None:
    """Write *lines* with so many more columns, the header as well."""
    if others and not path.exists():
        header, _, lines = lines.partition("\n")
        more = "".join(f",other_{place}" for place in range(others))
        path.write_text(f"{header}{more}\n", encoding="utf-8")
    more = "".join(f",{place * 1.37:.2f}" for place in range(others))
    with path.open("a", encoding="utf-8") as file:
        file.write(lines.replace("\n", f"{more}\n"))


def _ours(place: Path) -> float:
    table = integration.table(site.read(place / "site.toml"), study())
    return float(np.nansum(table.rows("train").x))


def _plain(path: Path) -> float:
    """Take the steps of ours that change something, in plain pandas."""
    names = ["patient", "visit", *RANGES, *LEVELS]
    frame = pd.read_csv(path, usecols=names, dtype=str, keep_default_na=False)
    clean = {}
    for name, (low, high) in RANGES.items():
        text = frame[name].str.strip()
        numbers = pd.to_numeric(text.mask(text.isin(["", "NA"])), errors="coerce")
        clean[name] = numbers.where(numbers.between(low, high)).astype(float)
    for name, levels in LEVELS.items():
        text = frame[name].str.strip()
        codes = {level: float(code) for code, level in enumerate(levels)}
        clean[name] = text.mask(text.isin(["", "NA"])).map(codes).astype(float)
    people = frame["patient"].str.strip()
    key = bytes(32)
    hashed = [hmac.digest(key, each.encode(), "sha256")[:8] for each in people]
    draws = [hashlib.sha256(f"0:{each}".encode()).digest()[:8] for each in people]
    table = pd.DataFrame(clean).assign(
        person=np.frombuffer(b"".join(hashed), dtype=np.int64),
        event=frame["visit"].str.strip(),
        train=np.frombuffer(b"".join(draws), dtype=">u8") / 2.0**64 >= 0.3,  # noqa: PLR2004 - the study's share
    )
    table = table[table["event"] != ""].drop_duplicates(keep="last")
    table = table.drop_duplicates(subset=["person", "event"], keep="last")
    table.duplicated(subset=["event", *clean], keep=False)
    table = table[table["age"].between(0, 120)].dropna(subset=["ill"])
    return float(np.nansum(table.loc[table["train"], ["age", "chol", "pain", "sex"]]))


def study() -> Study:
    """Return the study that reads the export."""
    about = {
        "name": "bench",
        "title": "Benchmark",
        "purpose": "to measure",
        "contact": "nobody@consortium.example",
        "expires": "2030-12-31",
        "sites": ["bench"],
    }
    numbers = [
        {"kind": "number", "name": name, "unit": "1", "range": [*limits]}
        for name, limits in RANGES.items()
    ]
    levels = {name: [*each] for name, each in LEVELS.items()}
    ill = {"kind": "binary", "name": "ill", "levels": levels.pop("ill")}
    categories = [
        {"kind": "category", "name": name, "levels": each}
        for name, each in levels.items()
    ]
    return Study.model_validate(
        {
            "format": 1,
            "privacy": "none",
            "study": about,
            "variables": [*numbers, *categories],
            "outcome": {**ill, "positive": "yes"},
            "cohort": [{"variable": "age", "at_least": 0, "at_most": 120}],
            "model": {"kind": "logistic", "ridge": 1.0},
            "rounds": {"quorum": 1},
            "evaluation": {"test": 0.3},
        }
    )


if __name__ == "__main__":
    main()
