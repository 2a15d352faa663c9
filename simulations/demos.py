"""What ``demo`` and ``simulate run`` show: scores, what left, where the report is."""

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote
from textwrap import wrap

from common import study as studies
from common import wire
from common.errors import UsageError
from common.study import Study
from common.terminal import Terminal
from server import curve as curves
from server import journal as journals
from server import report as reports
from server.report import Report
from simulations import heart, hospitals, private, result, screen
from simulations.private import Kind, Measure
from simulations.result import Simulation

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
        done = _run(terminal, hospitals.write(place), place)
        made = _report(done, OURS, begun)
    else:
        terminal.say(heart.NOTE)
        place = out / "heart"
        done = _run(terminal, heart.write(data, place), place)
        made = heart.benchmark(_report(done, heart.NOTE, begun), place)
    path, folder = quote(str(place / "study.toml")), quote(str(place))
    then = f"consilium simulate run {path} --data {folder}"
    _show(terminal, made, out, then)


def study(
    terminal: Terminal, path: Path, data: Path, out: Path, journal: Path | None
) -> None:
    """Run the study at *path* over the hospitals in *data*; report into *out*.

    With a *journal* folder, a run that was cut off goes on.
    """
    begun = time.perf_counter()
    made = _report(_run(terminal, path, data, journal), "", begun)
    _show(
        terminal,
        made,
        out,
        f"consilium client check --study {quote(str(path))} --site SITE.toml",
    )


def curve(
    terminal: Terminal, data: Path | None, noise: Kind, repeats: int, out: Path
) -> None:
    """Draw what a promise costs in accuracy, into *out*."""
    asked = private.opened(data)
    points = private.curve(asked, noise, repeats)
    measure: Measure = "average" if data else "accuracy"
    drawn = private.drawn(asked, points, measure, noise)
    out.mkdir(parents=True, exist_ok=True)
    page = out / "curve.html"
    page.write_text(curves.page(drawn), encoding="utf-8")
    facts = {
        "ok": True,
        "study": asked.study.study.name,
        "noise": noise,
        "delta": private.DELTA,
        "repeats": repeats,
        "measure": measure,
        "points": [each.facts() for each in points],
        "notes": list(drawn.notes),
        "page": str(page),
    }
    (out / "curve.json").write_text(
        json.dumps(facts, indent=2) + "\n", encoding="utf-8"
    )
    rows = [
        f"  {s.setting:<9}{s.value:.3f}  [{s.interval[0]:.3f}-{s.interval[1]:.3f}]"
        for s in drawn.spots
    ]
    head = f"  {drawn.across:<9}{drawn.measure}"
    notes = [line for note in drawn.notes for line in wrap(note, screen.WIDTH)]
    shown = [drawn.title, "", head, *rows, "", *notes, "", f"picture   {page}"]
    terminal.result(facts, "\n".join(shown))


def _ours(out: Path) -> None:
    """Refuse to write into a folder that holds anything but an earlier demo."""
    foreign = out.exists() and {path.name for path in out.iterdir()} - WRITTEN
    if foreign:
        raise UsageError(
            f"{out} holds other files; the demo would write among them",
            fix="consilium demo --out ANOTHER-FOLDER",
        )


def _run(
    terminal: Terminal, path: Path, data: Path, folder: Path | None = None
) -> Simulation:
    study = studies.read(path)
    folders = result.folders(data)
    if folder:
        terminal.say(_found(study, folder))
    with terminal.progress(study.study.name):
        return result.simulate(study, folders, folder)


def _found(study: Study, folder: Path) -> str:
    """Say what a journal holds before the run, and thus what the run will do."""
    with journals.held(folder, study.digest(), wire.PROTOCOL) as book:
        if book.closed:
            return f"{folder}: {book.words()} and is over; no site is asked again"
        if book.roster:
            return f"resuming from {folder}: {book.words()}"
        return f"each round is kept in {folder}"


def _report(done: Simulation, note: str, begun: float) -> Report:
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
