"""Hospitals with real papers, at an aggregator that is nowhere."""

from pathlib import Path

from common.study import Study
from simulations import consortium
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
