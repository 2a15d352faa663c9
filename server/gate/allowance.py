"""How much a site may leave with the aggregator at a time: what its studies ask of it.

Three of the largest answers of each study under way that names it: one that is being
taken, one that comes, and one of an attempt that was given up; and a little besides. A
study says how large its answers are when its run begins; of one that has not said so
yet an answer is taken to be as large as a message can be.
"""

import json
from pathlib import Path

from common.trust import private_files

MOST = 256 * 2**20
"""Bytes that a message carries: as many as common/travel/arrivals.py takes."""
BESIDE = 32 * 2**20
"""Bytes that any site may leave: openings, legs, and what is not taken yet."""
TIMES = 3
SIZE = "answer.json"
OVER = ("finished", "failed", "stopped")


def note(study: Path, size: int) -> None:
    """Write down in a study's folder that its largest answer has *size* bytes."""
    private_files.write(study / SIZE, json.dumps({"bytes": size}).encode())


def of(aggregator: Path, site: str) -> int:
    """Return how many bytes *site* may leave with the aggregator at a time."""
    folders = [path.parent for path in (aggregator / "studies").glob("*/study.json")]
    return BESIDE + TIMES * sum(_asked(each, site) for each in folders)


def _asked(study: Path, site: str) -> int:
    """Return the bytes of the largest answer that a study may ask of *site*."""
    about = json.loads(private_files.read(study / "study.json"))["study"]
    now = json.loads(private_files.read(study / "progress.json"))
    if site not in about["sites"] or now["phase"] in OVER:
        return 0
    if not (study / SIZE).exists():
        return MOST
    return int(json.loads(private_files.read(study / SIZE))["bytes"])
