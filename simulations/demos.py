"""What ``demo`` and ``simulate run`` show: scores, what left, where the report is."""

import time
from datetime import UTC, datetime
from pathlib import Path
from textwrap import wrap

from common import study as studies
from common.errors import UsageError
from common.terminal import Terminal
from server import report as reports
from server.report import Report
from simulations import heart, hospitals, result, screen

OURS = (
    "Real patients: 569 people of the Wisconsin breast cancer data. The split into "
    "four hospitals, their dialects and their planted mistakes are ours."
)
WRITTEN = {"hospitals", "heart", "report.json", "report.html"}


def run(terminal: Terminal, out: Path, data: Path | None) -> None:
    """Run the demo into *out*: on our split, or on the heart files in *data*."""
    begun = time.perf_counter()
    _ours(out)
    if data is None:
        terminal.say(OURS)
        place = out / "hospitals"
        made = _run(terminal, hospitals.write(place), place, OURS, begun)
    else:
        terminal.say(heart.NOTE)
        place = out / "heart"
        made = _run(terminal, heart.write(data, place), place, heart.NOTE, begun)
        made = heart.benchmark(made, place)
    then = f"consilium simulate run {place / 'study.toml'} --data {place}"
    _show(terminal, made, out, then)


def study(terminal: Terminal, path: Path, data: Path, out: Path) -> None:
    """Run the study at *path* over the hospitals in *data*; report into *out*."""
    made = _run(terminal, path, data, "", time.perf_counter())
    _show(
        terminal, made, out, f"consilium client check --study {path} --site SITE.toml"
    )


def _ours(out: Path) -> None:
    """Refuse to write into a folder that holds anything but an earlier demo."""
    foreign = out.exists() and {path.name for path in out.iterdir()} - WRITTEN
    if foreign:
        raise UsageError(
            f"{out} holds other files; the demo would write among them",
            fix="consilium demo --out ANOTHER-FOLDER",
        )


def _run(terminal: Terminal, path: Path, data: Path, note: str, begun: float) -> Report:
    study = studies.read(path)
    folders = result.folders(data)
    with terminal.progress(study.study.name):
        done = result.simulate(study, folders)
    now = datetime.now(UTC)
    return result.report(done, now, time.perf_counter() - begun, note)


def _show(terminal: Terminal, made: Report, out: Path, then: str) -> None:
    page = reports.write(made, out)
    compared = made.benchmark
    published = []
    if compared:
        notes = [line for note in compared.notes for line in wrap(note, screen.WIDTH)]
        published = ["", *heart.table(compared), "", *notes]
    text = [
        *screen.lines(made),
        *published,
        "",
        f"report    {page}",
        f"next      {then}",
    ]
    terminal.result(made.model_dump(mode="json"), "\n".join(text))
