"""Turns the four UCI heart disease files into four hospitals and one study.

They are real hospitals with real gaps: codes for missing, columns that were never
measured, and one that trains on a single class. The files stay where their owner keeps
them; what is written holds every cell as it came, a record number and a split.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.errors import DataError, IntegrityError
from simulations.dealt.flamby import benchmark, table
from simulations.dealt.heart_study import INPUTS, LEVELS, NAMES, OUTCOME, STUDY, UNITS
from simulations.worth import trials

__all__ = ["NOTE", "benchmark", "table", "write"]

NOTE = (
    "Real patients of four hospitals: UCI Heart Disease (Janosi, Steinbrunn, "
    "Pfisterer, Detrano 1988; CC BY 4.0), given by A. Janosi MD, Budapest; "
    "W. Steinbrunn MD, Zurich; M. Pfisterer MD, Basel; R. Detrano MD PhD, Long Beach "
    "and Cleveland. Inputs, split and metric are FLamby's; we added headers, record "
    "numbers and the split."
)
ORIGIN = (
    'UCI Machine Learning Repository, data set "Heart Disease":\n'
    "https://archive.ics.uci.edu/dataset/45/heart+disease"
)
SEED = 43
"""The seed of FLamby's split."""


@dataclass(frozen=True, slots=True)
class Hospital:
    """One file: whose it is, its MD5 as FLamby pins it, and how it writes a code."""

    site: str
    file: str
    md5: str
    code: str = "{}"


HOSPITALS = (
    Hospital(
        "cleveland",
        "processed.cleveland.data",
        "2d91a8ff69cfd9616aa47b59d6f843db",
        code="{}.0",
    ),
    Hospital("hungary", "processed.hungarian.data", "22e96bee155b5973568101c93b3705f6"),
    Hospital(
        "switzerland", "processed.switzerland.data", "9a87f7577310b3917730d06ba9349e20"
    ),
    Hospital("va-long-beach", "processed.va.data", "4249d03ca7711e84f4444768c9426170"),
)


def write(data: Path, out: Path) -> Path:
    """Write four hospitals and ``study.toml`` into *out*; return the study's path.

    Raises DataError when a file is absent from *data*, and IntegrityError when it is
    another file than the benchmark is defined on; nothing is written then.
    """
    texts = {hospital: _verified(data, hospital) for hospital in HOSPITALS}
    for hospital, text in texts.items():
        folder = out / hospital.site
        folder.mkdir(parents=True, exist_ok=True)
        _save(folder / "heart.csv", _export(text))
        _save(folder / "site.toml", _mapping(hospital))
    _save(out / "study.toml", STUDY)
    return out / "study.toml"


def _verified(data: Path, hospital: Hospital) -> str:
    """Return the text of the file, which must be the published one to the last byte."""
    fix = f"put the file of that name into {data}, unchanged, from the\n{ORIGIN}"
    then = f"consilium demo --data {data}"
    try:
        content = (data / hospital.file).read_bytes()
    except OSError as refused:
        raise DataError(
            f"there is no readable {hospital.file} in {data}",
            likely=f"not downloaded yet, or another folder ({type(refused).__name__})",
            fix=fix,
            then=then,
        ) from None
    if hashlib.md5(content, usedforsecurity=False).hexdigest() != hospital.md5:
        raise IntegrityError(
            f"{hospital.file} in {data} is not the file of the benchmark",
            likely="an edited copy, another edition, or a header line that was added",
            fix=fix,
            then=then,
        )
    return content.decode("ascii")


def _export(text: str) -> str:
    """Return the records as a hospital would export them: every cell as it came."""
    records = [line.split(",") for line in text.splitlines()]
    rows = [["record", *NAMES, "split"]]
    for number, side in enumerate(_sides(records), start=1):
        rows.append([str(number), *records[number - 1], side])
    return "".join(",".join(row) + "\n" for row in rows)


def _sides(records: list[list[str]]) -> list[str]:
    """Return train or test per record; FLamby deals the complete records only.

    The others are said to train, and cleaning leaves them out: they have a gap.
    """
    complete = [i for i, cells in enumerate(records) if "?" not in _used(cells)]
    outcome = np.array([records[index][-1] != "0" for index in complete], dtype=float)
    train = trials.trains(outcome, SEED)
    testing = {index for index, side in zip(complete, train, strict=True) if not side}
    return ["test" if index in testing else "train" for index in range(len(records))]


def _used(cells: list[str]) -> list[str]:
    return [*cells[: len(INPUTS)], cells[-1]]


def _mapping(hospital: Hospital) -> str:
    """Return the hospital's ``site.toml``."""
    head = f"""\
# How {hospital.site} writes its records. heart.csv holds every cell of
# {hospital.file} as it came; slope, ca and thal are not mapped, so never read.
site = "{hospital.site}"
min_people = 10

[data]
file = "heart.csv"
person = "record"           # the files name nobody: the record's number stands in
split = "split"             # train or test, as FLamby's rule and seed deal
missing = ["?"]
"""
    columns = [_column(hospital, name) for name in INPUTS]
    return "\n".join([head, *columns, _levels("num", OUTCOME)])


def _column(hospital: Hospital, name: str) -> str:
    if name in UNITS:
        return f'[columns.{name}]\ncolumn = "{name}"\nunit = "{UNITS[name]}"\n'
    coded = {hospital.code.format(code): said for code, said in LEVELS[name].items()}
    return _levels(name, coded)


def _levels(name: str, coded: Mapping[str, str]) -> str:
    """Return the table of a category: this hospital's code, and the declared level."""
    spelled = "".join(f'"{code}" = "{level}"\n' for code, level in coded.items())
    return f'[columns.{name}]\ncolumn = "{name}"\n[columns.{name}.levels]\n{spelled}'


def _save(path: Path, text: str) -> None:
    """Write *text* with the same bytes on every system."""
    path.write_bytes(text.encode())
