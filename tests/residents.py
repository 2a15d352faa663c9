"""Hospitals with real papers, at an aggregator that is nowhere."""

from datetime import UTC, datetime
from pathlib import Path

from client import site
from client.books import home
from common.study import Study
from simulations.engines import consortium
from tests import clinics

MEMBERS = ("north", "south")


def found(place: Path, study: Study, port: int = 9) -> Path:
    """Found a consortium in *place*/net; return the settings of north."""
    hospitals = []
    for seed, name in enumerate(MEMBERS):
        path = clinics.folder(place / "real" / name, clinics.lines(60, seed))
        path.write_text(path.read_text().replace('"north"', f'"{name}"'))
        hospitals.append(path)
    return consortium.found(place / "net", study, hospitals, port)[0]


def approve(path: Path, study: Study) -> None:
    """Let the steward of the site at *path* approve *study*, for one more run."""
    note = home.about("approved", study, by="ada", until="2030-12-31")
    home.note(site.read(path).home, note, lambda: datetime.now(UTC))
