"""Deals the chest X-rays of PneumoniaMNIST to four hospitals, and writes their study.

The pictures are real: 5,332 children of one hospital, those that MedMNIST v2 trains and
tests on (Yang et al. 2023; Kermany et al. 2018; CC BY 4.0). The split into hospitals is
ours: by a public draw, so that pneumonia is common in some and rare in others.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.errors import DataError, IntegrityError

MD5 = "28209eda62fecd6e6a2d98b1501bb15f"
NOTE = (
    "Real chest X-rays of children: PneumoniaMNIST of MedMNIST v2 (Yang et al. 2023, "
    "from Kermany et al. 2018; CC BY 4.0), all of one hospital. The split into four "
    "hospitals is ours."
)
SITES = {
    "alder": (0.4, 0.1),
    "birch": (0.3, 0.2),
    "cedar": (0.2, 0.3),
    "dogwood": (0.1, 0.4),
}
"""Which share of those with pneumonia each hospital gets, and of those without."""
SEED = 7
NPZ = "pneumoniamnist.npz"

STUDY = """\
# Is there pneumonia on a child's chest X-ray? Real pictures; our split into hospitals.
format = 1
{privacy}

[study]
name = "pneumonia"
title = "Pneumonia on chest X-rays of children"
purpose = "To compare learning together with pooled records; not for use in care"
contact = "benchmark@consortium.example"
expires = 2030-12-31
sites = [{sites}]

[image]
name = "film"
size = [28, 28]
channels = 1

[outcome]
kind = "binary"
name = "pneumonia"
levels = ["no", "yes"]
positive = "yes"

{model}
[rounds]
quorum = 4
maximum = {steps}
deadline_seconds = 3600

[evaluation]
test = "declared"
bins = 200
"""
EXACT = """\
[model]
kind = "image_network"

[model.training]
steps = 300
sample = 0.03               # each step over 3 % of the people of all hospitals
rate = 0.005
clip = 100.0                # far: without a promise a gradient need not be short
"""
PRIVATE = """\
[model]
kind = "image_network"
blocks = [8, 16, 16]        # fewer numbers take less noise

[model.training]
steps = 100
rate = 0.02
"""
PROMISE = """
[privacy]
epsilon = {epsilon:g}
delta = 1e-5
noise = "shared"
expected_people = 4700\
"""
SITE = """\
site = "{site}"

[sources.films]
kind = "images"
file = "films.csv"
pixels = "films.npz"
person = "record"           # the pictures name nobody: a number stands in
split = "split"             # train or test, as MedMNIST deals

[columns.film]
column = "place"

[columns.pneumonia]
column = "pneumonia"
"""


@dataclass(frozen=True, slots=True, repr=False)
class Films:
    """Pictures [records, 28, 28], who has pneumonia, who trains, and at which site."""

    pixels: NDArray[np.uint8]
    ill: NDArray[np.bool_]
    train: NDArray[np.bool_]
    site: NDArray[np.int64]


def write(data: Path, out: Path, epsilon: float | None = None) -> Path:
    """Write four hospitals and ``study.toml`` into *out*; return the study's path.

    Raises DataError when *data* is no readable file, and IntegrityError when it is
    another than MedMNIST's; nothing is written then.
    """
    films = read(data)
    for place, name in enumerate(SITES):
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        _hospital(folder, films, np.flatnonzero(films.site == place))
        (folder / "site.toml").write_bytes(SITE.format(site=name).encode())
    (out / "study.toml").write_bytes(study(epsilon).encode())
    return out / "study.toml"


def study(epsilon: float | None) -> str:
    """Return the study as TOML: with a promise of *epsilon*, or without any."""
    kept = PROMISE.format(epsilon=epsilon) if epsilon else ""
    sites = ", ".join(f'"{name}"' for name in SITES)
    text = STUDY.replace("{privacy}", "" if kept else 'privacy = "none"')
    filled = text.format(
        sites=sites,
        model=PRIVATE if epsilon else EXACT,
        steps=100 if epsilon else 300,
    )
    return filled.replace("\n[study]", f"{kept}\n\n[study]", 1).replace(
        "\n\n\n", "\n\n"
    )


def read(data: Path) -> Films:
    """Return the films in *data*, which must be the published file to the last byte."""
    fix = f"download {NPZ} of MedMNIST v2:\nhttps://zenodo.org/records/10519652"
    try:
        content = data.read_bytes()
    except OSError:
        raise DataError(f"there is no readable file {data}", fix=fix) from None
    if hashlib.md5(content, usedforsecurity=False).hexdigest() != MD5:
        raise IntegrityError(f"{data} is not {NPZ} of MedMNIST v2, 28 x 28", fix=fix)
    with np.load(data, allow_pickle=False) as arrays:
        train, test = (arrays[f"{side}_images"] for side in ("train", "test"))
        labels = [arrays[f"{side}_labels"][:, 0] for side in ("train", "test")]
    ill = np.concatenate(labels) == 1
    trains = np.arange(len(ill)) < len(train)
    return Films(np.concatenate([train, test]), ill, trains, _dealt(ill))


def _dealt(ill: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the hospital of each film, by a draw that is always the same."""
    having, lacking = (np.cumsum(each) for each in zip(*SITES.values(), strict=True))
    draw = np.random.default_rng(SEED).random(len(ill))
    with_it, without = (np.searchsorted(each, draw) for each in (having, lacking))
    return np.minimum(np.where(ill, with_it, without), len(SITES) - 1)


def _hospital(folder: Path, films: Films, records: NDArray[np.int64]) -> None:
    lines = ["record,place,pneumonia,split"]
    for place, record in enumerate(records):
        said = "yes" if films.ill[record] else "no"
        side = "train" if films.train[record] else "test"
        lines.append(f"{record},{place},{said},{side}")
    (folder / "films.csv").write_bytes(("\n".join(lines) + "\n").encode())
    with (folder / "films.npz").open("wb") as file:
        np.savez(file, images=films.pixels[records])
